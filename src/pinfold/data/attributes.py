"""Attribute tables of users and items: read with their types, joined on the id, written beside the ids."""

from collections.abc import Iterable
from pathlib import Path

import duckdb
import numpy as np

from pinfold.data.records import open_text, read_header, read_records
from pinfold.data.sql import ROW, Connection, columns_of, exact, first_line, literal, parquet_table, quoted, scalar
from pinfold.errors import DataError, separator_hint

WHOLE = (
    "TINYINT",
    "SMALLINT",
    "INTEGER",
    "BIGINT",
    "UTINYINT",
    "USMALLINT",
    "UINTEGER",
    "UBIGINT",
    "HUGEINT",
    "UHUGEINT",
)
TEXTS = ("VARCHAR", "ENUM", "UUID")
KEPT = (*WHOLE, "FLOAT", "DOUBLE", "BOOLEAN", "VARCHAR")  # SQL types of attributes that stay as they are


def load_attributes(connection: Connection, noun: str, source: object, column: str) -> None:
    """Create `user_attributes` or `item_attributes` from a file or an object; its column `id` holds the ids.

    Args:
        connection: a workspace.
        noun: "user" or "item".
        source: a Path, or an object that DuckDB reads.
        column: the name of the id column among the events, looked for before `id`.

    Raises:
        DataError: the table cannot be read, has no id column, or gives one id twice.
    """
    where = str(source) if isinstance(source, Path) else f"the {noun} table"
    try:
        table = _table(connection, source, column)
        types = columns_of(connection, table)
        key = _key(where, types, column)
        check_id_type(where, key, types[key])
        _check_names(where, (name for name in types if name != key))
        chosen = [f"{_plain(name, kind)} AS {quoted(name)}" for name, kind in types.items() if name != key]
        listed = ", ".join([f"CAST({quoted(key)} AS VARCHAR) AS id", *chosen])
        connection.execute(f"CREATE TABLE {noun}_attributes AS SELECT {listed} FROM {table}")
    except duckdb.Error as error:
        fault = _first_fault(source) if isinstance(source, Path) else None
        raise DataError(fault or f"{where}: cannot be read as a table: {first_line(error)}") from error
    query = f"SELECT id FROM {noun}_attributes WHERE id IS NOT NULL GROUP BY id HAVING count(*) > 1 ORDER BY id LIMIT 1"
    twice = scalar(connection, query)
    if twice is not None:
        raise DataError(f"{where}: the {key} {twice!r} stands in more than one row; expected one row per {noun}")


def unused_attributes(connection: Connection, noun: str) -> int:
    """Rows of the attribute table whose id has no event; they get no row."""
    query = f"SELECT count(*) FROM {noun}_attributes a WHERE a.id IS NULL OR a.id NOT IN (SELECT id FROM {noun}s)"
    return int(scalar(connection, query))


def write_things(connection: Connection, noun: str, path: Path, *, attributes: bool) -> None:
    """Write `users` or `items` as tables.write_table does: column `id` and attributes, in row order."""
    query = f"SELECT v.id FROM {noun}s v ORDER BY v.row"
    if attributes:
        others = "a.* EXCLUDE (id)" if len(columns_of(connection, f"{noun}_attributes")) > 1 else ""
        query = (
            f"SELECT {', '.join(filter(None, ['v.id', others]))} "
            f"FROM {noun}s v LEFT JOIN {noun}_attributes a ON a.id = v.id ORDER BY v.row"
        )
    connection.execute(f"COPY ({query}) TO $path (FORMAT parquet, COMPRESSION zstd)", {"path": str(path)})


def check_id_type(where: object, column: str, kind: str) -> None:
    """Raise unless ids of this SQL type have one text each.

    Raises:
        DataError: floating point numbers, dates, lists and the like.
    """
    if (kind.startswith(TEXTS) and not kind.endswith("]")) or kind in WHOLE:
        return
    advice = "; a missing id makes pandas turn whole numbers into floats" if kind in ("DOUBLE", "FLOAT") else ""
    raise DataError(f"{where}: column {column!r} holds {kind}; expected ids as text or whole numbers{advice}")


