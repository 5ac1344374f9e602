"""Files and frames in, a Dataset out: formats, ids, rules, order, and what an interrupted import leaves."""

import csv
import gzip
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinfold.data import staging
from pinfold.data.dataset import Dataset, load_dataset
from pinfold.data.interactions import NO_TIME
from pinfold.data.readers import ImportConfig, ImportReport, Sources, import_files, read_frame
from pinfold.data.records import PLACE
from pinfold.errors import ArtifactError, ConfigError, DataError

ROWS = [("u2", "b", 2.0, 1_600_000_000), ("u1", "a", 1.0, 1_500_000_000), ("u1", "b", 0.5, 1_550_000_000)]
FULL = ImportConfig(weight="weight", time="time")
EDGES = {
    ("u1", "a"): (1.0, 1_500_000_000),
    ("u1", "b"): (0.5, 1_550_000_000),
    ("u2", "b"): (2.0, 1_600_000_000),
}


def write(path: Path, text: str) -> Path:
    data = text.encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def table(path: Path, rows: Sequence[Sequence[Any]], delimiter: str = ",") -> Path:
    header = ("user", "item", "weight", "time")[: len(rows[0])]
    return write(path, "".join(delimiter.join(map(str, row)) + "\n" for row in [header, *rows]))


def run(
    tmp_path: Path, events: Path | Sequence[Path], config: ImportConfig = FULL, **tables: Path
) -> tuple[Dataset, ImportReport]:
    paths = [events] if isinstance(events, Path) else list(events)
    report = import_files(Sources(paths, **tables), tmp_path / "out", config, replace=True)
    return load_dataset(tmp_path / "out"), report


def edges(dataset: Dataset) -> dict[tuple[str, str], tuple[float, int]]:
    events = dataset.interactions
    users, items = dataset.users.ids(events.users), dataset.items.ids(events.items)
    values = zip(events.weights.tolist(), events.times.tolist(), strict=True)
    return dict(zip(zip(users, items, strict=True), values, strict=True))


@pytest.mark.parametrize("packed", ["", ".gz"])
@pytest.mark.parametrize("ending", [".csv", ".tsv", ".jsonl", ".ndjson", ".parquet"])
def test_every_format_gives_the_same_edges(tmp_path: Path, ending: str, packed: str) -> None:
    path = tmp_path / f"events{ending}{packed}"
    if ending == ".parquet":
        names = ("user", "item", "weight", "time")
        pq.write_table(pa.table(dict(zip(names, map(list, zip(*ROWS, strict=True)), strict=True))), tmp_path / "plain")
        data = (tmp_path / "plain").read_bytes()
        path.write_bytes(gzip.compress(data) if packed else data)
    elif ending in (".jsonl", ".ndjson"):
        lines = [json.dumps(dict(zip(("user", "item", "weight", "time"), row, strict=True))) for row in ROWS]
        write(path, "\n".join(lines))
    else:
        table(path, ROWS, "\t" if ending == ".tsv" else ",")
    dataset, report = run(tmp_path, path)
    assert edges(dataset) == EDGES
    assert (report.rows, report.kept, report.edges, report.users, report.items) == (3, 3, 3, 2, 2)
    assert dataset.source["files"][0]["name"] == path.name


@pytest.mark.parametrize("name", ["train.txt", "train.txt.gz"])
def test_lists_are_one_event_per_item(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, "0 7 8 9\n1  8\n\n2\n")  # user 2 has no items, which is no fault
    dataset, report = run(tmp_path, path, ImportConfig(format="lists"))
    assert set(edges(dataset)) == {("0", "7"), ("0", "8"), ("0", "9"), ("1", "8")}
    assert report.rejected == 0
    assert (dataset.interactions.times == NO_TIME).all()


def test_the_place_in_a_line_can_be_the_time(tmp_path: Path) -> None:
    path = write(tmp_path / "train.txt", "0 9 7 8\n1 8\n2 5 6 5\n")
    dataset, _ = run(tmp_path, path, ImportConfig(format="lists", time=PLACE))
    times = dict(zip(edges(dataset), dataset.interactions.times.tolist(), strict=True))
    assert times == {
        ("0", "9"): 0, ("0", "7"): 1, ("0", "8"): 2, ("1", "8"): 0, ("2", "5"): 2, ("2", "6"): 1,
    }  # fmt: skip


