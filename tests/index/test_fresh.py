"""Items that nobody has trained on, asked about from an artifact on disk."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pinfold.arrays import Embeddings, Floats
from pinfold.data.dataset import Dataset, save_dataset
from pinfold.data.splits import SplitConfig
from pinfold.data.synthetic import two_tastes
from pinfold.data.tables import Table
from pinfold.embedding.artifact import Artifact, read_artifact
from pinfold.errors import ConfigError, DataError
from pinfold.features.encoders import encode, indicators
from pinfold.graph.convolved import Convolved
from pinfold.graph.csr import from_pairs
from pinfold.graph.grow import grow
from pinfold.graph.neighborhoods import NeighborhoodConfig
from pinfold.index.answers import Answers
from pinfold.index.fresh import FreshItems
from pinfold.models.content_knn import ContentKNNConfig
from pinfold.models.item_knn import ItemKNNConfig
from pinfold.models.pinsage import PinSageConfig
from pinfold.models.shelf import ModelConfig, extend
from pinfold.pipeline import train_run
from pinfold.run import DataConfig, RunConfig
from pinfold.sampling.item_batches import ItemNegativesConfig
from pinfold.training.config import TrainConfig

PINSAGE = PinSageConfig(
    hidden=8, dim=8, neighborhood=NeighborhoodConfig(size=6, steps=60),
    negatives=ItemNegativesConfig(batch_size=64, n_negatives=16),
)  # fmt: skip
EVEN: dict[str, Any] = {"title": "even thing", "price": 4.5}


def world() -> Dataset:
    """Two tastes with prices, of which some are missing."""
    plain = two_tastes()
    prices = np.array([None if row % 5 == 0 else float(row % 7) for row in range(40)], dtype=object)
    return replace(plain, item_table=Table({**plain.item_table.columns, "price": prices}, 40))


def trained(model: ModelConfig, folder: Path) -> Artifact:
    save_dataset(world(), folder / "data")
    run = RunConfig(
        data=DataConfig(path=str(folder / "data")),
        model=model,
        split=SplitConfig(protocol="none"),
        train=TrainConfig(epochs=40, learning_rate=0.01, checkpoint_seconds=0),
    )
    train_run(run, folder / "out")
    return read_artifact(folder / "out")


@pytest.fixture(scope="module")
def pinsage(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return trained(PINSAGE, tmp_path_factory.mktemp("pinsage"))


@pytest.fixture(scope="module")
def content_knn(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return trained(ContentKNNConfig(), tmp_path_factory.mktemp("content"))


def features(artifact: Artifact, attributes: dict[str, Any]) -> Floats:
    """Of one item, by way of a table."""
    assert artifact.encoders is not None
    columns = {}
    for name in ("title", "price"):
        columns[name] = np.empty(1, dtype=object)
        columns[name][0] = attributes.get(name)
    return encode(artifact.encoders, Table(columns, 1))


@pytest.mark.parametrize("users", [[], ["user0"], ["user0", "user4", "user8"]])
def test_a_vector_is_that_of_the_grown_model(pinsage: Artifact, users: list[str]) -> None:
    learned = pinsage.learned
    assert isinstance(learned, Convolved)
    found = FreshItems(pinsage).vector(EVEN, users)
    rows = pinsage.users.rows(users)
    takers = from_pairs(np.zeros(len(rows), np.int32), rows, np.ones(len(rows), np.float32), (1, 60))
    grown = grow(learned, pinsage.graph, features(pinsage, EVEN), takers)
    assert found.shape == (8,)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, grown.vectors.items[-1], atol=1e-6)


def test_the_order_of_users_and_how_often_they_are_named_does_not_matter(pinsage: Artifact) -> None:
    fresh = FreshItems(pinsage)
    first = fresh.vector(EVEN, ["user0", "user4"])
    np.testing.assert_array_equal(fresh.vector(EVEN, ["user4", "user0", "user4"]), first)
    assert (fresh.vector(EVEN, ["user1"]) != first).any()


@pytest.mark.parametrize("taste", [0, 1])
def test_what_is_like_it_is_of_its_taste(pinsage: Artifact, content_knn: Artifact, taste: int) -> None:
    attributes = {"title": ["even thing", "odd thing"][taste]}
    for artifact, users in ((pinsage, []), (pinsage, [f"user{taste}", f"user{taste + 2}"]), (content_knn, [])):
        found = FreshItems(artifact).similar(attributes, users, 5)
        assert found.ids.shape == (1, 5)
        assert (found.ids % 2 == taste).all()
        assert (np.diff(found.scores) <= 0).all()
        named = Answers(artifact).similar_to_fresh(attributes, users, 5)
        assert [answer.id for answer in named] == [f"item{row}" for row in found.ids[0]]
        assert [answer.rank for answer in named] == [1, 2, 3, 4, 5]


def test_more_answers_than_items(pinsage: Artifact) -> None:
    assert len(Answers(pinsage).similar_to_fresh(EVEN, [], 50)) == 40


@pytest.mark.parametrize("attributes", [EVEN, {"title": "odd thing"}, {"price": 3.0}, {}])
def test_content_knn_gives_what_it_would_have_learned(content_knn: Artifact, attributes: dict[str, Any]) -> None:
    """A missing price has an indicator, and two things are not alike for that."""
    learned, encoders = content_knn.learned, content_knn.encoders
    assert encoders is not None
    assert indicators(encoders).any()
    takers = content_knn.graph.item_users.take(np.array([0], np.int32))
    grown = extend(ContentKNNConfig(), learned, content_knn.graph, takers, features(content_knn, attributes))
    assert isinstance(grown, Embeddings)
    found = FreshItems(content_knn).vector(attributes)
    np.testing.assert_allclose(found, grown.items[-1], atol=1e-6)
    with pytest.raises(ConfigError, match="by content alone"):
        FreshItems(content_knn).vector(attributes, ["user3"])


@pytest.mark.parametrize("kind", ["pinsage", "content-knn"])
def test_nothing_is_known_of_it(pinsage: Artifact, content_knn: Artifact, kind: str) -> None:
    artifact = pinsage if kind == "pinsage" else content_knn
    assert np.isfinite(FreshItems(artifact).vector({})).all()


def test_what_is_unknown_is_said(pinsage: Artifact) -> None:
    fresh = FreshItems(pinsage)
    with pytest.raises(DataError, match="no user has the id 'nobody'"):
        fresh.vector(EVEN, ["nobody"])
    with pytest.raises(DataError, match=r"no attribute 'colour' \(known: title, price\); leave it out"):
        fresh.vector({**EVEN, "colour": "red"})
    with pytest.raises(DataError, match=r"column 'price', row 0: expected a number, found 'cheap'"):
        fresh.similar({"price": "cheap"}, [], 3)
    assert fresh.vector({**EVEN, "id": "mine"}).tolist() == fresh.vector(EVEN).tolist()


def test_a_user_without_items_says_nothing_of_it(pinsage: Artifact) -> None:
    """Such as one whose events are all in the test part."""
    kept = np.arange(60) != 5
    edges = pinsage.graph.user_items
    owner = np.repeat(np.arange(60), edges.degrees())
    some = edges.only(kept[owner])
    bare = replace(pinsage, graph=type(pinsage.graph)(some, some.transpose()))
    fresh = FreshItems(bare)
    assert isinstance(bare.learned, Convolved)
    assert np.isfinite(fresh.vector(EVEN, ["user5"])).all()


def test_models_without_content_are_refused(tmp_path: Path) -> None:
    artifact = trained(ItemKNNConfig(), tmp_path)
    with pytest.raises(ConfigError, match=r"knows items only by who took them.*train pinsage or content-knn"):
        FreshItems(artifact)
    with pytest.raises(ConfigError, match="knows items only by who took them"):
        Answers(artifact).similar_to_fresh({}, [], 3)
