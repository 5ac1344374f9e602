"""Interactions in, BipartiteGraph out: compressed sparse rows in both directions."""
