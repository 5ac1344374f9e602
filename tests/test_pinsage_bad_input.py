"""What is wrong or odd in the data, from the files to the answers: a stated behavior, or an error that names it."""

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pinfold.arrays import Embeddings
from pinfold.data.readers import ImportConfig, Sources, import_files
from pinfold.data.splits import SplitConfig
from pinfold.embedding.artifact import Artifact, read_artifact
from pinfold.errors import DataError, PinfoldError
from pinfold.features.config import FeaturesConfig, NumberColumn, TextColumn
from pinfold.features.encoders import blocks
from pinfold.graph.convolved import Convolved
from pinfold.graph.neighborhoods import NeighborhoodConfig
from pinfold.index.answers import Answers
from pinfold.models.content_knn import ContentKNNConfig
from pinfold.models.pinsage import PinSageConfig
from pinfold.pipeline import train_run
from pinfold.run import DataConfig, RunConfig
from pinfold.sampling.item_batches import ItemNegativesConfig
from pinfold.training.config import TrainConfig

N_ITEMS = 20
PINSAGE = PinSageConfig(
    hidden=8, dim=8, neighborhood=NeighborhoodConfig(size=6, steps=60),
    negatives=ItemNegativesConfig(batch_size=64, n_negatives=10),
)  # fmt: skip
both_models = pytest.mark.parametrize("model", [PINSAGE, ContentKNNConfig()], ids=lambda model: model.name)

Rows = list[tuple[str, str]]
Items = dict[str, dict[str, Any]]


def events() -> Rows:
    """24 users of two tastes, 6 items each."""
    rng = np.random.default_rng(0)
    return [(f"u{u}", f"i{i}") for u in range(24) for i in sorted(rng.permutation(np.arange(u % 2, N_ITEMS, 2))[:6])]


def items() -> Items:
    """What the items are called and cost."""
    return {f"i{i}": {"title": f"{['even', 'odd'][i % 2]} thing {i}", "price": i * 1.5} for i in range(N_ITEMS)}


def run(folder: Path, rows: Rows, table: Items, **options: Any) -> RunConfig:
    """Files, imported, and a run on them; times rise from row to row."""
    lines = ["user,item,time", *(f"{user},{item},{1_600_000_000 + at}" for at, (user, item) in enumerate(rows))]
    (folder / "events.csv").write_text("\n".join(lines) + "\n")
    (folder / "items.jsonl").write_text("".join(json.dumps({"item": i, **row}) + "\n" for i, row in table.items()))
    sources = Sources((folder / "events.csv",), None, folder / "items.jsonl")
    import_files(sources, folder / "data", ImportConfig(time="time"))
    return replace(
        RunConfig(
            data=DataConfig(path=str(folder / "data")),
            model=PINSAGE,
            split=SplitConfig(protocol="none"),
            train=TrainConfig(epochs=2, checkpoint_seconds=0),
        ),
        **options,
    )


def trained(folder: Path, rows: Rows, table: Items, **options: Any) -> Artifact:
    train_run(run(folder, rows, table, **options), folder / "out")
    return read_artifact(folder / "out")


def vectors(artifact: Artifact) -> Embeddings:
    """All finite."""
    learned = artifact.learned
    found = learned.vectors if isinstance(learned, Convolved) else learned
    assert isinstance(found, Embeddings)
    assert np.isfinite(found.items).all()
    assert np.isfinite(found.users).all()
    return found


@both_models
def test_an_item_without_features(tmp_path: Path, model: PinSageConfig | ContentKNNConfig) -> None:
    """It has no row in the item table. PinSage knows it by its neighbors; content-kNN finds it like nothing."""
    table = {name: row for name, row in items().items() if name != "i4"}
    artifact = trained(tmp_path, events(), table, model=model)
    row = artifact.items.row("i4")
    assert vectors(artifact).items[row].any() == (model.name == "pinsage")
    similar = Answers(artifact).similar("i4", 3)
    assert len(similar) == 3
    if model.name == "content-knn":
        assert all(answer.score == 0 for answer in similar)


