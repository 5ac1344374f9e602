"""Every kind of bad row: named with file, row and column, or listed in rejected.csv."""

import csv
import gzip
from pathlib import Path

import numpy as np
import pytest

from pinfold.data import staging
from pinfold.data.dataset import load_dataset
from pinfold.data.readers import ImportConfig, ImportReport, Sources, import_files
from pinfold.errors import DataError

FULL = ImportConfig(weight="weight", time="time")
HEAD = b"user,item,weight,time\n"
GOOD = b"u1,a,1,1500000000\n"

BAD_ROWS = {  # name: (file, row, column, reason, found)
    "no user": (HEAD + GOOD + b",a,1,1500000000\n" + GOOD, 3, "user", "no user id", ""),
    "no item": (HEAD + GOOD + b'u1,"",1,1500000000\n' + GOOD, 3, "item", "no item id", ""),
    "no weight": (HEAD + GOOD + b"u1,a,,1500000000\n", 3, "weight", "no weight", ""),
    "weight is text": (HEAD + GOOD + b"u1,a,many,1500000000\n", 3, "weight", "bad weight", "many"),
    "weight is zero": (HEAD + GOOD + b"u1,a,0,1500000000\n", 3, "weight", "bad weight", "0"),
    "weight is negative": (HEAD + GOOD + b"u1,a,-1,1500000000\n", 3, "weight", "bad weight", "-1"),
    "weight is nan": (HEAD + GOOD + b"u1,a,nan,1500000000\n", 3, "weight", "bad weight", "nan"),
    "weight is infinite": (HEAD + GOOD + b"u1,a,inf,1500000000\n", 3, "weight", "bad weight", "inf"),
    "weight beyond float32": (HEAD + GOOD + b"u1,a,1e39,1500000000\n", 3, "weight", "bad weight", "1e39"),
    "no time": (HEAD + GOOD + b"u1,a,1,\n", 3, "time", "no time", ""),
    "time is text": (HEAD + GOOD + b"u1,a,1,yesterday\n", 3, "time", "bad time", "yesterday"),
    "time is NaT": (HEAD + GOOD + b"u1,a,1,NaT\n", 3, "time", "bad time", "NaT"),
    "time is infinite": (HEAD + GOOD + b"u1,a,1,infinity\n", 3, "time", "bad time", "infinity"),
    "time is huge": (HEAD + GOOD + b"u1,a,1,1e300\n", 3, "time", "bad time", "1e300"),
    "no such day": (HEAD + GOOD + b"u1,a,1,2020-02-30\n", 3, "time", "bad time", "2020-02-30"),
    "another unit": (HEAD + GOOD * 2 + b"u1,a,1,1500000000000\n", 4, "time", "time of another kind", "1500000000000"),
    "a date among numbers": (HEAD + GOOD * 2 + b"u1,a,1,2020-01-01\n", 4, "time", "time of another kind", "2020-01-01"),
    "too few columns": (HEAD + GOOD + b"u1,a\n" + GOOD, 3, "", "wrong number of columns", "2 columns"),
    "too many columns": (HEAD + GOOD + b"u1,a,1,1500000000,x\n", 3, "", "wrong number of columns", "5 columns"),
    "text after a quote": (HEAD + GOOD + b'u1,"a"b,1,1500000000\n' + GOOD, 3, "", "broken quoting", None),
    "quote never closed": (HEAD + GOOD + b'"u1,a,1,1500000000\n' + GOOD, 3, "", "broken quoting", None),
    "not UTF-8": (HEAD + GOOD + b"u\xe9,a,1,1500000000\n", 3, "user", "not UTF-8", "u\\udce9"),
}


def attempt(tmp_path: Path, name: str, data: bytes, config: ImportConfig) -> ImportReport:
    path = tmp_path / name
    path.write_bytes(data)
    return import_files(Sources([path]), tmp_path / "out", config)


def skipping(**options: str) -> ImportConfig:
    return ImportConfig(bad_rows="skip", **options)  # type: ignore[arg-type]


