"""What each model adds for new items, against its formula or a model that learned them."""

from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
import torch
from scipy import sparse
from torch import nn

from pinfold.arrays import Embeddings, with_length
from pinfold.errors import ConfigError
from pinfold.graph.bipartite import BipartiteGraph
from pinfold.graph.csr import Csr, from_scipy
from pinfold.graph.learned import DenseSimilarity, GraphFilter, ItemSimilarity, Layered
from pinfold.graph.passing import pass_layers
from pinfold.index.layered import propagate
from pinfold.models.ease import EASEConfig
from pinfold.models.gcn import GCN, GCNConfig, SGCConfig
from pinfold.models.gf_cf import GFCFConfig
from pinfold.models.item_knn import ItemKNNConfig
from pinfold.models.lightgcn import LightGCN, LightGCNConfig
from pinfold.models.mf import MFConfig
from pinfold.models.ngcf import NGCF, NGCFConfig
from pinfold.models.pairwise import ObjectiveConfig
from pinfold.models.popularity import PopularityConfig
from pinfold.models.propagation import NORMALIZATIONS, NormalizationName
from pinfold.models.rp3beta import RP3betaConfig
from pinfold.models.shelf import build, compute, extend
from pinfold.models.slim import SLIMConfig

NEW = 4  # the last items of the world
AS_TRAINED = ObjectiveConfig(length_exponent=1)


@pytest.fixture(scope="module")
def old(graph: BipartiteGraph) -> BipartiteGraph:
    """The world before its last items."""
    return BipartiteGraph(*_both(graph.user_items.to_scipy()[:, :-NEW]))


@pytest.fixture(scope="module")
def takers(graph: BipartiteGraph) -> Csr:
    """Who takes them."""
    return from_scipy(graph.item_users.to_scipy()[-NEW:])


def _both(matrix: sparse.csr_array) -> tuple[Csr, Csr]:
    user_items = from_scipy(matrix)
    return user_items, user_items.transpose()


def test_popularity_is_as_if_computed_afresh(graph: BipartiteGraph, old: BipartiteGraph, takers: Csr) -> None:
    extended = extend(PopularityConfig(), compute(PopularityConfig(), old), old, takers)
    afresh = compute(PopularityConfig(), graph)
    assert isinstance(extended, Embeddings)
    assert isinstance(afresh, Embeddings)
    np.testing.assert_array_equal(extended.items, afresh.items)
    np.testing.assert_allclose(extended.history, afresh.history, rtol=1e-6)


def test_item_knn_is_as_if_computed_afresh(graph: BipartiteGraph, old: BipartiteGraph, takers: Csr) -> None:
    """Where nothing has to give way; else there is more than afresh."""
    for n_neighbors in (100, 5):
        config = ItemKNNConfig(n_neighbors=n_neighbors)
        extended, afresh = extend(config, compute(config, old), old, takers), compute(config, graph)
        assert isinstance(extended, ItemSimilarity)
        assert isinstance(afresh, ItemSimilarity)
        found, wanted = (one.weights.to_scipy().toarray() for one in (extended, afresh))
        np.testing.assert_array_equal(found[wanted > 0], wanted[wanted > 0])
        np.testing.assert_array_equal(found[:, -NEW:], wanted[:, -NEW:])
        assert (found[:-NEW] != wanted[:-NEW]).any() == (n_neighbors == 5)
        # what the new items say about the old ones is what they would say afresh
        if n_neighbors == 100:
            np.testing.assert_array_equal(found, wanted)


def test_new_walks_of_rp3beta_are_as_if_computed_afresh(
    graph: BipartiteGraph, old: BipartiteGraph, takers: Csr
) -> None:
    config = RP3betaConfig()
    extended, afresh = extend(config, compute(config, old), old, takers), compute(config, graph)
    assert isinstance(extended, ItemSimilarity)
    assert isinstance(afresh, ItemSimilarity)
    found, wanted = (one.weights.to_scipy().toarray() for one in (extended, afresh))
    np.testing.assert_allclose(found[-NEW:], wanted[-NEW:], rtol=1e-6)
    np.testing.assert_allclose(found[:, -NEW:], wanted[:, -NEW:], rtol=1e-6)


