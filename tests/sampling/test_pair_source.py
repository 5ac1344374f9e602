"""Pairs of items that belong together."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from pinfold.arrays import Floats
from pinfold.data.interactions import Interactions
from pinfold.errors import ConfigError, DataError
from pinfold.graph.bipartite import BipartiteGraph, build_graph
from pinfold.sampling.item_pairs import ItemPairs, PairsConfig, PairSource, co_occurring, next_pairs

DAY = 86_400
CO_OCCURRENCE = PairsConfig()
NEXT = PairsConfig(source="next")
GIVEN = ItemPairs(np.array([0, 5], np.int32), np.array([5, 2], np.int32), np.array([0.5, 1.5], np.float32))


def events_of(rows: list[tuple[int, int, float]], n_users: int = 4, n_items: int = 6) -> Interactions:
    """Events from (user, item, day)."""
    users, items, days = (np.array(column) for column in zip(*rows, strict=True))
    return Interactions(
        users.astype(np.int32), items.astype(np.int32), np.ones(len(rows), np.float32),
        np.rint(days * DAY).astype(np.int64), n_users, n_items,
    )  # fmt: skip


# user 0 has four items, user 1 two, user 2 one, user 3 none
EVENTS = events_of([(0, 3, 1), (0, 0, 0), (0, 1, 3), (0, 4, 9), (1, 4, 5), (1, 3, 2), (2, 5, 1)])
GRAPH = build_graph(EVENTS)  # edges (0, 0), (0, 1), (0, 3), (0, 4), (1, 3), (1, 4), (2, 5)


def listed(pairs: ItemPairs) -> list[tuple[int, int]]:
    return list(zip(pairs.queries.tolist(), pairs.items.tolist(), strict=True))


def source(config: PairsConfig, factors: Floats | None = None, given: ItemPairs | None = None) -> PairSource:
    return PairSource(config, GRAPH, EVENTS, factors, given)


# --- co-occurrence -------------------------------------------------------------------------------------------------


def test_every_edge_once_with_another_item_of_the_same_user(graph: BipartiteGraph) -> None:
    pairs = co_occurring(graph, None, np.random.default_rng(0))
    np.testing.assert_array_equal(pairs.queries, graph.user_items.ids)
    owner = np.repeat(np.arange(graph.n_users), graph.user_items.degrees())
    assert (pairs.queries != pairs.items).all()
    for user, item in zip(owner.tolist(), pairs.items.tolist(), strict=True):
        assert item in graph.user_items.row(user)
    assert [part.dtype for part in (pairs.queries, pairs.items, pairs.weights)] == [np.int32, np.int32, np.float32]
    assert (pairs.weights == 1).all()


def test_collections_of_one_give_none() -> None:
    pairs = source(CO_OCCURRENCE)
    assert pairs.n_pairs == 6
    for seed in range(20):
        drawn = pairs.draw(np.random.default_rng(seed))
        assert sorted(drawn.queries.tolist()) == [0, 1, 3, 3, 4, 4]
        assert 5 not in drawn.items


def test_partners_are_drawn_evenly() -> None:
    counts: Counter[tuple[int, int]] = Counter()
    for seed in range(3000):
        counts.update(listed(co_occurring(GRAPH, None, np.random.default_rng(seed))))
    for q in (0, 1):
        assert sum(counts[q, i] for i in (0, 1, 3, 4)) == 3000
        for i in {0, 1, 3, 4} - {q}:
            assert abs(counts[q, i] - 1000) < 5 * np.sqrt(3000 * 2 / 9)
    assert abs(counts[3, 4] - 4000) < 5 * np.sqrt(3000 * 2 / 9)  # of user 1 always, of user 0 one time in three


def test_the_chance_to_be_the_second_against_counts() -> None:
    pairs = source(CO_OCCURRENCE)
    chances = pairs.chances()
    assert chances.sum() == pytest.approx(1)
    seconds = np.concatenate([pairs.draw(np.random.default_rng(seed)).items for seed in range(3000)])
    counted = np.bincount(seconds, minlength=6) / len(seconds)
    np.testing.assert_allclose(chances, [1 / 6, 1 / 6, 0, 2 / 6, 2 / 6, 0], rtol=1e-12)
    np.testing.assert_allclose(counted, chances, atol=0.015)


def test_the_generator_decides_the_pairs_and_their_order() -> None:
    pairs = source(CO_OCCURRENCE)
    first, again, other = (listed(pairs.draw(np.random.default_rng(seed))) for seed in (0, 0, 1))
    assert first == again
    assert first != other
    rng = np.random.default_rng(0)
    assert listed(pairs.draw(rng)) != listed(pairs.draw(rng))  # drawn afresh every epoch


# --- next ----------------------------------------------------------------------------------------------------------


def test_next_pairs_go_by_time_within_a_user() -> None:
    found = next_pairs(EVENTS, GRAPH, None, None)
    assert listed(found) == [(0, 3), (3, 1), (1, 4), (3, 4)]
    assert found.weights.tolist() == [1, 1, 1, 1]


def test_next_pairs_within_a_window_of_days() -> None:
    """User 0 took them 1, 2 and 6 days apart, user 1 3 days."""
    for window, expected in ((0.5, []), (1, [(0, 3)]), (3, [(0, 3), (3, 1), (3, 4)])):
        assert listed(next_pairs(EVENTS, GRAPH, None, window)) == expected


def test_the_same_item_again_is_no_pair_but_parts_others() -> None:
    events = events_of([(0, 1, 0), (0, 1, 1), (0, 2, 2), (0, 1, 3)])
    assert listed(next_pairs(events, build_graph(events), None, None)) == [(1, 2), (2, 1)]


def test_equal_times_stay_in_the_order_of_rows() -> None:
    events = events_of([(0, 4, 1), (0, 2, 1), (0, 3, 1)])
    assert listed(next_pairs(events, build_graph(events), None, None)) == [(4, 2), (2, 3)]


def test_next_pairs_are_the_same_in_every_epoch_but_for_their_order() -> None:
    pairs = source(NEXT)
    assert pairs.n_pairs == 4
    draws = [listed(pairs.draw(np.random.default_rng(seed))) for seed in range(5)]
    assert all(sorted(draw) == sorted(draws[0]) for draw in draws)
    assert len({tuple(draw) for draw in draws}) > 1
    np.testing.assert_allclose(pairs.chances(), [0, 0.25, 0, 0.25, 0.5, 0])


def test_next_pairs_need_times() -> None:
    timeless = Interactions.of(EVENTS.users, EVENTS.items, 4, 6)
    with pytest.raises(ConfigError, match="'next' needs times, and the events have none"):
        PairSource(NEXT, GRAPH, timeless, None)


# --- weights -------------------------------------------------------------------------------------------------------


def test_a_pair_weighs_the_geometric_mean_of_its_edges_factors() -> None:
    factors = np.array([1, 4, 9, 16, 25, 36, 49], np.float32)  # so that the roots are 1 .. 7, edge by edge
    found = next_pairs(EVENTS, GRAPH, factors, None)
    raw = np.array([1 * 3, 3 * 2, 2 * 4, 5 * 6], np.float64)  # (0, 3), (3, 1), (1, 4) of user 0; (3, 4) of user 1
    np.testing.assert_allclose(found.weights, raw / raw.mean(), rtol=1e-6)
    drawn = co_occurring(GRAPH, factors, np.random.default_rng(1))
    root = {(0, 0): 1, (0, 1): 2, (0, 3): 3, (0, 4): 4, (1, 3): 5, (1, 4): 6}
    owners = [0, 0, 0, 0, 1, 1]
    raw = np.array([root[u, q] * root[u, i] for u, (q, i) in zip(owners, listed(drawn), strict=True)])
    np.testing.assert_allclose(drawn.weights, raw / raw.mean(), rtol=1e-6)


def test_weights_stay_beside_their_pairs() -> None:
    factors = np.array([1, 4, 9, 16, 25, 36, 49], np.float32)
    fixed = next_pairs(EVENTS, GRAPH, factors, None)
    expected = dict(zip(listed(fixed), fixed.weights.tolist(), strict=True))
    drawn = source(NEXT, factors).draw(np.random.default_rng(3))
    assert dict(zip(listed(drawn), drawn.weights.tolist(), strict=True)) == expected


# --- files, and nothing --------------------------------------------------------------------------------------------


def test_pairs_of_ones_own() -> None:
    pairs = source(PairsConfig(source="file"), given=GIVEN)
    assert pairs.n_pairs == 2
    assert sorted(listed(pairs.draw(np.random.default_rng(0)))) == [(0, 5), (5, 2)]
    assert pairs.chances().tolist() == [0, 0, 0.5, 0, 0, 0.5]
    with pytest.raises(ConfigError, match="'file', but no pairs are given"):
        source(PairsConfig(source="file"))


@pytest.mark.parametrize("config", [CO_OCCURRENCE, NEXT], ids=["co-occurrence", "next"])
def test_where_everybody_has_one_item_there_is_no_pair(config: PairsConfig) -> None:
    alone = events_of([(0, 1, 0), (1, 2, 1), (2, 3, 2)])
    with pytest.raises(DataError, match="finds no pair of different items; some user must have two items"):
        PairSource(config, build_graph(alone), alone, None)


def test_some_of_the_pairs() -> None:
    whole = next_pairs(EVENTS, GRAPH, None, None)
    assert listed(whole.take(slice(1, 3))) == listed(whole)[1:3]
    assert listed(whole.take(np.array([3, 0]))) == [(3, 4), (0, 3)]


# --- several items that ask together -------------------------------------------------------------------------------


def asking(made: PairSource, pairs: ItemPairs, seed: int = 0) -> list[list[int]]:
    """What asks together with each query."""
    found: list[list[int]] = [[] for _ in pairs.queries]
    for row, item in zip(*(part.tolist() for part in made.company(pairs, np.random.default_rng(seed))), strict=True):
        found[row].append(item)
    return found


@pytest.mark.parametrize("config", [CO_OCCURRENCE, NEXT])
def test_others_of_the_same_user_ask_with_the_query(config: PairsConfig) -> None:
    made = source(replace(config, history=5))
    pairs = made.draw(np.random.default_rng(0))
    assert pairs.edges is not None
    n_asking = 0
    for seed in range(30):
        for edge, item, others in zip(
            pairs.edges.tolist(), pairs.items.tolist(), asking(made, pairs, seed), strict=True
        ):
            user = int(np.searchsorted(GRAPH.user_items.ptr, edge, side="right")) - 1
            history = set(GRAPH.user_items.row(user).tolist())
            assert GRAPH.user_items.ids[edge] == item
            assert set(others) <= history - {item}
            assert len(others) <= min(4, len(history) - 2)  # user 1 has two items, and asks with one
            n_asking += len(others)
    assert n_asking > 30


def test_half_of_the_queries_are_one_item_and_the_others_all_lengths(graph: BipartiteGraph) -> None:
    made = PairSource(PairsConfig(history=4), graph, EVENTS, None)
    pairs = made.draw(np.random.default_rng(0))
    assert pairs.edges is not None
    owner = np.searchsorted(graph.user_items.ptr, pairs.edges, side="right") - 1
    long = graph.user_items.degrees()[owner] >= 5
    counts: Counter[int] = Counter()
    for seed in range(200):
        counts.update(len(one) for one, enough in zip(asking(made, pairs, seed), long.tolist(), strict=True) if enough)
    total = sum(counts.values())
    assert total > 1000
    for n, share in ((0, 1 / 2), (1, 1 / 6), (2, 1 / 6), (3, 1 / 6)):
        assert abs(counts[n] / total - share) < 5 * np.sqrt(share * (1 - share) / total)


def test_who_asks_is_drawn_evenly() -> None:
    """User 0 has 0, 1, 3, 4: beside whatever asks for 3, one of 0, 1, 4, the query too."""
    made = source(PairsConfig(history=2))
    pairs = ItemPairs(np.zeros(3000, np.int32), np.full(3000, 3, np.int32), np.ones(3000, np.float32), np.full(3000, 2))
    counts = Counter(item for others in asking(made, pairs) for item in others)
    total = sum(counts.values())
    assert set(counts) == {0, 1, 4}
    assert abs(total - 1500) < 150
    assert all(abs(n / total - 1 / 3) < 0.07 for n in counts.values())


def test_one_item_asks_where_the_history_is_one_or_no_users_are_known() -> None:
    rng = np.random.default_rng(3)
    for made in (source(PairsConfig(history=1)), source(PairsConfig(source="file"), given=GIVEN)):
        pairs = made.draw(rng)
        before = rng.bit_generator.state
        rows, items = made.company(pairs, rng)
        assert len(rows) == len(items) == 0
        assert rng.bit_generator.state == before  # the same batches as without this option
