"""Vectors in, nearest items out; the Recommender that is evaluated and served as one object."""
