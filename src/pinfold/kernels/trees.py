"""What binary regression trees say of rows of numbers."""

import numpy as np
from numba import njit

from pinfold.arrays import Bools, Doubles, Floats, Ints
from pinfold.kernels.parallel import over_rows

ZERO = float(np.float32(1e-35))  # what LightGBM takes for 0


def tree_sums(
    table: Floats, roots: Ints, features: Ints, thresholds: Doubles, left: Ints, right: Ints, nan_left: Bools,
    values: Doubles,
) -> Doubles:  # fmt: skip
    """The sum of the trees' values for each row of `table` (C, F). Shape (C,).

    The caller has checked that children come after their parents and columns lie within F. NaN goes to the side that
    `nan_left` says. Some 3 ns for each level of each tree, while the nodes fit into the cache.
    """
    out = np.empty(len(table))
    over_rows(
        len(out),
        lambda start, stop: _sums(table, roots, features, thresholds, left, right, nan_left, values, start, stop, out),
    )
    return out


@njit(nogil=True, cache=True)
def _sums(
    table: Floats, roots: Ints, features: Ints, thresholds: Doubles, left: Ints, right: Ints, nan_left: Bools,
    values: Doubles, start: int, stop: int, out: Doubles,
) -> None:  # fmt: skip
    for row in range(start, stop):
        numbers, total = table[row], 0.0
        for root in roots:
            node = root
            while features[node] >= 0:
                number = np.float64(numbers[features[node]])
                if abs(number) <= ZERO:
                    number = np.float64(0)
                lower = nan_left[node] if np.isnan(number) else number <= thresholds[node]
                node = left[node] if lower else right[node]
            total += values[node]
        out[row] = total
