"""Exposure of a three-user world worked out by hand, and the ends of each scale."""

import math

import numpy as np
import pytest

from pinfold.arrays import Ints
from pinfold.evaluation.exposure import exposure_metrics, mean_popularity

# Three users took: 0, 1 | 0, 2 | 0. Item 3 was never taken.
COUNTS = np.array([3, 1, 1, 0])
HISTORY_PTR = np.array([0, 2, 4, 5])
HISTORY_IDS = np.array([0, 1, 0, 2, 0], dtype=np.int32)
TOP = np.array([[2, 3, 0], [1, -1, -1], [1, 2, 3]], dtype=np.int32)


def exposure(top: Ints, k: int) -> dict[str, float]:
    popularity = mean_popularity(HISTORY_PTR, HISTORY_IDS, COUNTS)
    return exposure_metrics(top, COUNTS, k, n_users=3, history_popularity=popularity)


def test_mean_popularity_by_hand() -> None:
    # (3 + 1) / 2, (3 + 1) / 2, 3 / 1; the fourth user took nothing.
    found = mean_popularity(np.append(HISTORY_PTR, 5), HISTORY_IDS, COUNTS)
    assert found.tolist() == pytest.approx([2, 2, 3, math.nan], nan_ok=True)


def test_exposure_by_hand() -> None:
    # Lists @2: 2 3 | 1 | 1 2. Shown: item 0 never, item 1 twice, item 2 twice, item 3 once.
    # coverage = 3 of 4 items.
    # novelty: items 1 and 2 have log2(3 / 1) bits, item 3 counts as taken once: also log2(3).
    # gini of 0 1 2 2 (sorted): sum (2i - n - 1) x = -3*0 - 1*1 + 1*2 + 3*2 = 7; / (n * sum) = 7 / 20.
    # lift: lists have mean count (1 + 0) / 2, 1, 1: mean 5/6; histories 2, 2, 3: mean 7/3; 5/14.
    expected = {"coverage@2": 0.75, "novelty@2": math.log2(3), "gini@2": 0.35, "popularity_lift@2": 5 / 14}
    assert exposure(TOP, 2) == pytest.approx(expected)


def test_novelty_weighs_each_list_once() -> None:
    # Lists 0 | 1 2: the mean over lists is (0 + log2 3) / 2, not 2/3 log2 3 over places. Item 0: all took it, 0 bits.
    top = np.array([[0, -1], [1, 2], [-1, -1]], dtype=np.int32)
    assert exposure(top, 2)["novelty@2"] == pytest.approx(math.log2(3) / 2)


def test_everybody_gets_the_same_item() -> None:
    found = exposure(np.zeros((3, 1), dtype=np.int32), 1)
    assert found["coverage@1"] == 0.25
    assert found["gini@1"] == 0.75  # (I - 1) / I
    assert found["novelty@1"] == 0
    assert found["popularity_lift@1"] == pytest.approx(3 / (7 / 3))


def test_every_item_shown_equally_often() -> None:
    top = np.array([[0, 1], [2, 3], [-1, -1]], dtype=np.int32)
    assert exposure(top, 2)["gini@2"] == 0
    assert exposure(top, 2)["coverage@2"] == 1


def test_lists_that_repeat_the_histories_have_lift_1() -> None:
    top = np.array([[0, 1], [0, 2], [0, -1]], dtype=np.int32)
    assert exposure(top, 2)["popularity_lift@2"] == 1


def test_lift_leaves_out_users_without_history_or_list() -> None:
    top = np.array([[0], [1], [-1]], dtype=np.int32)
    popularity = np.array([2.0, np.nan, 5.0])
    found = exposure_metrics(top, COUNTS, 1, n_users=3, history_popularity=popularity)
    assert found["popularity_lift@1"] == 1.5  # the first user alone: 3 / 2
    found = exposure_metrics(top, COUNTS, 1, n_users=3, history_popularity=np.full(3, np.nan))
    assert "popularity_lift@1" not in found


def test_gini_agrees_with_the_mean_difference() -> None:
    # Its definition: mean |x - y| over all ordered pairs of items, divided by twice the mean.
    rng = np.random.default_rng(0)
    top = np.argsort(rng.random((50, 20)) ** np.linspace(1, 9, 20), axis=1)[:, :5].astype(np.int32)
    found = exposure_metrics(top, np.full(20, 7), 5, n_users=50, history_popularity=np.ones(50))
    shown = np.bincount(top.ravel(), minlength=20)
    assert found["gini@5"] == pytest.approx(np.abs(shown[:, None] - shown).mean() / (2 * shown.mean()))


@pytest.mark.parametrize(
    ("top", "k", "n_users", "message"),
    [
        ([[0, 1]], 3, 3, "k must be"),
        ([[0, 1]], 0, 3, "k must be"),
        ([[-1, -1]], 2, 3, "no item"),
        ([[0, 4]], 2, 3, "names item 4"),
        ([[0, 1]], 2, 2, "distinct train users"),
    ],
)
def test_wrong_arguments_are_refused(top: list[list[int]], k: int, n_users: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        exposure_metrics(np.array(top, dtype=np.int32), COUNTS, k, n_users=n_users, history_popularity=np.ones(1))


def test_wrong_counts_and_histories_are_refused() -> None:
    with pytest.raises(TypeError, match="item_counts"):
        exposure_metrics(TOP, COUNTS.astype(float), 1, n_users=3, history_popularity=np.ones(3))
    with pytest.raises(ValueError, match="above 0"):
        exposure_metrics(TOP, COUNTS, 1, n_users=3, history_popularity=np.zeros(3))
