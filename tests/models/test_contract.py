"""What every model on the shelf promises; a new one is tested as soon as it stands there."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch

from pinfold.arrays import Embeddings, TopK
from pinfold.artifacts import open_folder, writing
from pinfold.data.dataset import Dataset
from pinfold.data.interactions import Interactions
from pinfold.data.splits import SplitConfig, split_events
from pinfold.data.synthetic import two_tastes
from pinfold.embedding.store import read_learned, write_learned
from pinfold.errors import ConfigError
from pinfold.features.config import FeaturesConfig
from pinfold.features.content import load_content
from pinfold.graph.bipartite import BipartiteGraph, build_graph, read_graph, write_graph
from pinfold.graph.convolved import Convolved
from pinfold.graph.interests import Interests
from pinfold.graph.learned import Blend, DenseSimilarity, GraphFilter, ItemSimilarity, Layered, Learned
from pinfold.index.recommender import recommender
from pinfold.models.interface import Context
from pinfold.models.shelf import (
    BlendConfig,
    ComputedConfig,
    ModelConfig,
    TrainedConfig,
    build,
    compute,
    member_weights,
)
from pinfold.training.config import TrainConfig
from pinfold.training.loop import train

CONFIGS: list[ModelConfig] = [member() for member in get_args(get_args(ModelConfig)[0])]
TRAINED: list[TrainedConfig] = [member() for member in get_args(TrainedConfig)]
TRAINING = TrainConfig(epochs=40, learning_rate=0.03)

every_model = pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
every_trained_model = pytest.mark.parametrize("config", TRAINED, ids=lambda config: config.name)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """The world is small: a second thread would only wait for the first."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def context_of(graph: BipartiteGraph) -> Context:
    """The graph's events, and the world's titles as features: `even thing 3`, `odd thing 4`."""
    edges, world = graph.user_items, two_tastes()
    users = np.repeat(np.arange(edges.n_rows, dtype=np.int32), edges.degrees())
    rows = np.arange(graph.n_items, dtype=np.int32), np.arange(graph.n_users, dtype=np.int32)
    content = load_content(FeaturesConfig(dim=4), world.item_table, world.user_table, *rows)
    return Context(Interactions.of(users, np.array(edges.ids), edges.n_rows, edges.n_columns), content)


def learn(config: ModelConfig, graph: BipartiteGraph, seed: int = 0) -> Learned:
    if isinstance(config, ComputedConfig):
        return compute(config, graph, context_of(graph), seed)
    if isinstance(config, BlendConfig):
        return Blend(tuple(learn(member, graph, seed) for member in config.members), member_weights(config))
    model = build(config, graph, seed, context_of(graph))
    # with steps of .03 PinSage's ReLUs fall silent
    train(model, replace(TRAINING, learning_rate=0.01) if config.name == "pinsage" else TRAINING, seed)
    return model.embed()


def arrays(learned: Learned) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]]:
    match learned:
        case Embeddings():
            return {"users": learned.users, "items": learned.items, "history": learned.history}
        case Layered():
            # not what is zero whatever the seed: weights that a model does not have, later layers behind ReLU
            return {"users": learned.users, "items": learned.items, "first": learned.layers[0].items}
        case Convolved():
            # not the inputs: content has no seed, and later ones are zero in places whatever the seed
            weights = {f"layer{k}": layer.both for k, layer in enumerate(learned.network.convolutions)}
            return arrays(learned.vectors) | weights
        case Interests():
            return {name: getattr(learned, name) for name in ("items", "ptr", "medoids", "importance")}
        case ItemSimilarity():
            return {"ptr": learned.weights.ptr, "ids": learned.weights.ids, "weights": learned.weights.weights}
        case DenseSimilarity():
            return {"weights": learned.weights}
        case GraphFilter():
            names = ("coefficients", "scale", "factors")
            return {name: getattr(learned, name) for name in names} | {
                f"{side}.{name}": getattr(getattr(learned, side), name)
                for side in ("normalized", "transposed")
                for name in ("ptr", "ids", "weights")
            }
        case Blend():
            members = enumerate(learned.members)
            return {"weights": learned.weights} | {
                f"member{k}.{name}": array for k, member in members for name, array in arrays(member).items()
            }


