"""Graphs that go on growing: what came since an artifact was made becomes a new artifact, without a rebuild."""
