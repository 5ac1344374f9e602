"""Sparse times dense: every output row is a weighted sum of a few input rows."""

import numpy as np
from numba import njit

from pinfold.arrays import Floats, Ints, Longs
from pinfold.kernels.parallel import over_rows


def multiply(ptr: Longs, ids: Ints, weights: Floats, table: Floats) -> Floats:
    """The sparse (R, C) matrix times `table` (C, B). Shape (R, B).

    Moves 4 B bytes an entry; B of 64 or more hides the latency of reaching them.
    """
    out = np.empty((len(ptr) - 1, table.shape[1]), np.float32)
    over_rows(len(out), lambda start, stop: _multiply(ptr, ids, weights, table, start, stop, out))
    return out


@njit(nogil=True, cache=True, fastmath={"contract"})
def _multiply(ptr: Longs, ids: Ints, weights: Floats, table: Floats, start: int, stop: int, out: Floats) -> None:
    for row in range(start, stop):
        total = out[row]
        total[:] = 0
        for entry in range(ptr[row], ptr[row + 1]):
            source, weight = table[ids[entry]], weights[entry]
            for column in range(total.shape[0]):
                total[column] += weight * source[column]
