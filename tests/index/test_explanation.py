"""Scores taken apart. That the parts sum to the score: tests/models/test_contract.py."""

from dataclasses import replace

import numpy as np
import pytest

from pinfold.arrays import Embeddings, Floats
from pinfold.graph.bipartite import BipartiteGraph
from pinfold.graph.csr import Csr, from_pairs
from pinfold.graph.learned import Layered
from pinfold.index.explanation import Explanation, checked_history, checked_user
from pinfold.index.filters import smooth
from pinfold.index.recommender import recommender
from pinfold.index.vectors import newcomers
from pinfold.models.ease import EASEConfig, ease
from pinfold.models.gcn import SGCConfig
from pinfold.models.gf_cf import GFCFConfig, gf_cf
from pinfold.models.item_knn import ItemKNNConfig, item_knn
from pinfold.models.lightgcn import LightGCN, LightGCNConfig
from pinfold.models.pairwise import ObjectiveConfig
from pinfold.models.popularity import PopularityConfig, popularity
from pinfold.models.propagation import NORMALIZATIONS, NormalizationName
from pinfold.models.shelf import build

USER, ITEM = 3, 8
HISTORY = np.array([5, 2, 11, 2], np.int32)


def vectors(n: int, seed: int) -> Floats:
    return np.random.default_rng(seed).normal(size=(n, 3)).astype(np.float32)


def taken(rows: list[list[int]], n_items: int = 12) -> Csr:
    users = np.repeat(np.arange(len(rows)), [len(row) for row in rows]).astype(np.int32)
    items = np.array([item for row in rows for item in row], np.int32)
    return from_pairs(users, items, np.ones(len(items), np.float32), (len(rows), n_items))


def test_a_score_is_the_sum_of_its_parts() -> None:
    found = Explanation(np.array([1, 4], np.int32), np.array([0.5, -0.25], np.float32), 2.0)
    assert found.score == 2.25
    with pytest.raises(ValueError, match="terms must have shape"):
        Explanation(np.array([1], np.int32), np.zeros(2, np.float32))


def test_what_may_be_asked() -> None:
    assert checked_history(HISTORY, 0, 12).tolist() == [2, 5, 11]
    assert checked_user(2, 3) == 2
    for history, item in ((HISTORY, 11), (-HISTORY, 0), (HISTORY[:1], 8), (HISTORY[:1], -1)):
        with pytest.raises(ValueError, match="must lie in"):
            checked_history(history, item, 11 if item == 11 else 8)
    for user in (-1, 3):
        with pytest.raises(ValueError, match="user must lie in"):
            checked_user(user, 3)


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
def test_a_newcomers_vector_and_the_terms_of_their_scores(exponent: float) -> None:
    learned = Embeddings(vectors(4, 0), vectors(12, 1), vectors(12, 2), exponent)
    seen = taken([[1], [], [0, 1], [2, 5, 11]])
    found = newcomers(learned, seen)
    np.testing.assert_allclose(found[3], learned.history[[2, 5, 11]].sum(axis=0) * 3**-exponent, rtol=1e-5)
    assert not found[1].any()
    asked = recommender(learned, seen)
    terms = learned.history[[2, 5, 11]] @ learned.items[ITEM] * 3**-exponent
    new, known = asked.explain_new(HISTORY, ITEM), asked.explain(USER, ITEM)
    for one in (new, known):
        assert one.items.tolist() == [2, 5, 11]
        np.testing.assert_allclose(one.terms, terms, rtol=1e-5)
    assert new.own == 0
    assert known.own == pytest.approx((learned.users[USER] - found[USER]) @ learned.items[ITEM], rel=1e-4)
    nobody = asked.explain(1, ITEM)
    assert len(nobody.terms) == 0
    assert nobody.own == pytest.approx(learned.users[1] @ learned.items[ITEM], rel=1e-5)


@pytest.mark.parametrize("name", list(NORMALIZATIONS))
def test_lightgcns_own_part_is_the_own_vector(name: NormalizationName, graph: BipartiteGraph) -> None:
    """e_u = alpha_0 E_u + what the items give, so nothing else is left over."""
    weights = (0.4, 0.3, 0.2, 0.1)
    model = LightGCN(LightGCNConfig(dim=6, n_layers=3, layer_weights=weights, normalization=name), graph, 1)
    learned = model.embed()
    own = 0.4 * model.users.detach().numpy()[USER] @ learned.items[ITEM]
    assert recommender(learned, graph.user_items).explain(USER, ITEM).own == pytest.approx(own, rel=1e-3, abs=1e-5)


def test_popularity_scores_are_counts_for_everybody(graph: BipartiteGraph) -> None:
    asked = recommender(popularity(PopularityConfig(), graph), graph.user_items)
    found = asked.explain_new(HISTORY, ITEM)
    np.testing.assert_allclose(found.terms, graph.item_counts()[ITEM] / 3, rtol=1e-6)
    assert asked.explain(USER, ITEM).own == pytest.approx(0, abs=1e-5)


def test_similarities_are_the_terms(graph: BipartiteGraph) -> None:
    near, full = item_knn(ItemKNNConfig(n_neighbors=3), graph), ease(EASEConfig(), graph)
    dense = near.weights.to_scipy().toarray()
    speaks = np.flatnonzero(dense[:, ITEM])[0]
    history = np.append(HISTORY, speaks).astype(np.int32)
    for learned, weights in ((near, dense), (full, full.weights)):
        found = recommender(learned, graph.user_items).explain_new(history, ITEM)
        np.testing.assert_array_equal(found.terms, weights[np.unique(history), ITEM])
        assert found.terms.any()


@pytest.mark.parametrize("n_factors", [0, 6])
def test_a_filters_terms_are_what_each_item_alone_gives(n_factors: int, graph: BipartiteGraph) -> None:
    config = GFCFConfig(n_factors=n_factors, degree_exponent=0.3, user_exponent=0.4)
    learned = gf_cf(config, graph)
    found = recommender(learned, graph.user_items).explain_new(HISTORY, ITEM)
    alone = smooth(learned, taken([[2], [5], [11]], graph.n_items))[:, ITEM]
    np.testing.assert_allclose(found.terms, alone, rtol=1e-4)


def test_linear_layers_with_biases(graph: BipartiteGraph) -> None:
    """What a bias adds comes from no item: it is the newcomer's own part."""
    learned = build(SGCConfig(dim=4, n_layers=2, objective=ObjectiveConfig(length_exponent=1)), graph, 0).embed()
    assert isinstance(learned, Layered)
    layers = tuple(replace(layer, bias=vectors(4, 7)[:, 0]) for layer in learned.layers)
    asked = recommender(replace(learned, layers=layers), graph.user_items)
    histories = taken([[2, 5, 11]], graph.n_items)
    best = asked.recommend_new(histories, 3)
    for item, score in zip(best.ids[0], best.scores[0], strict=True):
        found = asked.explain_new(HISTORY, int(item))
        assert found.own != 0
        assert found.score == pytest.approx(score, rel=1e-4, abs=1e-6)
