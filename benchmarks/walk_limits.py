"""Reads of memory, and walks one at a time: what the walks of `pinfold.kernels.walks` are held against."""

import numpy as np
from numba import njit

from pinfold.arrays import Ints, Longs
from pinfold.kernels.negatives import GOLDEN, mix
from pinfold.kernels.prefetch import prefetch
from pinfold.kernels.walks import stream

HALF, ONE = np.uint64(32), np.uint64(1)
AHEAD = 128  # reads asked for before the first is used


@njit(nogil=True, cache=True)
def independent_reads(values: Ints, n: int, key: np.uint64) -> np.int64:
    """The sum of n random entries: none waits for another."""
    size, total = np.uint64(len(values)), np.int64(0)
    for read in range(n):
        total += values[(mix(key + np.uint64(read) * GOLDEN) >> HALF) * size >> HALF]
    return total


@njit(nogil=True, cache=True)
def prefetched_reads(values: Ints, n: int, key: np.uint64) -> np.int64:
    """The same for a multiple of AHEAD reads, asked for in advance: what even independent reads rarely have."""
    size, total, places = np.uint64(len(values)), np.int64(0), np.empty(AHEAD, np.uint64)
    for start in range(0, n, AHEAD):
        for one in range(AHEAD):
            places[one] = (mix(key + np.uint64(start + one) * GOLDEN) >> HALF) * size >> HALF
            prefetch(values, places[one])
        for one in range(AHEAD):
            total += values[places[one]]
    return total


@njit(nogil=True, cache=True)
def dependent_reads(values: Ints, n: int, key: np.uint64) -> np.uint64:
    """Where each of n random entries decides which one is read next."""
    size, total = np.uint64(len(values)), np.uint64(0)
    for read in range(n):
        total = np.uint64(values[(mix(key + total + np.uint64(read) * GOLDEN) >> HALF) * size >> HALF])
    return total


@njit(nogil=True, cache=True)
def plain_walks(
    item_ptr: Longs, item_users: Ints, user_ptr: Longs, user_items: Ints,
    rows: Longs, restart: float, seed: int, visits: Ints,
) -> None:  # fmt: skip
    """One walk after the other, evenly drawn, as anybody would write it. Fills visits (S, steps)."""
    chance = np.uint64(restart * 2.0**32)
    for walk in range(len(rows)):
        key, item = stream(np.uint64(seed), rows[walk]), rows[walk]
        for step in range(visits.shape[1]):
            draw = mix(key + np.uint64(2 * step) * GOLDEN)
            begin, end = item_ptr[item], item_ptr[item + 1]
            user = item_users[begin + np.int64((draw >> HALF) * np.uint64(end - begin) >> HALF)]
            draw = mix(key + np.uint64(2 * step + 1) * GOLDEN)
            begin, end = user_ptr[user], user_ptr[user + 1]
            item = np.int64(user_items[begin + np.int64((draw >> HALF) * np.uint64(end - begin) >> HALF)])
            visits[walk, step] = item
            if draw & np.uint64(0xFFFFFFFF) < chance:
                item = rows[walk]