def as_source(connection: Connection, name: str, value: object) -> str:
    """Register an object (DataFrame, Arrow table, dict of columns) under a name that SQL can read.

    Raises:
        TypeError: DuckDB cannot read the object.
    """
    if isinstance(value, dict):
        value = {str(column): np.asarray(values) for column, values in value.items()}
        if any(values.ndim != 1 for values in value.values()) or len({len(values) for values in value.values()}) != 1:
            raise TypeError("a dict of columns must hold one-dimensional columns of one length")
    try:
        connection.register(name, value)
        connection.execute(f"SELECT * FROM {name} LIMIT 0")
    except duckdb.Error as error:
        found = type(value).__name__
        raise TypeError(f"expected a DataFrame, an Arrow table or a dict of arrays, got {found}") from error
    return name


def _table(connection: Connection, source: object, column: str) -> str:
    """A table expression for the source; a file's id column is read as text, whatever it looks like."""
    if not isinstance(source, Path):
        return as_source(connection, "attributes", source)
    name = f"{literal(exact(source))}, hive_partitioning = false"
    ending = Path(source.name.lower().removesuffix(".gz")).suffix
    with open_text(source) as file:
        if ending in (".csv", ".tsv"):
            delimiter = "\t" if ending == ".tsv" else ","
            key = _key(str(source), read_header(file, source, delimiter)[0], column)
            # No comments: DuckDB would guess that lines starting with # are some, and leave them out.
            form = f"header = true, delim = '{delimiter}', quote = '\"', escape = '\"', comment = '', sample_size = -1"
            return f"read_csv({name}, {form}, types = {{{literal(key)}: 'VARCHAR'}})"
    if ending in (".jsonl", ".ndjson"):
        found = columns_of(connection, f"read_json({name}, format = 'newline_delimited')")
        found[_key(str(source), found, column)] = "VARCHAR"
        types = ", ".join(f"{literal(name)}: {literal(kind)}" for name, kind in found.items())
        return f"read_json({name}, format = 'newline_delimited', columns = {{{types}}})"
    if source.suffix.lower() == ".parquet":
        return parquet_table(source)
    raise DataError(f"{source}: expected a table ending in .csv, .tsv, .jsonl, .ndjson (or these with .gz) or .parquet")


def _first_fault(path: Path) -> str | None:
    """What is wrong with the first record of a csv or tsv file that is not as it should be, and where; None: nothing.

    Raises:
        DataError: the header is at fault.
    """
    ending = Path(path.name.lower().removesuffix(".gz")).suffix
    if ending not in (".csv", ".tsv"):
        return None
    with open_text(path) as file:
        names, _ = read_header(file, path, "\t" if ending == ".tsv" else ",")
    for block in read_records(path, ending[1:], {name: name for name in names}):
        for bad in sorted(block.bad):
            column = f" column {bad.field!r}:" if bad.field else ""
            return f"{path}:{bad.row}:{column} {bad.reason}: found {bad.found[:60]!r}, expected {bad.expected}"
    return None


def _key(where: str, found: object, column: str) -> str:
    names = list(found)  # type: ignore[call-overload]
    keys = [name for name in (column, "id") if name in names]
    if not keys:
        hint = separator_hint(names)
        raise DataError(f"{where}: no column {column!r} or 'id' to join on (found: {', '.join(names)}){hint}")
    others = [name for name in names if name.lower() == "id" and name != keys[0]]  # SQL knows no case
    if others:
        raise DataError(
            f"{where}: has both {keys[0]!r} and {others[0]!r}, and only one can be the id; rename the other"
        )
    return str(keys[0])


def _check_names(where: str, names: Iterable[str]) -> None:
    """Raise where an attribute would hide the rows' numbers in the file that is written."""
    taken = [name for name in names if name.lower() == ROW]
    if taken:
        raise DataError(f"{where}: no attribute can be named {taken[0]!r}, as the rows of Parquet files are; rename it")


def _plain(name: str, kind: str) -> str:
    """SQL that keeps numbers, text and lists of these; dates and nested values become text."""
    item = kind.removesuffix("[]")
    target = item if item in KEPT else "DOUBLE" if item.startswith("DECIMAL") else "VARCHAR"
    return f"CAST({quoted(name)} AS {target}{'[]' if kind.endswith('[]') else ''})"
