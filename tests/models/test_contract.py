"""What every model on the shelf promises; a new one is tested as soon as it stands there."""

from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch

from pinfold.arrays import Embeddings, TopK
from pinfold.artifacts import open_folder, writing
from pinfold.data.dataset import Dataset
from pinfold.data.splits import SplitConfig, split_events
from pinfold.embedding.store import read_learned, write_learned
from pinfold.graph.bipartite import BipartiteGraph, build_graph, read_graph, write_graph
from pinfold.graph.learned import GraphFilter, ItemSimilarity, Learned
from pinfold.index.recommender import recommender
from pinfold.models.shelf import ComputedConfig, ModelConfig, TrainedConfig, build, compute
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


def learn(config: ModelConfig, graph: BipartiteGraph, seed: int = 0) -> Learned:
    if isinstance(config, ComputedConfig):
        return compute(config, graph)
    model = build(config, graph, seed)
    train(model, TRAINING, seed)
    return model.embed()


def arrays(learned: Learned) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]]:
    match learned:
        case Embeddings():
            return {"users": learned.users, "items": learned.items, "history": learned.history}
        case ItemSimilarity():
            return {"ptr": learned.weights.ptr, "ids": learned.weights.ids, "weights": learned.weights.weights}
        case GraphFilter():
            names = ("coefficients", "scale", "factors")
            return {name: getattr(learned, name) for name in names} | {
                f"{side}.{name}": getattr(getattr(learned, side), name)
                for side in ("normalized", "transposed")
                for name in ("ptr", "ids", "weights")
            }


def assert_same(first: Learned, second: Learned) -> None:
    assert type(first) is type(second)
    for name, array in arrays(first).items():
        assert array.dtype == arrays(second)[name].dtype
        np.testing.assert_array_equal(array, arrays(second)[name])


def assert_own_taste(config: ModelConfig, found: TopK, users: np.ndarray[tuple[int], np.dtype[np.int32]]) -> None:
    assert (found.ids >= 0).all()
    share = (found.ids % 2 == users[:, None] % 2).mean()
    if config.name == "popularity":
        # Right by chance: each user has 8 of 20 own items, so 12 / (12 + 20) = 0.375 of what is left is of their taste,
        # and a bit less of what is popular, for they have that more often.
        assert 0.2 < share < 0.5
    else:
        assert share > 0.95


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
    assert_own_taste(config, found, users)


@every_model
def test_shapes_and_types(config: ModelConfig, graph: BipartiteGraph) -> None:
    learned = learn(config, graph)
    match learned:
        case Embeddings():
            assert len(learned.users) == graph.n_users
            assert len(learned.items) == len(learned.history) == graph.n_items
            assert all(np.isfinite(array).all() for array in arrays(learned).values())
            assert all(array.flags.c_contiguous for array in arrays(learned).values())
        case ItemSimilarity():
            assert learned.weights.n_rows == learned.weights.n_columns == graph.n_items
            assert np.isfinite(learned.weights.weights).all()


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
    model = build(config, graph, 0)
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
