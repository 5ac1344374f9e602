"""Attributes of mixed types in, float matrices out: text, categories, numbers, dates, vectors."""
