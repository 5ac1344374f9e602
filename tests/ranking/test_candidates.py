"""Several sources become one list."""

import numpy as np
import pytest

from pinfold.arrays import Floats, Ints
from pinfold.graph.bipartite import BipartiteGraph
from pinfold.index.interface import Recommender
from pinfold.index.recommender import recommender
from pinfold.models.item_knn import ItemKNNConfig, item_knn
from pinfold.ranking.candidates import SOURCES, CandidatesConfig, Gatherer, Person, union

MODEL, WALK = SOURCES.index("model"), SOURCES.index("walk")
NAN = np.nan


def ints(*values: int) -> Ints:
    return np.array(values, np.int32)


def floats(*values: float) -> Floats:
    return np.array(values, np.float32)


@pytest.fixture
def answers(graph: BipartiteGraph) -> Recommender:
    return recommender(item_knn(ItemKNNConfig(), graph), graph.user_items)


def gatherer(answers: Recommender, graph: BipartiteGraph, config: CandidatesConfig | None = None) -> Gatherer:
    counts = graph.item_counts().astype(np.float32)
    return Gatherer(answers, graph, counts, counts[::-1].copy(), config or CandidatesConfig(), 0)


def test_the_union_by_hand() -> None:
    model = (ints(5, 2, 9), floats(3, 2, 1))
    walk = (ints(9, 7, 5, 4), floats(0.4, 0.3, 0.2, 0.1))
    found = union({"model": model, "walk": walk}, exclude=ints(7))
    assert found.rows.tolist() == [2, 4, 5, 9]
    np.testing.assert_array_equal(found.scores[:, MODEL], floats(2, NAN, 3, 1))
    np.testing.assert_array_equal(found.ranks[:, MODEL], floats(2, NAN, 1, 3))
    np.testing.assert_array_equal(found.scores[:, WALK], floats(NAN, 0.1, 0.2, 0.4))
    np.testing.assert_array_equal(found.ranks[:, WALK], floats(NAN, 3, 2, 1))  # places without what the person has
    assert np.isnan(np.delete(found.scores, [MODEL, WALK], axis=1)).all()


def test_only_what_is_allowed_and_fresh_items_stay() -> None:
    allowed = np.array([True, False, True])
    found = union({"model": (ints(1, 4, 0, -1), floats(4, 3, 2, 1))}, ints(), allowed)
    assert found.rows.tolist() == [0, 4]  # row 4 lies behind the mask: an item that came later
    assert len(union({"model": (ints(1), floats(1))}, ints(), np.zeros(3, np.bool_)).rows) == 0
    assert union({}, ints()).scores.shape == (0, len(SOURCES))


def test_every_source_brings_what_the_person_lacks(answers: Recommender, graph: BipartiteGraph) -> None:
    history = graph.user_items.row(3)
    found = gatherer(answers, graph).others(Person(history))
    assert set(found) == {"similar", "walk", "popular", "trending"}
    for name, (rows, scores) in found.items():
        assert len(rows), name
        assert not np.isin(rows, history).any(), name
        assert (np.diff(scores) <= 0).all(), name
        assert len(np.unique(rows)) == len(rows), name
    assert (found["walk"][0] % 2 == 1).all()  # user 3 has odd items, and no walk crosses over
    assert (found["similar"][0] % 2 == 1).all()


def test_sources_bring_as_many_as_asked_and_0_leaves_one_out(answers: Recommender, graph: BipartiteGraph) -> None:
    config = CandidatesConfig(similar=0, walk=3, popular=2, trending=0)
    found = gatherer(answers, graph, config).others(Person(graph.user_items.row(3)))
    assert {name: len(rows) for name, (rows, _) in found.items()} == {"walk": 3, "popular": 2}


def test_popular_looks_further_where_little_is_allowed(answers: Recommender, graph: BipartiteGraph) -> None:
    allowed = np.zeros(40, np.bool_)
    allowed[np.argsort(graph.item_counts())[:2]] = True  # the least popular ones
    rows, _ = gatherer(answers, graph).others(Person(ints(0)), allowed)["popular"]
    assert set(rows) == set(np.flatnonzero(allowed)) - {0}


def test_fresh_items_of_a_history_start_nothing(answers: Recommender, graph: BipartiteGraph) -> None:
    found = gatherer(answers, graph).others(Person(ints(40, 41)))
    assert set(found) == {"popular", "trending"}
    later = np.arange(40, 90, dtype=np.int32)  # more than are looked at
    found = gatherer(answers, graph).others(Person(np.concatenate([ints(0, 2), later]), ordered=True))
    np.testing.assert_array_equal(
        found["walk"][0], gatherer(answers, graph).others(Person(ints(0, 2), True))["walk"][0]
    )


def test_pixies_sum_of_roots(answers: Recommender, graph: BipartiteGraph) -> None:
    """Met half as often by two walks counts more than met by one: (2 sqrt(s / 2))^2 = 2 s."""
    both = gatherer(answers, graph).others(Person(ints(0, 2), ordered=True))["walk"]
    parts = [gatherer(answers, graph).others(Person(ints(item)))["walk"] for item in (0, 2)]
    rows = np.intersect1d(parts[0][0], parts[1][0])
    assert set(rows) - {0, 2} <= set(both[0])
    again = gatherer(answers, graph).others(Person(ints(0, 2), ordered=True))["walk"]
    np.testing.assert_array_equal(both[1], again[1])  # the same draws


@pytest.mark.parametrize("ordered", [False, True])
def test_latest(ordered: bool) -> None:
    person = Person(ints(9, 1, 8, 2, 7), ordered)
    assert person.latest(9).tolist() == [9, 1, 8, 2, 7]
    assert person.latest(3).tolist() == ([8, 2, 7] if ordered else [9, 8, 7])
