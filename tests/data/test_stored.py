"""A data set folder read in blocks says what the whole one says."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pinfold.data.dataset import Dataset, load_dataset, save_dataset
from pinfold.data.interactions import Interactions
from pinfold.data.stored import open_dataset
from pinfold.data.tables import Table
from pinfold.data.vocab import Vocab
from pinfold.errors import ArtifactError

N_ITEMS = 5000  # more than two blocks of DuckDB's


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    users = np.arange(40, dtype=np.int32).repeat(20)
    items = rng.integers(0, N_ITEMS, 800).astype(np.int32)
    titles = np.array([f"thing {row}" if row % 3 else None for row in range(N_ITEMS)], dtype=object)
    table = Table({"title": titles, "size": np.arange(N_ITEMS), "v": rng.random((N_ITEMS, 3), np.float32)}, N_ITEMS)
    events = Interactions.of(users, items, 40, N_ITEMS)
    user_ids, item_ids = (Vocab([f"x{row}" for row in range(n)], "thing") for n in (40, N_ITEMS))
    dataset = Dataset(events, user_ids, item_ids, Table({}, 40), table, {"name": "odd"})
    save_dataset(dataset, tmp_path / "data")
    return tmp_path / "data"


@pytest.mark.parametrize(("start", "stop"), [(0, N_ITEMS), (0, 0), (2040, 2060), (N_ITEMS - 1, N_ITEMS)])
def test_a_block_is_the_rows_of_the_whole_table(folder: Path, start: int, stop: int) -> None:
    files, whole = open_dataset(folder), load_dataset(folder)
    block = files.block("items", ["v", "title", "size"], start, stop)
    assert list(block.columns) == ["v", "title", "size"]
    assert block.n_rows == stop - start
    for name, column in block.columns.items():
        assert column.tolist() == whole.item_table.columns[name][start:stop].tolist()
    assert files.ids("items", start, stop).tolist() == whole.items.all[start:stop].tolist()


def test_what_is_known_without_reading_tables(folder: Path) -> None:
    files, whole = open_dataset(folder), load_dataset(folder)
    assert (files.n_users, files.n_items) == (40, N_ITEMS)
    assert (files.n_rows("users"), files.n_rows("items")) == (40, N_ITEMS)
    assert np.array_equal(files.interactions.items, whole.interactions.items)
    assert isinstance(files.interactions.items, np.memmap)
    assert files.source == {"name": "odd"}


def test_without_columns_nothing_is_read(folder: Path) -> None:
    files = open_dataset(folder)
    (folder / "items.parquet").unlink()
    assert files.block("items", [], 10, 30).n_rows == 20
    with pytest.raises(ArtifactError, match=r"items\.parquet: cannot be read"):
        files.block("items", ["title"], 10, 30)


def test_columns_and_rows_that_are_not_there(folder: Path) -> None:
    files = open_dataset(folder)
    with pytest.raises(ArtifactError, match=r"items.parquet: no column 'colour' \(found: title, size, v\)"):
        files.block("items", ["colour"], 0, 1)
    bounds: Any
    for bounds in ((-1, 3), (3, 2), (0, 41)):
        with pytest.raises(ValueError, match=r"rows .* of 40 users"):
            files.block("users", [], *bounds)


def test_another_kind_of_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="no such folder"):
        open_dataset(tmp_path / "none")
