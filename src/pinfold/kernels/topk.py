"""The K best columns of each row of a score matrix, excluded columns left out."""

import numpy as np
from numba import njit

from pinfold.arrays import Floats, Ints, Longs, TopK
from pinfold.kernels.parallel import over_rows


def top_k(scores: Floats, exclude_ptr: Longs, exclude_ids: Ints, k: int) -> TopK:
    """The K highest scores of each row and where they stand; equal scores go to the lower column.

    Args:
        scores: (B, I), overwritten: excluded entries become -inf.
        exclude_ptr: (B + 1,) and exclude_ids: (X,): the columns that row b must not return.
        k: columns wanted; a row with fewer left is filled with id -1 and score -inf.

    Returns:
        TopK of shape (B, k). Scores of -inf or NaN are never returned.
    """
    n = len(scores)
    ids = np.full((n, k), -1, np.int32)
    best = np.full((n, k), -np.inf, np.float32)
    over_rows(n, lambda start, stop: _top_k(scores, exclude_ptr, exclude_ids, start, stop, ids, best))
    return TopK(ids, best)


@njit(nogil=True, cache=True)
def _top_k(
    scores: Floats, exclude_ptr: Longs, exclude_ids: Ints, start: int, stop: int, ids: Ints, best: Floats
) -> None:
    """Rows [start, stop): a heap of the K best so far, its worst entry at the root. O(I + K log K log I) a row."""
    k = ids.shape[1]
    if k == 0:
        return
    for row in range(start, stop):
        line = scores[row]
        for entry in range(exclude_ptr[row], exclude_ptr[row + 1]):
            line[exclude_ids[entry]] = -np.inf
        heap_scores, heap_ids = best[row], ids[row]
        worst = heap_scores[0]
        for column in range(line.shape[0]):
            if line[column] > worst:  # a later column with an equal score never enters
                heap_scores[0], heap_ids[0] = line[column], column
                sift(heap_scores, heap_ids, 0, k)
                worst = heap_scores[0]
        for end in range(k - 1, 0, -1):  # heap sort: the worst goes last
            heap_scores[0], heap_scores[end] = heap_scores[end], heap_scores[0]
            heap_ids[0], heap_ids[end] = heap_ids[end], heap_ids[0]
            sift(heap_scores, heap_ids, 0, end)


@njit(nogil=True, cache=True)
def sift(scores: Floats, ids: Ints, root: int, size: int) -> None:
    """Move the entry at `root` down until no child is worse; of equal scores the higher column is worse."""
    while True:
        worst = root
        for child in (2 * root + 1, 2 * root + 2):
            if child < size:
                lower = scores[child] < scores[worst]
                tie = scores[child] == scores[worst] and ids[child] > ids[worst]
                if lower or tie:
                    worst = child
        if worst == root:
            return
        scores[root], scores[worst] = scores[worst], scores[root]
        ids[root], ids[worst] = ids[worst], ids[root]
        root = worst
