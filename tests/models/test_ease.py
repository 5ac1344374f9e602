"""EASE against one ridge regression for each item, and what it says when memory is short."""

import numpy as np
import pytest

from pinfold.arrays import Doubles
from pinfold.data.interactions import Interactions
from pinfold.errors import ConfigError
from pinfold.graph.bipartite import BipartiteGraph, build_graph
from pinfold.models.ease import EASEConfig, check_memory, ease, needed_memory

N_USERS, N_ITEMS = 60, 30


def ratings(seed: int = 0) -> Doubles:
    """Zeros and ones; item 7 is nobody's, user 3 has nothing."""
    rng = np.random.default_rng(seed)
    rated = (rng.random((N_USERS, N_ITEMS)) < rng.uniform(0.05, 0.6, N_ITEMS)).astype(np.float64)
    rated[3], rated[:, 7] = 0, 0
    return rated


def graph_of(rated: Doubles, repeats: int = 1) -> BipartiteGraph:
    users, items = (np.tile(a, repeats).astype(np.int32) for a in np.nonzero(rated))
    return build_graph(Interactions.of(users, items, *rated.shape))


def twin(rated: Doubles, l2: float) -> Doubles:
    """Column i: the ridge regression of item i on all other items, by its normal equations."""
    weights = np.zeros((N_ITEMS, N_ITEMS))
    for i in range(N_ITEMS):
        others = np.arange(N_ITEMS) != i
        left = rated[:, others]
        weights[others, i] = np.linalg.solve(left.T @ left + l2 * np.eye(N_ITEMS - 1), left.T @ rated[:, i])
    return weights


@pytest.mark.parametrize("l2", [0.1, 1.0, 20.0])
@pytest.mark.parametrize("block", [1, 7, 1024])
def test_against_ridge_regressions(monkeypatch: pytest.MonkeyPatch, l2: float, block: int) -> None:
    monkeypatch.setattr("pinfold.models.ease.BLOCK", block)
    rated = ratings()
    found = ease(EASEConfig(l2=l2), graph_of(rated, repeats=2))  # events that happen twice count once
    np.testing.assert_allclose(found.weights, twin(rated, l2), atol=2e-5)
    assert (found.weights.diagonal() == 0).all()
    assert found.weights.flags.c_contiguous


def test_an_item_of_nobody_says_nothing() -> None:
    weights = ease(EASEConfig(), graph_of(ratings())).weights
    assert not weights[7].any()
    assert not weights[:, 7].any()


def test_some_weights_are_negative() -> None:
    assert (ease(EASEConfig(), graph_of(ratings())).weights < 0).any()


def test_a_ridge_too_small_for_single_precision() -> None:
    rated = ratings()
    rated[:, 1] = rated[:, 0]  # two equal columns: X'X is singular
    with pytest.raises(ConfigError, match=r"model\.l2 is 1e-30, too small"):
        ease(EASEConfig(l2=1e-30), graph_of(rated))


def test_needed_memory() -> None:
    assert needed_memory(1000) == 4 * 1000**2 + 12 * 1000**2
    assert needed_memory(40_981) == pytest.approx(4 * 40_981**2, rel=0.1)


def test_short_memory_is_said_before_the_work() -> None:
    needed = needed_memory(40_981)
    check_memory(40_981, needed)
    check_memory(40_981, None)  # nobody knows: try
    with pytest.raises(ConfigError) as caught:
        check_memory(40_981, 2_000_000_000)
    for word in ("40,981 items", "7.2 GB", "2.0 GB", "min_item_events", "slim", "gf-cf", "item-knn"):
        assert word in str(caught.value)


def test_the_check_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pinfold.models.ease.available_memory", lambda: 1000)
    monkeypatch.setattr("pinfold.models.ease._gram", lambda _: pytest.fail("began all the same"))
    with pytest.raises(ConfigError, match="30 items needs"):
        ease(EASEConfig(), graph_of(ratings()))