def rejected(tmp_path: Path) -> list[dict[str, str]]:
    with (tmp_path / "out" / "rejected.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("kind", BAD_ROWS)
def test_a_bad_row_stops_the_import_and_is_named(tmp_path: Path, kind: str) -> None:
    data, row, column, reason, found = BAD_ROWS[kind]
    with pytest.raises(DataError) as stopped:
        attempt(tmp_path, "events.csv", data, FULL)
    first, line = str(stopped.value).splitlines()
    assert first.startswith("1 row cannot be used; correct them, or leave them out with --bad-rows skip")
    where = f"{tmp_path / 'events.csv'}:{row}: " + (f"column {column!r}: " if column else "")
    assert line.startswith(f"{where}{reason}: found {'' if found is None else repr(found)}")
    assert ", expected " in line
    assert [left.name for left in tmp_path.iterdir()] == ["events.csv"]


@pytest.mark.parametrize("kind", BAD_ROWS)
def test_a_bad_row_is_skipped_and_listed(tmp_path: Path, kind: str) -> None:
    data, row, column, reason, found = BAD_ROWS[kind]
    report = attempt(tmp_path, "events.csv", data, skipping(weight="weight", time="time"))
    (listed,) = rejected(tmp_path)
    assert (listed["file"], listed["row"], listed["column"]) == ("events.csv", str(row), column)
    assert listed["reason"] == reason
    assert found is None or listed["found"] == found
    assert report.rejected_file == tmp_path / "out" / "rejected.csv"
    assert (report.rejected, report.kept) == (1, data.splitlines(keepends=True).count(GOOD))
    text = data.splitlines()[row - 1].decode("utf-8", "surrogateescape").encode("utf-8", "backslashreplace").decode()
    assert listed["text"].replace('"', "") == text.replace('"', "")
    assert load_dataset(tmp_path / "out").source["report"]["rejected"] == 1


def test_a_message_shows_five_rows_and_counts_all(tmp_path: Path) -> None:
    with pytest.raises(DataError) as stopped:
        attempt(tmp_path, "events.csv", HEAD + GOOD + b",a,1,1500000000\n" * 7, FULL)
    lines = str(stopped.value).splitlines()
    assert lines[0].startswith("7 rows cannot be used")
    assert [line.split(":")[1] for line in lines[1:6]] == ["3", "4", "5", "6", "7"]
    assert lines[6] == "... and 2 more"


def test_rows_are_lines_even_after_line_breaks_in_quotes(tmp_path: Path) -> None:
    data = b'user,item\r\n"a\r\nb",x\r\n\r\n"c\nd",\r\n' + b"u,i\r\n" * 5000 + b'"e\n\n",\r\nu,\r\n'
    attempt(tmp_path, "events.csv", data, skipping())
    assert [row["row"] for row in rejected(tmp_path)] == ["5", "5007", "5010"]


def test_a_line_break_in_quotes_may_stand_anywhere(tmp_path: Path) -> None:
    """A record that begins in one block of lines and ends in the next is whole."""
    data = b"user,item\n" + b"u,i\n" * 4094 + b'"long\nid",i\n' * 3 + b"u,i\n"
    report = attempt(tmp_path, "events.csv", data, ImportConfig())
    assert (report.rows, report.users) == (4098, 2)


def test_a_broken_quote_costs_one_line(tmp_path: Path) -> None:
    data = b'user,item\n"u,i\n' + b"v,i\n" * 9000 + b'w,"i" \nx,i\n'
    report = attempt(tmp_path, "events.csv", data, skipping())
    assert [row["row"] for row in rejected(tmp_path)] == ["2", "9003"]
    assert report.kept == 9001


@pytest.mark.parametrize(
    ("line", "column", "reason"),
    [
        (b'{"user": "u", "item": ', "", "broken JSON"),
        (b'["u", "i"]', "", "broken JSON"),
        (b"[" * 100_000, "", "broken JSON"),
        (b'{"user": "u"}', "item", "no item id"),
        (b'{"user": null, "item": "i"}', "user", "no user id"),
        (b'{"user": NaN, "item": "i"}', "user", "no user id"),
        (b'{"user": {"id": 1}, "item": "i"}', "user", "wrong type"),
        (b'{"user": true, "item": "i"}', "user", "wrong type"),
        (b'{"user": "\\ud800", "item": "i"}', "user", "not UTF-8"),
        (b'{"user": "\xff", "item": "i"}', "user", "not UTF-8"),
    ],
)
def test_bad_json_lines(tmp_path: Path, line: bytes, column: str, reason: str) -> None:
    data = b'{"user": "u", "item": "i"}\n\n' + line + b'\n{"user": "v", "item": "i"}\n'
    report = attempt(tmp_path, "events.jsonl", data, skipping())
    (listed,) = rejected(tmp_path)
    assert (listed["row"], listed["column"], listed["reason"]) == ("3", column, reason)
    assert report.kept == 2


def test_a_list_line_with_other_bytes_loses_those_events_only(tmp_path: Path) -> None:
    report = attempt(tmp_path, "train.txt", b"u a b\nv a \xff\n", skipping(format="lists"))
    (listed,) = rejected(tmp_path)
    assert (listed["row"], listed["reason"], listed["found"]) == ("2", "not UTF-8", "\\udcff")
    assert report.kept == 3


@pytest.mark.parametrize("name", ["events.csv.gz", "events.jsonl.gz", "events.txt.gz"])
def test_a_cut_off_gzip_keeps_what_came_before(tmp_path: Path, name: str) -> None:
    lines = {
        "events.csv.gz": "user,item\n" + "".join(f"u{n},i{n * 7919 % 1000}\n" for n in range(50_000)),
        "events.jsonl.gz": "".join(f'{{"user": {n}, "item": {n * 7919 % 1000}}}\n' for n in range(50_000)),
        "events.txt.gz": "".join(f"{n} {n * 7919 % 1000}\n" for n in range(50_000)),
    }
    data = gzip.compress(lines[name].encode())[:-20_000]
    form = "lists" if ".txt" in name else "auto"
    with pytest.raises(DataError, match="file cut off: found 'Compressed file ended before"):
        attempt(tmp_path, name, data, ImportConfig(format=form))  # type: ignore[arg-type]
    report = attempt(tmp_path, name, data, skipping(format=form))
    listed = rejected(tmp_path)[-1]
    assert listed["reason"] == "file cut off"
    assert 0 < report.kept <= int(listed["row"]) < 50_000


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("events.csv", b"", "events.csv: is empty; expected a first line that names the columns"),
        ("events.csv", b"\n", "events.csv:1: expected a line that names each column once, found a blank line"),
        ("events.csv", b"user,item\n", "events.csv: has a header and no rows; expected at least one event"),
        ("events.csv", b"user,item,user\n", "expected a line that names each column once, found 'user' twice"),
        ("events.csv", b'"user,item\n', "events.csv:1: cannot be read: unexpected end of data"),
        ("events.jsonl", b"\n", "events.jsonl: is empty"),
        ("events.csv.gz", b"user,item\nu,i\n", "events.csv.gz:1: cannot be read: Not a gzipped file"),
        ("events.parquet", b"user,item\nu,i\n", "events.parquet: cannot be read as Parquet"),
        ("events.parquet.gz", b"user,item\nu,i\n", "events.parquet.gz: cannot be read as Parquet"),
        ("events.xls", b"user,item\nu,i\n", r"the ending '.xls' does not tell the format \(known: .csv, .tsv"),
        ("events.txt", b"user,item\nu,i\n", "say it with --format csv, tsv, jsonl, parquet or lists"),
        (
            "events.csv",
            b"user_id,item,rating\nu,i,1\n",
            r"no column 'user'; did you mean 'user_id'\? \(found: user_id, item, rating\); "
            "say which column is the user with --user NAME",
        ),
        ("events.jsonl", b'{"user": 1, "thing": 2}\n', r"no column 'item' .*\(found: user, thing\)"),
    ],
)
def test_a_file_that_is_no_event_file(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        attempt(tmp_path, name, data, skipping())
    assert [left.name for left in tmp_path.iterdir()] == [name]


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    for name in ("none.csv", "none.parquet", "none.csv.gz"):
        with pytest.raises(DataError, match=f"{name}: no such file"):
            import_files(Sources([tmp_path / name]), tmp_path / "out", ImportConfig())
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(DataError, match=r"folder.csv: is a folder; expected a file of events"):
        import_files(Sources([tmp_path / "folder.csv"]), tmp_path / "out", ImportConfig())


def test_when_every_row_is_bad_skipping_does_not_help(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="2 rows cannot be used"):
        attempt(tmp_path, "events.csv", b"user,item\nu,\n,i\n", skipping())


def test_files_of_one_name_are_told_apart(tmp_path: Path) -> None:
    paths = [tmp_path / "a" / "events.csv", tmp_path / "b" / "events.csv"]
    for path in paths:
        path.parent.mkdir()
        path.write_bytes(b"user,item\nu,i\nu,\n")
    import_files(Sources(paths), tmp_path / "out", skipping())
    assert [row["file"] for row in rejected(tmp_path)] == list(map(str, paths))


def test_rows_that_are_all_bad_are_handed_over_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging, "STEP", 10)
    report = attempt(tmp_path, "events.csv", b"user,item\n" + b"u\n" * 9000 + b"u,i\n", skipping())
    assert (report.rejected, report.kept) == (9000, 1)