def test_ease_columns_are_exact_and_rows_are_the_weights_minimum(
    graph: BipartiteGraph, old: BipartiteGraph, takers: Csr
) -> None:
    config = EASEConfig(l2=7.0)
    extended, afresh = extend(config, compute(config, old), old, takers), compute(config, graph)
    assert isinstance(extended, DenseSimilarity)
    assert isinstance(afresh, DenseSimilarity)
    np.testing.assert_allclose(extended.weights[:, -NEW:], afresh.weights[:, -NEW:], atol=2e-6)
    taken = graph.user_items.to_scipy().toarray() != 0
    rest = taken[:, :-NEW] - taken[:, :-NEW] @ extended.weights[:-NEW, :-NEW]
    for row in range(-NEW, 0):  # of |rest - x w'|^2 + l2 |w|^2 over w
        x = taken[:, row].astype(np.float64)
        np.testing.assert_allclose(extended.weights[row, :-NEW], x @ rest / (x @ x + config.l2), atol=1e-6)


def test_slim_columns_are_as_if_computed_afresh(graph: BipartiteGraph, old: BipartiteGraph, takers: Csr) -> None:
    config = SLIMConfig(l2=2.0)
    extended, afresh = extend(config, compute(config, old), old, takers), compute(config, graph)
    assert isinstance(extended, ItemSimilarity)
    assert isinstance(afresh, ItemSimilarity)
    found, wanted = (one.weights.to_scipy().toarray() for one in (extended, afresh))
    np.testing.assert_allclose(found[:, -NEW:], wanted[:, -NEW:], atol=1e-6)
    taken = (graph.user_items.to_scipy().toarray() != 0).astype(np.float64)
    rest = taken[:, :-NEW] - taken[:, :-NEW] @ found[:-NEW, :-NEW]
    counts = taken[:, -NEW:].sum(axis=0)[:, None]
    minimum = np.maximum(taken[:, -NEW:].T @ rest - config.l1, 0) / (counts + config.l2)
    np.testing.assert_allclose(found[-NEW:, :-NEW], minimum, atol=1e-6)


@pytest.mark.parametrize("user_exponent", [0.5, 0.3])
def test_a_filter_gets_columns_as_if_made_afresh(
    user_exponent: float, graph: BipartiteGraph, old: BipartiteGraph, takers: Csr
) -> None:
    config = GFCFConfig(user_exponent=user_exponent, n_factors=8)
    learned = compute(config, old)
    extended = extend(config, learned, old, takers)
    assert isinstance(extended, GraphFilter)
    assert isinstance(learned, GraphFilter)
    counts = graph.item_counts()[-NEW:]
    np.testing.assert_allclose(extended.scale[-NEW:], counts**0.3, rtol=1e-6)
    afresh = graph.user_items.degrees()[:, None] ** -user_exponent * counts**-0.5
    found = extended.normalized.to_scipy().toarray()[:, -NEW:]
    taken = found > 0
    np.testing.assert_array_equal(taken, takers.to_scipy().toarray().T > 0)
    ratio = found[taken] / afresh[taken]
    assert ratio.std() / ratio.mean() < 1e-5
    if user_exponent == 0.5:
        assert ratio.mean() == pytest.approx(1, rel=1e-5)
    dense = learned.normalized.to_scipy().toarray()
    values = np.linalg.norm(dense @ learned.factors, axis=0) ** 2 / np.linalg.norm(learned.factors, axis=0) ** 2
    np.testing.assert_allclose(
        extended.factors[-NEW:], found.T @ dense @ learned.factors / values, rtol=1e-3, atol=1e-5
    )


@pytest.mark.parametrize("name", list(NORMALIZATIONS))
@pytest.mark.parametrize("weights", ["uniform", (0.1, 0.6, 0.3), (0.4, 0.6)])
def test_a_new_item_of_lightgcn_is_propagated(
    name: NormalizationName, weights: Literal["uniform"] | tuple[float, ...], old: BipartiteGraph, takers: Csr
) -> None:
    """Through frozen users: they keep their degrees and layers; the item starts from zero."""
    n_layers = 3 if weights == "uniform" else len(weights) - 1
    alphas = (0.25,) * 4 if weights == "uniform" else weights
    config = LightGCNConfig(dim=5, n_layers=n_layers, layer_weights=weights, normalization=name, objective=AS_TRAINED)
    model = LightGCN(config, old, 3)
    extended = extend(config, model.embed(), old, takers)
    assert isinstance(extended, Embeddings)
    left, right = NORMALIZATIONS[name]
    taken = (old.user_items.to_scipy().toarray() != 0).astype(np.float64)
    users, items = (table.detach().double().numpy() for table in (model.users, model.items))
    user_degrees, item_degrees = taken.sum(axis=1), taken.sum(axis=0)
    who = (takers.to_scipy().toarray() != 0).astype(np.float64)
    forth = user_degrees[:, None] ** -left * taken * item_degrees**-right
    back = item_degrees[:, None] ** -left * taken.T * user_degrees**-right
    new = who.sum(axis=1)[:, None] ** -left * who * user_degrees**-right
    vectors, history, layer = np.zeros((NEW, 5)), np.zeros((NEW, 5)), np.zeros((NEW, 5))
    for alpha in alphas[1:]:
        history += alpha * layer * who.sum(axis=1)[:, None] ** -right
        layer = new @ users
        vectors += alpha * layer
        users, items = forth @ items, back @ users
    np.testing.assert_allclose(extended.items[-NEW:], vectors, atol=1e-6)
    np.testing.assert_allclose(extended.history[-NEW:], history, atol=1e-6)


