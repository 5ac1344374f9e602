"""Counting what a mask leaves against numpy."""

import numpy as np
import pytest

from pinfold.kernels.counts import count_allowed


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_against_numpy(share: float) -> None:
    rng = np.random.default_rng(0)
    groups, allowed = rng.integers(0, 7, 500).astype(np.int32), rng.random(500) < share
    np.testing.assert_array_equal(count_allowed(groups, allowed, 9), np.bincount(groups[allowed], minlength=9))


def test_nothing() -> None:
    assert count_allowed(np.empty(0, np.int32), np.empty(0, np.bool_), 3).tolist() == [0, 0, 0]
