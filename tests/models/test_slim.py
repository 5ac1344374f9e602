"""SLIM: candidates, shape and what is kept. That the weights are right: tests/kernels/test_descent.py."""

import numpy as np

from pinfold.data.interactions import Interactions
from pinfold.graph.bipartite import BipartiteGraph, build_graph
from pinfold.models.slim import SLIMConfig, slim


def random_graph(repeats: int = 1) -> BipartiteGraph:
    """Item 7 is nobody's."""
    rng = np.random.default_rng(0)
    taken = rng.random((80, 25)) < rng.uniform(0.05, 0.5, 25)
    taken[:, 7] = False
    users, items = (np.tile(a, repeats).astype(np.int32) for a in np.nonzero(taken))
    return build_graph(Interactions.of(users, items, *taken.shape))


def test_at_most_the_candidates_get_a_weight() -> None:
    weights = slim(SLIMConfig(n_candidates=3, l1=0), random_graph()).weights.to_scipy().toarray()
    assert (weights >= 0).all()
    assert not weights.diagonal().any()
    assert not weights[:, 7].any()
    assert 1 <= np.count_nonzero(weights, axis=0).max() <= 3  # column i: what speaks for i
    assert np.count_nonzero(weights, axis=1).max() > 3


def test_no_zeros_are_kept() -> None:
    found = slim(SLIMConfig(l1=3), random_graph()).weights
    assert 0 < len(found.ids) < 25 * 24
    assert (found.weights > 0).all()


def test_a_copy_makes_the_original_superfluous() -> None:
    """Users of item 2 all have item 0; item 1 is like 0 but for noise, and says nothing more once 0 is known."""
    rng = np.random.default_rng(1)
    zero = rng.random(200) < 0.4
    one = np.where(rng.random(200) < 0.1, ~zero, zero)
    users, items = np.nonzero(np.stack([zero, one, zero], axis=1))
    graph = build_graph(Interactions.of(users.astype(np.int32), items.astype(np.int32), 200, 3))
    weights = slim(SLIMConfig(l1=1, l2=0.01), graph).weights.to_scipy().toarray()
    assert weights[0, 2] > 0.9
    assert weights[1, 2] == 0


def test_repeated_events_count_once() -> None:
    once, again = (slim(SLIMConfig(), random_graph(repeats)).weights for repeats in (1, 2))
    np.testing.assert_array_equal(once.ids, again.ids)
    np.testing.assert_array_equal(once.weights, again.weights)


def test_nobody_shares_anything() -> None:
    users = np.arange(3, dtype=np.int32)
    found = slim(SLIMConfig(), build_graph(Interactions.of(users, users, 3, 3)))
    assert found.weights.n_rows == 3
    assert len(found.weights.ids) == 0
