"""Graph-based recommendation, whole: interaction files in, honest numbers and recommendations out."""

__version__ = "0.1.0"
