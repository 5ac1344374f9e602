"""Taking rows out of a CSR, and keeping the largest entries of each."""

import numpy as np
from numba import njit

from pinfold.arrays import Bools, Floats, Ints, Longs
from pinfold.kernels.parallel import over_rows


def take_rows(ptr: Longs, ids: Ints, weights: Floats, rows: Ints) -> tuple[Longs, Ints, Floats]:
    """The CSR (ptr, ids, weights) of the given rows, in the given order. One pass over what is taken."""
    new_ptr = np.zeros(len(rows) + 1, np.int64)
    np.cumsum(ptr[rows + 1] - ptr[rows], out=new_ptr[1:])
    new_ids = np.empty(new_ptr[-1], np.int32)
    new_weights = np.empty(new_ptr[-1], np.float32)
    over_rows(
        len(rows),
        lambda start, stop: _take(ptr, ids, weights, rows, start, stop, new_ptr, new_ids, new_weights),
    )
    return new_ptr, new_ids, new_weights


@njit(nogil=True, cache=True)
def _take(
    ptr: Longs, ids: Ints, weights: Floats, rows: Ints, start: int, stop: int,
    new_ptr: Longs, new_ids: Ints, new_weights: Floats,
) -> None:  # fmt: skip
    for place in range(start, stop):
        source = ptr[rows[place]]
        for offset in range(new_ptr[place + 1] - new_ptr[place]):
            new_ids[new_ptr[place] + offset] = ids[source + offset]
            new_weights[new_ptr[place] + offset] = weights[source + offset]


def keep_largest(ptr: Longs, ids: Ints, weights: Floats, k: int) -> tuple[Longs, Ints, Floats]:
    """The CSR with at most `k` entries in a row, the heaviest; of equal weights the lower column stays."""
    new_ptr = np.zeros(len(ptr), np.int64)
    np.cumsum(np.minimum(np.diff(ptr), k), out=new_ptr[1:])
    new_ids = np.empty(new_ptr[-1], np.int32)
    new_weights = np.empty(new_ptr[-1], np.float32)
    over_rows(
        len(ptr) - 1,
        lambda start, stop: _keep(ptr, ids, weights, start, stop, new_ptr, new_ids, new_weights),
    )
    return new_ptr, new_ids, new_weights


@njit(nogil=True, cache=True)
def _keep(
    ptr: Longs, ids: Ints, weights: Floats, start: int, stop: int, new_ptr: Longs, new_ids: Ints, new_weights: Floats
) -> None:
    for row in range(start, stop):
        begin, end = ptr[row], ptr[row + 1]
        kept = new_ptr[row + 1] - new_ptr[row]
        if kept == end - begin:
            chosen = np.arange(begin, end)
        else:  # a stable sort, heaviest first, keeps lower columns ahead of equal ones
            chosen = begin + np.sort(np.argsort(-weights[begin:end], kind="mergesort")[:kept])
        for offset in range(kept):
            new_ids[new_ptr[row] + offset] = ids[chosen[offset]]
            new_weights[new_ptr[row] + offset] = weights[chosen[offset]]


def mark_best(ptr: Longs, goodness: Floats, n_kept: Longs) -> Bools:
    """Whether an entry is among the best of its row, `n_kept` (R,) of them; of equal ones the first. Shape (E,)."""
    kept = np.ones(ptr[-1], np.bool_)
    over_rows(len(ptr) - 1, lambda start, stop: _mark_best(ptr, goodness, n_kept, start, stop, kept))
    return kept


@njit(nogil=True, cache=True)
def _mark_best(ptr: Longs, goodness: Floats, n_kept: Longs, start: int, stop: int, kept: Bools) -> None:
    for row in range(start, stop):
        begin, end = ptr[row], ptr[row + 1]
        if n_kept[row] < end - begin:
            order = np.argsort(-goodness[begin:end], kind="mergesort")
            for place in order[n_kept[row] :]:
                kept[begin + place] = False