def test_an_item_without_edges(tmp_path: Path) -> None:
    """All who took it are in the test part: it has a vector by its features, and can be recommended."""
    rows = [*events(), ("u0", "i99")]
    table = {**items(), "i99": {"title": "even thing 99", "price": 3.0}}
    split = SplitConfig(protocol="leave-last-out", min_events=3)
    artifact = trained(tmp_path, rows, table, split=split)
    row = artifact.items.row("i99")
    assert artifact.graph.item_counts()[row] == 0
    assert isinstance(artifact.learned, Convolved)
    assert vectors(artifact).items[row].any()
    everything = Answers(artifact).for_user("u0", 50)
    assert "i99" in [answer.id for answer in everything]


@both_models
def test_an_item_with_neither(tmp_path: Path, model: PinSageConfig | ContentKNNConfig) -> None:
    split = SplitConfig(protocol="leave-last-out", min_events=3)
    artifact = trained(tmp_path, [*events(), ("u0", "i99")], items(), split=split, model=model)
    vectors(artifact)
    assert len(Answers(artifact).similar("i99", 3)) == 3


def test_a_collection_of_one(tmp_path: Path) -> None:
    """It makes no pair, and answers like its only item."""
    rows = [*events(), ("lonely", "i3")]
    artifact = trained(tmp_path, rows, items())
    found = vectors(artifact)
    user, item = artifact.users.row("lonely"), artifact.items.row("i3")
    np.testing.assert_allclose(found.users[user], found.history[item], atol=1e-6)
    assert "i3" not in [answer.id for answer in Answers(artifact).for_user("lonely", 5)]


def test_nothing_but_collections_of_one(tmp_path: Path) -> None:
    rows = [(f"u{i}", f"i{i}") for i in range(N_ITEMS)]
    with pytest.raises(DataError, match="finds no pair of different items; some user must have two items"):
        trained(tmp_path, rows, items())
    assert not (tmp_path / "out").exists()


@both_models
def test_a_column_of_nan(tmp_path: Path, model: PinSageConfig | ContentKNNConfig) -> None:
    """It is no feature, which is noted, and changes nothing."""
    table = {name: {**row, "weight": "NaN"} for name, row in items().items()}
    for at, column in enumerate((table, items())):
        (tmp_path / str(at)).mkdir()
        artifact = trained(tmp_path / str(at), events(), column, model=model, features=NUMBERS if at == 0 else PLAIN)
        assert artifact.encoders is not None
        assert list(blocks(artifact.encoders)) == ["title", "price"]
        if at == 0:
            assert artifact.encoders.notes == ("column 'weight' is no feature: no row has a value",)
            first = vectors(artifact).items
    np.testing.assert_array_equal(vectors(artifact).items, first)


PLAIN = FeaturesConfig(items={"title": TextColumn(), "price": NumberColumn()})
NUMBERS = FeaturesConfig(items={"title": TextColumn(), "price": NumberColumn(), "weight": NumberColumn()})


def test_no_attribute_but_nan(tmp_path: Path) -> None:
    table = {name: {"weight": None} for name in items()}
    with pytest.raises(DataError, match="no attribute of the items can be used as a feature"):
        trained(tmp_path, events(), table)


def test_no_attributes_at_all(tmp_path: Path) -> None:
    with pytest.raises(PinfoldError, match="no attribute of the items can be used as a feature"):
        trained(tmp_path, events(), {name: {} for name in items()})


@both_models
def test_some_nan(tmp_path: Path, model: PinSageConfig | ContentKNNConfig) -> None:
    table = {name: {**row, "price": None if name in ("i1", "i6") else row["price"]} for name, row in items().items()}
    artifact = trained(tmp_path, events(), table, model=model)
    assert artifact.encoders is not None
    assert artifact.encoders.columns["price"].indicator
    vectors(artifact)


def test_an_infinite_number(tmp_path: Path) -> None:
    table = {name: {**row, "price": "inf" if name == "i6" else str(row["price"])} for name, row in items().items()}
    with pytest.raises(DataError, match="column 'price', id 'i6': inf; expected a finite number or none"):
        trained(tmp_path, events(), table, features=PLAIN)