@pytest.mark.parametrize("ending", [".csv", ".jsonl"])
def test_bad_rows_anywhere_are_found_and_nothing_else(tmp_path: Path, ending: str) -> None:
    """Blocks of lines end where they please: after a bad row, in a record of several lines, in blank lines."""
    rng = np.random.default_rng(0)
    good, bad, blank = {
        ".csv": ([b"u,i", b'"u\nv",i', b'u,"i,""x"""'], [b"u", b'"u"x,i', b"u,i,3", b",i"], b""),
        ".jsonl": ([b'{"user": 1, "item": "i"}'], [b'{"user"', b"[]", b'{"user": 1}'], b" "),
    }[ending]
    lines, line, expected, kept = [b"user,item"] if ending == ".csv" else [good[0]], 2, [], int(ending == ".jsonl")
    choices = {"good": good, "bad": bad, "blank": [blank]}
    for kind in rng.choice(["good", "bad", "blank"], 20_000, p=[0.9, 0.05, 0.05]):
        record = choices[kind][rng.integers(len(choices[kind]))]
        lines.append(record)
        expected += [line] if kind == "bad" else []
        kept += kind == "good"
        line += 1 + record.count(b"\n")
    report = attempt(tmp_path, f"events{ending}", b"\n".join(lines) + b"\n", skipping())
    assert [int(row["row"]) for row in rejected(tmp_path)] == expected
    assert (report.kept, report.rejected) == (kept, len(expected))


