"""Edges parted by key, and repeats summed, against slow twins."""

import numpy as np
import pytest

from pinfold.kernels.edges import part_edges, sum_repeats


@pytest.mark.parametrize("shift", [0, 3, 6])
def test_parted_edges_stay_in_their_order(shift: int) -> None:
    bits, low = 3, 40  # rows 5 .. 12 of 8 columns: keys 40 .. 103
    rng = np.random.default_rng(0)
    edges = np.column_stack([rng.integers(5, 13, 300), rng.integers(0, 8, 300), np.arange(300)]).astype(np.int32)
    n = 64 >> shift
    parted, ends = part_edges(edges, bits, low, shift, n)
    buckets = (edges[:, 0] * 8 + edges[:, 1] - low) >> shift
    np.testing.assert_array_equal(np.diff(ends), np.bincount(buckets, minlength=n))
    np.testing.assert_array_equal(parted, edges[np.argsort(buckets, kind="stable")])


def test_the_largest_keys() -> None:
    last = 2**31 - 1
    edges = np.array([[last, last, 1], [0, 0, 2], [last, 0, 3]], np.int32)
    parted, ends = part_edges(edges, 31, 0, 55, 128)
    assert parted[:, 2].tolist() == [2, 1, 3]
    assert np.flatnonzero(np.diff(ends)).tolist() == [0, 127]


def test_repeats_are_summed_one_after_another() -> None:
    keys = np.array([3, 3, 3, 5, 8, 8])
    weights = np.array([1e8, 1, -1e8, 2, 1, 4], np.float32)
    n = sum_repeats(keys, weights)
    assert n == 3
    assert keys[:n].tolist() == [3, 5, 8]
    assert weights[:n].tolist() == [0, 2, 5]  # 1e8 + 1 is 1e8 in float32
    assert sum_repeats(np.empty(0, np.int64), np.empty(0, np.float32)) == 0
