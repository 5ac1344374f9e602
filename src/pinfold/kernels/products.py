"""Sparse times dense, and sparse times sparse: every output row is a weighted sum of a few input rows."""

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


def multiply_sparse(
    ptr: Longs, ids: Ints, weights: Floats, n_columns: int, left: tuple[Longs, Ints, Floats], factor: float = 1.0
) -> Floats:
    """`factor` times the sparse (C, R) matrix's transpose (R, C) times the transpose of the sparse `left` (B, C).

    Args:
        ptr: (C + 1,), ids: (E,), weights: (E,): the (C, R) matrix.
        n_columns: R.
        left: pointers (B + 1,), columns and weights of B sparse rows.
        factor: scales the product.

    Returns:
        Floats of shape (R, B), dense. Work: the entries of those rows of the matrix that `left` names.
    """
    out = np.zeros((n_columns, len(left[0]) - 1), np.float32)
    over_rows(out.shape[1], lambda start, stop: _spread(ptr, ids, weights, *left, factor, start, stop, out))
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


@njit(nogil=True, cache=True)
def _spread(
    ptr: Longs, ids: Ints, weights: Floats, left_ptr: Longs, left_ids: Ints, left_weights: Floats,
    factor: float, start: int, stop: int, out: Floats,
) -> None:  # fmt: skip
    for row in range(start, stop):
        for entry in range(left_ptr[row], left_ptr[row + 1]):
            source, amount = left_ids[entry], np.float32(factor * left_weights[entry])
            for edge in range(ptr[source], ptr[source + 1]):
                out[ids[edge], row] += amount * weights[edge]
