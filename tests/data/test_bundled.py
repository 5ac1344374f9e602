import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from pinfold.artifacts import open_folder
from pinfold.data.bundled import debian, read_collections
from pinfold.data.dataset import Dataset
from pinfold.errors import ArtifactError

REPOSITORY = Path(__file__).parents[2]
FOLDER = REPOSITORY / "src/pinfold/data/debian"


@pytest.fixture(scope="module")
def data() -> Dataset:
    return debian()


def test_counts_are_the_documented_ones(data: Dataset) -> None:
    tags = data.item_table.columns["tags"]
    assert (len(data.users), len(data.items), len(data.interactions)) == (30_627, 13_839, 224_677)
    assert sum(value is not None for value in tags) == 8_597
    counts = data.source["counts"]
    assert [counts[name] for name in ("collections", "items", "events", "items_with_tags")] == [
        30_627, 13_839, 224_677, 8_597,
    ]  # fmt: skip
    assert not data.interactions.timed
    assert set(data.interactions.weights.tolist()) == {1.0}


def test_every_list_has_three_other_packages_and_each_once(data: Dataset) -> None:
    events = data.interactions
    per_list = np.bincount(events.users, minlength=events.n_users)
    per_item = np.bincount(events.items, minlength=events.n_items)
    assert per_list.min() == 3
    assert (per_item == 0).sum() == data.source["counts"]["items_without_events"] == 172
    assert (per_item < 3).sum() == 2_096
    assert len(np.unique(events.users.astype(np.int64) * events.n_items + events.items)) == len(events)
    assert not (data.users.ids(events.users) == data.items.ids(events.items)).any()


def test_rows_are_sorted_by_names(data: Dataset) -> None:
    events = data.interactions
    assert data.users.all.tolist() == sorted(data.users.all)
    assert data.items.all.tolist() == sorted(data.items.all)
    assert (np.lexsort((events.items, events.users)) == np.arange(len(events))).all()


def test_neighbours_of_numpy_include_scipy(data: Dataset) -> None:
    events = data.interactions
    lists = sparse.csc_array((events.weights, (events.users, events.items)), shape=(events.n_users, events.n_items))
    numpy_row = data.items.row("python3-numpy")
    together = (lists.T @ lists[:, [numpy_row]]).toarray()[:, 0]
    cosine = together / np.sqrt(np.maximum(np.bincount(events.items, minlength=events.n_items), 1))
    cosine[numpy_row] = 0
    nearest = data.items.ids(np.argsort(-cosine, kind="stable")[:10].astype(np.int32))
    assert "python3-scipy" in nearest
    columns = data.item_table.columns
    assert columns["section"][numpy_row] == "python"
    assert "implemented-in::python" in columns["tags"][numpy_row]
    titles = data.item_table.titles()
    assert titles is not None
    assert titles[numpy_row] == "Fast array facility to the Python 3 language"


def test_no_string_is_an_address_or_empty(data: Dataset) -> None:
    for table, vocab in ((data.user_table, data.users), (data.item_table, data.items)):
        texts = [*vocab.all, *table.columns["description"], *table.columns["section"]]
        texts += [tag for tags in table.columns.get("tags", ()) for tag in tags or ()]
        assert all(texts)
        assert [text for text in texts if re.search(r"\S@\S+\.\w", text)] == []


@pytest.mark.parametrize("name", ["events.parquet", "collections.parquet", "items.parquet", "source.json"])
def test_damaged_file_is_named(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "debian"
    shutil.copytree(FOLDER, folder)
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(ArtifactError, match=rf"{name}: damaged"):
        read_collections(folder)
    (folder / name).unlink()
    with pytest.raises(ArtifactError, match=rf"{name}: is missing"):
        read_collections(folder)


def test_damaged_package_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pinfold.data.bundled.files", {"pinfold": tmp_path}.__getitem__)
    with pytest.raises(ArtifactError, match=r"no such folder; .*reinstall pinfold"):
        debian()


def test_readme_lists_the_files(data: Dataset) -> None:
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    for name, sha256 in open_folder(FOLDER, "bundled").files.items():
        row = next(line for line in readme.splitlines() if line.startswith(f"| `{name}`"))
        assert sha256 in row
        assert f"{(FOLDER / name).stat().st_size:,}" in row
    assert data.source["dump_sha256"] in readme


def test_package_finds_the_files() -> None:
    names = {path.name for path in (files("pinfold") / "data" / "debian").iterdir()}
    expected = {"events.parquet", "collections.parquet", "items.parquet", "source.json", "manifest.json", "README.md"}
    assert expected <= names


def test_wheel_contains_the_files(tmp_path: Path) -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["build-system"]["build-backend"] == "hatchling.build"
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    environment = {**os.environ, "PINFOLD_NO_WEB": "1"}  # the page takes npm and a minute
    subprocess.run(command, cwd=REPOSITORY, env=environment, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if name.startswith("pinfold/data/debian/")}
        assert packed == {f"pinfold/data/debian/{path.name}" for path in FOLDER.iterdir()}
        runs = {f"pinfold/runs/{path.name}" for path in (REPOSITORY / "runs").glob("*.toml")}
        assert runs <= set(archive.namelist())  # for `pinfold reproduce NAME`
