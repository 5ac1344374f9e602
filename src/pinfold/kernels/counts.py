"""How many members of each group a mask leaves."""

import numpy as np
from numba import njit

from pinfold.arrays import Bools, Ints, Longs


def count_allowed(groups: Ints, allowed: Bools, n_groups: int) -> Longs:
    """For each group 0 .. n_groups - 1 the rows r with `groups[r]` equal to it and `allowed[r]`. One pass.

    Args:
        groups: (I,) within [0, n_groups), which is not checked.
        allowed: (I,).
        n_groups: how many groups.
    """
    counts = np.zeros(n_groups, np.int64)
    _count(groups, allowed, counts)
    return counts


@njit(nogil=True, cache=True)
def _count(groups: Ints, allowed: Bools, counts: Longs) -> None:
    for row in range(len(groups)):
        counts[groups[row]] += allowed[row]  # without a branch: masks are as unpredictable as categories
