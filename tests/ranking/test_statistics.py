"""What is known of items up to a moment."""

import numpy as np
import pytest

from pinfold.data.interactions import NO_TIME, Interactions
from pinfold.ranking.statistics import WINDOWS, from_table, item_statistics, later_share, latest_items


def events(*rows: tuple[int, int, int], n_users: int = 4, n_items: int = 4) -> Interactions:
    users, items, times = (np.array(column) for column in zip(*rows, strict=True))
    n = len(rows)
    ones = np.ones(n, np.float32)
    return Interactions(users.astype(np.int32), items.astype(np.int32), ones, times.astype(np.int64), n_users, n_items)


def test_by_hand() -> None:
    found = item_statistics(events((0, 0, 10), (1, 0, 40), (2, 1, 20), (3, 1, 30), (0, 2, 50)))
    np.testing.assert_array_equal(found.counts, [2, 2, 1, 0])
    np.testing.assert_allclose(found.since_last, [0.2, 0.4, 0.0, np.nan], rtol=1e-6)
    np.testing.assert_allclose(found.since_first, [0.8, 0.6, 0.0, np.nan], rtol=1e-6)
    assert WINDOWS == (0.2, 0.05, 0.01)
    np.testing.assert_array_equal(found.recent, [[0, 0, 0], [0, 0, 0], [1, 1, 1], [0, 0, 0]])
    np.testing.assert_array_equal(found.trend(), [0, 0, 1, 0])


def test_windows_are_shares_of_events_and_ties_fall_together() -> None:
    late = [(0, 0, 100 + t) for t in range(90)]
    tied = [(1, 1, 500)] * 10  # a tenth of all: more than the second window
    found = item_statistics(events(*late, *tied))
    assert found.recent[:, 0].tolist() == [10, 10, 0, 0]
    assert found.recent[:, 1].tolist() == [0, 10, 0, 0]
    assert found.recent[:, 2].tolist() == [0, 10, 0, 0]  # of one time: none came after another


def test_without_times() -> None:
    users = np.array([0, 1], np.int32)
    found = item_statistics(Interactions.of(users, users, 4, 4))
    assert found.counts.tolist() == [1, 1, 0, 0]
    assert np.isnan(found.recent).all()
    assert np.isnan(found.since_last).all()
    assert found.trend() is None
    assert latest_items(Interactions.of(users, users, 4, 4), 3) is None
    assert Interactions.of(users, users, 4, 4).times[0] == NO_TIME


def test_they_come_back_from_their_table() -> None:
    found = item_statistics(events((0, 0, 10), (1, 0, 40), (2, 1, 20)))
    back = from_table(found.table())
    for name in ("counts", "recent", "since_last", "since_first"):
        np.testing.assert_array_equal(getattr(back, name), getattr(found, name))


def test_latest_items_of_each_user_in_order() -> None:
    found = latest_items(events((0, 3, 10), (0, 1, 30), (0, 2, 20), (2, 0, 5), (0, 0, 5)), 3)
    assert found is not None
    assert [found.row(user).tolist() for user in range(4)] == [[1, 2, 3], [], [0], []]
    assert found.weights[:3].tolist() == [3, 2, 1]  # item 1 is the last, item 3 the first of the three
    assert found.weights[3] == 3  # the last one weighs as much for everybody


@pytest.mark.parametrize(("asked", "share"), [(0, 1.0), (10, 0.75), (25, 0.5), (99, 0.0)])
def test_later_share(asked: int, share: float) -> None:
    times = np.array([30, 10, 20, 40], np.int64)
    assert later_share(times, np.array([asked]))[0] == pytest.approx(share)
