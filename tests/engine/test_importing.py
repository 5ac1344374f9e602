"""An import by shards makes the folder of a plain import, byte by byte, and says the same of what is wrong."""

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pinfold.cli import main
from pinfold.data.dataset import load_dataset
from pinfold.data.readers import ImportConfig, ImportReport, Sources, import_files
from pinfold.engine import import_events
from pinfold.engine.import_stages import bounds_of, most_of
from pinfold.engine.importing import Workers, import_shards
from pinfold.errors import ConfigError, DataError

NAMES = ("user", "item", "weight", "time")
TIME = 1_500_000_000
BAD = [
    (None, "apple", 1.0, TIME), ("ann", None, 1.0, TIME), ("ann", "apple", None, TIME), ("ann", "apple", -1.0, TIME),
    ("ann", "apple", float("nan"), TIME), ("ann", "apple", 1.0, None), ('a,"b"', "pear", 1.0, TIME * 1000),
]  # fmt: skip
Row = tuple[Any, ...]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pinfold.artifacts.flush", lambda _: None)  # of many small parts; no plug is pulled


@pytest.fixture
def many_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker sends two hundred ids or events at once, and tells few of its ids."""
    monkeypatch.setattr(import_events, "EVENT", 1 << 60)
    monkeypatch.setattr(import_events, "LEAST", 200)
    monkeypatch.setattr(import_events, "SAMPLES", 7)


def text_rows(n: int = 900) -> list[Row]:
    """Ids of one to four bytes a character, long equal beginnings, quotes, a NUL; pairs come again and again."""
    rng = np.random.default_rng(1)
    signs = ["a", "é", "日", "🍎", "'", "~", "Z", "\x00", "x" * 30]
    ids = ["".join(signs[k] for k in rng.integers(0, len(signs), rng.integers(1, 4))) for _ in range(400)]
    users, items = rng.integers(0, 40, n), rng.integers(0, 400, n)
    weights, times = rng.random(n) * 5, TIME + rng.integers(0, 9, n)
    columns = ([ids[k] for k in users], [ids[k] for k in items], weights.tolist(), times.tolist())
    return list(zip(*columns, strict=True))


def number_rows(n: int = 700) -> list[Row]:
    rng = np.random.default_rng(2)
    columns = (rng.integers(1, 90, n), rng.integers(-50, 3000, n), rng.random(n), TIME + rng.integers(0, 9, n))
    return list(zip(*(column.tolist() for column in columns), strict=True))


def shards(folder: Path, rows: Sequence[Row], n: int = 4) -> list[Path]:
    paths = []
    for k in range(n):
        part = rows[k * len(rows) // n : (k + 1) * len(rows) // n]
        columns = dict(zip(NAMES, map(list, zip(*part, strict=True)), strict=True))
        paths.append(folder / f"events-{k}.parquet")
        pq.write_table(pa.table(columns), paths[-1], row_group_size=100)
    return paths


def content(folder: Path) -> dict[str, Any]:
    """The SHA-256 of each file, and of those in Parquet the columns and rows."""
    files = json.loads((folder / "manifest.json").read_text())["files"]
    return {
        name: pq.read_table(folder / name) if name.endswith("parquet") else one["sha256"] for name, one in files.items()
    }


def counted(report: ImportReport) -> dict[str, Any]:
    names = ("rows", "kept", "rejected", "light", "merged", "edges", "users", "items", "unused_attributes", "time")
    return {name: getattr(report, name) for name in names}


def check_same(sources: Sources, config: ImportConfig, folder: Path, sizes: Sequence[int] = (1, 3)) -> ImportReport:
    """Import plainly and by so many workers: the same counts, rows of ids and attributes, and bytes of all else."""
    plain = import_files(sources, folder / "plain", config)
    expected = content(folder / "plain")
    for size in sizes:
        out = folder / f"by{size}"
        report = import_shards(sources, out, config, Workers(size=size))
        assert counted(report) == counted(plain)
        assert content(out) == expected, size
        assert (report.rejected_file is None) == (plain.rejected_file is None)
    assert not list(folder.glob(".*"))
    return plain


@pytest.mark.parametrize(
    ("rule", "sizes"),
    [("sum", (1, 2, 3)), ("max", (2,)), ("last", (3,)), ("count", (6,))],  # 6: more workers than files
)
@pytest.mark.usefixtures("many_rounds")
def test_any_number_of_workers_makes_the_folder_of_a_plain_import(
    tmp_path: Path, rule: Any, sizes: tuple[int, ...]
) -> None:
    rows = text_rows() + BAD
    np.random.default_rng(3).shuffle(rows)
    ids = sorted({row[1] for row in rows if row[1]} | {"nobody's"})
    table = pa.table({"id": ids, "title": [f"thing {id_}" for id_ in ids], "size": list(range(len(ids)))})
    pq.write_table(table, tmp_path / "items.parquet")
    (tmp_path / "users.csv").write_text("user,town\nann,Ulm\nx,Bonn\n")
    sources = Sources(shards(tmp_path, rows), tmp_path / "users.csv", tmp_path / "items.parquet")
    config = ImportConfig(weight="weight", time="time", bad_rows="skip", duplicates=rule, min_weight=0.3)
    report = check_same(sources, config, tmp_path, sizes)
    assert report.rejected == len(BAD)
    assert report.light > 0
    assert report.merged > 0
    assert report.unused_attributes["item"] >= 1


@pytest.mark.parametrize("columns", [{}, {"weight": "weight"}, {"time": "time"}], ids=["bare", "weights", "times"])
@pytest.mark.usefixtures("many_rounds")
def test_ids_that_are_numbers_are_in_the_order_of_their_text(tmp_path: Path, columns: dict[str, Any]) -> None:
    sources = Sources(shards(tmp_path, number_rows()))
    check_same(sources, ImportConfig(**columns), tmp_path, (2,))
    users = load_dataset(tmp_path / "by2").users.all.tolist()
    assert users == sorted(users)
    assert users != sorted(users, key=int)


def test_files_of_different_types_and_a_packed_one(tmp_path: Path) -> None:
    times = {"weight": [1.5, 2.0], "time": [TIME, TIME + 1]}
    pq.write_table(pa.table({"user": [1, 10], "item": ["01", "1"], **times}), tmp_path / "a.parquet")
    texts = {"weight": ["0.1", "2"], "time": ["1500000000", "1500000009.5"]}
    pq.write_table(pa.table({"user": ["10", "x"], "item": [1, 2], **texts}), tmp_path / "b.parquet")
    (tmp_path / "c.parquet.gz").write_bytes(gzip.compress((tmp_path / "b.parquet").read_bytes()))
    sources = Sources([tmp_path / name for name in ("c.parquet.gz", "a.parquet", "b.parquet")])
    check_same(sources, ImportConfig(weight="weight", time="time"), tmp_path)


def test_one_user_and_one_item_leave_the_other_workers_without_rows(tmp_path: Path) -> None:
    check_same(Sources(shards(tmp_path, [("ann", "apple", 1.0, TIME)] * 8)), ImportConfig(), tmp_path)


def test_the_kind_of_times_is_that_of_most_times_of_all_workers(tmp_path: Path) -> None:
    """The second worker alone would take milliseconds."""
    rows = [("ann", f"item{k}", 1.0, TIME + k) for k in range(40)]
    rows[20:30] = [(user, item, weight, time * 1000) for user, item, weight, time in rows[20:30]]
    config = ImportConfig(time="time", bad_rows="skip")
    report = check_same(Sources(shards(tmp_path, rows, 4)), config, tmp_path, (2,))
    assert report.rejected == 10
    assert most_of([{"ms": 2}, {"s": 1}, {"s": 1}]) == "ms"
    assert most_of([{}]) is None


def test_a_bad_row_stops_the_import_as_it_stops_a_plain_one(tmp_path: Path) -> None:
    rows: list[Row] = [("ann", "apple", 1.0, TIME)] * 400
    for place in (7, 150, 151, 270, 300, 301, 399):
        rows[place] = ("ann", None, 1.0, TIME)
    sources, said = Sources(shards(tmp_path, rows)), []
    with pytest.raises(DataError, match=r"events-0.parquet:8: column 'item': no item id") as plain:
        import_files(sources, tmp_path / "out", ImportConfig())
    for size in (1, 3):
        with pytest.raises(DataError) as error:
            import_shards(sources, tmp_path / "out", ImportConfig(), Workers(size=size))
        said.append(str(error.value))
    assert set(said) == {str(plain.value)}
    assert sorted(left.name for left in tmp_path.iterdir()) == [path.name for path in sources.events]


@pytest.mark.parametrize(
    ("rows", "config"),
    [
        ([("ann", None, 1.0, TIME)] * 9, ImportConfig(bad_rows="skip")),
        ([("ann", "apple", 1.0, TIME)] * 9, ImportConfig(weight="weight", min_weight=2.0)),
    ],
    ids=["rejected", "light"],
)
def test_nothing_is_left_of_the_rows(tmp_path: Path, rows: list[Row], config: ImportConfig) -> None:
    sources = Sources(shards(tmp_path, rows, 3))
    with pytest.raises(DataError) as plain:
        import_files(sources, tmp_path / "out", config)
    with pytest.raises(DataError) as ours:
        import_shards(sources, tmp_path / "out", config, Workers(size=2))
    assert str(ours.value) == str(plain.value)


@pytest.mark.parametrize("where", ["end", "footer", "pages"])
def test_a_damaged_shard_is_named_and_nothing_is_left(tmp_path: Path, where: str) -> None:
    paths = shards(tmp_path, number_rows())
    data = bytearray(paths[1].read_bytes())
    if where == "end":
        data = data[: len(data) * 2 // 3]
    elif where == "footer":
        data[-8:-4] = b"\xff\xff\xff\x7f"
    else:
        data[: len(data) // 2] = b"PAR1" + b"\xff" * (len(data) // 2 - 4)
    paths[1].write_bytes(data)
    with pytest.raises(DataError, match=r"events-1.parquet: cannot be read as Parquet"):
        import_shards(Sources(paths), tmp_path / "out", ImportConfig(), Workers(size=2))
    assert sorted(left.name for left in tmp_path.iterdir()) == [path.name for path in paths]


def test_a_shard_without_a_column_one_without_rows_and_none_at_all(tmp_path: Path) -> None:
    paths = shards(tmp_path, number_rows())
    table = pq.read_table(paths[3])
    pq.write_table(table.drop_columns(["item"]), paths[3])
    with pytest.raises(DataError, match=r"events-3.parquet: no column 'item' .*\(found: user, weight, time\)"):
        import_shards(Sources(paths), tmp_path / "out", ImportConfig(), Workers(size=2))
    pq.write_table(table.slice(0, 0), paths[3])
    with pytest.raises(DataError, match=r"events-3.parquet: is empty; expected at least one event"):
        import_shards(Sources(paths), tmp_path / "out", ImportConfig(), Workers(size=2))
    paths[3].unlink()
    with pytest.raises(DataError, match=r"events-3.parquet: no such file"):
        import_shards(Sources(paths), tmp_path / "out", ImportConfig(time="time"), Workers(size=2))


@pytest.mark.parametrize(
    ("name", "made", "message"),
    [
        ("e.csv", {}, "e.csv: workers read Parquet files, not csv; leave --engine away, or write the events as Parq"),
        ("e.parquet", {"size": 0}, "--workers 0: expected at least 1"),
        ("e.parquet", {"engine": "spark"}, "--engine spark: expected local or ray"),
        ("e.parquet", {"address": "host:1"}, "--address goes with --engine ray"),
    ],
)
def test_what_workers_cannot_do(tmp_path: Path, name: str, made: dict[str, Any], message: str) -> None:
    (tmp_path / name).write_text("user,item\n1,2\n")
    with pytest.raises(ConfigError) as error:
        import_shards(Sources([tmp_path / name]), tmp_path / "out", ImportConfig(), Workers(**made))
    assert str(error.value).startswith(message) or f"/{message}" in str(error.value)
    assert [left.name for left in tmp_path.iterdir()] == [name]


def test_too_little_memory_is_said(tmp_path: Path) -> None:
    paths = shards(tmp_path, number_rows())
    with pytest.raises(DataError, match=r"needs more than memory = 1MB; allow more with --memory"):
        import_shards(Sources(paths), tmp_path / "out", ImportConfig(memory="2MB"), Workers(size=2))
    assert sorted(left.name for left in tmp_path.iterdir()) == [path.name for path in paths]


def test_ranges_get_about_as_many_ids_each() -> None:
    """One worker has a thousand ids of which it tells ten, another five: each stands for as many as it should."""
    many = [f"a{k:03d}" for k in range(0, 1000, 100)]
    assert bounds_of([(1000, many), (5, ["z1", "z2", "z3", "z4", "z5"]), (0, [])], 2) == ["a500"]
    assert bounds_of([(3, ["a", "b", "c"])], 3) == ["a", "b"]
    assert bounds_of([(1, ["a"])], 4) == ["a", "a", "a"]
    assert bounds_of([(1, ["a"])], 1) == []


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def run(out: str, *words: str) -> int:
        with pytest.raises(SystemExit) as end:
            main(["import", *map(str, paths), "--time", "time", "--out", str(tmp_path / out), *words])
        return int(end.value.code or 0)

    paths = shards(tmp_path, number_rows(50))
    assert run("none", "--workers", "2") == 1
    assert "--workers and --address go with --engine local or --engine ray" in capsys.readouterr().err
    assert run("one", "--engine", "local", "--workers", "2") == run("two") == 0
    assert content(tmp_path / "one") == content(tmp_path / "two")
