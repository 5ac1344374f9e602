"""Pairs of items: which are asked, and scorers whose numbers are known."""

import numpy as np
import pytest

from pinfold.arrays import Floats, Ints
from pinfold.data.dataset import Dataset
from pinfold.data.interactions import Interactions
from pinfold.data.splits import Part, SplitConfig, split_events
from pinfold.errors import DataError
from pinfold.evaluation.item_pairs import (
    ItemPairs,
    ItemPairsConfig,
    evaluate_pairs,
    held_out_pairs,
    neighbor_lists,
)
from pinfold.graph.bipartite import build_graph

N_USERS, N_ITEMS = 4, 9
CONFIG = ItemPairsConfig(ks=(2, 5), n_resamples=100)


def timed(*events: tuple[int, int, int]) -> Interactions:
    users, items, times = np.array(events).T
    n = len(users)
    return Interactions(
        users.astype(np.int32), items.astype(np.int32), np.ones(n, np.float32), times.astype(np.int64), N_USERS, N_ITEMS
    )


def found_pairs(
    given: Interactions, target: Interactions, seed: int = 0, window: int | None = None
) -> list[tuple[int, int]]:
    pairs = held_out_pairs(Part(given, target, new_users=False), ItemPairsConfig(window=window), seed)
    return sorted(zip(pairs.queries.tolist(), pairs.targets.tolist(), strict=True))


class Table:
    """Scores from a table."""

    def __init__(self, table: Floats) -> None:
        self.table = table

    def scores(self, items: Ints) -> Floats:
        return self.table[items].copy()


def test_the_query_is_the_item_taken_last_before() -> None:
    given = timed((0, 1, 10), (0, 2, 20), (0, 3, 40), (1, 4, 30), (2, 5, 99))
    target = timed((0, 6, 25), (0, 7, 50), (0, 8, 20), (1, 6, 30), (2, 6, 98))
    # At 25 and at 20 (the same second) user 0 had just taken 2, at 50 item 3; user 2 took nothing before 98.
    assert found_pairs(given, target) == [(2, 6), (2, 8), (3, 7), (4, 6)]


def test_a_window_keeps_what_follows_soon() -> None:
    given = timed((0, 1, 10), (1, 4, 30))
    target = timed((0, 6, 15), (0, 7, 16), (1, 6, 30))
    assert found_pairs(given, target, window=5) == [(1, 6), (4, 6)]
    assert found_pairs(given, target, window=0) == [(4, 6)]


def test_of_several_items_of_one_second_one_is_drawn() -> None:
    given = timed((0, 1, 10), (0, 2, 20), (0, 3, 20))
    target = timed((0, 6, 25))
    drawn = {found_pairs(given, target, seed)[0][0] for seed in range(30)}
    assert drawn == {2, 3}


def test_without_times_any_given_item_is_drawn() -> None:
    given, target = timed((0, 1, 10), (0, 2, 20), (1, 3, 0)).pairs(), timed((0, 6, 5)).pairs()
    assert {found_pairs(given, target, seed)[0] for seed in range(30)} == {(1, 6), (2, 6)}


def test_each_untimed_event_draws_its_own_query() -> None:
    given = Interactions.of(np.zeros(4, np.int32), np.arange(4, dtype=np.int32), N_USERS, N_ITEMS)
    target = Interactions.of(np.zeros(4, np.int32), np.arange(4, 8, dtype=np.int32), N_USERS, N_ITEMS)
    drawn = [tuple(query for query, _ in found_pairs(given, target, seed)) for seed in range(10)]
    assert any(len(set(queries)) > 1 for queries in drawn)


def test_what_is_given_too_is_no_question_and_what_repeats_is_one() -> None:
    given = timed((0, 1, 10), (0, 2, 20), (1, 1, 5))
    target = timed((0, 1, 30), (0, 6, 40), (0, 6, 12), (1, 6, 7))
    assert found_pairs(given, target) == [(1, 6), (1, 6)]  # user 0 first took 6 at 12, after item 1


def test_two_users_may_ask_the_same_pair() -> None:
    assert found_pairs(timed((0, 1, 1), (1, 1, 1)), timed((0, 6, 2), (1, 6, 2))) == [(1, 6), (1, 6)]


def test_nothing_to_ask_is_an_error() -> None:
    with pytest.raises(DataError, match="no held-out pair"):
        found_pairs(timed((0, 1, 10)), timed((0, 6, 5)))
    with pytest.raises(DataError, match="no held-out pair"):
        found_pairs(timed((0, 1, 10)), timed((1, 6, 15)))


