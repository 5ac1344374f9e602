"""RP3beta against powers of dense matrices."""

import numpy as np
import pytest

from pinfold.arrays import Doubles
from pinfold.data.interactions import Interactions
from pinfold.graph.bipartite import BipartiteGraph, build_graph
from pinfold.models.rp3beta import RP3betaConfig, rp3beta


def random_graph(n_users: int = 40, n_items: int = 23) -> BipartiteGraph:
    """Some pairs twice; item 7 is nobody's, user 3 has nothing."""
    rng = np.random.default_rng(0)
    taken = rng.random((n_users, n_items)) < rng.random(n_items) * 0.5
    taken[:, 7], taken[3] = False, False
    users, items = (np.append(a, a[:20]).astype(np.int32) for a in np.nonzero(taken))
    return build_graph(Interactions.of(users, items, n_users, n_items))


def walks(graph: BipartiteGraph, alpha: float, beta: float) -> Doubles:
    """The last two steps: items to users to items, by transition matrices to the power alpha; zero diagonal."""
    taken = (graph.user_items.to_scipy().toarray() > 0).astype(np.float64)
    to_items = taken / np.maximum(taken.sum(axis=1, keepdims=True), 1)
    to_users = taken.T / np.maximum(taken.sum(axis=0)[:, None], 1)
    powered = [np.where(step > 0, step, 1) ** alpha * (step > 0) for step in (to_users, to_items)]
    weights: Doubles = powered[0] @ powered[1] / np.maximum(taken.sum(axis=0), 1) ** beta
    np.fill_diagonal(weights, 0)
    return weights


@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 0.0), (0.7, 0.4), (0.0, 1.0), (1.5, 0.2)])
@pytest.mark.parametrize("block", [1, 7, 1024])
def test_against_dense(monkeypatch: pytest.MonkeyPatch, alpha: float, beta: float, block: int) -> None:
    monkeypatch.setattr("pinfold.models.rp3beta.BLOCK", block)
    graph = random_graph()
    found = rp3beta(RP3betaConfig(alpha=alpha, beta=beta, n_neighbors=23), graph).weights.to_scipy().toarray()
    np.testing.assert_allclose(found, walks(graph, alpha, beta), rtol=1e-5, atol=1e-9)


def test_a_plain_walk_gives_probabilities() -> None:
    """With alpha 1 and beta 0 a row, and the chance to come back, sum to one: the walk ends somewhere."""
    graph = random_graph()
    found = rp3beta(RP3betaConfig(alpha=1, beta=0, n_neighbors=23), graph).weights.to_scipy().toarray()
    users = graph.user_items.degrees()
    for item in range(graph.n_items):
        own = graph.item_users.row(item)
        if len(own):
            assert found[item].sum() + (1 / users[own]).mean() == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize("n_neighbors", [1, 4])
def test_the_heaviest_stay(n_neighbors: int) -> None:
    graph = random_graph()
    config = RP3betaConfig(n_neighbors=n_neighbors)
    found = rp3beta(config, graph).weights.to_scipy().toarray()
    dense = walks(graph, config.alpha, config.beta)
    for own, all_of_it in zip(found, dense, strict=True):
        kept = np.flatnonzero(own)
        assert len(kept) == min(n_neighbors, np.count_nonzero(all_of_it))
        np.testing.assert_allclose(np.sort(own[kept]), np.sort(all_of_it)[::-1][: len(kept)][::-1], rtol=1e-5)


def test_repeated_events_count_once() -> None:
    graph = random_graph()
    users, items = np.nonzero(graph.user_items.to_scipy().toarray())
    shape = (graph.n_users, graph.n_items)
    once = build_graph(Interactions.of(users.astype(np.int32), items.astype(np.int32), *shape))
    for name in ("ids", "weights"):
        first, second = (getattr(rp3beta(RP3betaConfig(), one).weights, name) for one in (graph, once))
        np.testing.assert_array_equal(first, second)


def test_nobody_shares_anything() -> None:
    users = np.arange(3, dtype=np.int32)
    found = rp3beta(RP3betaConfig(), build_graph(Interactions.of(users, users, 3, 3)))
    assert found.weights.n_rows == 3
    assert len(found.weights.ids) == 0
