"""The element-wise maximum of a few rows, beside numpy's."""

import numpy as np

from pinfold.arrays import Floats, Ints, Longs
from pinfold.kernels.maxima import maxima


def slow_maxima(ptr: Longs, ids: Ints, table: Floats) -> tuple[Floats, Floats]:
    found, counts = (np.zeros((len(ptr) - 1, table.shape[1]), np.float32) for _ in range(2))
    for row in range(len(found)):
        near = table[ids[ptr[row] : ptr[row + 1]]]
        if len(near):
            found[row] = near.max(axis=0)
            counts[row] = (near == found[row]).sum(axis=0)
    return found, counts


def world(n_rows: int) -> tuple[Longs, Ints, Floats]:
    rng = np.random.default_rng(0)
    ptr = np.concatenate([[0], rng.integers(0, 5, n_rows).cumsum()])
    return ptr, rng.integers(0, 30, ptr[-1]).astype(np.int32), rng.integers(0, 4, (30, 7)).astype(np.float32)


def test_maxima_and_how_many_have_them() -> None:
    for n_rows in (0, 1, 1000):
        arrays = world(n_rows)
        for found, expected in zip(maxima(*arrays), slow_maxima(*arrays), strict=True):
            np.testing.assert_array_equal(found, expected)


def test_what_is_no_number_stays_so_wherever_it_stands() -> None:
    ptr, ids, table = world(1000)
    table[::3, ::2] = np.nan
    np.testing.assert_array_equal(maxima(ptr, ids, table)[0], slow_maxima(ptr, ids, table)[0])
