"""Runs in, what many runs say together out."""