def assert_same(first: Learned, second: Learned) -> None:
    assert type(first) is type(second)
    for name, array in arrays(first).items():
        assert array.dtype == arrays(second)[name].dtype
        np.testing.assert_array_equal(array, arrays(second)[name])


def assert_own_taste(
    config: ModelConfig, found: TopK, users: np.ndarray[tuple[int], np.dtype[np.int32]], least: float = 0.95
) -> None:
    assert (found.ids >= 0).all()
    share = (found.ids % 2 == users[:, None] % 2).mean()
    if config.name == "popularity":
        # Right by chance: each user has 8 of 20 own items, so 12 / (12 + 20) = 0.375 of what is left is of their taste,
        # and a bit less of what is popular, for they have that more often.
        assert 0.2 < share < 0.5
    else:
        # NGCF has enough parameters to learn single edges by heart as well: .92 to .96 over seeds
        assert share > (0.9 if config.name == "ngcf" else least)


@every_model
def test_learns_two_tastes(config: ModelConfig, graph: BipartiteGraph) -> None:
    users = np.arange(graph.n_users, dtype=np.int32)
    found = recommender(learn(config, graph), graph.user_items).recommend(users, 5)
    assert_own_taste(config, found, users)


@every_model
def test_learns_the_taste_of_newcomers(config: ModelConfig, world: Dataset) -> None:
    split = split_events(world.interactions, SplitConfig(protocol="held-out-collections", test_share=0.3), seed=0)
    assert split.test is not None
    part = split.test.unseal()
    graph, users = build_graph(split.train), part.users()
    given = build_graph(part.given).user_items.take(users)
    found = recommender(learn(config, graph), graph.user_items).recommend_new(given, 5)
    assert len(users) > 10
    assert graph.user_items.degrees()[users].sum() == 0
    # SGC's newcomers pass through its layers with no vector of their own: .92 to .97 over seeds
    assert_own_taste(config, found, users, least=0.9 if config.name == "sgc" else 0.95)


@every_model
def test_shapes_and_types(config: ModelConfig, graph: BipartiteGraph) -> None:
    assert_shapes(learn(config, graph), graph)


def assert_shapes(learned: Learned, graph: BipartiteGraph) -> None:
    match learned:
        case Embeddings():
            assert len(learned.users) == graph.n_users
            assert len(learned.items) == len(learned.history) == graph.n_items
            assert all(np.isfinite(array).all() for array in arrays(learned).values())
            assert all(array.flags.c_contiguous for array in arrays(learned).values())
        case Layered():
            assert len(learned.users) == graph.n_users
            assert len(learned.items) == graph.n_items
            assert all(np.isfinite(array).all() for array in arrays(learned).values())
            assert all(array.flags.c_contiguous for array in arrays(learned).values())
        case Convolved():
            assert_shapes(learned.vectors, graph)
            assert [len(table) for table in learned.inputs] == [graph.n_items] * len(learned.network.convolutions)
            assert all(np.isfinite(table).all() for table in learned.inputs)
        case Interests():
            assert learned.n_users == graph.n_users
            assert len(learned.items) == graph.n_items
        case ItemSimilarity():
            assert learned.weights.n_rows == learned.weights.n_columns == graph.n_items
            assert np.isfinite(learned.weights.weights).all()
        case DenseSimilarity():
            assert learned.weights.shape == (graph.n_items, graph.n_items)
            assert learned.weights.flags.c_contiguous
            assert np.isfinite(learned.weights).all()
        case GraphFilter():
            assert learned.normalized.n_columns == len(learned.scale) == len(learned.factors) == graph.n_items
            assert all(np.isfinite(array).all() for array in arrays(learned).values())
        case Blend():
            assert len(learned.weights) == len(learned.members)
            for member in learned.members:
                assert_shapes(member, graph)


