"""Items that come after training, on every model of the shelf."""

from collections.abc import Mapping
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from scipy import sparse

from pinfold.arrays import Embeddings, Floats
from pinfold.data.interactions import Interactions
from pinfold.data.synthetic import two_tastes
from pinfold.data.tables import Table
from pinfold.errors import ConfigError
from pinfold.features.config import FeaturesConfig
from pinfold.features.content import load_content
from pinfold.features.encoders import encode
from pinfold.graph.bipartite import BipartiteGraph
from pinfold.graph.convolved import Convolved
from pinfold.graph.csr import Csr, from_scipy
from pinfold.graph.interests import Interests
from pinfold.graph.learned import Blend, DenseSimilarity, GraphFilter, ItemSimilarity, Layered, Learned
from pinfold.index.recommender import recommender
from pinfold.models.content_knn import ContentKNNConfig
from pinfold.models.fold_in import grow
from pinfold.models.interface import Context
from pinfold.models.item_knn import ItemKNNConfig
from pinfold.models.pinsage import PinSageConfig
from pinfold.models.popularity import PopularityConfig
from pinfold.models.shelf import BlendConfig, ComputedConfig, ModelConfig, build, compute, extend, member_weights
from pinfold.training.config import TrainConfig
from pinfold.training.loop import train

CONFIGS: list[ModelConfig] = [member() for member in get_args(get_args(ModelConfig)[0])]
every_model = pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
NEW = 4  # the last items of the world


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


def titles(start: int, stop: int | None) -> Table:
    """What the items are called, `even thing 3` or `odd thing 4`: their content."""
    column = two_tastes().item_table.columns["title"][start:stop]
    return Table({"title": column}, len(column))


def context_of(graph: BipartiteGraph) -> Context:
    """The graph's events, and features of its items."""
    edges = graph.user_items
    users = np.repeat(np.arange(edges.n_rows, dtype=np.int32), edges.degrees())
    rows = np.arange(graph.n_items, dtype=np.int32), np.arange(graph.n_users, dtype=np.int32)
    content = load_content(FeaturesConfig(dim=4), titles(0, graph.n_items), Table({}, graph.n_users), *rows)
    return Context(Interactions.of(users, edges.ids, edges.n_rows, edges.n_columns), content)


def features(old: BipartiteGraph, n: int = NEW) -> Floats:
    """Of the first n new items, by the encoders of the old ones."""
    encoders = context_of(old).item_encoders()
    assert encoders is not None
    return encode(encoders, titles(old.n_items, old.n_items + n))


def learn(config: ModelConfig, graph: BipartiteGraph) -> Learned:
    if isinstance(config, ComputedConfig):
        return compute(config, graph, context_of(graph))
    if isinstance(config, BlendConfig):
        return Blend(tuple(learn(member, graph) for member in config.members), member_weights(config))
    model = build(config, graph, 0, context_of(graph))
    # with steps of .03 PinSage's ReLUs fall silent
    train(model, TrainConfig(epochs=40, learning_rate=0.01 if config.name == "pinsage" else 0.03), 0)
    return model.embed()


def old_part(learned: Learned, n: int) -> Mapping[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]]:
    """What stands in the first n items' rows and columns."""
    match learned:
        case Embeddings():
            return {"users": learned.users, "items": learned.items[:n], "history": learned.history[:n]}
        case Layered():
            return {"users": learned.users, "items": learned.items[:n]} | {
                f"layer{k}": layer.items[:n] for k, layer in enumerate(learned.layers)
            }
        case Convolved():
            inputs = {f"inputs{k}": table[:n] for k, table in enumerate(learned.inputs)}
            return {**old_part(learned.vectors, n), **inputs}
        case Interests():
            return {"items": learned.items[:n]}
        case ItemSimilarity():
            return {"weights": learned.weights.to_scipy()[:n, :n].toarray()}
        case DenseSimilarity():
            return {"weights": learned.weights[:n, :n]}
        case GraphFilter():
            normalized = learned.normalized.to_scipy()[:, :n].toarray()
            return {"normalized": normalized, "scale": learned.scale[:n], "factors": learned.factors[:n]}
        case Blend():
            parts = [old_part(member, n) for member in learned.members]
            return {f"{name}{k}": array for k, part in enumerate(parts) for name, array in part.items()}


@every_model
def test_new_items_are_added_and_nothing_old_changes(config: ModelConfig, old: BipartiteGraph, takers: Csr) -> None:
    learned = learn(config, old)
    before = {name: array.copy() for name, array in old_part(learned, old.n_items).items()}
    extended = extend(config, learned, old, takers, features(old))
    assert type(extended) is type(learned)
    for name, array in old_part(extended, old.n_items).items():
        np.testing.assert_array_equal(array, before[name])
        assert array.dtype == before[name].dtype
    for name, array in old_part(extended, old.n_items + NEW).items():
        assert np.isfinite(array).all()
        assert name.startswith(("users", "normalized")) or len(array) == old.n_items + NEW


