"""Degree pruning against a slow twin, worked cases, and walks on what is left."""

import math

import numpy as np
import pytest

from pinfold.arrays import Floats
from pinfold.graph.bipartite import BipartiteGraph
from pinfold.graph.csr import Csr, from_pairs
from pinfold.graph.neighborhoods import NeighborhoodConfig, fresh_neighborhoods, neighborhoods, walk_tables
from pinfold.graph.pruning import prune


def random_graph(seed: int, n_users: int = 40, n_items: int = 15, n_edges: int = 250) -> BipartiteGraph:
    rng = np.random.default_rng(seed)
    users = rng.integers(n_users, size=n_edges).astype(np.int32)
    items = (n_items * rng.random(n_edges) ** 3).astype(np.int32)
    user_items = from_pairs(users, items, np.ones(n_edges, np.float32), (n_users, n_items))
    return BipartiteGraph(user_items, user_items.transpose())


def slow(edges: Csr, others: Csr, exponent: float, likeness: Floats | None) -> list[list[int]]:
    """The columns that each row keeps; likeness (R, C)."""
    kept = []
    for row in range(edges.n_rows):
        columns = edges.row(row).tolist()
        n = math.ceil(len(columns) ** exponent - 1e-9) if columns else 0
        if likeness is None:
            ranked = sorted(columns, key=lambda column: (len(others.row(column)), column))
        else:
            ranked = sorted(columns, key=lambda column: (-round(float(likeness[row, column]), 5), column))
        kept.append(sorted(ranked[:n]))
    return kept


def rows(edges: Csr) -> list[list[int]]:
    return [edges.row(row).tolist() for row in range(edges.n_rows)]


@pytest.mark.parametrize("exponent", [0.3, 0.7, 0.91])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_most_specific_users_are_kept(exponent: float, seed: int) -> None:
    graph = random_graph(seed)
    pruned = prune(graph, exponent)
    assert rows(pruned.item_users) == slow(graph.item_users, graph.user_items, exponent, None)
    assert rows(pruned.user_items) == rows(pruned.item_users.transpose())
    assert (pruned.n_users, pruned.n_items) == (graph.n_users, graph.n_items)
    both = prune(graph, exponent, users=True)
    assert rows(both.user_items) == slow(pruned.user_items, pruned.item_users, exponent, None)
    assert rows(both.item_users) == rows(both.user_items.transpose())


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_with_content_the_nearest_users_are_kept(seed: int) -> None:
    graph, vectors = random_graph(seed), np.random.default_rng(seed).standard_normal((15, 4)).astype(np.float32)

    def likeness(user_items: Csr) -> Floats:
        units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        means = np.array([units[user_items.row(user)].sum(axis=0) for user in range(40)])
        found: Floats = units @ (means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-30)).T
        return found

    pruned = prune(graph, 0.6, vectors)
    assert rows(pruned.item_users) == slow(graph.item_users, graph.user_items, 0.6, likeness(graph.user_items))
    both = prune(graph, 0.6, vectors, users=True)
    expected = slow(pruned.user_items, pruned.item_users, 0.6, likeness(pruned.user_items).T)
    assert rows(both.user_items) == expected


def test_nothing_is_pruned_at_one_and_no_item_loses_its_last_edge() -> None:
    graph = random_graph(0)
    assert prune(graph, 1.0) is graph
    pruned = prune(graph, 0.01)
    assert (pruned.item_users.degrees() == np.minimum(graph.item_users.degrees(), 2)).all()


def test_edges_keep_their_weights() -> None:
    graph = random_graph(0)
    graph = graph.reweighted(np.arange(graph.n_edges, dtype=np.float32) + 1)
    whole, pruned = graph.item_users.to_scipy().toarray(), prune(graph, 0.5)
    for part in (pruned.item_users.to_scipy().toarray(), pruned.user_items.to_scipy().toarray().T):
        assert (part[part > 0] == whole[part > 0]).all()


def test_wrong_arguments() -> None:
    graph = random_graph(0)
    for exponent in (0.0, 1.1, float("nan")):
        with pytest.raises(ValueError, match="exponent"):
            prune(graph, exponent)
    with pytest.raises(ValueError, match="vectors has 3 rows"):
        prune(graph, 0.9, np.zeros((3, 2), np.float32))


@pytest.mark.parametrize("method", ["walks", "push", "uniform"])
def test_walks_go_through_the_pruned_graph(method: str) -> None:
    graph = random_graph(3)
    config = NeighborhoodConfig(method=method, size=6, steps=200, prune=0.5)  # type: ignore[arg-type]
    plain = NeighborhoodConfig(method=method, size=6, steps=200)  # type: ignore[arg-type]
    found, expected = neighborhoods(graph, config, 0), neighborhoods(prune(graph, 0.5), plain, 0)
    np.testing.assert_array_equal(found.ids, expected.ids)
    np.testing.assert_array_equal(found.weights, expected.weights)
    assert (found.ids != neighborhoods(graph, plain, 0).ids).any()


@pytest.mark.parametrize("method", ["walks", "push", "uniform"])
def test_a_fresh_item_does_not_walk_from_a_user_who_lost_all_items(method: str) -> None:
    # Item 0 has users 0 to 3; two of them stay, the lower ones of those with nothing else: 1 and 2. Users 3 and 0 lose
    # it, and user 3 has nothing else. Items 1 and 2 are those of user 0 alone.
    pairs = [(0, 0), (0, 1), (0, 2), (1, 0), (2, 0), (3, 0)]
    users, items = (np.array(column, np.int32) for column in zip(*pairs, strict=True))
    user_items = from_pairs(users, items, np.ones(6, np.float32), (4, 3))
    graph = BipartiteGraph(user_items, user_items.transpose())
    config = NeighborhoodConfig(method=method, size=3, steps=50, prune=0.5)  # type: ignore[arg-type]
    assert rows(prune(graph, 0.5).user_items) == [[1, 2], [0], [0], []]
    takers = Csr(np.array([0, 1, 3], np.int64), np.array([3, 0, 3], np.int32), np.ones(3, np.float32), 4)
    for tables in (None, walk_tables(graph, config)):
        found = fresh_neighborhoods(graph, config, 0, takers, tables)
        assert (found.ids[0] == -1).all()
        assert sorted(found.ids[1].tolist()) == [-1, 1, 2]
