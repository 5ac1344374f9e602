"""Recommender and held-out events in, numbers with intervals out."""
