"""How sure a mean over users is: bootstrap intervals, a paired test, and Holm's correction.

The user is the unit of chance: numbers here answer "would other users give the same result?". They say nothing
about another training seed; for that, train again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr

from pinfold.arrays import Doubles, check_array


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over users and the bounds of its bootstrap interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class PairedTest:
    """Whether two systems differ on the same users: mean(a - b), its interval, and the chance of such a gap."""

    metric: str
    difference: float
    low: float
    high: float
    p_value: float  # two-sided; not yet corrected for several tests, see `holm`
    n_users: int


def bootstrap_intervals(
    values: Mapping[str, Doubles], *, seed: int, n_resamples: int = 1000, level: float = 0.95
) -> dict[str, Interval]:
    """Mean of each metric with its percentile bootstrap interval over users.

    Every metric sees the same resamples. One resample is held at a time, so memory grows with U only.

    Args:
        values: per metric (U,), finite, the same users in the same order.
        seed: the same seed, values and n_resamples give the same intervals.
        n_resamples: draws of U users with replacement.
        level: share of the resampled means inside the interval, between 0 and 1.

    Raises:
        TypeError: another dtype than float64.
        ValueError: no users, lengths that differ, values that are not finite, or an option out of range.

    Percentile interval: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, section 13.3.
    """
    if n_resamples < 1 or not 0 < level < 1:
        raise ValueError(f"n_resamples must be >= 1 and level between 0 and 1, got {n_resamples} and {level}")
    if not values:
        return {}
    n_users = len(next(iter(values.values())))
    for name, column in values.items():
        check_array(name, column, np.float64, n_users)
        if n_users == 0 or not np.isfinite(column).all():
            raise ValueError(f"{name} must hold finite values of at least one user")
    table = np.stack(list(values.values()))  # (M, U)
    # Measured from the first user, so that equal values have low == mean == high without rounding.
    base = table[:, 0].copy()  # (M,)
    table -= base[:, None]
    means = base + table.mean(axis=1)  # (M,)
    tail = (1 - level) / 2
    resampled = _resampled_means(table, n_resamples, np.random.default_rng(seed))  # (n_resamples, M)
    low, high = base + np.quantile(resampled, [tail, 1 - tail], axis=0)  # (M,) each
    bounds = zip(values, means.tolist(), low.tolist(), high.tolist(), strict=True)
    return {name: Interval(mean, lowest, highest) for name, mean, lowest, highest in bounds}


def _resampled_means(table: Doubles, n_resamples: int, rng: np.random.Generator) -> Doubles:
    """Means over users drawn with replacement. Shape (n_resamples, M)."""
    n_metrics, n_users = table.shape
    totals = np.empty((n_resamples, n_metrics))
    for total in totals:
        drawn = rng.integers(n_users, size=n_users)  # (U,)
        times = np.bincount(drawn, minlength=n_users).astype(np.float64)  # (U,)
        # einsum without BLAS: the order of the sum, so its last bit, does not depend on the number of threads.
        np.einsum("mu,u->m", table, times, out=total)
    means: Doubles = totals / n_users
    return means


def paired_test(
    a: Doubles, b: Doubles, metric: str, *, seed: int, n_resamples: int = 1000, level: float = 0.95
) -> PairedTest:
    """Difference mean(a - b) over the same users, its bootstrap interval, and a two-sided paired t-test.

    The t-test, not a sign-flip permutation test: on TREC runs with 50 topics both already gave nearly the same p
    (Smucker, Allan and Carterette, CIKM 2007), evaluations here have thousands of users, and t costs one pass and
    has no smallest p set by a number of permutations. The Wilcoxon and sign tests do not test a difference of means;
    the same paper advises against them. When all differences are equal, t has no spread to work with; p is then
    that of the exact sign-flip test: 1 when they are 0, else 2 ** (1 - U).

    Args:
        a: (U,) values of one system.
        b: (U,) values of the other, in the same user order.
        metric: the name to report.
        seed: of the bootstrap; p does not depend on it.
        n_resamples: as in `bootstrap_intervals`.
        level: as in `bootstrap_intervals`.

    Raises:
        TypeError: another dtype than float64.
        ValueError: as in `bootstrap_intervals`.
    """
    check_array("a", a, np.float64, -1)
    check_array("b", b, np.float64, len(a))
    differences = a - b  # (U,)
    interval = bootstrap_intervals({metric: differences}, seed=seed, n_resamples=n_resamples, level=level)[metric]
    p_value = _t_test(differences)
    return PairedTest(metric, interval.mean, interval.low, interval.high, p_value, n_users=len(differences))


def _t_test(differences: Doubles) -> float:
    n_users = len(differences)
    if (differences == differences[0]).all():
        return 1.0 if differences[0] == 0 else 2.0 ** (1 - n_users)
    t = differences.mean() / (differences.std(ddof=1) / np.sqrt(n_users))
    return float(2 * stdtr(n_users - 1, -abs(t)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values in the order given: reject where they are at most alpha.

    The chance of any false rejection among all these tests is then at most alpha, whatever their dependence.

    Raises:
        ValueError: a p-value outside 0 to 1.

    Holm's step-down method (Scandinavian Journal of Statistics, 1979).
    """
    if not all(0 <= p <= 1 for p in p_values):
        raise ValueError(f"p-values must be from 0 to 1, got {list(p_values)}")
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for n_before, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - n_before) * p_values[place]))
        adjusted[place] = largest
    return adjusted
