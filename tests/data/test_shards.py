"""Parquet shards read where they are: the same data set as from text, every bad row named, every bad shard named."""

import csv
import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pinfold.data.dataset import load_dataset
from pinfold.data.readers import ImportConfig, Sources, import_files
from pinfold.data.sql import Limits, workspace
from pinfold.data.stored import open_dataset
from pinfold.errors import DataError

FULL = ImportConfig(weight="weight", time="time", bad_rows="skip")
NAMES = ("user", "item", "weight", "time")
TIME = 1_500_000_000


def shards(folder: Path, rows: Sequence[Sequence[Any]], n: int = 3, types: Sequence[Any] = ()) -> list[Path]:
    schema = pa.schema(list(zip(NAMES, types, strict=True))) if types else None
    paths = []
    for k in range(n):
        part = rows[k * len(rows) // n : (k + 1) * len(rows) // n]
        columns = dict(zip(NAMES, map(list, zip(*part, strict=True)), strict=True))
        paths.append(folder / f"events-{k}.parquet")
        pq.write_table(pa.table(columns, schema=schema), paths[-1], row_group_size=100)
    return paths


def text(path: Path, rows: Sequence[Sequence[Any]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([NAMES, *(["" if value is None else value for value in row] for row in rows)])
    return path


def rejected(folder: Path) -> list[dict[str, str]]:
    with (folder / "rejected.csv").open(newline="", encoding="utf-8") as file:
        return [{name: row[name] for name in ("column", "reason", "found", "expected")} for row in csv.DictReader(file)]


def contents(folder: Path) -> dict[str, str]:
    files = json.loads((folder / "manifest.json").read_text())["files"]
    return {name: one["sha256"] for name, one in files.items() if name not in ("source.json", "rejected.csv")}


def random_rows(n: int = 3000) -> list[tuple[int, int, float, int]]:
    rng = np.random.default_rng(0)
    users, items = rng.integers(1, 60, n).tolist(), rng.integers(-5, 3000, n).tolist()
    return list(zip(users, items, rng.random(n).tolist(), (TIME + rng.integers(0, 99, n)).tolist(), strict=True))


BAD = [
    (None, 1, 1.0, TIME),
    (1, None, 1.0, TIME),
    (1, 1, None, TIME),
    (1, 1, -1.0, TIME),
    (1, 1, float("nan"), TIME),
    (1, 1, float("inf"), TIME),
    (1, 1, 1.0, None),
    (1, 1, 1.0, TIME * 1000),
    (None, None, 0.0, None),
]


@pytest.mark.parametrize("bad", [[], BAD], ids=["clean", "bad"])
@pytest.mark.parametrize("rule", ["sum", "max", "last", "count"])
def test_numbers_give_the_same_folder_as_text(tmp_path: Path, bad: list[Any], rule: Any) -> None:
    rows = random_rows() + bad
    config = ImportConfig(weight="weight", time="time", bad_rows="skip", duplicates=rule, min_weight=0.05)
    types = (pa.int64(), pa.int64(), pa.float64(), pa.int64())
    one = import_files(Sources(shards(tmp_path, rows, types=types)), tmp_path / "one", config)
    two = import_files(Sources([text(tmp_path / "e.csv", rows)]), tmp_path / "two", config)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert (one.rows, one.kept, one.rejected, one.light, one.edges) == (
        two.rows, two.kept, two.rejected, two.light, two.edges
    )  # fmt: skip
    assert one.rejected == len(bad)
    if bad:
        assert rejected(tmp_path / "one") == rejected(tmp_path / "two")


def test_a_bad_row_of_a_shard_is_named_with_its_file_and_row(tmp_path: Path) -> None:
    rows = [(1, 1, 1.0, TIME)] * 500 + [(1, None, 1.0, TIME), (2, 2, 1.0, TIME)]
    paths = shards(tmp_path, rows, 2)
    with pytest.raises(DataError, match=r"events-1.parquet:250: column 'item': no item id: found '', expected an id"):
        import_files(Sources(paths), tmp_path / "out", ImportConfig())
    report = import_files(Sources(paths), tmp_path / "out", ImportConfig(bad_rows="skip"))
    assert (report.rejected, report.kept) == (1, 501)
    assert "events-1.parquet,250,item,no item id," in (tmp_path / "out" / "rejected.csv").read_text()


@pytest.mark.parametrize(
    "types",
    [
        (pa.int32(), pa.uint32(), pa.float32(), pa.int64()),
        (pa.string(), pa.int64(), pa.float64(), pa.float64()),
        (pa.int64(), pa.large_string(), pa.int8(), pa.timestamp("s")),
    ],
)
def test_every_type_of_id_weight_and_time(tmp_path: Path, types: Sequence[Any]) -> None:
    """A column that is no whole number or double is read as its text, as ever."""
    rows = [(user, item % 97, 1, TIME) for user, item, _, _ in random_rows(500)]
    table = pa.table(dict(zip(NAMES, map(list, zip(*rows, strict=True)), strict=True)))
    columns = [table[name].cast(kind) for name, kind in zip(NAMES, types, strict=True)]
    pq.write_table(pa.table(dict(zip(NAMES, columns, strict=True))), tmp_path / "e.parquet")
    import_files(Sources([tmp_path / "e.parquet"]), tmp_path / "one", FULL)
    import_files(Sources([text(tmp_path / "e.csv", rows)]), tmp_path / "two", FULL)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_shards_of_different_types_are_one_data_set(tmp_path: Path) -> None:
    pq.write_table(pa.table({"user": [1, 10], "item": ["01", "1"]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"user": ["10", "x"], "item": [1, 2]}), tmp_path / "b.parquet")
    (tmp_path / "c.parquet.gz").write_bytes(gzip.compress((tmp_path / "b.parquet").read_bytes()))
    names = ("a.parquet", "b.parquet", "c.parquet.gz")
    report = import_files(Sources([tmp_path / name for name in names]), tmp_path / "out", ImportConfig())
    dataset = load_dataset(tmp_path / "out")
    assert dataset.users.all.tolist() == ["1", "10", "x"]
    assert dataset.items.all.tolist() == ["01", "1", "2"]
    assert (report.rows, report.edges) == (6, 3)


def test_the_order_of_shards_and_the_number_of_threads_do_not_matter(tmp_path: Path) -> None:
    paths, found = shards(tmp_path, random_rows()), []
    for n, (files, threads) in enumerate([(paths, 1), (paths[::-1], 1), (paths, 4)]):
        config = ImportConfig(weight="weight", time="time", threads=threads)
        import_files(Sources(files), tmp_path / f"out{n}", config)
        found.append((tmp_path / f"out{n}" / "manifest.json").read_text())
    assert found[0] == found[1] == found[2]


def test_events_and_records_are_not_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pinfold.data import staging

    def look(connection: duckdb.DuckDBPyConnection, *rest: Any) -> None:
        tables = connection.execute("SELECT table_name FROM duckdb_tables() ORDER BY 1").fetchall()
        assert tables == [("items",), ("rejected",), ("users",)]
        sort(connection, *rest)

    sort = staging.sort_edges
    monkeypatch.setattr(staging, "sort_edges", look)
    assert import_files(Sources(shards(tmp_path, random_rows())), tmp_path / "out", FULL).kept == 3000


@pytest.mark.parametrize("where", ["end", "footer", "pages"])
def test_a_damaged_shard_is_named_and_nothing_is_left(tmp_path: Path, where: str) -> None:
    paths = shards(tmp_path, random_rows())
    data = bytearray(paths[1].read_bytes())
    if where == "end":
        data = data[: len(data) * 2 // 3]
    elif where == "footer":
        data[-8:-4] = b"\xff\xff\xff\x7f"
    else:
        data[: len(data) // 2] = b"PAR1" + b"\xff" * (len(data) // 2 - 4)
    paths[1].write_bytes(data)
    with pytest.raises(DataError, match=r"events-1.parquet: cannot be read as Parquet"):
        import_files(Sources(paths), tmp_path / "out", FULL)
    assert sorted(left.name for left in tmp_path.iterdir()) == [path.name for path in paths]


def test_a_shard_without_a_column_and_one_without_rows(tmp_path: Path) -> None:
    paths = shards(tmp_path, random_rows())
    table = pq.read_table(paths[2])
    pq.write_table(table.drop_columns(["item"]), paths[2])
    with pytest.raises(DataError, match=r"events-2.parquet: no column 'item' .*\(found: user, weight, time\)"):
        import_files(Sources(paths), tmp_path / "out", FULL)
    pq.write_table(table.slice(0, 0), paths[2])
    with pytest.raises(DataError, match=r"events-2.parquet: is empty; expected at least one event"):
        import_files(Sources(paths), tmp_path / "out", FULL)
    assert sorted(left.name for left in tmp_path.iterdir()) == [path.name for path in paths]


@pytest.mark.parametrize("name", ["g[1].parquet", "g*.parquet", "g?.parquet", "user=5/item=6/g.parquet"])
@pytest.mark.parametrize("ending", ["", ".gz"])
def test_a_path_is_no_pattern_and_names_no_columns(tmp_path: Path, name: str, ending: str) -> None:
    path = tmp_path / "raw" / name
    path.parent.mkdir(parents=True)
    pq.write_table(pa.table({"user": ["a"], "item": ["other"]}), tmp_path / "raw" / "g1.parquet")
    pq.write_table(pa.table({"user": ["a", "b"], "item": ["x", "y"]}), path)
    if ending:
        path = path.rename(path.with_name(path.name + ending))
        path.write_bytes(gzip.compress(path.read_bytes()))
    out = tmp_path / "seed=3" / "id=[1]"
    import_files(Sources([path]), out, ImportConfig())
    dataset = load_dataset(out)
    assert (dataset.users.all.tolist(), dataset.items.all.tolist()) == (["a", "b"], ["x", "y"])
    assert list(dataset.item_table.columns) == []
    stored = open_dataset(out)
    assert (stored.ids("items", 0, 2).tolist(), stored.columns["items"]) == (["x", "y"], ())


@pytest.mark.parametrize("name", ["items[1].csv", "items[1].jsonl", "items[1].parquet", "price=7/items.csv"])
def test_nor_does_the_path_of_an_item_table(tmp_path: Path, name: str) -> None:
    pq.write_table(pa.table({"user": ["a", "b"], "item": ["x", "y"]}), tmp_path / "e.parquet")
    path = tmp_path / "raw" / name
    path.parent.mkdir(parents=True)
    with duckdb.connect() as connection:
        for file, query in ((path.with_name("items1" + path.suffix), "SELECT 1"), (path, "SELECT 'x' AS item, 2 AS n")):
            kind = {".csv": "csv, HEADER", ".jsonl": "json"}.get(path.suffix, "parquet")
            connection.execute(f"COPY ({query}) TO '{file}' (FORMAT {kind})")
    import_files(Sources([tmp_path / "e.parquet"], item_table=path), tmp_path / "out", ImportConfig())
    columns = load_dataset(tmp_path / "out").item_table.columns
    assert {name: column.tolist() for name, column in columns.items()} == {"n": [2, None]}


@pytest.mark.parametrize("threads", [1, 2])
def test_rows_are_counted_where_a_column_is_named_like_their_numbers(tmp_path: Path, threads: int) -> None:
    items = ["x"] * 300 + [None] + ["y"] * 300
    table = pa.table({"user": ["a"] * 601, "item": items, "File_Row_Number": list(range(601))[::-1]})
    pq.write_table(table, tmp_path / "e.parquet", row_group_size=50)
    config = ImportConfig(bad_rows="skip", threads=threads, weight="File_Row_Number")
    import_files(Sources([tmp_path / "e.parquet"]), tmp_path / "out", config)
    with (tmp_path / "out" / "rejected.csv").open(newline="", encoding="utf-8") as file:
        found = [(row["row"], row["reason"]) for row in csv.DictReader(file)]
    assert found == [("301", "no item id"), ("601", "bad weight")]


def test_an_attribute_named_like_the_numbers_of_rows_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"user": ["a"], "item": ["x"], "file_row_number": [7]}), tmp_path / "e.parquet")
    sources = Sources([tmp_path / "e.parquet"], item_table=tmp_path / "e.parquet")
    with pytest.raises(DataError, match=r"e.parquet: no attribute can be named 'file_row_number'.*rename it"):
        import_files(sources, tmp_path / "out", ImportConfig())


def test_lists_are_no_ids(tmp_path: Path) -> None:
    pq.write_table(pa.table({"user": [["a", "b"]], "item": ["x"]}), tmp_path / "e.parquet")
    with pytest.raises(DataError, match=r"column 'user' holds VARCHAR\[\]; expected ids as text or whole numbers"):
        import_files(Sources([tmp_path / "e.parquet"]), tmp_path / "out", ImportConfig())


def test_queries_over_shards_read_their_ends_once() -> None:
    """A thousand shards would take minutes."""
    with workspace(Limits()) as connection:
        assert connection.execute("SELECT current_setting('parquet_metadata_cache')").fetchall() == [(True,)]
