"""Attribute tables: what is written is read, types and order kept."""

from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from pinfold.data.tables import Table, read_table, write_table
from pinfold.data.vocab import Vocab
from pinfold.errors import ArtifactError

ODD = ["01", "1", "", "é", "e\u0301", "😀", "a\0b", "'; DROP", '"', "a,b\n", "\ufeff", "\u202e"]


def objects(values: list[Any]) -> Any:
    column = np.empty(len(values), dtype=object)
    for row, value in enumerate(values):
        column[row] = value
    return column


def through(folder: Path, ids: list[str], **columns: Any) -> tuple[Vocab, Table]:
    path = folder / "items.parquet"
    write_table(path, Vocab(ids, "item"), Table(columns, len(ids)))
    return read_table(path, "item")


def test_odd_ids_come_back_in_row_order(tmp_path: Path) -> None:
    assert through(tmp_path, ODD)[0].all.tolist() == ODD


def test_many_rows_keep_their_order(tmp_path: Path) -> None:
    ids = [f"{row * 7919 % 10_007}" for row in range(10_007)]  # longer than a block of DuckDB's
    vocab, table = through(tmp_path, ids, place=np.arange(10_007))
    assert vocab.all.tolist() == ids
    assert table.columns["place"].tolist() == list(range(10_007))


def test_numbers_stay_numbers_and_gaps_stay_gaps(tmp_path: Path) -> None:
    columns = {
        "year": np.array([1999, 2001]),
        "price": np.array([0.1, -2.5]),
        "title": objects(["a", None]),
        "pages": objects([3, None]),
        "free": objects([True, False]),
        "tags": objects([["x"], ["y"]]),
        "more": objects([["x", "y"], None]),
        "none": objects([None, None]),
    }
    vocab, table = through(tmp_path, ["p", "q"], **columns)
    assert vocab.all.tolist() == ["p", "q"]
    assert {name: column.tolist() for name, column in table.columns.items()} == {
        name: column.tolist() for name, column in columns.items()
    }
    assert table.columns["year"].dtype == np.int64
    assert table.columns["price"].dtype == np.float64
    assert table.columns["free"].dtype == object
    assert table.n_rows == 2


@pytest.mark.parametrize("columns", [{}, {"title": objects([])}])
def test_a_table_without_rows(tmp_path: Path, columns: dict[str, Any]) -> None:
    vocab, table = through(tmp_path, [], **columns)
    assert len(vocab) == table.n_rows == 0
    assert list(table.columns) == list(columns)


def test_ids_alone_are_a_table(tmp_path: Path) -> None:
    write_table(tmp_path / "x.parquet", Vocab(["a"], "item"), None)
    vocab, table = read_table(tmp_path / "x.parquet", "item")
    assert vocab.all.tolist() == ["a"]
    assert table.columns == {}


@pytest.mark.parametrize("shape", [(3,), (3, 1), (2, 1, 1), ()])
def test_a_column_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"column 'title' must have shape \(2,\), or \(2, D\) of numbers"):
        Table({"title": np.zeros(shape)}, 2)


def test_a_matrix_of_objects_is_refused() -> None:
    with pytest.raises(ValueError, match=r"must have shape \(2,\), or \(2, D\) of numbers, got object"):
        Table({"title": np.zeros((2, 3), dtype=object)}, 2)


def test_lists_of_floats_of_one_length_are_a_matrix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pinfold.data.columns.STEP", 50)  # several blocks, the last one short
    matrix = np.random.default_rng(0).random((101, 7)).astype(np.float32)
    matrix[3, 2] = np.nan  # is a number here; the features say what is wrong with it
    lists = objects(np.nan_to_num(matrix).astype(np.float64).tolist())
    read = through(tmp_path, list(map(str, range(101))), vector=matrix, lists=lists)[1].columns
    assert read["vector"].dtype == read["lists"].dtype == np.float32
    assert np.array_equal(read["vector"], matrix, equal_nan=True)
    assert np.array_equal(read["lists"], np.nan_to_num(matrix))