def test_events_stand_in_the_order_of_rows_and_rows_in_the_order_of_ids(tmp_path: Path) -> None:
    ids = ["é", "Z", "a", "10", "9", "🙂", "ﬀ"]
    dataset, _ = run(tmp_path, table(tmp_path / "e.csv", [(u, i) for u in ids for i in ids]), ImportConfig())
    assert dataset.users.all.tolist() == sorted(ids) == sorted(ids, key=str.encode)
    order = np.lexsort((dataset.interactions.items, dataset.interactions.users))
    assert (order == np.arange(len(ids) ** 2)).all()


FRAMES: dict[str, Callable[[dict[str, Any]], object]] = {
    "pandas": lambda columns: pd.DataFrame(columns),
    "arrow": lambda columns: pa.table(columns),
    "stream": lambda columns: Stream(pa.table(columns)),
    "arrays": lambda columns: {name: np.array(values) for name, values in columns.items()},
    "lists": lambda columns: columns,
}


class Stream:
    """Nothing but the Arrow C stream protocol."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def __arrow_c_stream__(self, schema: object = None) -> object:
        return self._table.__arrow_c_stream__(schema)


@pytest.mark.parametrize("kind", FRAMES)
def test_frames_give_the_same_edges(kind: str) -> None:
    columns = dict(zip(("user", "item", "weight", "time"), map(list, zip(*ROWS, strict=True)), strict=True))
    assert edges(read_frame(FRAMES[kind](columns), FULL)) == EDGES


def test_frames_with_typed_times_and_whole_number_ids() -> None:
    frame = pd.DataFrame({"user": [1, 10, 2], "item": pd.Categorical(["a", "b", "a"])})
    frame["time"] = pd.to_datetime(["2020-01-01 12:00", "2020-01-02 00:00", "2020-07-01 00:00"]).tz_localize(
        "Europe/Berlin"
    )
    dataset = read_frame(frame, ImportConfig(time="time"), item_table=pd.DataFrame({"id": ["a", "c"], "size": [1, 2]}))
    assert dataset.users.all.tolist() == ["1", "10", "2"]
    assert edges(dataset)["1", "a"] == (1.0, int(datetime(2020, 1, 1, 11, tzinfo=UTC).timestamp()))
    assert dataset.item_table.columns["size"].tolist() == [1, None]
    assert dataset.source["report"]["unused_attributes"] == {"item": 1}
    naive = frame.assign(time=frame["time"].dt.tz_localize(None))
    assert edges(read_frame(naive, ImportConfig(time="time", time_zone="Europe/Berlin"))) == edges(dataset)


@pytest.mark.parametrize("bad", [[1, 2], "text", 3, {"user": [1], "item": [1, 2]}, {"user": np.zeros((2, 2))}])
def test_what_is_no_table_is_a_type_error(bad: object) -> None:
    with pytest.raises(TypeError, match=r"expected|must hold"):
        read_frame(bad, ImportConfig())


def test_float_ids_are_refused_with_the_way_out() -> None:
    with pytest.raises(DataError, match="column 'user' holds DOUBLE; expected ids as text or whole numbers; a missing"):
        read_frame(pd.DataFrame({"user": [1.0, None], "item": ["a", "b"]}), ImportConfig())


def test_frames_with_bad_rows_name_the_row() -> None:
    frame = pd.DataFrame({"user": ["u", None], "item": ["a", "b"]})
    with pytest.raises(DataError, match="the events:2: column 'user': no user id"):
        read_frame(frame, ImportConfig())
    assert len(read_frame(frame, ImportConfig(bad_rows="skip")).interactions) == 1


def test_ids_stay_as_they_are(tmp_path: Path) -> None:
    ids = [
        "01",
        "1",
        "1.0",
        " x ",
        "NULL",
        "nan",
        "None",
        'a"b',
        "a,b",
        "a\nb",
        "a\r\nb",
        "é",
        "\u00a0",
        "true",
        "A",
        "a",
    ]
    with (tmp_path / "e.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("user", "item"), *((name, name) for name in ids)])
    dataset, _ = run(tmp_path, tmp_path / "e.csv", ImportConfig())
    assert set(edges(dataset)) == {(name, name) for name in ids}


def test_json_numbers_stay_as_they_are_written(tmp_path: Path) -> None:
    path = write(tmp_path / "e.jsonl", '{"user": 1, "item": 1.0}\n{"user": "01", "item": 12345678901234567890123}\n')
    dataset, _ = run(tmp_path, path, ImportConfig())
    assert set(edges(dataset)) == {("1", "1.0"), ("01", "12345678901234567890123")}


def test_a_byte_order_mark_and_other_columns_do_not_matter(tmp_path: Path) -> None:
    path = write(tmp_path / "e.csv", "\ufeffnote,item,user\nx,a,u\n\n,b,u\n")
    assert set(edges(run(tmp_path, path, ImportConfig())[0])) == {("u", "a"), ("u", "b")}


text_ids = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(text_ids, text_ids), min_size=1, max_size=12))
def test_any_text_id_comes_back(tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[str, str]]) -> None:
    folder = tmp_path_factory.mktemp("ids")
    with (folder / "e.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("user", "item"), *pairs])
    dataset, report = run(folder, folder / "e.csv", ImportConfig())
    assert set(edges(dataset)) == set(pairs)
    assert report.merged == len(pairs) - len(set(pairs))


@pytest.mark.parametrize(("rule", "weight"), [("sum", 7.5), ("max", 4.0), ("last", 2.5), ("count", 3.0)])
def test_duplicates_are_merged_by_the_stated_rule(tmp_path: Path, rule: Any, weight: float) -> None:
    path = table(tmp_path / "e.csv", [("u", "a", 1, 10), ("u", "a", 2.5, 30), ("u", "a", 4, 20), ("u", "b", 9, 5)])
    dataset, report = run(tmp_path, path, ImportConfig(weight="weight", time="time", duplicates=rule))
    assert edges(dataset)["u", "a"] == (weight, 30)
    assert report.merged == 2
    assert dataset.source["config"]["duplicates"] == rule


def test_without_weights_a_pair_weighs_its_events(tmp_path: Path) -> None:
    dataset, _ = run(tmp_path, table(tmp_path / "e.csv", [("u", "a"), ("u", "a"), ("v", "a")]), ImportConfig())
    assert edges(dataset) == {("u", "a"): (2.0, NO_TIME), ("v", "a"): (1.0, NO_TIME)}


@pytest.mark.parametrize("step", [1, 2, 3, 7])
def test_pairs_are_merged_across_pieces(tmp_path: Path, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging, "STEP", step)
    rows = [("u", "a", 1, 1)] * 5 + [("u", "b", 1, 1)] + [("v", "a", 1, 1)] * 3
    dataset, _ = run(tmp_path, table(tmp_path / "e.csv", rows))
    assert edges(dataset) == {("u", "a"): (5.0, 1), ("u", "b"): (1.0, 1), ("v", "a"): (3.0, 1)}


def test_light_events_are_left_out(tmp_path: Path) -> None:
    dataset, report = run(tmp_path, table(tmp_path / "e.csv", ROWS), ImportConfig(weight="weight", min_weight=1))
    assert set(edges(dataset)) == {("u1", "a"), ("u2", "b")}
    assert (report.rows, report.light, report.kept) == (3, 1, 2)
    with pytest.raises(DataError, match="none of the 3 events weighs at least min_weight = 5"):
        run(tmp_path, table(tmp_path / "e.csv", ROWS), ImportConfig(weight="weight", min_weight=5))


@pytest.mark.parametrize(
    ("text", "zone", "second"),
    [
        ("1577872800", "Europe/Berlin", 1577872800),
        ("1577872800.9", "UTC", 1577872800),
        ("1577872800999", "UTC", 1577872800),
        ("1577872800999999", "UTC", 1577872800),
        ("1577872800999999999", "UTC", 1577872801),  # a double holds a nanosecond time to 256 ns
        ("-1.5", "UTC", -2),
        ("2020-01-01T10:00:00Z", "Europe/Berlin", 1577872800),
        ("2020-01-01 10:00:00", "UTC", 1577872800),
        ("2020-01-01 10:00:00", "Europe/Berlin", 1577869200),
        ("2020-01-01T10:00:00.75+02:00", "UTC", 1577865600),
        ("2020-01-01T10:00:00-0530", "UTC", 1577892600),
        ("2020-01-01", "UTC", 1577836800),
    ],
)
def test_times_become_utc_seconds(tmp_path: Path, text: str, zone: str, second: int) -> None:
    path = table(tmp_path / "e.csv", [("u", "a", 1, text)])
    dataset, _ = run(tmp_path, path, ImportConfig(time="time", time_zone=zone))
    assert dataset.interactions.times.tolist() == [second]


def test_the_folder_depends_on_the_rows_alone(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = [(f"u{u}", f"i{i}", w, t) for u, i, w, t in zip(*rng.integers(1, 40, (4, 3000)), strict=True)]
    weights = rng.random(3000)
    rows = [(u, i, w, t) for (u, i, _, t), w in zip(rows, weights.tolist(), strict=True)]
    one, two = table(tmp_path / "one.csv", rows[:1000]), table(tmp_path / "two.csv", rows[1000:])
    manifests = []
    for n, (files, threads) in enumerate([([one, two], 1), ([two, one], 1), ([one, two], 4)]):
        out = tmp_path / f"out{n}"
        import_files(Sources(files), out, ImportConfig(weight="weight", time="time", threads=threads))
        manifests.append((out / "manifest.json").read_text())
    assert manifests[0] == manifests[1] == manifests[2]


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_attributes_are_joined_on_the_id_and_keep_their_types(tmp_path: Path, ending: str) -> None:
    columns = {"item": ["01", "z", "c"], "title": ["One, two", None, "C"], "price": [1.5, 2.0, None], "n": [1, 2, 3]}
    path = tmp_path / f"items{ending}"
    frame = pd.DataFrame(columns)
    if ending == ".parquet":
        pq.write_table(pa.table(columns | {"tags": [["x", "y"], None, []]}), path)
    elif ending == ".jsonl":
        write(
            path,
            "\n".join(json.dumps(dict(zip(columns, row, strict=True))) for row in zip(*columns.values(), strict=True)),
        )
    else:
        frame.to_csv(path, sep="\t" if ending == ".tsv" else ",", index=False)
    events = table(tmp_path / "e.csv", [("u", "1"), ("u", "01"), ("u", "c")])
    dataset, report = run(tmp_path, events, ImportConfig(), item_table=path)
    assert dataset.items.all.tolist() == ["01", "1", "c"]
    got = {name: column.tolist() for name, column in dataset.item_table.columns.items()}
    assert got.pop("tags", [["x", "y"], None, []]) == [["x", "y"], None, []]
    assert got == {"title": ["One, two", None, "C"], "price": [1.5, None, None], "n": [1, None, 3]}
    assert report.unused_attributes == {"item": 1}


def test_dates_among_the_attributes_become_text(tmp_path: Path) -> None:
    users = write(tmp_path / "users.csv", "id,born,vip\nu,2001-02-03,true\n")
    dataset, _ = run(tmp_path, table(tmp_path / "e.csv", [("u", "a")]), ImportConfig(), user_table=users)
    assert {name: column.tolist() for name, column in dataset.user_table.columns.items()} == {
        "born": ["2001-02-03"],
        "vip": [True],
    }


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("items.csv", "item,title\na,1\nb,2\na,3\n", "the item 'a' stands in more than one row"),
        ("items.csv", "name,title\na,1\n", r"no column 'item' or 'id' to join on \(found: name, title\)"),
        ("items.csv", "item,id\na,1\n", "has both 'item' and 'id'"),
        ("items.csv", "item,ID\na,1\n", "has both 'item' and 'ID'"),
        ("items.csv", "", "is empty"),
        ("items.txt", "item\na\n", "expected a table ending in"),
        ("items.parquet", "item\na\n", "cannot be read as a table"),
        ("items.jsonl", '{"item": ', "cannot be read as a table"),
    ],
)
def test_a_bad_attribute_table_is_a_data_error(tmp_path: Path, name: str, text: str, message: str) -> None:
    path = write(tmp_path / name, text)
    with pytest.raises(DataError, match=message):
        run(tmp_path, table(tmp_path / "e.csv", [("u", "a")]), ImportConfig(), item_table=path)
    assert not (tmp_path / "out").exists()


def test_an_interrupted_import_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = table(tmp_path / "e.csv", ROWS)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    for name in ("load_text", "sort_edges", "merged_edges"):
        monkeypatch.setattr(staging, name, interrupt)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path, path)
        monkeypatch.undo()
        assert [left.name for left in tmp_path.iterdir()] == ["e.csv"]


def test_a_folder_is_replaced_only_when_asked(tmp_path: Path) -> None:
    path = table(tmp_path / "e.csv", ROWS)
    run(tmp_path, path)
    with pytest.raises(ArtifactError, match="exists already"):
        import_files(Sources([path]), tmp_path / "out", FULL)
    with pytest.raises(DataError):
        run(tmp_path, write(tmp_path / "bad.csv", "user,item,weight,time\n,,,\n"))
    assert edges(load_dataset(tmp_path / "out")) == EDGES  # the old folder survives a failed import


def test_progress_names_the_stages(tmp_path: Path) -> None:
    stages: list[str] = []
    path = table(tmp_path / "e.csv", ROWS)
    import_files(Sources([path]), tmp_path / "out", FULL, progress=stages.append)
    assert stages[0] == "reading e.csv"
    assert "numbering users" in stages


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (ImportConfig(duplicates="last"), "name the time column with --time"),
        (ImportConfig(min_weight=3), "min_weight needs weights"),
        (ImportConfig(weight="weight", min_weight=float("nan")), "min_weight = nan: expected a finite number"),
        (ImportConfig(item="user"), "user and item are both to be read from column 'user'"),
        (ImportConfig(format="lists", weight="weight"), "have neither weight nor time"),
        (ImportConfig(format="lists", time="when"), "or say --time place"),
        (ImportConfig(time_zone="Mars/Base"), "time_zone = 'Mars/Base': Unknown TimeZone"),
        (ImportConfig(memory="much"), "memory = 'much'"),
    ],
)
def test_options_that_cannot_be(tmp_path: Path, config: ImportConfig, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        run(tmp_path, table(tmp_path / "e.csv", ROWS), config)


def test_sources_want_files_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no event file"):
        Sources([])
    with pytest.raises(ConfigError, match="is named twice"):
        Sources([tmp_path / "e.csv", tmp_path / "x" / ".." / "e.csv"])


def test_too_little_memory_is_a_data_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def starve(*_: object) -> None:
        raise duckdb.OutOfMemoryException("Out of Memory Error: no")

    monkeypatch.setattr(staging, "sort_edges", starve)
    with pytest.raises(DataError, match="needs more than memory = 1GB; allow more with --memory"):
        run(tmp_path, table(tmp_path / "e.csv", ROWS))


def test_files_and_arrays_need_neither_pandas_nor_pyarrow(tmp_path: Path) -> None:
    pq.write_table(pa.table({"user": ["u"], "item": ["i"]}), tmp_path / "e.parquet")
    program = """
import sys
sys.modules["pandas"] = sys.modules["pyarrow"] = None
from pathlib import Path
from pinfold.data.dataset import load_dataset
from pinfold.data.readers import ImportConfig, Sources, import_files, read_frame
folder = Path(sys.argv[1])
files = [folder / "e.csv", folder / "e.parquet"]
import_files(Sources(files, item_table=folder / "items.csv"), folder / "out", ImportConfig())
assert load_dataset(folder / "out").item_table.columns["title"].tolist() == ["I"]
assert len(read_frame({"user": ["u"], "item": ["i"]}, ImportConfig()).interactions) == 1
assert "torch" not in sys.modules
"""
    table(tmp_path / "e.csv", [("u", "i")])
    write(tmp_path / "items.csv", "id,title\ni,I\n")
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
