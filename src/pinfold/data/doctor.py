"""The doctor: what is wrong with event files, a train-test split, or a dataset, before a model learns from it.

The files go through the very tables of an import (see staging), so the doctor and the import cannot disagree.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from pinfold.data import attributes, staging
from pinfold.data.checks import CHECKS, ISO_TIME, Patient, rejected_rows
from pinfold.data.dataset import Dataset
from pinfold.data.findings import Diagnosis, Finding
from pinfold.data.interactions import Interactions
from pinfold.data.loading import load_file
from pinfold.data.readers import ImportConfig, Sources, check_config, settle
from pinfold.data.sql import Connection, Limits, literal, scalar, workspace
from pinfold.errors import DataError

SEVERITIES = ("error", "warning", "note")
NOTHING = Interactions.of(np.empty(0, np.int32), np.empty(0, np.int32), 0, 0)


def check_files(sources: Sources, config: ImportConfig) -> Diagnosis:
    """Everything that can be said about event files and their attribute tables.

    Raises:
        ConfigError: options that contradict each other; whatever is wrong with the data is a finding.
    """
    check_config(config)
    with workspace(config.limits) as connection:
        findings = _load(connection, sources.events, config)
        counts = settle(connection, config)
        labels = [str(path) for path in sources.events]
        findings += rejected_rows(Patient(connection, labels, config.columns, NOTHING, {}))
        if counts["light"]:
            message = f"{counts['light']} events weigh less than min_weight = {config.min_weight} and are left out"
            findings.append(Finding("light-events", "note", message, counts["light"]))
        if counts["kept"]:
            findings += _number(connection, sources, config, counts)
            tables = {n: str(t) for n, t in sources.tables.items() if _has_table(connection, f"{n}_attributes")}
            pairs = staging.read_interactions(connection, "count", counts["users"], counts["items"])
            counts["pairs"] = len(pairs)
            columns = dict(config.columns)
            if config.format == "lists":
                columns.pop("time", None)  # places in a line: no odd times
            patient = Patient(connection, labels, columns, pairs, tables)
            findings += [finding for check in CHECKS for finding in check(patient)]
    return _diagnosis(findings, counts)


def check_split_files(train: Sequence[Path], test: Sequence[Path], config: ImportConfig) -> Diagnosis:
    """What leaks from test files into train files, and whom of the test the train files do not know.

    Raises:
        ConfigError: options that contradict each other, a file on both sides.
    """
    check_config(config)
    both = Sources([*train, *test])
    with workspace(config.limits) as connection:
        findings = _load(connection, both.events, config)
        counts = settle(connection, config)
        patient = Patient(connection, [str(path) for path in both.events], config.columns, NOTHING, {})
        findings += rejected_rows(patient)
        findings += [*_leaks(patient, len(train)), *_strangers(patient, len(train))]
        for side, condition in (("train", "<"), ("test", ">=")):
            counts[side] = patient.count(f"SELECT count(*) FROM events WHERE file {condition} {len(train)}")
    return _diagnosis(findings, counts)


def check_dataset(dataset: Dataset) -> Diagnosis:
    """What can still be said about an imported dataset; rows in examples are rows of its events, from 1."""
    events = dataset.interactions
    options = dataset.source.get("config")
    places = isinstance(options, Mapping) and options.get("format") == "lists"  # in a line: no odd times
    weighted, timed = bool((events.weights != 1).any()), events.timed and not places
    roles = {"user": True, "item": True, "weight": weighted, "time": timed}
    columns = {role: role for role, there in roles.items() if there}
    with workspace(Limits()) as connection:
        staging.create_tables(connection)
        for noun, vocab in (("user", dataset.users), ("item", dataset.items)):
            connection.register("chunk", {"row": np.arange(len(vocab), dtype=np.int32), "id": vocab.all})
            connection.execute(f"CREATE TABLE {noun}s AS SELECT row, CAST(id AS VARCHAR) AS id FROM chunk")
        chunk = {"n": np.arange(1, len(events) + 1), "u": events.users, "i": events.items}
        connection.register("chunk", chunk | {"weight": events.weights, "time": events.times})
        connection.execute(
            "CREATE TABLE events AS SELECT 0 AS file, n AS row, users.id AS user_id, items.id AS item_id, weight, time "
            "FROM chunk JOIN users ON users.row = u JOIN items ON items.row = i"
        )
        patient = Patient(connection, ["the dataset"], columns, events, {}, raw=False)
        findings = [finding for check in CHECKS for finding in check(patient)]
    return _diagnosis(findings, {"pairs": len(events), "users": len(dataset.users), "items": len(dataset.items)})


def _load(connection: Connection, paths: Sequence[Path], config: ImportConfig) -> list[Finding]:
    """Fill `raw` from every file that can be read; a finding for each that cannot."""
    staging.create_tables(connection)
    findings = []
    for file, path in enumerate(paths):
        try:
            load_file(connection, file, path, config.format, config.columns)
        except DataError as error:
            findings.append(Finding("unreadable-file", "error", str(error), 1))
    return findings


def _number(connection: Connection, sources: Sources, config: ImportConfig, counts: dict[str, int]) -> list[Finding]:
    """Create users, items and edges, and the attribute tables that can be read; a finding for each that cannot."""
    findings = []
    for noun, column in (("user", config.user), ("item", config.item)):
        counts[f"{noun}s"] = staging.number(connection, f"{noun}s", f"{noun}_id")
        if noun in sources.tables:
            try:
                attributes.load_attributes(connection, noun, sources.tables[noun], column)
            except DataError as error:
                findings.append(Finding("unreadable-table", "error", str(error), 1))
    staging.sort_edges(connection, config.columns)
    return findings


def _has_table(connection: Connection, name: str) -> bool:
    return bool(scalar(connection, "SELECT count(*) FROM duckdb_tables() WHERE table_name = $1", name))


def _leaks(patient: Patient, n_train: int) -> Iterator[Finding]:
    """Events of which the files from number `n_train` on are the test: what train knows of it already."""
    columns = patient.columns
    train, test = f"file < {n_train}", f"file >= {n_train}"
    names = literal(f"{columns['user']}, {columns['item']}")
    pairs = "SELECT user_id, item_id FROM events WHERE"
    both = f"{pairs} {test} INTERSECT {pairs} {train}"
    n = patient.count(f"SELECT count(*) FROM ({both})")
    if n:
        shown = patient.examples(
            f"SELECT file, row, {names}, user_id || ', ' || item_id FROM events "
            f"SEMI JOIN ({both}) USING (user_id, item_id) WHERE {test} ORDER BY file, row"
        )
        yield Finding("test-in-train", "error", f"{n} user-item pairs of the test are in train too", n, shown)
    cut = scalar(patient.connection, f"SELECT min(time) FROM events WHERE {test}")
    late = f"{train} AND time > {cut}"
    if "time" in columns and cut is not None and (n := patient.count(f"SELECT count(*) FROM events WHERE {late}")):
        shown = patient.examples(
            f"SELECT file, row, {literal(columns['time'])}, {ISO_TIME} FROM events WHERE {late} ORDER BY file, row"
        )
        message = f"{n} events of train come after the first event of the test: a leak, unless each user was cut apart"
        yield Finding("train-after-test", "warning", message, n, shown)


def _strangers(patient: Patient, n_train: int) -> Iterator[Finding]:
    """Users and items of the test that have no event in train."""
    for noun in ("user", "item"):
        known = f"SELECT {noun}_id FROM events WHERE file < {n_train}"
        ids = f"SELECT DISTINCT {noun}_id AS id, 0 AS rank FROM events WHERE file >= {n_train}"
        query = f"{ids} AND {noun}_id NOT IN ({known})"
        n = patient.count(f"SELECT count(*) FROM ({query})")
        if n:
            message = f"{n} {noun}s of the test have no event in train"
            yield Finding(f"unknown-test-{noun}s", "warning", message, n, patient.where_ids(noun, query))


def _diagnosis(findings: Iterable[Finding], counts: dict[str, object]) -> Diagnosis:
    ordered = sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))
    return Diagnosis(tuple(ordered), {name: n for name, n in counts.items() if isinstance(n, int)})
