"""The tables that every import goes through, whatever the format: raw -> rejected, events -> users, items, edges.

    raw       file, row, user_id, item_id, weight, time    every record, as text, empty where missing
    rejected  file, row, field, reason, found, expected, text
    events    file, row, user_id, item_id, weight, time    the good ones; time in seconds or NO_TIME
    users, items    row, id                                in the order of the ids' bytes
    edges     user_row, item_row, time, weight             in the order of all four; without what no event has

The doctor looks at the same tables. An import of Parquet files alone copies neither records nor events: `raw` and
`events` are views of the files (see shards), numbers stay numbers, and users and items have a column `key` of such ids.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pinfold.data.interactions import NO_TIME, Interactions
from pinfold.data.records import Bad, Block, read_records
from pinfold.data.sql import Connection, columns_of, scalar
from pinfold.data.times import KINDS, kind_of, seconds

STEP = 131_072  # rows handed over at once: a row group of DuckDB's, and a little memory
ROLES = {"user": "user_id", "item": "item_id", "weight": "weight", "time": "time"}  # role -> column here
SMALLEST, LARGEST = 1e-30, 1e30  # sums of weights within these stay within float32
NUMBER = "TRY_CAST(weight AS DOUBLE)"
# isfinite: what Parquet says of its least and largest value leaves NaN out, and DuckDB believes it
GOOD_WEIGHT = f"coalesce(isfinite({NUMBER}) AND {NUMBER} BETWEEN {SMALLEST} AND {LARGEST}, false)"


def create_tables(connection: Connection, *, raw: bool = True) -> None:
    """The empty tables that are filled file by file; without `raw` where that is to be a view."""
    if raw:
        connection.execute(
            "CREATE TABLE raw "
            "(file INTEGER, row BIGINT, user_id VARCHAR, item_id VARCHAR, weight VARCHAR, time VARCHAR)"
        )
    connection.execute(
        "CREATE TABLE rejected (file INTEGER, row BIGINT, field VARCHAR, reason VARCHAR, "
        "found VARCHAR, expected VARCHAR, text VARCHAR)"
    )


def load_text(connection: Connection, file: int, path: Path, form: str, columns: Mapping[str, str]) -> None:
    """Fill `raw` and `rejected` from a text file, which becomes file number `file`.

    Raises:
        DataError: the file is missing, empty, or lacks a column.
    """
    gathered: list[Block] = []
    for block in read_records(path, form, columns):
        gathered.append(block)
        if sum(len(b.rows) + len(b.bad) for b in gathered) >= STEP:
            _insert(connection, file, gathered)
            gathered = []
    if gathered:
        _insert(connection, file, gathered)


def time_kind(connection: Connection) -> str | None:
    """The kind of most times in `raw` (see times.KINDS), or None where none is readable."""
    kind_ = kind_of(columns_of(connection, "raw")["time"])
    query = (
        f"SELECT {kind_} AS kind FROM raw GROUP BY kind HAVING kind IS NOT NULL ORDER BY count(*) DESC, kind LIMIT 1"
    )
    kind: str | None = scalar(connection, query)
    return kind


class Fault(NamedTuple):
    """A reason to leave out a record of `raw`."""

    role: str
    reason: str
    expected: str
    condition: str  # SQL


def faults(columns: Mapping[str, str], kind: str | None, types: Mapping[str, str]) -> list[Fault]:
    """What can be wrong with a record of `raw`, whose columns have these types; of several faults the first counts."""
    missing = {role: f"{name} = ''" if types[name] == "VARCHAR" else f"{name} IS NULL" for role, name in ROLES.items()}
    found = [
        Fault("user", "no user id", "an id of the user", missing["user"]),
        Fault("item", "no item id", "an id of the item", missing["item"]),
    ]
    if "weight" in columns:
        positive = f"a positive number ({SMALLEST:g} to {LARGEST:g})"
        found.append(Fault("weight", "no weight", positive, missing["weight"]))
        found.append(Fault("weight", "bad weight", positive, f"NOT {GOOD_WEIGHT}"))
    if "time" in columns:
        known = f"{KINDS[kind]}, as in most rows" if kind else "an epoch number or an ISO 8601 time"
        kind_ = kind_of(types["time"])
        found.append(Fault("time", "no time", known, missing["time"]))
        found.append(Fault("time", "bad time", known, f"({kind_}) IS NULL"))
        found.append(Fault("time", "time of another kind", known, f"({kind_}) <> '{kind}'"))
    return found


def reject(connection: Connection, columns: Mapping[str, str], kind: str | None) -> str:
    """Add the faulty records of `raw` to `rejected`; the SQL condition that the others fulfil."""
    known = faults(columns, kind, columns_of(connection, "raw"))
    cases = " ".join(f"WHEN {fault.condition} THEN {n}" for n, fault in enumerate(known))
    fault = f"CASE {cases} END"
    query = f"SELECT DISTINCT {fault} AS fault FROM raw WHERE fault IS NOT NULL"
    present = [known[row[0]] for row in connection.execute(query).fetchall()]
    texts = {role: f"coalesce(CAST({ROLES[role]} AS VARCHAR), '')" for role in columns}
    for one in present:
        connection.execute(
            f"INSERT INTO rejected SELECT file, row, $field, $reason, {texts[one.role]}, $expected, "
            f"{_csv(list(texts.values()))} FROM raw WHERE {fault} = {known.index(one)}",
            {"field": columns[one.role], "reason": one.reason, "expected": one.expected},
        )
    return f"({fault}) IS NULL" if present else "true"


def _csv(names: Sequence[str]) -> str:
    """SQL for the columns as one line of CSV, in quotes where they need them."""
    special = """'[",\\r\\n]'"""
    fields = [
        f"""CASE WHEN regexp_matches({x}, {special}) THEN '"' || replace({x}, '"', '""') || '"' ELSE {x} END"""
        for x in names
    ]
    return " || ',' || ".join(fields)


def settle(
    connection: Connection, good: str, *, weighted: bool, kind: str | None, min_weight: float | None, view: bool
) -> int:
    """Turn the `good` records of `raw` into `events`; the number left out because they weigh less than `min_weight`.

    `raw` keeps the good ones alone, unless both are to be views.
    """
    weight = "CAST(weight AS DOUBLE)" if weighted else "1.0::DOUBLE"
    light = f"{weight} < {min_weight!r}" if weighted and min_weight is not None else "false"
    if good != "true" and not view:
        connection.execute(f"DELETE FROM raw WHERE NOT ({good})")
        good = "true"
    # a CASE, since AND may be done from either end, and a weight that is no number cannot be cast
    connection.execute(
        f"CREATE {'VIEW' if view else 'TABLE'} events AS SELECT file, row, user_id, item_id, {weight} AS weight, "
        f"{seconds(kind)} AS time FROM raw WHERE CASE WHEN {good} THEN NOT ({light}) ELSE false END"
    )
    if light == "false":
        return 0
    return int(scalar(connection, f"SELECT count(*) FROM raw WHERE CASE WHEN {good} THEN {light} ELSE false END"))


def number(connection: Connection, things: str, column: str) -> int:
    """Create `users` or `items`: distinct ids numbered in the order of their bytes; how many there are."""
    text = columns_of(connection, "events")[column] == "VARCHAR"
    distinct = f"SELECT DISTINCT {column} AS {'id' if text else 'key'} FROM events"
    ids = distinct if text else f"SELECT CAST(key AS VARCHAR) AS id, key FROM ({distinct})"
    connection.execute(
        f"CREATE TABLE {things} AS SELECT CAST(row_number() OVER () - 1 AS INTEGER) AS row, * FROM ({ids} ORDER BY id)"
    )
    return int(scalar(connection, f"SELECT count(*) FROM {things}"))


def sort_edges(connection: Connection, columns: Collection[str]) -> None:
    """Create `edges`: the events by number, in one order whatever the order of the files.

    Without the times or weights that no event has, so that less is sorted and spilled.
    """
    order = ", ".join(edge_columns(columns))
    connection.execute(f"CREATE TABLE edges AS {numbered_events(connection, columns)} ORDER BY {order}")


def edge_columns(columns: Collection[str]) -> list[str]:
    """The columns of `edges`, which is sorted by them."""
    return ["user_row", "item_row", *(name for name in ("time", "weight") if name in columns)]


def numbered_events(connection: Connection, columns: Collection[str]) -> str:
    """SQL for the events by number, in any order, from `events`, `users` and `items`."""
    keys = {things: "key" if "key" in columns_of(connection, things) else "id" for things in ("users", "items")}
    chosen = ", ".join(["users.row AS user_row", "items.row AS item_row", *edge_columns(columns)[2:]])
    return (
        f"SELECT {chosen} "
        f"FROM events JOIN users ON users.{keys['users']} = user_id JOIN items ON items.{keys['items']} = item_id"
    )


def merged_edges(connection: Connection, rule: str) -> Iterator[tuple[NDArray[Any], ...]]:
    """Users, items, weights and times with one edge per pair, a piece at a time, from `edges`."""
    n = int(scalar(connection, "SELECT count(*) FROM edges"))
    rest: dict[str, NDArray[Any]] | None = None
    for start in range(0, n, STEP):
        query = "SELECT * FROM edges WHERE rowid >= $1 AND rowid < $2"
        part = connection.execute(query, [start, start + STEP]).fetchnumpy()
        part.setdefault("weight", np.ones(len(part["user_row"])))
        part.setdefault("time", np.full(len(part["user_row"]), NO_TIME, np.int64))
        if rest is not None:
            part = {name: np.concatenate([rest[name], part[name]]) for name in part}
        users, items = part["user_row"], part["item_row"]
        firsts = np.flatnonzero(np.r_[True, (users[1:] != users[:-1]) | (items[1:] != items[:-1])])
        if start + STEP < n:  # the last pair may go on in the next piece
            cut, firsts = firsts[-1], firsts[:-1]
            rest = {name: column[cut:] for name, column in part.items()}
            part = {name: column[:cut] for name, column in part.items()}
        if len(firsts):
            yield _merge(part, firsts, rule)


def _merge(part: Mapping[str, NDArray[Any]], firsts: NDArray[np.intp], rule: str) -> tuple[NDArray[Any], ...]:
    """One edge per pair; rows of a pair stand by time, then weight, so the last row is the latest."""
    weights = part["weight"]
    lasts = np.r_[firsts[1:], len(weights)] - 1
    if rule == "sum":
        weights = np.add.reduceat(weights, firsts)
    elif rule == "max":
        weights = np.maximum.reduceat(weights, firsts)
    elif rule == "last":
        weights = weights[lasts]
    else:
        weights = (lasts - firsts + 1).astype(np.float64)
    times = part["time"][lasts]
    return part["user_row"][firsts], part["item_row"][firsts], weights.astype(np.float32), times


def read_interactions(connection: Connection, rule: str, n_users: int, n_items: int) -> Interactions:
    """The merged edges in memory."""
    parts = list(merged_edges(connection, rule))
    users, items, weights, times = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Interactions(users, items, weights, times.astype(np.int64), n_users, n_items)


def _insert(connection: Connection, file: int, blocks: Sequence[Block]) -> None:
    rows = np.concatenate([block.rows for block in blocks])
    if len(rows):
        chunk = {"row": rows} | {
            ROLES[role]: np.concatenate([block.values[role] for block in blocks]) for role in blocks[0].values
        }
        chosen = ", ".join(name if name in chunk else "''" for name in ROLES.values())
        connection.register("chunk", chunk)
        connection.execute(f"INSERT INTO raw SELECT {file}, row, {chosen} FROM chunk")
        connection.unregister("chunk")
    insert_rejected(connection, file, [bad for block in blocks for bad in block.bad])


def insert_rejected(connection: Connection, file: int, bad: Iterable[Bad]) -> None:
    """Add records to `rejected`."""
    columns = list(zip(*bad, strict=True))
    if columns:
        fields = {name: np.array(values, dtype=object) for name, values in zip(Bad._fields, columns, strict=True)}
        fields["row"] = np.array(columns[0], dtype=np.int64)
        connection.register("chunk", fields)
        connection.execute(f"INSERT INTO rejected SELECT {file}, * FROM chunk")
        connection.unregister("chunk")