@every_model
def test_same_seed_same_bits(config: ModelConfig, graph: BipartiteGraph) -> None:
    assert_same(learn(config, graph), learn(config, graph))


@every_trained_model
def test_other_seed_other_vectors(config: TrainedConfig, graph: BipartiteGraph) -> None:
    first, second = arrays(learn(config, graph, 0)), arrays(learn(config, graph, 1))
    for name, array in first.items():
        assert (array != second[name]).mean() > 0.9


@every_trained_model
def test_vectors_do_not_change_when_training_goes_on(config: TrainedConfig, graph: BipartiteGraph) -> None:
    model = build(config, graph, 0, context_of(graph))
    vectors = model.embed()
    before = {name: array.copy() for name, array in arrays(vectors).items()}
    train(model, TrainConfig(epochs=1), 0)
    for name, array in arrays(vectors).items():
        np.testing.assert_array_equal(array, before[name])


@every_model
def test_survives_the_disk(config: ModelConfig, graph: BipartiteGraph, tmp_path: Path) -> None:
    learned = learn(config, graph)
    with writing(tmp_path / "out", "artifact") as folder:
        write_learned(folder, learned)
    read = read_learned(open_folder(tmp_path / "out", "artifact"))
    assert_same(read, learned)
    users = np.arange(graph.n_users, dtype=np.int32)
    found = recommender(read, graph.user_items).recommend(users, 5)
    np.testing.assert_array_equal(found.ids, recommender(learned, graph.user_items).recommend(users, 5).ids)


@every_model
def test_learns_the_same_from_a_memory_mapped_graph(config: ModelConfig, graph: BipartiteGraph, tmp_path: Path) -> None:
    with writing(tmp_path / "graph", "graph") as folder:
        write_graph(folder, graph)
    assert_same(learn(config, read_graph(open_folder(tmp_path / "graph"))), learn(config, graph))


NOT_LINEAR = ("ngcf", "gcn")


@every_model
def test_explanations_sum_to_the_scores(config: ModelConfig, graph: BipartiteGraph) -> None:
    asked = recommender(learn(config, graph), graph.user_items)
    users = np.arange(0, graph.n_users, 7, dtype=np.int32)
    if config.name in (*NOT_LINEAR, "blend"):
        with pytest.raises(ConfigError, match="no sum over"):
            asked.explain(0, 1)
        with pytest.raises(ConfigError, match="no sum over"):
            asked.explain_new(graph.user_items.row(0), 1)
        return
    histories = graph.user_items.take(users + 1)
    known, new = asked.recommend(users, 5), asked.recommend_new(histories, 5)
    for row, user in enumerate(users.tolist()):
        for item, score, newcomers_score in zip(known.ids[row], known.scores[row], new.scores[row], strict=True):
            found = asked.explain(user, int(item))
            assert found.items.tolist() == graph.user_items.row(user).tolist()
            assert found.score == pytest.approx(score, rel=1e-4, abs=1e-5)
            other = int(new.ids[row][known.ids[row].tolist().index(item)])
            found = asked.explain_new(histories.row(row), other)
            assert found.score == pytest.approx(newcomers_score, rel=1e-4, abs=1e-5)
            assert found.own == 0


@every_model
def test_explains_only_what_there_is(config: ModelConfig, graph: BipartiteGraph) -> None:
    asked, history = recommender(learn(config, graph), graph.user_items), np.array([3, 1, 3], np.int32)
    for item in (-1, graph.n_items):
        with pytest.raises((ValueError, ConfigError)):
            asked.explain(0, item)
        with pytest.raises((ValueError, ConfigError)):
            asked.explain_new(history, item)
    with pytest.raises((ValueError, ConfigError)):
        asked.explain(graph.n_users, 0)
    with pytest.raises((ValueError, ConfigError)):
        asked.explain_new(np.array([graph.n_items], np.int32), 0)
    if config.name not in (*NOT_LINEAR, "blend"):
        assert asked.explain_new(history, 0).items.tolist() == [1, 3]  # each item once
        assert asked.explain_new(history[:0], 0).score == 0
