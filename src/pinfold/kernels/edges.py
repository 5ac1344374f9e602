"""Edges too many to sort at once: parted by ranges of their rows and columns, and the repeated ones summed."""

import numpy as np
from numba import njit

from pinfold.arrays import Floats, Ints, Longs


@njit(nogil=True, cache=True)
def part_edges(edges: Ints, bits: int, low: int, shift: int, n: int) -> tuple[Ints, Longs]:
    """Edges grouped by the bucket of their key, row << bits | column; those of a bucket stay in their order.

    Args:
        edges: (E, 3) row, column and the bits of the weight.
        bits: of a column.
        low: the least key of bucket 0.
        shift: a bucket has 2^shift keys.
        n: buckets.

    Returns:
        parted: (E, 3) the edges by bucket.
        ends: (n + 1,) bucket b has the edges ends[b] .. ends[b + 1] - 1.
    """
    ends = np.zeros(n + 1, np.int64)
    for e in range(len(edges)):
        ends[(((np.int64(edges[e, 0]) << bits | np.int64(edges[e, 1])) - low) >> shift) + 1] += 1
    for b in range(n):
        ends[b + 1] += ends[b]
    places, parted = ends[:-1].copy(), np.empty_like(edges)
    for e in range(len(edges)):
        bucket = ((np.int64(edges[e, 0]) << bits | np.int64(edges[e, 1])) - low) >> shift
        for part in range(3):
            parted[places[bucket], part] = edges[e, part]
        places[bucket] += 1
    return parted, ends


@njit(nogil=True, cache=True)
def sum_repeats(keys: Longs, weights: Floats) -> int:
    """Sum the weights (E,) of equal neighbors among sorted keys (E,), one after another in float32, in place.

    Returns:
        How many keys are left; they stand first in both arrays.
    """
    n = 0
    for e in range(len(keys)):
        if n and keys[n - 1] == keys[e]:
            weights[n - 1] += weights[e]
        else:
            keys[n], weights[n] = keys[e], weights[e]
            n += 1
    return n