@every_model
def test_new_items_go_to_those_who_share_the_taste(config: ModelConfig, old: BipartiteGraph, takers: Csr) -> None:
    """And what is like them is of their taste."""
    extended = extend(config, learn(config, old), old, takers, features(old))
    seen = from_scipy(old.user_items.to_scipy()).to_scipy()
    seen.resize((old.n_users, old.n_items + NEW))
    asked = recommender(extended, from_scipy(seen))
    new = np.arange(old.n_items, old.n_items + NEW, dtype=np.int32)
    found = asked.recommend(np.arange(old.n_users, dtype=np.int32), old.n_items + NEW)
    users, places = np.nonzero(np.isin(found.ids, new))
    place = np.full((old.n_users, NEW), found.ids.shape[1])  # of each new item in each list
    place[users, found.ids[users, places] - old.n_items] = places
    liked = np.arange(old.n_users)[:, None] % 2 == new % 2
    if config.name != "popularity":
        assert np.median(place[liked]) < 14
        assert np.median(place[~liked]) > 16
        similar = asked.similar(new, 5)
        assert (similar.ids % 2 == new[:, None] % 2).mean() > 0.9


@every_model
def test_the_same_with_weights_and_from_no_takers(config: ModelConfig, old: BipartiteGraph, takers: Csr) -> None:
    """Weights do not count, no new item changes nothing, and one that nobody took is harmless."""
    learned = learn(config, old)
    heavy = Csr(takers.ptr, takers.ids, takers.weights * 3, takers.n_columns)
    size = old.n_items + NEW
    light, same = (old_part(extend(config, learned, old, given, features(old)), size) for given in (takers, heavy))
    for name, array in light.items():
        np.testing.assert_array_equal(array, same[name])
    nothing = np.zeros(0, np.int32)
    none = extend(config, learned, old, takers.take(nothing), features(old, 0))
    for name, array in old_part(none, size).items():
        np.testing.assert_array_equal(array, old_part(learned, size)[name])
    untaken = Csr(np.zeros(2, np.int64), nothing, np.zeros(0, np.float32), old.n_users)
    for array in old_part(extend(config, learned, old, untaken, features(old, 1)), size).values():
        assert np.isfinite(array).all()


def test_takers_must_be_users_of_the_graph(old: BipartiteGraph) -> None:
    learned = compute(PopularityConfig(), old)
    few = Csr(np.zeros(2, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32), 3)
    with pytest.raises(ValueError, match="takers must have 60 columns"):
        extend(PopularityConfig(), learned, old, few)
    with pytest.raises(ValueError, match="'item-knn' does not learn Embeddings"):
        extend(ItemKNNConfig(), learned, old, from_scipy(old.item_users.to_scipy()[:1]))


def test_vectors_without_takers_cannot_be_extended(old: BipartiteGraph, takers: Csr) -> None:
    learned = compute(PopularityConfig(), old)
    assert isinstance(learned, Embeddings)
    with pytest.raises(ConfigError, match="train it again"):
        extend(PopularityConfig(), replace(learned, takers=None), old, takers)


@pytest.mark.parametrize("config", [PinSageConfig(), ContentKNNConfig()], ids=lambda config: config.name)
def test_models_of_content_need_that_of_new_items(
    config: PinSageConfig | ContentKNNConfig, old: BipartiteGraph, takers: Csr
) -> None:
    if isinstance(config, PinSageConfig):
        learned: Learned = build(config, old, 0, context_of(old)).embed()
    else:
        learned = compute(config, old, context_of(old))
    with pytest.raises(ConfigError, match=f"model '{config.name}' needs the features of new items"):
        extend(config, learned, old, takers)


def test_grow_lets_in_what_is_better_than_the_least() -> None:
    kept = from_scipy(sparse.csr_array([[0, 0.5, 0.3], [0.2, 0, 0], [0, 0, 0]], dtype=np.float32))
    right = from_scipy(sparse.csr_array([[0.3, 0.4], [0.1, 0], [0.1, 0]], dtype=np.float32)).to_scipy()
    below = from_scipy(sparse.csr_array([[1, 0, 0, 0, 2], [0, 3, 0, 0, 0]], dtype=np.float32))
    found = grow(kept, right, below, 2).to_scipy().toarray()
    np.testing.assert_array_equal(
        found,
        np.array(
            [[0, 0.5, 0.3, 0, 0.4], [0.2, 0, 0, 0.1, 0], [0, 0, 0, 0.1, 0], [1, 0, 0, 0, 2], [0, 3, 0, 0, 0]],
            np.float32,
        ),
    )