def test_answers_use_the_new_vectors_at_their_length(old: BipartiteGraph, takers: Csr) -> None:
    """Of models without a mapping; for the others see test_fold_in_mapping.py."""
    long, short = (MFConfig(objective=ObjectiveConfig(score="inner", length_exponent=power)) for power in (1, 0.5))
    plain, scaled = (extend(config, build(config, old, 0).embed(), old, takers) for config in (long, short))
    assert isinstance(plain, Embeddings)
    assert isinstance(scaled, Embeddings)
    np.testing.assert_allclose(scaled.items, with_length(plain.items, 0.5), rtol=1e-5)
    np.testing.assert_array_equal(scaled.history, plain.history)


LAYERED: list[NGCFConfig | GCNConfig | SGCConfig] = [
    NGCFConfig(dim=5, layer_sizes=(4, 3), per_side=True, bias=True, objective=AS_TRAINED),
    NGCFConfig(dim=5, layer_sizes=(4, 3), normalize_layers=True, objective=AS_TRAINED),
    NGCFConfig(dim=5, layer_sizes=(4, 3), variant="lecture", objective=AS_TRAINED),
    GCNConfig(dim=5, layer_sizes=(4, 3), objective=AS_TRAINED),
    SGCConfig(dim=5, objective=AS_TRAINED),
]


@pytest.mark.parametrize("config", LAYERED)
def test_a_new_item_passes_through_layers_as_a_new_user_does_when_sides_are_exchanged(
    config: NGCFConfig | GCNConfig | SGCConfig, old: BipartiteGraph, takers: Csr
) -> None:
    encoder = NGCF if isinstance(config, NGCFConfig) else GCN
    model = encoder(config, old, 0)  # type: ignore[arg-type]
    mirror = encoder(config, BipartiteGraph(old.item_users, old.user_items), 0)  # type: ignore[arg-type]
    with torch.no_grad():
        mirror.users, mirror.items = nn.Parameter(model.items.clone()), nn.Parameter(model.users.clone())
        if isinstance(model, NGCF) and isinstance(mirror, NGCF):
            for ours, theirs in (
                (model.first, mirror.first),
                (model.second, mirror.second),
                (model.biases, mirror.biases),
            ):
                for weights in ours:
                    weights.copy_(weights + 0.1 * torch.rand(weights.shape, generator=torch.Generator().manual_seed(1)))
                for number in range(len(ours)):
                    theirs[number].copy_(ours[number ^ 1 if config == LAYERED[0] else number])
    extended, other = extend(config, model.embed(), old, takers), mirror.embed()
    assert isinstance(extended, Layered)
    np.testing.assert_allclose(extended.items[-NEW:], propagate(other, takers), atol=1e-6)
    found = pass_layers(other, other.layers, takers)
    counts = takers.degrees()[:, None] + (0 if isinstance(config, NGCFConfig) else 1)
    right = 0.0 if isinstance(config, NGCFConfig) and config.variant == "lecture" else 0.5
    for layer, before in zip(extended.layers, found, strict=False):
        np.testing.assert_allclose(layer.items[-NEW:], before * counts**-right, atol=1e-6)


def test_layers_without_takers_cannot_be_extended(old: BipartiteGraph, takers: Csr) -> None:
    config = SGCConfig(dim=4)
    learned = build(config, old, 0).embed()
    assert isinstance(learned, Layered)
    with pytest.raises(ConfigError, match="train it again"):
        extend(config, replace(learned, takers=()), old, takers)
