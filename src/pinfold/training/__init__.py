"""Model in, trained model out: the one loop, its checkpoints."""
