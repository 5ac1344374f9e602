"""Graph in, the arrays of one mini-batch out: positives and negatives."""