def test_when_skipping_leaves_nothing_the_message_does_not_advise_to_skip(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="1 row cannot be used; correct them: without them nothing is left"):
        attempt(tmp_path, "events.csv", b"user,item,weight\nu1,a,-1\n", skipping(weight="weight"))


def test_a_field_without_end_is_not_called_broken_quoting_only(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"events.csv:2: endless field: found 'field larger than field limit"):
        attempt(tmp_path, "events.csv", b"user,item\n" + b"u" * 200_000 + b",a\n", ImportConfig())


@pytest.mark.parametrize(
    "data",
    ["user,item\nu,i\n".encode("utf-16"), gzip.compress(b"user,item\nu,i\n"), b"\0\1"],
    ids=["utf-16", "gzip", "binary"],  # gzip holds the time, and a test's name may not change
)
def test_a_file_that_is_no_text_is_said_to_be_none(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(DataError, match=r"events.csv:1: found bytes that are no text; expected UTF-8"):
        attempt(tmp_path, "events.csv", data, ImportConfig())


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (b"id,title\na,A\nb,B,C\n", r"items.csv:3: wrong number of columns: found '3 columns', expected 2"),
        (b'id,title\na,"A\nb,B\n', r"items.csv:2: broken quoting"),
        (b"id,title\na,A\nb,\xe9\n", r"items.csv:3: column 'title': not UTF-8: found '\\\\udce9'"),
        (
            b"id;title\na;A\n",
            r"items.csv: no column 'item' or 'id' to join on \(found: id;title\); the columns are sep",
        ),
    ],
)
def test_an_attribute_table_at_fault_is_named_with_its_row(tmp_path: Path, table: bytes, message: str) -> None:
    (tmp_path / "events.csv").write_bytes(b"user,item\nu,a\nu,b\n")
    (tmp_path / "items.csv").write_bytes(table)
    sources = Sources([tmp_path / "events.csv"], item_table=tmp_path / "items.csv")
    with pytest.raises(DataError, match=message):
        import_files(sources, tmp_path / "out", ImportConfig())
    assert not (tmp_path / "out").exists()


def test_an_attribute_row_that_starts_with_a_hash_is_no_comment(tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_bytes(b"user,item\nu,#a\nu,b\n")
    (tmp_path / "items.csv").write_bytes(b"id,title,price\n#a,# first,1.5\nb,B,2\n")
    sources = Sources([tmp_path / "events.csv"], item_table=tmp_path / "items.csv")
    import_files(sources, tmp_path / "out", ImportConfig())
    dataset = load_dataset(tmp_path / "out")
    titles = dataset.item_table.titles()
    assert dataset.items.all.tolist() == ["#a", "b"]
    assert titles is not None
    assert titles.tolist() == ["# first", "B"]