def test_a_window_needs_times() -> None:
    with pytest.raises(DataError, match="need times"):
        found_pairs(timed((0, 1, 10)).pairs(), timed((0, 6, 15)).pairs(), window=5)


def test_pairs_are_held_out_and_the_same_for_the_same_seed(world: Dataset) -> None:
    split = split_events(world.interactions.pairs(), SplitConfig(), 0)
    assert split.valid is not None
    first, again, other = (held_out_pairs(split.valid, ItemPairsConfig(), seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.queries, again.queries)
    assert (first.queries != other.queries).any()
    assert (first.queries % 2 == first.targets % 2).all()  # nobody crosses over
    few = held_out_pairs(split.valid, ItemPairsConfig(n_pairs=7), 0)
    assert len(few) == 7
    every = set(zip(first.queries.tolist(), first.targets.tolist(), strict=True))
    assert set(zip(few.queries.tolist(), few.targets.tolist(), strict=True)) <= every


def test_numbers_by_hand() -> None:
    table = np.zeros((N_ITEMS, N_ITEMS), np.float32)
    table[1] = [5, 99, 4, 3, 2, 1, 0, -1, -2]  # item 1 itself would be first
    table[2] = [0, 0, 9, 8, 8, 1, 1, 1, 1]
    pairs = ItemPairs(np.array([1, 1, 2], np.int32), np.array([0, 5, 4], np.int32), N_ITEMS)
    known = build_graph(timed((0, 0, 0), (1, 0, 0), (0, 3, 0), (2, 1, 0), (3, 2, 0), (1, 2, 0))).user_items
    found = evaluate_pairs(Table(table), pairs, CONFIG, seed=0, known=known)
    assert found.per_pair["hit@2"].tolist() == [1, 0, 1]  # ranks 1, 5, and 1 or 2
    assert found.per_pair["hit@5"].tolist() == [1, 1, 1]
    assert found.per_pair["mrr"].tolist() == pytest.approx([1, 1 / 5, 3 / 4])
    assert found.intervals["mrr"].mean == pytest.approx((1 + 1 / 5 + 3 / 4) / 3)
    assert found.intervals["mrr"].low <= found.intervals["mrr"].mean <= found.intervals["mrr"].high
    assert (found.n_pairs, found.n_queries) == (3, 2)
    # Lists 0, 2 and 3, 4, whose counts are 2, 2 and 1, 0; the queries 1 and 2 have counts 1 and 2.
    assert found.exposure["coverage@2"] == pytest.approx(4 / 9)
    assert found.exposure["popularity@2"] == pytest.approx(5 / 4)
    assert found.exposure["popularity_lift@2"] == pytest.approx((2 + 1 / 2) / (1 + 2))
    assert found.to_json()["metrics"]["hit@2"]["mean"] == pytest.approx(2 / 3)


def test_candidates_alone_are_counted_and_listed() -> None:
    table = np.tile(np.arange(N_ITEMS, dtype=np.float32), (N_ITEMS, 1))
    pairs = ItemPairs(np.array([8, 0], np.int32), np.array([3, 5], np.int32), N_ITEMS)
    candidates = np.array([1, 3, 5], np.int32)
    found = evaluate_pairs(Table(table), pairs, CONFIG, seed=0, candidates=candidates)
    assert found.per_pair["mrr"].tolist() == [1 / 2, 1]
    assert found.exposure == {}
    assert neighbor_lists(Table(table), pairs.queries, N_ITEMS, 3, candidates).tolist() == [[5, 3, -1], [5, 3, -1]]


def test_lists_leave_out_what_nothing_is_known_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pinfold.index.exact.BLOCK_BYTES", 1)
    table = np.zeros((N_ITEMS, N_ITEMS), np.float32)
    table[3, [3, 7, 8]] = 9, 1, 2
    lists = neighbor_lists(Table(table), np.array([3, 4], np.int32), N_ITEMS, 3)
    assert lists.tolist() == [[8, 7, -1], [-1, -1, -1]]


def test_a_scorer_that_knows_nothing_has_no_exposure_and_looks_like_chance() -> None:
    pairs = ItemPairs(np.array([8, 0], np.int32), np.array([3, 5], np.int32), N_ITEMS)
    known = build_graph(timed((0, 0, 0))).user_items
    found = evaluate_pairs(Table(np.ones((N_ITEMS, N_ITEMS), np.float32)), pairs, CONFIG, seed=0, known=known)
    assert found.exposure == {}
    assert found.intervals["hit@2"].mean == pytest.approx(2 / 8)


def test_an_item_is_no_pair_with_itself() -> None:
    with pytest.raises(ValueError, match="its own target"):
        ItemPairs(np.array([1], np.int32), np.array([1], np.int32), N_ITEMS)
