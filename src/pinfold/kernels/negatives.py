"""Negatives: items that a user did not take."""

import numpy as np
from numba import njit

from pinfold.arrays import Ints, Longs
from pinfold.kernels.parallel import over_rows

GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # the step of a splitmix64 stream
MAX_TRIES = 100  # a user who took nearly everything gets a repeated item rather than an endless search


def sample_negatives(ptr: Longs, ids: Ints, users: Ints, pool: Ints, n_negatives: int, seed: int) -> Ints:
    """Entries drawn evenly from a pool of items, without those that each user took.

    Args:
        ptr: (U + 1,) and ids: (E,): the user -> item CSR, sorted within rows.
        users: (B,) whom to draw for.
        pool: item rows; each item once for uniform draws, each as often as it was taken for draws by popularity.
        n_negatives: N, draws for each user.
        seed: in [0, 2^63); draw (b, n) depends on seed, b and n alone, not on threads.

    Returns:
        (B, n_negatives) item rows. After MAX_TRIES misses the last draw is kept, taken or not.
    """
    out = np.empty((len(users), n_negatives), np.int32)
    key = np.uint64(seed)
    over_rows(len(users), lambda start, stop: _sample(ptr, ids, users, pool, key, start, stop, out))
    return out


@njit(nogil=True, cache=True)
def _sample(ptr: Longs, ids: Ints, users: Ints, pool: Ints, key: np.uint64, start: int, stop: int, out: Ints) -> None:
    size = np.uint64(len(pool))
    for row in range(start, stop):
        begin, end = ptr[users[row]], ptr[users[row] + 1]
        for n in range(out.shape[1]):
            # splitmix64: one stream per draw, so threads do not change the result
            state = mix(key ^ mix(np.uint64(row * out.shape[1] + n)))
            for _ in range(MAX_TRIES):
                state = mix(state)
                item = pool[(state >> np.uint64(32)) * size >> np.uint64(32)]
                if not _contains(ids, begin, end, item):
                    break
            out[row, n] = item


@njit(nogil=True, cache=True)
def mix(x: np.uint64) -> np.uint64:
    """Splitmix64's step and finalizer (Steele, Lea and Flood, OOPSLA 2014)."""
    x = x + GOLDEN
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@njit(nogil=True, cache=True)
def _contains(ids: Ints, low: np.int64, high: np.int64, item: np.int32) -> bool:
    """Whether the sorted range ids[low:high] holds this item."""
    while low < high:
        middle = (low + high) // 2
        if ids[middle] < item:
            low = middle + 1
        elif ids[middle] > item:
            high = middle
        else:
            return True
    return False
