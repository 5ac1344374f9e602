"""Content-kNN against cosines of features."""

import numpy as np
import pytest

from pinfold.arrays import Floats
from pinfold.data.interactions import Interactions
from pinfold.graph.bipartite import BipartiteGraph, build_graph
from pinfold.graph.csr import Csr
from pinfold.index.recommender import recommender
from pinfold.models.content_knn import ContentKNNConfig, content_knn, extend_content_knn

CONFIG = ContentKNNConfig()


def features(n: int, seed: int = 0) -> Floats:
    """The third item has none."""
    made = np.random.default_rng(seed).normal(size=(n, 6)).astype(np.float32)
    made[2] = 0
    return made


def test_items_are_directions_and_users_their_mean(graph: BipartiteGraph) -> None:
    content = features(graph.n_items)
    learned = content_knn(CONFIG, graph, content)
    lengths = np.linalg.norm(content, axis=1, keepdims=True)
    units = content / np.maximum(lengths, 1e-30)
    np.testing.assert_allclose(learned.items, units, rtol=1e-6)
    for user in range(graph.n_users):
        np.testing.assert_allclose(learned.users[user], units[graph.user_items.row(user)].mean(axis=0), atol=1e-6)


def test_a_newcomer_is_told_what_a_user_with_the_same_history_is_told(graph: BipartiteGraph) -> None:
    answers = recommender(content_knn(CONFIG, graph, features(graph.n_items)), graph.user_items)
    users = np.arange(graph.n_users, dtype=np.int32)
    known, new = answers.recommend(users, 5), answers.recommend_new(graph.user_items, 5)
    np.testing.assert_array_equal(known.ids, new.ids)
    np.testing.assert_allclose(known.scores, new.scores, rtol=1e-5)


def test_repeated_events_count_once() -> None:
    users, items = np.array([0, 0, 0, 1], np.int32), np.array([0, 0, 1, 1], np.int32)
    content = features(3)
    learned = content_knn(CONFIG, build_graph(Interactions.of(users, items, 2, 3)), content)
    np.testing.assert_allclose(learned.users[0], learned.items[:2].mean(axis=0), rtol=1e-6)


def test_nobody_and_nothing_are_zero() -> None:
    users = np.array([0], np.int32)
    learned = content_knn(CONFIG, build_graph(Interactions.of(users, users, 2, 3)), features(3))
    assert not learned.users[1].any()
    assert not learned.items[2].any()


def test_an_item_that_came_later_needs_only_its_features(graph: BipartiteGraph) -> None:
    content = features(graph.n_items + 4)
    learned = content_knn(CONFIG, graph, content[: graph.n_items])
    grown = extend_content_knn(learned, content[graph.n_items :])
    edges = graph.user_items
    wider = Csr(edges.ptr, edges.ids, edges.weights, graph.n_items + 4)
    afresh = content_knn(CONFIG, BipartiteGraph(wider, wider.transpose()), content)
    np.testing.assert_array_equal(grown.items, afresh.items)
    np.testing.assert_array_equal(grown.history, afresh.history)
    np.testing.assert_array_equal(grown.users, afresh.users)


def test_missing_values_make_nothing_alike(graph: BipartiteGraph) -> None:
    content = features(graph.n_items + 1)
    content[:, 5] = 0
    content[2, 5] = content[3, 5] = 1
    indicators = np.arange(6) == 5
    learned = content_knn(CONFIG, graph, content[:-1], indicators)
    assert not learned.items[:, 5].any()
    assert not learned.items[2].any()  # nothing else is known of it
    content[-1, 5] = 1
    grown = extend_content_knn(learned, content[-1:])
    assert grown.items.shape == (graph.n_items + 1, 6)
    assert not grown.items[:, 5].any()
    with pytest.raises(ValueError, match="indicators"):
        content_knn(CONFIG, graph, content[:-1], indicators[1:])


def test_wrong_features_are_refused(graph: BipartiteGraph) -> None:
    content = features(graph.n_items)
    with pytest.raises(ValueError, match="content_items"):
        content_knn(CONFIG, graph, content[:-1])
    with pytest.raises(TypeError, match="float32"):
        content_knn(CONFIG, graph, content.astype(np.float64))
    broken = content.copy()
    broken[1, 1] = np.nan
    with pytest.raises(ValueError, match="must be finite"):
        content_knn(CONFIG, graph, broken)
    with pytest.raises(ValueError, match="content_items"):
        extend_content_knn(content_knn(CONFIG, graph, content), content[:, :3])
