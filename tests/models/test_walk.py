"""Walks with restart against powers of dense matrices."""

import numpy as np
import pytest

from pinfold.arrays import Doubles
from pinfold.data.interactions import Interactions
from pinfold.graph.bipartite import BipartiteGraph, build_graph
from pinfold.graph.csr import Csr, from_scipy
from pinfold.models.walk import WalkConfig, extend_walk, walk

EXACT = WalkConfig(method="push", size=30, epsilon=1e-9)


def random_graph(n_users: int = 40, n_items: int = 23) -> BipartiteGraph:
    """Item 7 is nobody's, user 3 has nothing."""
    rng = np.random.default_rng(0)
    taken = rng.random((n_users, n_items)) < rng.random(n_items) * 0.5
    taken[:, 7], taken[3] = False, False
    users, items = (a.astype(np.int32) for a in np.nonzero(taken))
    return build_graph(Interactions.of(users, items, n_users, n_items))


def visits(graph: BipartiteGraph, restart: float, *, weighted: bool = False) -> Doubles:
    """Shares of visits in the limit: sum over t of (1 - restart)^t P^(t + 1), without the diagonal, rows of sum 1."""
    edges = graph.user_items.to_scipy().toarray().astype(np.float64)
    edges = edges if weighted else np.sign(edges)
    to_items = edges / np.maximum(edges.sum(axis=1, keepdims=True), 1e-30)
    to_users = edges.T / np.maximum(edges.sum(axis=0)[:, None], 1e-30)
    step = to_users @ to_items
    total = step @ np.linalg.inv(np.eye(len(step)) - (1 - restart) * step)
    np.fill_diagonal(total, 0)
    shares: Doubles = total / np.maximum(total.sum(axis=1, keepdims=True), 1e-30)
    return shares


def dense(weights: Csr) -> Doubles:
    return np.asarray(weights.to_scipy().toarray(), np.float64)


@pytest.mark.parametrize("restart", [0.2, 0.5, 1.0])
@pytest.mark.parametrize("block", [5, 4096])
def test_push_against_dense(monkeypatch: pytest.MonkeyPatch, restart: float, block: int) -> None:
    monkeypatch.setattr("pinfold.models.walk.BLOCK", block)
    graph = random_graph()
    found = walk(WalkConfig(method="push", size=30, restart=restart, epsilon=1e-9), graph, 0)
    np.testing.assert_allclose(dense(found.weights), visits(graph, restart), atol=1e-4)


def test_walks_come_near(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = random_graph()
    config = WalkConfig(method="walks", size=30, steps=100_000)
    found = walk(config, graph, 0)
    np.testing.assert_allclose(dense(found.weights), visits(graph, 0.5), atol=0.01)
    again, other = walk(config, graph, 0), walk(config, graph, 1)
    np.testing.assert_array_equal(found.weights.weights, again.weights.weights)
    assert (dense(found.weights) != dense(other.weights)).any()
    monkeypatch.setattr("pinfold.models.walk.BLOCK", 4)
    np.testing.assert_array_equal(dense(walk(config, graph, 0).weights), dense(found.weights))


def test_weights_of_edges_count_if_told() -> None:
    plain = random_graph()
    users, items = np.nonzero(plain.user_items.to_scipy().toarray())
    weights = np.random.default_rng(1).integers(1, 9, len(users)).astype(np.float32)
    events = Interactions.of(users.astype(np.int32), items.astype(np.int32), plain.n_users, plain.n_items)
    graph = build_graph(Interactions(events.users, events.items, weights, events.times, events.n_users, events.n_items))
    told = WalkConfig(method="push", size=30, epsilon=1e-9, weighted=True)
    np.testing.assert_allclose(dense(walk(told, graph, 0).weights), visits(graph, 0.5, weighted=True), atol=1e-4)
    np.testing.assert_allclose(dense(walk(EXACT, graph, 0).weights), visits(graph, 0.5), atol=1e-4)


def test_the_most_visited_stay() -> None:
    graph = random_graph()
    few = walk(WalkConfig(method="push", size=4, epsilon=1e-9), graph, 0).weights
    everything = visits(graph, 0.5)
    assert few.degrees().max() == 4
    for item in range(graph.n_items):
        best = np.sort(np.argsort(-everything[item], kind="stable")[:4])
        assert few.row(item).tolist() == (best.tolist() if everything[item].any() else [])


def test_nobody_goes_nowhere() -> None:
    graph = random_graph()
    found = walk(EXACT, graph, 0)
    assert found.weights.degrees()[7] == 0
    alone = np.arange(3, dtype=np.int32)
    assert len(walk(EXACT, build_graph(Interactions.of(alone, alone, 3, 3)), 0).weights.ids) == 0


def without(graph: BipartiteGraph, n: int) -> tuple[BipartiteGraph, Csr]:
    """The graph without its last n items, and who takes these."""
    edges = graph.user_items.to_scipy()
    n_old = graph.n_items - n
    user_items = from_scipy(edges[:, :n_old])
    return BipartiteGraph(user_items, user_items.transpose()), from_scipy(edges[:, n_old:].T)


@pytest.mark.parametrize("size", [5, 1000])
def test_items_that_came_later(size: int) -> None:
    whole = random_graph(n_users=300)
    graph, takers = without(whole, 2)
    config = WalkConfig(method="push", size=size, epsilon=1e-9)
    old = walk(config, graph, 0)
    grown = dense(extend_walk(config, old, graph, takers).weights)
    n_old = graph.n_items
    np.testing.assert_array_equal(grown[:n_old, :n_old], dense(old.weights))
    if size == 1000:
        afresh = visits(whole, 0.5)
        said, expected = grown[n_old:, :n_old], afresh[n_old:, :n_old]
        np.testing.assert_allclose(said, expected / expected.sum(axis=1, keepdims=True), rtol=0.2, atol=1e-3)
        np.testing.assert_allclose(grown[:n_old, n_old:], afresh[:n_old, n_old:], rtol=0.3, atol=1e-3)
    else:
        full = np.count_nonzero(grown[:n_old], axis=1)
        assert full.max() <= size + 2


def test_a_later_item_without_takers_says_nothing() -> None:
    graph = random_graph()
    nobody = Csr(np.zeros(2, np.int64), np.empty(0, np.int32), np.empty(0, np.float32), graph.n_users)
    grown = extend_walk(EXACT, walk(EXACT, graph, 0), graph, nobody).weights
    assert grown.n_rows == graph.n_items + 1
    assert grown.degrees()[-1] == 0
    assert grown.transpose().degrees()[-1] == 0
