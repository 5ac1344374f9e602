"""GF-CF against dense linear algebra."""

import numpy as np
import pytest
from numpy.polynomial import Polynomial
from scipy import sparse

from pinfold.arrays import Doubles
from pinfold.data.interactions import Interactions
from pinfold.graph.bipartite import BipartiteGraph, build_graph
from pinfold.graph.csr import Csr, from_scipy
from pinfold.index.filters import smooth
from pinfold.index.recommender import recommender
from pinfold.models.gf_cf import GFCFConfig, gf_cf


def graph_of(rated: Doubles) -> BipartiteGraph:
    users, items = np.nonzero(rated)
    return build_graph(Interactions.of(users.astype(np.int32), items.astype(np.int32), *rated.shape))


def rows_of(histories: Doubles) -> Csr:
    return from_scipy(sparse.csr_array(histories.astype(np.float32)))


def random_ratings(seed: int = 0, shape: tuple[int, int] = (30, 20)) -> Doubles:
    """Zeros and ones; user 3 and item 4 have none."""
    rated = (np.random.default_rng(seed).random(shape) < 0.25).astype(np.float64)
    rated[3], rated[:, 4] = 0, 0
    return rated


def dense_scores(rated: Doubles, histories: Doubles, config: GFCFConfig) -> Doubles:
    """By eigenvalues: the polynomial of G, and the projection on its leading eigenvectors."""
    users, items = np.maximum(rated.sum(1), 1), np.maximum(rated.sum(0), 1)
    normalized = rated * users[:, None] ** -config.user_exponent / np.sqrt(items)
    values, vectors = np.linalg.eigh(normalized.T @ normalized)
    low_pass = vectors @ np.diag(Polynomial([0, *config.coefficients])(values / values[-1])) @ vectors.T
    n = min(config.n_factors, min(rated.shape) - 1)
    leading = vectors[:, ::-1][:, :n]
    scale = items**config.degree_exponent
    result: Doubles = (histories / scale) @ (low_pass + config.ideal * leading @ leading.T) * scale
    return result


@pytest.mark.parametrize("coefficients", [(1.0,), (2.0, -1.0), (3.0, -3.0, 1.0)])
@pytest.mark.parametrize("user_exponent", [0.0, 0.25, 0.5])
@pytest.mark.parametrize(("n_factors", "ideal"), [(0, 0.5), (5, 0.3), (500, 1.0)])
@pytest.mark.parametrize("exponent", [0.0, 0.3, 0.5])
def test_scores_against_eigenvalues(
    coefficients: tuple[float, ...], user_exponent: float, n_factors: int, ideal: float, exponent: float
) -> None:
    rated = random_ratings()
    config = GFCFConfig(
        coefficients=coefficients,
        user_exponent=user_exponent,
        degree_exponent=exponent,
        n_factors=n_factors,
        ideal=ideal,
    )
    histories = random_ratings(seed=1, shape=(7, 20))
    found = smooth(gf_cf(config, graph_of(rated)), rows_of(histories))
    np.testing.assert_allclose(found, dense_scores(rated, histories, config), atol=2e-5)


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_do_not_change_the_scores(monkeypatch: pytest.MonkeyPatch, threads: int) -> None:
    rated, histories = random_ratings(shape=(700, 600)), rows_of(random_ratings(seed=1, shape=(300, 600)))
    expected = smooth(gf_cf(GFCFConfig(n_factors=5), graph_of(rated)), histories)
    monkeypatch.setattr("pinfold.kernels.parallel.n_threads", lambda: threads)
    np.testing.assert_array_equal(smooth(gf_cf(GFCFConfig(n_factors=5), graph_of(rated)), histories), expected)


def test_newcomers_are_answered_as_users_with_the_same_history() -> None:
    graph = graph_of(random_ratings())
    asked = recommender(gf_cf(GFCFConfig(n_factors=5), graph), graph.user_items)
    users = np.arange(30, dtype=np.int32)
    known, new = asked.recommend(users, 5), asked.recommend_new(graph.user_items, 5)
    np.testing.assert_array_equal(known.ids, new.ids)
    np.testing.assert_array_equal(known.scores, new.scores)


def test_graph_without_edges() -> None:
    graph = graph_of(np.zeros((4, 3)))
    learned = gf_cf(GFCFConfig(user_exponent=0.25, n_factors=2), graph)
    found = recommender(learned, graph.user_items).recommend(np.arange(4, dtype=np.int32), 2)
    assert found.ids.tolist() == [[-1] * 2] * 4


def test_best_items_without_what_was_taken() -> None:
    rated = random_ratings()
    graph = graph_of(rated)
    config = GFCFConfig(n_factors=5)
    scores = dense_scores(rated, rated, config)
    scores[(rated > 0) | (scores <= 1e-6)] = -np.inf
    found = recommender(gf_cf(config, graph), graph.user_items).recommend(np.arange(30, dtype=np.int32), 5)
    for row, line in enumerate(scores):
        expected = [i for i in np.argsort(-line, kind="stable") if line[i] > -np.inf][:5]
        assert found.ids[row].tolist() == expected + [-1] * (5 - len(expected))


def test_repeated_events_count_once() -> None:
    rated = random_ratings()
    users, items = np.nonzero(rated)
    twice = Interactions.of(np.tile(users, 2).astype(np.int32), np.tile(items, 2).astype(np.int32), *rated.shape)
    once, again = (gf_cf(GFCFConfig(n_factors=5), graph) for graph in (graph_of(rated), build_graph(twice)))
    np.testing.assert_array_equal(once.normalized.weights, again.normalized.weights)
    np.testing.assert_array_equal(once.scale, again.scale)
