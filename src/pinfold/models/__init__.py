"""Graph in, user and item vectors out: one file a model, one shelf."""
