"""Bootstrap intervals, the paired test and Holm's correction against known statistics."""

import numpy as np
import pytest
from scipy import stats

from pinfold.evaluation.intervals import Interval, bootstrap_intervals, holm, paired_test

# --- bootstrap_intervals ---


def test_a_normal_sample_gives_mean_and_two_standard_errors() -> None:
    values = np.random.default_rng(0).normal(0.3, 0.1, size=5000)
    found = bootstrap_intervals({"x": values}, seed=1, n_resamples=2000)["x"]
    error = values.std(ddof=1) / np.sqrt(len(values))
    assert found.mean == pytest.approx(values.mean(), rel=1e-12)
    # A 2.5 % quantile of 2000 draws has a standard error of about 0.06 errors.
    assert found.low == pytest.approx(values.mean() - 1.96 * error, abs=0.25 * error)
    assert found.high == pytest.approx(values.mean() + 1.96 * error, abs=0.25 * error)


def test_intervals_cover_the_true_mean_as_often_as_they_say() -> None:
    rng = np.random.default_rng(2)
    samples = {str(trial): rng.exponential(size=200) for trial in range(300)}
    found = bootstrap_intervals(samples, seed=3, n_resamples=500, level=0.9)
    covered = sum(interval.low <= 1 <= interval.high for interval in found.values())
    assert 0.83 * 300 < covered < 0.95 * 300  # four standard errors around 0.89


def test_bounds_are_quantiles_of_resampled_means() -> None:
    values = np.random.default_rng(4).random(50)
    rng = np.random.default_rng(5)
    means = [values[rng.integers(50, size=50)].mean() for _ in range(100)]
    found = bootstrap_intervals({"x": values}, seed=5, n_resamples=100, level=0.8)["x"]
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(means, [0.1, 0.9])))


def test_the_seed_decides_the_interval() -> None:
    values = {"x": np.random.default_rng(6).random(100)}
    assert bootstrap_intervals(values, seed=7) == bootstrap_intervals(values, seed=7)
    assert bootstrap_intervals(values, seed=7) != bootstrap_intervals(values, seed=8)


def test_every_metric_sees_the_same_resamples() -> None:
    values = np.random.default_rng(9).random(100)
    found = bootstrap_intervals({"x": values, "y": values + 1}, seed=0)
    alone = bootstrap_intervals({"y": values + 1}, seed=0)
    assert found["y"] == alone["y"]
    assert found["y"].low - 1 == pytest.approx(found["x"].low)


@pytest.mark.parametrize("values", [[0.1], [0.1] * 77, [0.0] * 3, [1 / 3] * 1000])
def test_equal_values_have_an_interval_without_width(values: list[float]) -> None:
    found = bootstrap_intervals({"x": np.array(values)}, seed=0)
    assert found == {"x": Interval(values[0], values[0], values[0])}


def test_the_callers_values_stay_as_they_are() -> None:
    values = np.random.default_rng(10).random(5)
    before = values.copy()
    bootstrap_intervals({"x": values}, seed=0)
    assert (values == before).all()


def test_wrong_values_and_options_are_refused() -> None:
    ones = np.ones(3)
    assert bootstrap_intervals({}, seed=0) == {}
    with pytest.raises(ValueError, match="shape"):
        bootstrap_intervals({"x": ones, "y": np.ones(4)}, seed=0)
    with pytest.raises(ValueError, match="at least one user"):
        bootstrap_intervals({"x": np.empty(0)}, seed=0)
    with pytest.raises(ValueError, match="finite"):
        bootstrap_intervals({"x": np.array([1.0, np.nan])}, seed=0)
    with pytest.raises(ValueError, match="n_resamples"):
        bootstrap_intervals({"x": ones}, seed=0, n_resamples=0)
    with pytest.raises(ValueError, match="level"):
        bootstrap_intervals({"x": ones}, seed=0, level=1.0)


# --- paired_test ---


def test_p_agrees_with_scipy_and_the_interval_with_the_bootstrap() -> None:
    rng = np.random.default_rng(11)
    a, b = rng.random(200), rng.random(200) - 0.05
    found = paired_test(a, b, "recall@20", seed=12)
    assert found.p_value == pytest.approx(stats.ttest_rel(a, b).pvalue, rel=1e-9)
    interval = bootstrap_intervals({"d": a - b}, seed=12)["d"]
    assert (found.difference, found.low, found.high) == (interval.mean, interval.low, interval.high)
    assert (found.metric, found.n_users) == ("recall@20", 200)


def test_p_is_near_that_of_a_sign_flip_test() -> None:
    # Differences like those of recall: mostly zero, a few steps. The slow test flips the sign of each user.
    rng = np.random.default_rng(13)
    differences = rng.choice([-0.5, 0.0, 0.25, 0.5], p=[0.08, 0.75, 0.05, 0.12], size=400)
    flipped = (rng.choice([-1.0, 1.0], size=(10_000, 400)) * differences).mean(axis=1)
    slow = np.mean(np.abs(flipped) >= abs(differences.mean()) - 1e-12)
    found = paired_test(differences, np.zeros(400), "x", seed=0).p_value
    assert 0.001 < slow < 0.2  # a case in which the two could disagree
    assert found == pytest.approx(slow, abs=0.01)


def test_p_is_uniform_when_nothing_differs_and_small_after_a_shift() -> None:
    rng = np.random.default_rng(14)
    null, shifted = [], []
    for seed in range(300):
        a, b = rng.random(100), rng.random(100)
        null.append(paired_test(a, b, "x", seed=seed, n_resamples=1).p_value)
        shifted.append(paired_test(a + 0.3, b, "x", seed=seed, n_resamples=1).p_value)
    assert stats.kstest(null, "uniform").pvalue > 0.01
    assert max(shifted) < 0.001


def test_swapping_the_systems_turns_the_sign_only() -> None:
    rng = np.random.default_rng(15)
    a, b = rng.random(60), rng.random(60)
    one, other = paired_test(a, b, "x", seed=0), paired_test(b, a, "x", seed=0)
    assert (one.difference, one.low, one.high) == pytest.approx((-other.difference, -other.high, -other.low))
    assert one.p_value == pytest.approx(other.p_value)


def test_equal_differences_use_the_exact_sign_flip_test() -> None:
    same = np.array([0.25, 0.5, 0.75])
    assert paired_test(same, same, "x", seed=0).p_value == 1
    assert paired_test(same + 0.25, same, "x", seed=0).p_value == 0.25  # +++ or ---, 2 of 8 sign patterns
    assert paired_test(np.array([0.9]), np.array([0.1]), "x", seed=0).p_value == 1  # one user proves nothing


def test_systems_on_different_users_are_refused() -> None:
    with pytest.raises(ValueError, match="b must have shape"):
        paired_test(np.ones(3), np.ones(4), "x", seed=0)


# --- holm ---


def test_holm_by_hand() -> None:
    # Sorted 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1: 0.02, 0.03, 0.06, 0.04; never below the one before: 0.06.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_stays_at_most_1_and_keeps_single_tests() -> None:
    assert holm([]) == []
    assert holm([0.2]) == [0.2]
    assert holm([0.5, 0.7, 0.5]) == [1, 1, 1]


@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan")])
def test_holm_refuses_what_is_no_p_value(p: float) -> None:
    with pytest.raises(ValueError, match="from 0 to 1"):
        holm([0.5, p])
