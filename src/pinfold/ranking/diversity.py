"""Lists whose items differ: a little relevance given for what the list does not have yet."""

import numpy as np

from pinfold.arrays import Floats, Longs, check_array


def mmr(scores: Floats, vectors: Floats, k: int, weight: float) -> Longs:
    """The places of K items chosen one after another, each good and unlike those before it. Shape (min(K, C),).

    Maximal marginal relevance: the next item has the highest (1 - w) s - w max over the chosen of the cosine
    (Carbonell and Goldstein, SIGIR 1998, with lambda = 1 - w). Scores s are brought to [0, 1] within the list, so that
    w means the same for every model. Weight 0 gives the order of scores; of equal items the earlier comes first. Moves
    4 C D bytes for each chosen item.

    Args:
        scores: (C,) finite.
        vectors: (C, D) at length 1; zeros for an item of which nothing is known, unlike everything.
        k: how many.
        weight: w, from 0 (scores alone) to 1 (difference alone, after the best item).

    Raises:
        TypeError: another dtype.
        ValueError: another shape, scores that are not finite, k below 1, or a weight outside [0, 1].
    """
    check_array("scores", scores, np.float32, -1)
    check_array("vectors", vectors, np.float32, len(scores), -1)
    if not 0 <= weight <= 1 or k < 1:
        raise ValueError(f"weight must lie in [0, 1] and k be at least 1, got {weight} and {k}")
    if not np.isfinite(scores).all():
        raise ValueError("scores must be finite")
    if not len(scores):
        return np.zeros(0, np.int64)
    span = float(scores.max() - scores.min())
    relevance = (1 - weight) * (scores - scores.min()).astype(np.float64) / (span if span > 0 else 1)
    likest = np.full(len(scores), -1.0)  # of the chosen; nothing yet
    chosen = [int(np.argmax(scores))]  # nothing to differ from yet
    left = np.ones(len(scores), np.bool_)
    for _ in range(min(k, len(scores)) - 1):
        left[chosen[-1]] = False
        np.maximum(likest, vectors @ vectors[chosen[-1]], out=likest)
        chosen.append(int(np.argmax(np.where(left, relevance - weight * likest, -np.inf))))
    return np.array(chosen, np.int64)
