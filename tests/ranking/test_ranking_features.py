"""Rows of numbers for a person and candidates."""

from dataclasses import replace

import numpy as np
import pytest

from pinfold.arrays import Floats, Ints, unit
from pinfold.data.dataset import Dataset
from pinfold.data.interactions import Interactions
from pinfold.graph.bipartite import BipartiteGraph, build_graph
from pinfold.ranking.candidates import SOURCES, Candidates, Person, union
from pinfold.ranking.features import GROUPS, MOST_USERS, NAMES, Knowledge, features, prior
from pinfold.ranking.statistics import item_statistics

AT = {name: place for place, name in enumerate(NAMES)}


def ints(*values: int) -> Ints:
    return np.array(values, np.int32)


def candidates(*rows: int) -> Candidates:
    return union({"model": (ints(*rows), -np.arange(len(rows), dtype=np.float32))}, ints())


@pytest.fixture
def knowledge(world: Dataset, graph: BipartiteGraph) -> Knowledge:
    vectors = np.random.default_rng(0).normal(size=(40, 8)).astype(np.float32)
    return Knowledge(graph, item_statistics(world.interactions), vectors, None, 3)


def test_every_feature_has_one_name_and_one_group() -> None:
    assert len(set(NAMES)) == len(NAMES)
    assert sorted(name for group in GROUPS.values() for name in group) == sorted(NAMES)


def test_cosines_of_users_as_a_slow_twin_has_them(knowledge: Knowledge) -> None:
    graph = knowledge.graph
    taken = [set(graph.item_users.row(item).tolist()) for item in range(40)]

    def cosine(a: int, b: int) -> float:
        return float(len(taken[a] & taken[b]) / np.sqrt(len(taken[a]) * len(taken[b])))

    found = features(knowledge, Person(ints(7, 0, 4, 2), ordered=True), candidates(6, 8, 11))
    for row, item in enumerate((6, 8, 11)):
        assert found[row, AT["together_last"]] == pytest.approx(cosine(item, 2), rel=1e-5)
        wanted = sum(cosine(item, other) for other in (0, 4, 2))  # the three latest
        assert found[row, AT["together_latest"]] == pytest.approx(wanted, rel=1e-5)
    unordered = features(knowledge, Person(ints(0, 2, 4)), candidates(6, 8, 11))
    np.testing.assert_allclose(unordered[:, AT["together_last"]], unordered[:, AT["together_latest"]])


def test_cosines_of_items_with_many_users_are_estimated() -> None:
    n = 20 * MOST_USERS
    rng = np.random.default_rng(0)
    first, second = rng.random(n) < 0.5, rng.random(n) < 0.5
    users = np.concatenate([np.flatnonzero(first), np.flatnonzero(second), np.arange(n)]).astype(np.int32)
    items = np.repeat([0, 1, 2], [first.sum(), second.sum(), n]).astype(np.int32)
    events = Interactions.of(users, items, n, 3)
    knowledge = Knowledge(build_graph(events), item_statistics(events), None, None, 5)
    found = features(knowledge, Person(ints(2)), candidates(0, 1))
    wanted = np.sqrt([first.mean(), second.mean()])
    assert found[:, AT["together_last"]].max() < 3 * wanted.max()
    assert np.isfinite(found[:, AT["together_last"]]).all()


def test_cosines_of_vectors(knowledge: Knowledge) -> None:
    assert knowledge.vectors is not None
    units = unit(knowledge.vectors)
    found = features(knowledge, Person(ints(9, 0, 2, 4), ordered=True), candidates(6))[0]
    products = units[6] @ units[[0, 2, 4]].T
    assert found[AT["vector_last"]] == pytest.approx(products[2], rel=1e-5)
    assert found[AT["vector_nearest"]] == pytest.approx(products.max(), rel=1e-5)
    mean = units[[0, 2, 4]].mean(axis=0)
    assert found[AT["vector_mean"]] == pytest.approx(units[6] @ mean / np.linalg.norm(mean), rel=1e-4)
    assert found[AT["spread_vectors"]] == pytest.approx(1 - np.linalg.norm(mean), rel=1e-5)
    assert np.isnan(found[AT["content_mean"]])


def test_fresh_items_have_vectors_and_no_statistics(knowledge: Knowledge) -> None:
    fresh = np.ones((2, 8), np.float32)
    found = features(knowledge, Person(ints(0, 41), ordered=True), candidates(5, 40, 43), fresh)
    assert np.isfinite(found[0, AT["log_count"]])
    for name in ("log_count", "trend", "since_last", "together_last", "count_above_mean"):
        assert np.isnan(found[1:, AT[name]]).all(), name
    assert found[1, AT["vector_last"]] == pytest.approx(1, rel=1e-5)  # row 40 and the last of the history: both ones
    assert np.isnan(found[2, AT["vector_last"]])  # row 43 has no vector
    bare = features(knowledge, Person(ints(0)), candidates(5, 40))
    assert np.isnan(bare[1, AT["vector_last"]])


@pytest.mark.parametrize("history", [(), (40, 41)], ids=["nothing", "fresh alone"])
def test_persons_of_whom_nothing_is_known(knowledge: Knowledge, history: tuple[int, ...]) -> None:
    found = features(knowledge, Person(ints(*history), ordered=True), candidates(5, 6))
    assert found.shape == (2, len(NAMES))
    assert np.isnan(found[:, AT["together_latest"]]).all()
    assert found[0, AT["log_history"]] == pytest.approx(np.log1p(len(history)))
    assert features(knowledge, Person(ints(*history)), candidates()).shape == (0, len(NAMES))


def test_later_events_change_nothing(world: Dataset, knowledge: Knowledge) -> None:
    """Honest in time: what is made of the events before a moment does not know the others."""
    events = world.interactions
    before = events.take(events.times < np.quantile(events.times, 0.7))
    graph, person = build_graph(before), Person(ints(0, 2, 4), ordered=True)
    known = replace(knowledge, graph=graph, statistics=item_statistics(before))
    found = features(known, person, candidates(6, 8, 9))
    changed = replace(knowledge, graph=build_graph(events), statistics=item_statistics(events))
    assert not np.array_equal(found, features(changed, person, candidates(6, 8, 9)), equal_nan=True)
    later = events.take(events.times >= np.quantile(events.times, 0.7))
    again = before.join(later).take(np.arange(len(before)))
    same = replace(knowledge, graph=build_graph(again), statistics=item_statistics(again))
    np.testing.assert_array_equal(found, features(same, person, candidates(6, 8, 9)))


def test_prior_is_the_first_stages_order() -> None:
    table: Floats = np.full((4, len(NAMES)), np.nan, np.float32)
    table[:, AT["rank_model"]] = [3, 1, np.nan, 7]
    np.testing.assert_allclose(prior(table, 2.0, 6), [-4, -2, -6, -6])
    assert (prior(table, 0.0, 6) == 0).all()
    assert len(SOURCES) == 5
