"""The greatest of a few rows, element by element, and what each of them has of a gradient."""

import numpy as np
from numba import njit

from pinfold.arrays import Floats, Ints, Longs
from pinfold.kernels.parallel import over_rows


def maxima(ptr: Longs, ids: Ints | Longs, table: Floats) -> tuple[Floats, Floats]:
    """The element-wise maximum of the rows ids[ptr[r]:ptr[r + 1]] of `table` (C, M), and how many of them have it.

    Two arrays (R, M); zeros where there are no rows. Moves 4 M bytes an entry.
    """
    found, counts = (np.zeros((len(ptr) - 1, table.shape[1]), np.float32) for _ in range(2))
    over_rows(len(found), lambda start, stop: _maxima(ptr, ids, table, start, stop, found, counts))
    return found, counts


def shared_among_maxima(ptr: Longs, ids: Ints | Longs, table: Floats, found: Floats, gradient: Floats) -> Floats:
    """The gradient (C, M) of `table` by that of its maxima, shared evenly among equal ones.

    Args:
        ptr: (C + 1,), ids: (E,): for each row of `table`, the rows of `found` that it had a part in.
        table: (C, M).
        found: (R, M) the maxima.
        gradient: (R, M) of each, divided by how many have it.

    Every row is summed in the order of its entries: no scattered writes, so any number of threads gives the same.
    """
    out = np.zeros_like(table)
    over_rows(len(out), lambda start, stop: _shared(ptr, ids, table, found, gradient, start, stop, out))
    return out


@njit(nogil=True, cache=True)
def _maxima(
    ptr: Longs, ids: Ints | Longs, table: Floats, start: int, stop: int, found: Floats, counts: Floats
) -> None:  # fmt: skip
    one, none = np.float32(1), np.float32(0)
    for row in range(start, stop):
        best, count = found[row], counts[row]
        if ptr[row] == ptr[row + 1]:
            continue
        best[:] = -np.inf
        for entry in range(ptr[row], ptr[row + 1]):
            source = table[ids[entry]]
            for column in range(best.shape[0]):
                value, most = source[column], best[column]
                count[column] = (count[column] if value <= most else none) + (one if value >= most else none)
                best[column] = most if value <= most or most != most else value  # NaN stays, as with numpy


@njit(nogil=True, cache=True)
def _shared(
    ptr: Longs, ids: Ints | Longs, table: Floats, found: Floats, gradient: Floats, start: int, stop: int, out: Floats
) -> None:  # fmt: skip
    none = np.float32(0)
    for row in range(start, stop):
        own, total = table[row], out[row]
        for entry in range(ptr[row], ptr[row + 1]):
            most, part = found[ids[entry]], gradient[ids[entry]]
            for column in range(total.shape[0]):
                total[column] += part[column] if own[column] == most[column] else none
