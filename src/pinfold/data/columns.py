"""Columns of a Parquet file as numpy has them, of all rows or of some: no Python object for a number."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pinfold.arrays import Floats
from pinfold.data.sql import Connection, columns_of, exact, parquet_table, quoted, scalar

Column = NDArray[Any]  # (n,) or (n, D) numbers, or (n,) objects: str, bool, list, None where missing

WHOLE = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER")  # within int64
FLOATING = ("FLOAT", "DOUBLE")
PLAIN = (*WHOLE, *FLOATING, "VARCHAR", "BOOLEAN")  # what DuckDB hands to numpy as it is
ROWS = 1 << 18  # of plain columns that are read at once
STEP = 1 << 22  # numbers of a matrix that are read at once
FEW = 10_000  # distinct texts of a column up to which equal ones are kept once


def count_rows(connection: Connection, path: Path) -> int:
    """The rows of a Parquet file, from its footer."""
    return int(scalar(connection, "SELECT num_rows FROM parquet_file_metadata($1)", exact(path)))


def types_of(connection: Connection, path: Path) -> dict[str, str]:
    """Names and SQL types of the columns of a Parquet file, in order."""
    return columns_of(connection, parquet_table(path))


def read_columns(
    connection: Connection, path: Path, names: Sequence[str], start: int = 0, stop: int | None = None
) -> dict[str, Column]:
    """These columns of the rows [start, stop) of a Parquet file; nothing is read where none is named.

    Numbers without a gap are int64 or float64 (n,). Lists of floating point numbers, all of one length D and without a
    gap, are a float32 matrix (n, D). Everything else is objects: text, bool, list, None where missing.

    Raises:
        duckdb.Error: the file cannot be read.
        KeyError: there is no such column.
    """
    types = types_of(connection, path) if names else {}
    rows = (start, count_rows(connection, path) if stop is None else stop)
    found = _plain(connection, path, [name for name in names if types[name] in PLAIN], rows)
    for name in names:
        if name not in found:
            width = _width(connection, path, name, types[name], rows)
            found[name] = (
                _matrix(connection, path, name, width, rows) if width else _objects(connection, path, name, rows)
            )
    return {name: found[name] for name in names}


def _select(path: Path, chosen: str, start: int, stop: int) -> str:
    rows = f"file_row_number >= {start} AND file_row_number < {stop}"
    return f"SELECT {chosen} FROM {parquet_table(path)} WHERE {rows}"


def _plain(connection: Connection, path: Path, names: Sequence[str], rows: tuple[int, int]) -> dict[str, Column]:
    """Columns that DuckDB hands to numpy, by blocks, so that it does not hold them all beside numpy's."""
    if not names:
        return {}
    # numbered names: numpy's answer is a dict, and SQL knows no case
    chosen = ", ".join(f"{quoted(name)} AS c{n}" for n, name in enumerate(names))
    parts: list[list[Column]] = [[] for _ in names]
    known: list[dict[Any, Any]] = [{} for _ in names]
    for start in range(rows[0], max(rows[1], rows[0] + 1), ROWS):
        query = _select(path, chosen, start, min(start + ROWS, rows[1]))
        found = connection.execute(query).fetchnumpy()
        for n, texts in enumerate(known):
            parts[n].append(_once(_column(found[f"c{n}"]), texts))
    return {name: _joined(parts.pop(0)) for name in names}


def _once(column: Column, known: dict[Any, Any]) -> Column:
    """The column with one object for equal texts, while there are few: a million rows of ten categories."""
    if column.dtype == object and len(known) < FEW:
        column[:] = [known.setdefault(value, value) for value in column.tolist()]
    return column


def _joined(parts: list[Column]) -> Column:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _column(found: NDArray[Any]) -> Column:
    """Numbers at 64 bits where none is missing, everything else as objects."""
    missing = np.ma.getmaskarray(found) if isinstance(found, np.ma.MaskedArray) else None
    values = np.asarray(found)  # without the mask
    if missing is None or not missing.any():
        if values.dtype.kind in "iuf":
            return values.astype(np.float64 if values.dtype.kind == "f" else np.int64, copy=False)
        missing = None
    column = values.astype(object)
    if missing is not None:
        column[missing] = None
    return column


def _width(connection: Connection, path: Path, name: str, kind: str, rows: tuple[int, int]) -> int:
    """D of a column that is a matrix; 0 of one that is none."""
    if kind.partition("[")[0] not in FLOATING or kind.count("[") != 1:
        return 0
    value = quoted(name)
    chosen = f"count(*), min(len({value})), max(len({value})), sum(list_count({value}))"
    n, least, most, there = connection.execute(_select(path, chosen, *rows)).fetchall()[0]
    return int(most) if n and least == most and there == n * most else 0


def _matrix(connection: Connection, path: Path, name: str, width: int, rows: tuple[int, int]) -> Floats:
    """Lists of `width` numbers as (n, width), read by blocks, so that little is held twice."""
    start, stop = rows
    matrix = np.empty((stop - start, width), np.float32)
    step = max(1, STEP // width)
    for first in range(start, stop, step):
        last = min(first + step, stop)
        query = _select(path, f"unnest({quoted(name)}) AS value", first, last)
        with np.errstate(over="ignore"):  # a number beyond float32 becomes infinite, which the features refuse
            matrix[first - start : last - start] = connection.execute(query).fetchnumpy()["value"].reshape(-1, width)
    return matrix


def _objects(connection: Connection, path: Path, name: str, rows: tuple[int, int]) -> Column:
    """Lists and numbers beyond 64 bits, as Python has them."""
    values = [row[0] for row in connection.execute(_select(path, quoted(name), *rows)).fetchall()]
    # numpy would make one uint64 of some, and of larger and smaller ones together floats, of which many are one
    if values and all(isinstance(value, int) and abs(value) < 2**63 for value in values):
        return np.array(values, np.int64)
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column
