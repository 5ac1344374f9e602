"""Datasets: saved, loaded, and never half loaded."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pinfold.artifacts import writing
from pinfold.data.dataset import Dataset, load_dataset, save_dataset
from pinfold.data.interactions import Interactions
from pinfold.data.tables import Table
from pinfold.data.vocab import Vocab
from pinfold.errors import ArtifactError

NAMES = [
    "items.npy", "items.parquet", "manifest.json", "source.json", "times.npy", "users.npy", "users.parquet",
    "weights.npy",
]  # fmt: skip
DATASET = Dataset(
    Interactions(
        users=np.array([0, 0, 1, 2], np.int32),
        items=np.array([0, 1, 1, 0], np.int32),
        weights=np.array([1, 2, 0.5, 4], np.float32),
        times=np.array([10, 20, 30, 40], np.int64),
        n_users=3,
        n_items=2,
    ),
    Vocab(["u", "é", "01"], "user"),
    Vocab(["😀", "b"], "item"),
    Table({"age": np.array([30, 40, 50])}, 3),
    Table({"title": np.array(["eins", None], dtype=object)}, 2),
    {"files": [{"name": "événements.csv"}]},
)


def as_plain(dataset: Dataset) -> dict[str, Any]:
    """Everything in a dataset as values that can be compared."""
    events = dataset.interactions
    return {
        "events": [c.tolist() for c in (events.users, events.items, events.weights, events.times)],
        "sizes": (events.n_users, events.n_items),
        "ids": (dataset.users.all.tolist(), dataset.items.all.tolist()),
        "users": {name: column.tolist() for name, column in dataset.user_table.columns.items()},
        "items": {name: column.tolist() for name, column in dataset.item_table.columns.items()},
        "source": dict(dataset.source),
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_dataset(DATASET, tmp_path / "data")
    return tmp_path / "data"


def test_what_was_saved_is_loaded(folder: Path) -> None:
    assert as_plain(load_dataset(folder)) == as_plain(DATASET)
    assert sorted(path.name for path in folder.iterdir()) == NAMES


def test_events_are_mapped_not_copied(folder: Path) -> None:
    assert isinstance(load_dataset(folder).interactions.users, np.memmap)


def test_a_dataset_without_events(tmp_path: Path) -> None:
    nothing = np.zeros(0, np.int32)
    empty = Dataset(
        Interactions.of(nothing, nothing, 0, 0), Vocab([], "user"), Vocab([], "item"), Table({}, 0), Table({}, 0)
    )
    save_dataset(empty, tmp_path / "data")
    assert as_plain(load_dataset(tmp_path / "data")) == as_plain(empty)


def test_the_same_dataset_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        save_dataset(DATASET, tmp_path / name)
    for name in NAMES:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_an_existing_dataset_is_replaced_only_when_asked(folder: Path) -> None:
    other = replace(DATASET, source={"name": "other"})
    with pytest.raises(ArtifactError, match="data: exists already"):
        save_dataset(other, folder)
    assert load_dataset(folder).source == DATASET.source
    save_dataset(other, folder, replace=True)
    assert load_dataset(folder).source == {"name": "other"}


def test_a_table_that_cannot_be_written_leaves_the_older_dataset(folder: Path) -> None:
    with pytest.raises(ArtifactError, match=r"users\.parquet: cannot be written"):
        save_dataset(replace(DATASET, users=Vocab(["a", "b", "\udc80"], "user")), folder, replace=True)
    assert as_plain(load_dataset(folder)) == as_plain(DATASET)
    assert [path.name for path in folder.parent.iterdir()] == ["data"]


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("users", Vocab(["a"], "user")),
        ("items", Vocab(["a", "b", "c"], "item")),
        ("user_table", Table({}, 2)),
        ("item_table", Table({}, 3)),
    ],
)
def test_parts_of_different_sizes_are_refused(part: str, value: object) -> None:
    with pytest.raises(ValueError, match="must be equal"):
        replace(DATASET, **{part: value})  # type: ignore[arg-type]


def test_another_kind_of_folder_is_refused(tmp_path: Path) -> None:
    with writing(tmp_path / "data", "checkpoint") as writer:
        writer.json("source.json", {})
    with pytest.raises(ArtifactError, match="data: expected a dataset, found a checkpoint"):
        load_dataset(tmp_path / "data")


@pytest.mark.parametrize("name", [name for name in NAMES if name != "manifest.json"])
def test_a_dataset_that_lacks_a_file_is_refused_though_its_manifest_fits(folder: Path, name: str) -> None:
    (folder / name).unlink()
    reseal(folder)
    with pytest.raises(ArtifactError, match=f"data: has no {name}"):
        load_dataset(folder)


def reseal(folder: Path) -> None:
    """Write a manifest that fits the files as they are now."""
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"] = {
        path.name: {"bytes": path.stat().st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
        for path in folder.iterdir()
        if path.name != "manifest.json"
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("users.npy", np.array([0, 0, 1, 3], np.int32), r"do not fit together: users must lie in \[0, 3\)"),
        ("users.npy", np.array([0, 0, 1], np.int32), "do not fit together: items must have shape"),
        ("items.npy", np.array([0, 0, 1, -1], np.int32), r"do not fit together: items must lie in \[0, 2\)"),
        ("items.npy", np.array([0, 0, 1, 1]), r"items\.npy must have dtype int32, got int64"),
        ("weights.npy", np.zeros(4, np.float32), "do not fit together: weights must be finite and positive"),
        ("weights.npy", np.ones((4, 1), np.float32), r"weights\.npy must have shape"),
        ("times.npy", np.zeros(5, np.int64), "do not fit together: times must have shape"),
    ],
)
def test_files_that_do_not_fit_together_are_refused(folder: Path, name: str, array: Any, message: str) -> None:
    np.save(folder / name, array)
    reseal(folder)
    with pytest.raises(ArtifactError, match=message):
        load_dataset(folder)


def test_ids_that_do_not_fit_the_events_are_refused(folder: Path) -> None:
    with duckdb.connect() as connection:
        connection.execute(f"COPY (SELECT 'u' AS id) TO '{folder / 'users.parquet'}' (FORMAT parquet)")
    reseal(folder)
    with pytest.raises(ArtifactError, match=r"do not fit together: users must lie in \[0, 1\), found 0 to 2"):
        load_dataset(folder)


def equal_or_refused(folder: Path) -> None:
    """The folder says what it said, or an ArtifactError names it; nothing else ever comes out."""
    try:
        found = as_plain(load_dataset(folder))
    except ArtifactError as error:
        assert str(folder) in str(error)  # noqa: PT017
        return
    assert found == as_plain(DATASET)


DAMAGE = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
FORGED = settings(DAMAGE, max_examples=30)  # these get as far as DuckDB, which takes its time


@DAMAGE
@given(st.sampled_from(NAMES), st.integers(0, 2000), st.integers(1, 255))
def test_any_flipped_byte_is_harmless_or_named(folder: Path, name: str, position: int, mask: int) -> None:
    whole = (folder / name).read_bytes()
    hurt = bytearray(whole)
    hurt[position % len(whole)] ^= mask
    (folder / name).write_bytes(hurt)
    equal_or_refused(folder)
    (folder / name).write_bytes(whole)


@DAMAGE
@example("manifest.json", 0, b"")
@example("users.npy", 0, b"")
@given(st.sampled_from(NAMES), st.integers(0, 2000), st.binary(max_size=5))
def test_any_cut_and_any_tail_is_harmless_or_named(folder: Path, name: str, length: int, tail: bytes) -> None:
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[: length % (len(whole) + 1)] + tail)
    equal_or_refused(folder)
    (folder / name).write_bytes(whole)


@FORGED
@pytest.mark.filterwarnings("ignore")  # numpy warns of odd headers; a forged file may well be odd
@given(st.sampled_from(["users.npy", "weights.npy", "source.json"]), st.integers(0, 400), st.integers(1, 255))
def test_a_forged_file_is_loaded_or_refused_by_name(folder: Path, name: str, position: int, mask: int) -> None:
    # The manifest fits the damaged file, so what stands between the bytes and the caller is the parser alone.
    whole = (folder / name).read_bytes()
    hurt = bytearray(whole)
    hurt[position % len(whole)] ^= mask
    (folder / name).write_bytes(hurt)
    reseal(folder)
    try:
        load_dataset(folder)
    except ArtifactError as error:
        assert str(folder) in str(error)  # noqa: PT017
    (folder / name).write_bytes(whole)
    reseal(folder)
