"""Pair batches: every edge once, with items that its user did not take."""

import numpy as np
import pytest

from pinfold.data.interactions import Interactions
from pinfold.graph.bipartite import BipartiteGraph, build_graph
from pinfold.sampling.pairs import PairBatch, n_batches, pair_batches


def all_batches(graph: BipartiteGraph, size: int, n_negatives: int = 2, seed: int = 0) -> list[PairBatch]:
    return list(pair_batches(graph, size, n_negatives, np.random.default_rng(seed)))


@pytest.mark.parametrize("size", [1, 7, 100, 480, 5000])
def test_every_edge_once(graph: BipartiteGraph, size: int) -> None:
    batches = all_batches(graph, size)
    assert len(batches) == n_batches(graph, size)
    assert all(len(batch.users) == size for batch in batches[:-1])
    pairs = [pair for b in batches for pair in zip(b.users.tolist(), b.positives.tolist(), strict=True)]
    edges = [(user, int(item)) for user in range(graph.n_users) for item in graph.user_items.row(user)]
    assert sorted(pairs) == edges
    if size > 1:
        assert pairs != edges  # shuffled


def test_shapes_and_types(graph: BipartiteGraph) -> None:
    for batch in all_batches(graph, 64, n_negatives=3):
        n = len(batch.users)
        assert [a.shape for a in (batch.users, batch.positives, batch.negatives)] == [(n,), (n,), (n, 3)]
        assert {a.dtype for a in (batch.users, batch.positives, batch.negatives)} == {np.dtype(np.int32)}


def test_negatives_are_not_taken_and_reach_all_others(graph: BipartiteGraph) -> None:
    drawn: dict[int, set[int]] = {user: set() for user in range(graph.n_users)}
    for batch in all_batches(graph, 64, n_negatives=40):
        for user, items in zip(batch.users, batch.negatives, strict=True):
            drawn[int(user)] |= set(items.tolist())
    for user, items in drawn.items():
        assert items == set(range(graph.n_items)) - set(graph.user_items.row(user).tolist())


def test_the_generator_decides_everything(graph: BipartiteGraph) -> None:
    for first, again in zip(all_batches(graph, 50), all_batches(graph, 50), strict=True):
        for name in ("users", "positives", "negatives"):
            np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    other = all_batches(graph, 480, seed=1)[0]
    assert (other.users != all_batches(graph, 480)[0].users).any()


def test_two_batches_do_not_repeat_each_others_negatives() -> None:
    # One user with one item: every batch asks the same question, only the seed differs.
    users = np.zeros(6, np.int32)
    graph = build_graph(Interactions.of(users, np.arange(6, dtype=np.int32), 1, 10_000))
    first, second = all_batches(graph, 3, n_negatives=50)
    assert not np.array_equal(first.negatives, second.negatives)


def test_a_repeated_event_is_one_edge() -> None:
    users, items = np.array([0, 0, 1], np.int32), np.array([1, 1, 0], np.int32)
    assert n_batches(build_graph(Interactions.of(users, items, 2, 2)), 1) == 2
