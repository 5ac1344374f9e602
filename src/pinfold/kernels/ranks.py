"""The best of a list of (value, id) pairs, and a random draw from the ranks behind them."""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pinfold.arrays import Doubles, Ints
from pinfold.kernels.negatives import mix
from pinfold.kernels.topk import sift

Values = NDArray[Any]  # counts or shares
WINDOW = np.uint64(1)  # sets the draws from ranks apart from a walk's


@njit(nogil=True, cache=True)
def keep_best(values: Values, ids: Ints, n: int, best: Values, best_ids: Ints) -> int:
    """The highest of the first `n` values, in descending order; equal ones by ascending id. Returns how many.

    Args:
        values: (N,) and ids: (N,), distinct, in any order.
        n: how many of them count.
        best: (T,) of a float type, and best_ids: (T,): filled here; -inf and -1 where there are fewer.
    """
    k = best.shape[0]
    best[:], best_ids[:] = -np.inf, -1
    for place in range(n):  # a heap, its worst entry at the root
        value, one = values[place], ids[place]
        if value > best[0] or (value == best[0] and one < best_ids[0]):
            best[0], best_ids[0] = value, one
            sift(best, best_ids, 0, k)
    for end in range(k - 1, 0, -1):  # heap sort: the worst goes last
        best[0], best[end] = best[end], best[0]
        best_ids[0], best_ids[end] = best_ids[end], best_ids[0]
        sift(best, best_ids, 0, end)
    return int(min(n, k))


@njit(nogil=True, cache=True)
def draw_ranks(values: Doubles, ids: Ints, n: int, first: int, last: int, key: np.uint64, out: Ints) -> None:
    """Distinct ids drawn evenly from the ranks [first, last) of the first `n` values; -1 where there are too few.

    With fewer than `last` values the ranks shrink in proportion, to [first n / last, n), rounded up: the nearest are
    left out in any case.

    Args:
        values: (N,) and ids: (N,), distinct; both are rearranged.
        n: how many of them count.
        first: 0 <= first < last: ranks, the highest value has rank 0; equal values by ascending id.
        key: of the stream of random numbers.
        out: (K,) filled here.
    """
    if n < last:
        first, last = -(-first * n // last), n
    select_best(values, ids, 0, n, last)
    select_best(values, ids, 0, last, first)
    out[:] = -1
    for place in range(min(len(out), last - first)):  # Fisher and Yates, as far as needed
        left = np.uint64(last - first - place)
        chosen = first + place + np.int64((mix(key + np.uint64(place)) >> np.uint64(32)) * left >> np.uint64(32))
        _swap(values, ids, first + place, chosen)
        out[place] = ids[first + place]


@njit(nogil=True, cache=True)
def select_best(values: Doubles, ids: Ints, start: int, stop: int, k: int) -> None:
    """Rearrange [start, stop) so that its `k` best come first (Hoare's quickselect); expected work O(stop - start)."""
    end = start + k
    while stop - start > 1 and start < end < stop:
        middle = (start + stop) // 2
        value, one = values[middle], ids[middle]
        low, high = start, stop - 1
        while low <= high:
            while _better(values[low], ids[low], value, one):
                low += 1
            while _better(value, one, values[high], ids[high]):
                high -= 1
            if low <= high:
                _swap(values, ids, low, high)
                low, high = low + 1, high - 1
        if end <= high:
            stop = high + 1
        elif end >= low:
            start = low
        else:
            return


@njit(nogil=True, cache=True)
def _better(value: float, one: int, other_value: float, other: int) -> bool:
    return value > other_value or (value == other_value and one < other)


@njit(nogil=True, cache=True)
def _swap(values: Doubles, ids: Ints, a: int, b: int | np.int64) -> None:
    values[a], values[b] = values[b], values[a]
    ids[a], ids[b] = ids[b], ids[a]


@njit(nogil=True, cache=True)
def normalize(weights: Values, n: int) -> None:
    """Divide the first n weights by their sum; 0 behind them."""
    total = 0.0
    for place in range(n):
        total += weights[place]
    for place in range(n):
        weights[place] = weights[place] / total
    weights[n:] = 0