OTHER = [[[1.5], [1.5, 2.5]], [[1.5, 2.0], None], [[1.5, None], [2.0, 1.0]], [[], []], [[1, 2], [3, 4]], [["a"], ["b"]]]


@pytest.mark.parametrize("lists", OTHER)
def test_other_lists_stay_lists(tmp_path: Path, lists: list[Any]) -> None:
    column = through(tmp_path, ["a", "b"], values=objects(lists))[1].columns["values"]
    assert column.dtype == object
    assert column.tolist() == lists


def test_numbers_beyond_64_bits_stay_whole(tmp_path: Path) -> None:
    with duckdb.connect() as connection:
        query = "SELECT 'a' AS id, 18446744073709551615::UBIGINT AS big, 1.5::DECIMAL(4, 1) AS price, 3::SMALLINT AS n"
        connection.execute(f"COPY ({query}) TO '{tmp_path / 'x.parquet'}' (FORMAT parquet)")
    columns = read_table(tmp_path / "x.parquet", "item")[1].columns
    assert columns["big"].tolist() == [2**64 - 1]
    assert columns["n"].dtype == np.int64


def test_large_and_small_numbers_of_one_column_stay_apart(tmp_path: Path) -> None:
    with duckdb.connect() as connection:
        query = "SELECT id, (9223372036854775806 + id::UBIGINT)::UBIGINT AS big FROM (VALUES ('1'), ('2'), ('3')) t(id)"
        connection.execute(f"COPY ({query}) TO '{tmp_path / 'x.parquet'}' (FORMAT parquet)")
    columns = read_table(tmp_path / "x.parquet", "item")[1].columns
    assert columns["big"].tolist() == [2**63 - 1, 2**63, 2**63 + 1]


@pytest.mark.parametrize("names", [["id"], ["ID"], ["title", "Title"], ["File_Row_Number"]])
def test_columns_that_files_could_not_tell_apart_are_refused(names: list[str]) -> None:
    # A column `id` would be read as the ids.
    with pytest.raises(ValueError, match="columns must differ in more than case, and none is named 'id'"):
        Table(dict.fromkeys(names, np.zeros(2)), 2)


@pytest.mark.parametrize(
    ("columns", "title"),
    [
        ({"name": objects(["n"]), "title": objects(["t"])}, ["t"]),
        ({"description": objects(["d"]), "name": objects(["n"])}, ["n"]),
        ({"description": objects([None])}, [None]),
        ({"year": np.array([3])}, None),
    ],
)
def test_titles(columns: dict[str, Any], title: list[str] | None) -> None:
    found = Table(columns, 1).titles()
    assert title is None if found is None else found.tolist() == title


@pytest.mark.parametrize(
    "query",
    [
        "SELECT 'a' AS name",  # no ids
        "SELECT unnest(['a', 'a']) AS id",
        "SELECT unnest(['a', NULL]) AS id",
        "SELECT unnest([1, 2]) AS id",
        "SELECT ['a'] AS id",
    ],
)
def test_a_table_without_distinct_text_ids_is_refused(tmp_path: Path, query: str) -> None:
    path = tmp_path / "items.parquet"
    with duckdb.connect() as connection:
        connection.execute(f"COPY ({query}) TO '{path}' (FORMAT parquet)")
    with pytest.raises(ArtifactError, match=r"items\.parquet: not a table of items with distinct ids"):
        read_table(path, "item")


@pytest.mark.parametrize("data", [b"", b"PAR1", b"id\na\n", b"PAR1" + bytes(40) + b"PAR1"])
def test_a_file_that_is_not_parquet_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "items.parquet").write_bytes(data)
    with pytest.raises(ArtifactError, match=r"items\.parquet: not a table of items"):
        read_table(tmp_path / "items.parquet", "item")


def test_what_cannot_be_written_is_an_artifact_error(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"items\.parquet: cannot be written"):
        through(tmp_path / "nowhere", ["a"])
    with pytest.raises(ArtifactError, match=r"items\.parquet: cannot be written"):
        through(tmp_path, ["\udc80"])  # half a character
