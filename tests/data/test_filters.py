"""k-core against pure Python sets; a filtered dataset keeps ids and attributes beside their events."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinfold.data.dataset import Dataset
from pinfold.data.filters import filter_dataset, k_core
from pinfold.data.interactions import Interactions
from pinfold.data.tables import Table
from pinfold.data.vocab import Vocab

QUICK = settings(max_examples=50, deadline=None)

N_USERS, N_ITEMS = 7, 6
PAIRS = st.lists(st.tuples(st.integers(0, N_USERS - 1), st.integers(0, N_ITEMS - 1)), max_size=30)


def events_of(pairs: list[tuple[int, int]], n_users: int = N_USERS, n_items: int = N_ITEMS) -> Interactions:
    table = np.array(pairs, np.int32).reshape(-1, 2)
    return Interactions.of(table[:, 0].copy(), table[:, 1].copy(), n_users, n_items)


def slow_core(pairs: list[tuple[int, int]], min_user: int, min_item: int) -> tuple[set[int], set[int]]:
    """Remove one poor user or item at a time, until nobody is poor."""
    users, items = set(range(N_USERS)), set(range(N_ITEMS))
    while True:
        left = [(u, i) for u, i in pairs if u in users and i in items]
        poor_users = [u for u in users if sum(u == v for v, _ in left) < min_user]
        poor_items = [i for i in items if sum(i == j for _, j in left) < min_item]
        if poor_users:
            users.remove(poor_users[0])
        elif poor_items:
            items.remove(poor_items[0])
        else:
            return users, items


@QUICK
@given(PAIRS, st.integers(0, 4), st.integers(0, 4))
def test_k_core_agrees_with_the_slow_twin(pairs: list[tuple[int, int]], min_user: int, min_item: int) -> None:
    users, items = k_core(events_of(pairs), min_user, min_item)
    slow_users, slow_items = slow_core(pairs, min_user, min_item)
    assert set(np.flatnonzero(users).tolist()) == slow_users
    assert set(np.flatnonzero(items).tolist()) == slow_items


def test_one_poor_item_can_bring_down_all() -> None:
    # Item 2 has one user; without it user 1 has one item; without user 1 item 1 has one user; and so on.
    chain = events_of([(0, 0), (0, 1), (1, 1), (1, 2)], 2, 3)
    users, items = k_core(chain, 2, 2)
    assert not users.any()
    assert not items.any()


def dataset_of(pairs: list[tuple[int, int]]) -> Dataset:
    """Events whose weight and time say whose they are: weight u + 1, time 100 u + i."""
    plain = events_of(pairs)
    events = Interactions(
        plain.users, plain.items, (plain.users + 1).astype(np.float32), plain.users * np.int64(100) + plain.items,
        N_USERS, N_ITEMS,
    )  # fmt: skip
    return Dataset(
        events,
        Vocab([f"u{row}" for row in range(N_USERS)], "user"),
        Vocab([f"i{row}" for row in range(N_ITEMS)], "item"),
        Table({"age": np.arange(N_USERS) * 10}, N_USERS),
        Table({"title": np.array([f"title {row}" for row in range(N_ITEMS)], dtype=object)}, N_ITEMS),
        {"name": "made up"},
    )


@QUICK
@given(PAIRS, st.integers(1, 3), st.integers(1, 3))
def test_ids_and_attributes_stay_beside_their_events(
    pairs: list[tuple[int, int]], min_user: int, min_item: int
) -> None:
    dataset = filter_dataset(dataset_of(pairs), min_user, min_item)
    slow_users, slow_items = slow_core(pairs, min_user, min_item)
    events = dataset.interactions
    named = list(zip(dataset.users.ids(events.users), dataset.items.ids(events.items), strict=True))
    assert named == [(f"u{u}", f"i{i}") for u, i in pairs if u in slow_users and i in slow_items]
    for user, item, weight, time in zip(events.users, events.items, events.weights, events.times, strict=True):
        assert dataset.users.all[user] == f"u{int(weight) - 1}"
        assert divmod(int(time), 100) == (int(weight) - 1, int(dataset.items.all[item][1:]))
    assert dataset.user_table.columns["age"].tolist() == [10 * u for u in sorted(slow_users)]
    assert dataset.item_table.columns["title"].tolist() == [f"title {i}" for i in sorted(slow_items)]
    assert dataset.users.all.tolist() == [f"u{u}" for u in sorted(slow_users)]


def test_what_was_done_is_noted() -> None:
    dataset = dataset_of([(0, 0), (0, 1), (1, 0)])
    assert filter_dataset(dataset, 2, 1).source == {"name": "made up", "k_core": {"min_user": 2, "min_item": 1}}


@pytest.mark.parametrize("least", [0, 1])
def test_a_dataset_that_is_its_own_core_is_not_touched(least: int) -> None:
    dataset = dataset_of([(u, i) for u in range(N_USERS) for i in range(N_ITEMS)])
    assert filter_dataset(dataset, least, least) is dataset


def test_vectors_are_cut_with_their_rows() -> None:
    events = events_of([(0, 0), (0, 1), (1, 0), (1, 1), (2, 5)], 3, 6)
    vectors = np.arange(12, dtype=np.float32).reshape(6, 2)
    users, items = (Vocab([f"x{row}" for row in range(n)], "thing") for n in (3, 6))
    core = filter_dataset(Dataset(events, users, items, Table({}, 3), Table({"v": vectors}, 6)), 2, 2)
    assert core.items.all.tolist() == ["x0", "x1"]
    assert core.item_table.columns["v"].tolist() == [[0, 1], [2, 3]]
