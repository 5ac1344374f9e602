"""The doctor: a file with exactly one problem for each finding, and a clean file without errors."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pinfold.data.bundled import debian
from pinfold.data.dataset import load_dataset
from pinfold.data.doctor import check_dataset, check_files, check_split_files
from pinfold.data.findings import Diagnosis, Example, Finding
from pinfold.data.readers import ImportConfig, Sources, import_files
from pinfold.data.records import PLACE
from pinfold.errors import ConfigError

FULL = ImportConfig(weight="weight", time="time")
CLEAN = [(f"u{u}", f"i{(u + k) % 6}", 1 + k, 1_500_000_000 + 1000 * u + k) for u in range(6) for k in range(3)]
CORES = {"2-core", "3-core", "5-core", "10-core"}


def table(path: Path, rows: Sequence[tuple[Any, ...]]) -> Path:
    header = ("user", "item", "weight", "time")[: len(rows[0])]
    path.write_text("".join(",".join(map(str, row)) + "\n" for row in [header, *rows]), encoding="utf-8")
    return path


def codes(diagnosis: Diagnosis) -> set[str]:
    return {finding.code for finding in diagnosis.findings} - CORES


def only(diagnosis: Diagnosis, code: str) -> Finding:
    (finding,) = [finding for finding in diagnosis.findings if finding.code == code]
    return finding


def examine(tmp_path: Path, rows: Sequence[tuple[Any, ...]], config: ImportConfig = FULL, **tables: Path) -> Diagnosis:
    return check_files(Sources([table(tmp_path / "e.csv", rows)], **tables), config)


def test_a_clean_file_has_nothing_but_the_k_core_preview(tmp_path: Path) -> None:
    diagnosis = examine(tmp_path, [*CLEAN])
    assert diagnosis.ok
    assert codes(diagnosis) == set()
    assert diagnosis.counts == {
        "rows": 18, "kept": 18, "rejected": 0, "light": 0, "users": 6, "items": 6, "pairs": 18
    }  # fmt: skip


# code: (rows to add, severity, row, column and value of the example, other codes that follow from the rows)
ODD: dict[str, tuple[list[tuple[Any, ...]], str, tuple[int, str, str], set[str]]] = {
    "no-user-id": ([("", "i1", 1, 1_500_000_000)], "error", (20, "user", ""), set()),
    "no-item-id": ([("u1", "", 1, 1_500_000_000)], "error", (20, "item", ""), set()),
    "bad-weight": ([("u1", "i5", "heavy", 1_500_000_000)], "error", (20, "weight", "heavy"), set()),
    "bad-time": ([("u1", "i5", 1, "NaT")], "error", (20, "time", "NaT"), set()),
    "time-of-another-kind": ([("u1", "i5", 1, 1_500_000_000_000)], "error", (20, "time", "1500000000000"), set()),
    "wrong-number-of-columns": ([("u1", "i5")], "error", (20, "", "2 columns"), set()),
    "broken-quoting": ([('"u1"x', "i5", 1, 1_500_000_000)], "error", (20, "", "',' expected after '\"'"), set()),
    "similar-user-ids": ([("U1", "i5", 1, 1_500_000_000)], "warning", (20, "user", "U1"), {"users-with-one-event"}),
    "similar-item-ids": ([("u1", "I5", 1, 1_500_000_000)], "warning", (20, "item", "I5"), {"items-with-one-event"}),
    "spaces-in-user-ids": ([(" u9", f"i{n}", 1, 1_500_000_000) for n in (1, 2)], "warning", (20, "user", " u9"), set()),
    "missing-words-as-item-ids": (
        [(f"u{n}", "NULL", 1, 1_500_000_000) for n in (1, 2)], "warning", (20, "item", "NULL"), set()
    ),
    "times-before-1990": ([("u1", "i5", 1, 20_200_101)], "warning", (20, "time", "1970-08-22 19:08:21"), set()),
    "times-in-the-future": ([("u1", "i5", 1, 9_000_000_000)], "warning", (20, "time", "2255-03-14 16:00:00"), set()),
    "duplicate-events": (
        [("u1", "i5", 1, 1_500_000_000)] * 2, "warning", (21, "user, item", "u1, i5"), {"repeated-pairs"}
    ),
    "repeated-pairs": ([("u1", "i1", 1, 1_500_000_000)], "note", (20, "user, item", "u1, i1"), set()),
    "users-with-one-event": ([("solo", "i5", 1, 1_500_000_000)], "note", (20, "user", "solo"), set()),
    "items-with-one-event": ([("u1", "solo", 1, 1_500_000_000)], "note", (20, "item", "solo"), set()),
}  # fmt: skip


@pytest.mark.parametrize("code", ODD)
def test_one_problem_is_one_finding(tmp_path: Path, code: str) -> None:
    rows, severity, place, others = ODD[code]
    diagnosis = examine(tmp_path, [*CLEAN, *rows])
    assert codes(diagnosis) == {code, *others}
    finding = only(diagnosis, code)
    assert finding.severity == severity
    assert finding.count == 1
    assert Example(str(tmp_path / "e.csv"), *place) in finding.examples
    assert diagnosis.ok == (severity != "error")


@pytest.mark.parametrize("other", ["01", "1.0", " 1", "1.00 ", "001"])
def test_ids_that_are_likely_one_thing(tmp_path: Path, other: str) -> None:
    rows = [("1", "a"), ("1", "b"), (other, "a"), (other, "b")]
    finding = only(examine(tmp_path, rows, ImportConfig()), "similar-user-ids")
    assert {example.value for example in finding.examples} == {"1", other}
    assert finding.message.startswith("1 groups of user ids differ only in")


def test_different_numbers_are_different_ids(tmp_path: Path) -> None:
    rows = [(u, i) for u in ("1", "10", "100", "0", "1.5", "15") for i in "ab"]
    assert codes(examine(tmp_path, rows, ImportConfig())) == set()


def test_the_doctor_does_not_stop_at_the_first_problem(tmp_path: Path) -> None:
    rows = [
        *CLEAN,
        ("", "i1", 1, 1),
        ("u1", "i5", "x", 1),
        ("u1", "i5", 1, "x"),
        ("u1",),
        ("U1", "i1", 1, 1_500_000_000),
    ]
    (tmp_path / "empty.csv").write_text("")
    paths = [tmp_path / "empty.csv", table(tmp_path / "e.csv", rows), tmp_path / "none.csv"]
    diagnosis = check_files(Sources(paths, item_table=tmp_path / "no.csv"), FULL)
    assert codes(diagnosis) >= {
        "unreadable-file", "unreadable-table", "no-user-id", "bad-weight", "bad-time", "wrong-number-of-columns",
        "similar-user-ids",
    }  # fmt: skip
    unreadable = [finding.message for finding in diagnosis.findings if finding.code == "unreadable-file"]
    assert len(unreadable) == 2
    assert diagnosis.counts["rejected"] == 4


def test_zones_of_which_some_are_said(tmp_path: Path) -> None:
    times = ["2020-01-01T10:00:00Z", "2020-01-01T11:00:00+02:00", "2020-01-01 12:00:00"]
    rows = [("u", f"i{n}", n + 1, time) for n, time in enumerate(times)]
    finding = only(examine(tmp_path, rows), "mixed-time-zones")
    assert finding.examples == (Example(str(tmp_path / "e.csv"), 4, "time", "2020-01-01 12:00:00"),)
    assert "mixed-time-zones" not in codes(examine(tmp_path, rows[:2]))
    assert "mixed-time-zones" not in codes(examine(tmp_path, rows[2:]))


def test_constant_columns(tmp_path: Path) -> None:
    diagnosis = examine(tmp_path, [(u, i, 1, 1_500_000_000) for u, i, *_ in CLEAN])
    assert codes(diagnosis) == {"constant-weight", "constant-time"}
    assert only(diagnosis, "constant-weight").message == "column 'weight' has the same value in all 18 events"


def test_a_dominant_user_and_item(tmp_path: Path) -> None:
    rows = [(f"u{n % 30}", f"i{n // 2}", 1 + n, 1_500_000_000 + n) for n in range(100)]
    rows += [("greedy", f"i{n}", 1 + n, 1_500_000_000 + n) for n in range(20)]
    rows += [(f"u{n}", "hit", 1 + n, 1_500_000_000 + n) for n in range(30)]
    diagnosis = examine(tmp_path, rows)
    assert codes(diagnosis) == {"dominant-user", "dominant-item"} | (codes(diagnosis) & {"users-with-one-event"})
    assert only(diagnosis, "dominant-user").examples[0].value == "greedy"
    assert only(diagnosis, "dominant-item").examples[0].value == "hit"


def test_light_events_are_counted(tmp_path: Path) -> None:
    config = ImportConfig(weight="weight", time="time", min_weight=2)
    assert only(examine(tmp_path, [*CLEAN], config), "light-events").count == 6


def test_attribute_tables_and_events_that_miss_each_other(tmp_path: Path) -> None:
    items = tmp_path / "items.csv"
    items.write_text("id,title\n" + "".join(f"i{n},T\n" for n in range(1, 6)) + "i9,T\n")
    diagnosis = examine(tmp_path, [*CLEAN], item_table=items)
    assert codes(diagnosis) == {"items-without-attributes", "items-only-in-table"}
    assert only(diagnosis, "items-without-attributes").examples == (Example(str(tmp_path / "e.csv"), 2, "item", "i0"),)
    assert only(diagnosis, "items-only-in-table").examples == (Example(str(items), None, "id", "i9"),)


def test_the_k_core_preview_counts_what_would_go(tmp_path: Path) -> None:
    diagnosis = examine(tmp_path, [*CLEAN, ("solo", "i1", 1, 1_500_000_000)])
    messages = {finding.code: finding for finding in diagnosis.findings}
    assert messages["2-core"].message == (
        "a 2-core filter would drop 1 of 7 users, 0 of 6 items and 1 of 19 user-item pairs"
    )
    assert messages["5-core"].count == 19


def test_the_diagnosis_is_plain_json_with_errors_first(tmp_path: Path) -> None:
    diagnosis = examine(tmp_path, [*CLEAN, ("", "i1", 1, 1), ("solo", "i1", 1, 1)])
    tree = json.loads(json.dumps(diagnosis.to_json()))
    assert tree["ok"] is False
    assert tree["findings"][0]["code"] == "no-user-id"
    assert tree["findings"][0]["examples"][0] == {
        "file": str(tmp_path / "e.csv"), "row": 20, "column": "user", "value": ""
    }  # fmt: skip


def test_what_an_import_rejects_the_doctor_calls_an_error(tmp_path: Path) -> None:
    path = table(tmp_path / "e.csv", [*CLEAN, ("u", "", 1, 1), ("u1",)])
    diagnosis = check_files(Sources([path]), FULL)
    config = ImportConfig(weight="weight", time="time", bad_rows="skip")
    report = import_files(Sources([path]), tmp_path / "out", config)
    assert sum(f.count for f in diagnosis.findings if f.severity == "error") == report.rejected == 2


def test_a_sound_split_has_no_findings(tmp_path: Path) -> None:
    train = table(tmp_path / "train.csv", [row for row in CLEAN if row[2] < 3])
    test = table(tmp_path / "test.csv", [(u, i, w, 1_600_000_000) for u, i, w, _ in CLEAN if w == 3])
    diagnosis = check_split_files([train], [test], FULL)
    assert diagnosis.findings == ()
    assert (diagnosis.counts["train"], diagnosis.counts["test"]) == (12, 6)


def test_a_split_that_leaks(tmp_path: Path) -> None:
    train = table(tmp_path / "train.csv", [*CLEAN, ("u1", "i5", 1, 1_700_000_000)])
    test = table(tmp_path / "test.csv", [("u1", "i1", 1, 1_600_000_000), ("new", "other", 1, 1_600_000_001)])
    diagnosis = check_split_files([train], [test], FULL)
    assert codes(diagnosis) == {"test-in-train", "train-after-test", "unknown-test-users", "unknown-test-items"}
    assert not diagnosis.ok
    where = {finding.code: finding.examples for finding in diagnosis.findings}
    assert where["test-in-train"] == (Example(str(test), 2, "user, item", "u1, i1"),)
    assert where["train-after-test"] == (Example(str(train), 20, "time", "2023-11-14 22:13:20"),)
    assert where["unknown-test-users"] == (Example(str(test), 3, "user", "new"),)
    assert where["unknown-test-items"] == (Example(str(test), 3, "item", "other"),)


def test_one_file_on_both_sides_is_refused(tmp_path: Path) -> None:
    path = table(tmp_path / "e.csv", [*CLEAN])
    with pytest.raises(ConfigError, match="is named twice"):
        check_split_files([path], [path], FULL)


def test_a_dataset_can_be_checked_too(tmp_path: Path) -> None:
    path = table(tmp_path / "e.csv", [*CLEAN, ("U1", "i1", 1, 20_200_101)])
    import_files(Sources([path]), tmp_path / "out", FULL)
    diagnosis = check_dataset(load_dataset(tmp_path / "out"))
    assert codes(diagnosis) == {"similar-user-ids", "times-before-1990", "users-with-one-event"}
    assert only(diagnosis, "times-before-1990").examples == (Example("the dataset", 1, "time", "1970-08-22 19:08:21"),)


def test_the_bundled_dataset_has_no_errors() -> None:
    diagnosis = check_dataset(debian())
    assert diagnosis.ok
    assert only(diagnosis, "items-without-events").count == 172


def test_counts_are_plain_numbers(tmp_path: Path) -> None:
    diagnosis = examine(tmp_path, [*CLEAN])
    assert all(type(n) is int for n in diagnosis.counts.values())
    assert not any(isinstance(finding.count, np.generic) for finding in diagnosis.findings)


def test_places_in_lines_are_no_odd_times(tmp_path: Path) -> None:
    path = tmp_path / "train.txt"
    path.write_text("0 9 7 8\n1 8 9 7\n2 7 8 9\n", encoding="utf-8")
    config = ImportConfig(format="lists", time=PLACE)
    assert not codes(check_files(Sources([path]), config))
    import_files(Sources([path]), tmp_path / "data", config)
    assert not codes(check_dataset(load_dataset(tmp_path / "data")))
