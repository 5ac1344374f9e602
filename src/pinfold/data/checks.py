"""The doctor's checks: each looks at the tables of an import (see staging) and yields what it finds."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pinfold.data.filters import k_core
from pinfold.data.findings import Example, Finding, Severity
from pinfold.data.interactions import Interactions
from pinfold.data.sql import Connection, literal, scalar
from pinfold.data.times import HAS_OFFSET

EXAMPLES = 5
CORES = (2, 3, 5, 10)
BIG_SHARE = 0.1  # of all events, by one user or item
FEW_EVENTS = 100  # below this every share is big
OLDEST = "epoch(TIMESTAMP '1990-01-01')"
NEWEST = "epoch(now()) + 86400"  # a day's grace for clocks and zones
ISO_TIME = "CAST(make_timestamp(time * 1000000) AS VARCHAR)"
PLACE = "{'file': file, 'row': row}"
SPACES = "(' ' || chr(9) || chr(10) || chr(13) || chr(160))"
WORDS = ("null", "none", "nan", "na", "n/a", "nil", "undefined", "missing", "unknown", "-", "?")
# Ids of one form are likely one thing: case, surrounding space, leading zeros and .0 do not count.
FORM = f"""CASE WHEN regexp_full_match(trim(id, {SPACES}), '\\d+(\\.0+)?')
    THEN ltrim(regexp_replace(trim(id, {SPACES}), '\\.0+$', ''), '0') ELSE lower(trim(id, {SPACES})) END"""


@dataclass(frozen=True, slots=True)
class Patient:
    """The tables to look at, and what their values are called in the files."""

    connection: Connection
    labels: Sequence[str]  # file number -> name
    columns: Mapping[str, str]  # role -> column
    pairs: Interactions  # the events merged
    tables: Mapping[str, str]  # noun -> name of its attribute table
    raw: bool = True  # whether the texts of `raw` are there

    def examples(self, query: str) -> tuple[Example, ...]:
        """The first rows of a query for file, row, column, value."""
        rows = self.connection.execute(f"{query} LIMIT {EXAMPLES}").fetchall()
        return tuple(Example(self.labels[file], row, column, str(value)) for file, row, column, value in rows)

    def where_ids(self, noun: str, query: str) -> tuple[Example, ...]:
        """Where the ids of a query (columns id and rank, which orders them) occur first."""
        column = literal(self.columns[noun])
        return self.examples(
            f"SELECT min({PLACE}).file, min({PLACE}).row, {column}, id FROM ({query}) "
            f"JOIN events ON {noun}_id = id GROUP BY rank, id ORDER BY rank, id"
        )

    def count(self, query: str) -> int:
        """The number that a query gives."""
        return int(scalar(self.connection, query) or 0)


def rejected_rows(patient: Patient) -> Iterator[Finding]:
    """Rows that an import could not use, one finding per reason."""
    query = (
        "SELECT reason, any_value(expected ORDER BY file, row), count(*) FROM rejected GROUP BY reason ORDER BY reason"
    )
    for reason, expected, n in patient.connection.execute(query).fetchall():
        shown = patient.examples(
            f"SELECT file, row, field, found FROM rejected WHERE reason = {literal(reason)} ORDER BY file, row"
        )
        code = reason.lower().replace(" ", "-")
        yield Finding(code, "error", f"{n} {_rows(n)} with {reason}; expected {expected}", n, shown)


def odd_ids(patient: Patient) -> Iterator[Finding]:
    """Ids that are likely one thing written in two ways, have spaces around them, or say that they are missing."""
    for noun in ("user", "item"):
        form = f"SELECT id, {FORM} AS rank FROM {noun}s"
        groups = f"SELECT rank FROM ({form}) GROUP BY rank HAVING count(*) > 1"
        query = f"SELECT id, rank FROM ({form}) WHERE rank IN ({groups})"
        n = patient.count(f"SELECT count(*) FROM ({groups})")
        if n:
            message = f"{n} groups of {noun} ids differ only in case, surrounding space, leading zeros or .0"
            yield Finding(f"similar-{noun}-ids", "warning", message, n, patient.where_ids(noun, query))
        query = f"SELECT id, 0 AS rank FROM {noun}s WHERE id <> trim(id, {SPACES})"
        message = f"{noun} ids with space around them, which is kept as part of the id"
        yield from _ids(patient, noun, (f"spaces-in-{noun}-ids", message), query)
        words = ", ".join(map(literal, WORDS))
        query = f"SELECT id, 0 AS rank FROM {noun}s WHERE lower(trim(id)) IN ({words})"
        message = f"{noun} ids that read like a missing value, and are taken for ids"
        yield from _ids(patient, noun, (f"missing-words-as-{noun}-ids", message), query)


def odd_times(patient: Patient) -> Iterator[Finding]:
    """Times that cannot be, and ISO times of which some say their zone and some do not."""
    if "time" not in patient.columns:
        return
    column = literal(patient.columns["time"])
    for code, message, condition in (
        ("times-before-1990", "times before 1990: is the unit right?", f"time < {OLDEST}"),
        ("times-in-the-future", "times in the future", f"time > {NEWEST}"),
    ):
        query = f"SELECT file, row, {column}, {ISO_TIME} FROM events WHERE {condition} ORDER BY file, row"
        yield from _some(patient, (code, message), f"SELECT count(*) FROM events WHERE {condition}", query)
    if not patient.raw:
        return
    iso = "TRY_CAST(time AS DOUBLE) IS NULL"
    zoned, bare = (
        patient.count(f"SELECT count(*) FROM raw WHERE {iso} AND {x}") for x in (HAS_OFFSET, f"NOT {HAS_OFFSET}")
    )
    if zoned and bare:
        rarer = HAS_OFFSET if zoned < bare else f"NOT {HAS_OFFSET}"
        shown = patient.examples(
            f"SELECT file, row, {column}, time FROM raw WHERE {iso} AND {rarer} ORDER BY file, row"
        )
        message = f"{zoned} times say their zone and {bare} do not; those without are read in time_zone"
        yield Finding("mixed-time-zones", "warning", message, min(zoned, bare), shown)


def repeated_events(patient: Patient) -> Iterator[Finding]:
    """Events that are there twice, and pairs with several events."""
    value = "user_id || ', ' || item_id"
    names = literal(f"{patient.columns['user']}, {patient.columns['item']}")
    kinds: list[tuple[str, Severity, str, str]] = [
        ("repeated-pairs", "note", "user_id, item_id", "events are not the first of their pair; an import merges them")
    ]
    if "time" in patient.columns:  # without times an event that is equal is just another one
        message = "events equal another one in user, item, weight and time"
        kinds.append(("duplicate-events", "warning", "user_id, item_id, weight, time", message))
    for code, severity, keys, message in kinds:
        groups = f"SELECT count(*) AS n, max({PLACE}) AS last, any_value({value}) AS value FROM events GROUP BY {keys}"
        query = f"SELECT last.file, last.row, {names}, value FROM ({groups}) WHERE n > 1 ORDER BY last"
        count = f"SELECT sum(n - 1) FROM ({groups})"
        yield from _some(patient, (code, message), count, query, severity=severity)


def rare_and_common(patient: Patient) -> Iterator[Finding]:
    """Users and items with a single event, or with a great share of all events, or with none."""
    total = patient.count("SELECT count(*) FROM events")
    for noun in ("user", "item"):
        counts = f"SELECT {noun}_id AS id, count(*) AS n FROM events GROUP BY id"
        query = f"SELECT id, 0 AS rank FROM ({counts}) WHERE n = 1"
        names = (f"{noun}s-with-one-event", f"{noun}s with a single event: little can be learned about them")
        yield from _ids(patient, noun, names, query, severity="note")
        big = f"n > {BIG_SHARE} * {total} AND {total} >= {FEW_EVENTS}"
        query = f"SELECT id, -n AS rank FROM ({counts}) WHERE {big}"
        names = (f"dominant-{noun}", f"{noun}s with more than a tenth of all {total} events")
        yield from _ids(patient, noun, names, query, severity="note")
        query = f"SELECT id FROM {noun}s WHERE id NOT IN (SELECT {noun}_id FROM events) ORDER BY id"
        yield from _bare(patient, f"{noun}s-without-events", f"{noun}s have no event", query, f"the {noun}s")


def attribute_tables(patient: Patient) -> Iterator[Finding]:
    """Ids of one side only: in the events or in the attribute table."""
    for noun, label in patient.tables.items():
        query = (
            f"SELECT id, 0 AS rank FROM {noun}s WHERE id NOT IN (SELECT id FROM {noun}_attributes WHERE id IS NOT NULL)"
        )
        names = (f"{noun}s-without-attributes", f"{noun}s with events have no row in {label}")
        yield from _ids(patient, noun, names, query)
        query = f"SELECT id FROM {noun}_attributes WHERE id IS NULL OR id NOT IN (SELECT id FROM {noun}s) ORDER BY id"
        message = f"rows of {label} have no event and are left out"
        yield from _bare(patient, f"{noun}s-only-in-table", message, query, label)


def constant_columns(patient: Patient) -> Iterator[Finding]:
    """Columns that say nothing."""
    n = patient.count("SELECT count(*) FROM events")
    for role in ("weight", "time"):
        if role in patient.columns and n > 1:
            query = f"SELECT min({role}) = max({role}) FROM events"
            if scalar(patient.connection, query):
                column = literal(patient.columns[role])
                shown = patient.examples(f"SELECT file, row, {column}, {role} FROM events ORDER BY file, row")
                message = f"column {patient.columns[role]!r} has the same value in all {n} events"
                yield Finding(f"constant-{role}", "warning", message, n, shown[:1])


def cores(patient: Patient) -> Iterator[Finding]:
    """What k-core filters would leave out."""
    pairs = patient.pairs
    for k in CORES:
        users, items = k_core(pairs, k, k)
        kept = int((users[pairs.users] & items[pairs.items]).sum())
        dropped = len(pairs) - kept
        message = (
            f"a {k}-core filter would drop {int((~users).sum())} of {pairs.n_users} users, "
            f"{int((~items).sum())} of {pairs.n_items} items and {dropped} of {len(pairs)} user-item pairs"
        )
        yield Finding(f"{k}-core", "note", message, dropped)


Check = Callable[[Patient], Iterator[Finding]]
CHECKS: tuple[Check, ...] = (
    odd_ids,
    odd_times,
    repeated_events,
    constant_columns,
    attribute_tables,
    rare_and_common,
    cores,
)


def _ids(
    patient: Patient, noun: str, names: tuple[str, str], query: str, *, severity: Severity = "warning"
) -> Iterator[Finding]:
    """A finding (its code and message are the names) about the ids of a query (columns id, rank), if there are any."""
    code, message = names
    n = patient.count(f"SELECT count(*) FROM ({query})")
    if n:
        yield Finding(code, severity, f"{n} {message}", n, patient.where_ids(noun, query))


def _some(
    patient: Patient, names: tuple[str, str], count: str, query: str, *, severity: Severity = "warning"
) -> Iterator[Finding]:
    """A finding (its code and message are the names) about rows of the events, if there are any."""
    code, message = names
    n = patient.count(count)
    if n:
        yield Finding(code, severity, f"{n} {message}", n, patient.examples(query))


def _bare(patient: Patient, code: str, message: str, query: str, file: str) -> Iterator[Finding]:
    """A note about ids (of a query with the one column id) that stand in no event."""
    n = patient.count(f"SELECT count(*) FROM ({query})")
    if n:
        rows = patient.connection.execute(f"{query} LIMIT {EXAMPLES}").fetchall()
        shown = tuple(Example(file, None, "id", "" if row[0] is None else row[0]) for row in rows)
        yield Finding(code, "note", f"{n} {message}", n, shown)


def _rows(n: int) -> str:
    return "row" if n == 1 else "rows"