@both_models
def test_a_vector_of_another_length(tmp_path: Path, model: PinSageConfig | ContentKNNConfig) -> None:
    rng = np.random.default_rng(0)
    table = {name: {**row, "image": rng.random(5).tolist()} for name, row in items().items()}
    table["i7"]["image"] = [0.5, 0.25]
    with pytest.raises(DataError, match="column 'image', id 'i7': expected a vector of length 5, found length 2"):
        trained(tmp_path, events(), table, model=model)
    assert not (tmp_path / "out").exists()
    table["i7"]["image"] = None
    (tmp_path / "again").mkdir()
    artifact = trained(tmp_path / "again", events(), table, model=model)
    assert artifact.encoders is not None
    assert "image" in blocks(artifact.encoders)
    with pytest.raises(DataError, match="column 'image', row 0: expected a vector of length 5, found length 4"):
        Answers(artifact).similar_to_fresh({"image": [1.0, 2.0, 3.0, 4.0]}, [], 3)


@both_models
def test_a_text_of_a_megabyte(tmp_path: Path, model: PinSageConfig | ContentKNNConfig) -> None:
    """Only its beginning is read; a word of a megabyte is none."""
    table = items()
    table["i2"]["title"] = "even thing " + "more and more words " * 50_000
    table["i3"]["title"] = "x" * 1_000_000
    artifact = trained(tmp_path, events(), table, model=model, features=PLAIN)
    vectors(artifact)
    answers, started = Answers(artifact), time.perf_counter()
    assert len(answers.similar_to_fresh({"title": table["i2"]["title"]}, [], 3)) == 3
    assert time.perf_counter() - started < 5
    assert len(answers.similar("i3", 3)) == 3


def test_an_isolated_component(tmp_path: Path) -> None:
    """An island of two items: each is all that the other has, and both have answers from everywhere."""
    rows = [*events(), ("island", "a"), ("island", "b"), ("hermit", "c")]
    table = {**items(), **{name: {"title": f"even thing {name}", "price": 1.0} for name in "abc"}}
    artifact = trained(tmp_path, rows, table)
    found = vectors(artifact)
    assert found.items[[artifact.items.row(name) for name in "abc"]].any(axis=1).all()
    answers = Answers(artifact)
    assert len(answers.for_user("island", 50)) == N_ITEMS + 1
    assert len(answers.for_user("hermit", 50)) == N_ITEMS + 2
    fresh = answers.similar_to_fresh({"title": "even thing"}, ["hermit"], 3)
    assert len(fresh) == 3


def test_only_islands(tmp_path: Path) -> None:
    """Users with two items each that nobody else has."""
    rows = [(f"u{i // 2}", f"i{i}") for i in range(N_ITEMS)]
    vectors(trained(tmp_path, rows, items()))


@pytest.mark.parametrize("method", ["walks", "push", "uniform"])
def test_more_neighbors_than_items(tmp_path: Path, method: str) -> None:
    """T = 200 of 20 items is as T = 19."""
    found = []
    for size in (200, 19):
        (tmp_path / str(size)).mkdir()
        near = NeighborhoodConfig(method=method, size=size, steps=60)  # type: ignore[arg-type]
        artifact = trained(tmp_path / str(size), events(), items(), model=replace(PINSAGE, neighborhood=near))
        found.append(vectors(artifact).items)
    np.testing.assert_allclose(found[0], found[1], atol=1e-6)


def test_more_negatives_and_hard_ones_than_items(tmp_path: Path) -> None:
    negatives = ItemNegativesConfig(batch_size=4096, n_negatives=1000, hard=3, curriculum=False)
    vectors(trained(tmp_path, events(), items(), model=replace(PINSAGE, negatives=negatives)))


def test_two_items(tmp_path: Path) -> None:
    """The smallest catalogue that has a pair."""
    rows = [(f"u{u}", name) for u in range(5) for name in ("i0", "i1")]
    table = {name: {"title": f"a thing {name}", "price": at} for at, name in enumerate(("i0", "i1"))}
    vectors(trained(tmp_path, rows, table))
