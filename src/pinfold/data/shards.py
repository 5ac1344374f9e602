"""Parquet files of events as the view `raw`: 200 million records are looked at where they are and copied nowhere."""

import gzip
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb

from pinfold.data.attributes import check_id_type
from pinfold.data.columns import WHOLE
from pinfold.data.records import DAMAGE, open_text, require
from pinfold.data.sql import ROW, Connection, columns_of, first_line, parquet_table, quoted, scalar
from pinfold.data.staging import ROLES
from pinfold.errors import DataError

NUMBERS = (*WHOLE, "DOUBLE")  # that mean the same as numbers and as text


def view_shards(connection: Connection, paths: Sequence[Path], columns: Mapping[str, str]) -> None:
    """Make `raw` a view of these files; file n of the view is paths[n].

    A column that is of one type of NUMBERS in all files keeps it; any other becomes text, empty where missing.

    Raises:
        DataError: a file is missing, empty, damaged or lacks a column.
    """
    sources, found = [], []
    for file, path in enumerate(paths):
        with reading(path):
            sources.append(parquet(connection, file, path))
            found.append(columns_of(connection, sources[-1]))
            check_columns(path, found[-1], columns)
            if not scalar(connection, f"SELECT count(*) FROM {sources[-1]}"):
                raise DataError(f"{path}: is empty; expected at least one event")
    kinds = {role: {types[name] for types in found} for role, name in columns.items()}
    whole = {role for role, several in kinds.items() if len(several) == 1 and several <= set(NUMBERS)}
    parts = [f"SELECT {file} AS file, {records(source, columns, whole)}" for file, source in enumerate(sources)]
    connection.execute(f"CREATE VIEW raw AS {' UNION ALL '.join(parts)}")


def records(source: str, columns: Mapping[str, str], whole: Sequence[str] | set[str] = ()) -> str:
    """The columns row, user_id, item_id, weight, time of a table expression as SQL after SELECT.

    Args:
        source: the table expression.
        columns: role -> column.
        whole: the roles whose values stay as they are; the others become text.
    """
    values = ["file_row_number + 1 AS row" if source.startswith("read_parquet") else "row_number() OVER () AS row"]
    for role, name in ROLES.items():
        value = quoted(columns[role]) if role in columns else "''"
        text = value if role in whole or role not in columns else f"coalesce(CAST({value} AS VARCHAR), '')"
        values.append(f"{text} AS {name}")
    return f"{', '.join(values)} FROM {source}"


def check_columns(where: object, types: Mapping[str, str], columns: Mapping[str, str]) -> None:
    """Raise unless the columns (role -> name) are among those found (name -> SQL type), and ids can be ids.

    Raises:
        DataError: a column is missing, or holds ids that are no ids.
    """
    require(where, types, columns)
    for role in ("user", "item"):
        check_id_type(where, columns[role], types[columns[role]])


def parquet(connection: Connection, file: int, path: Path) -> str:
    """The table expression of a Parquet file, which is unpacked first when its name ends in .gz.

    In brackets where a column of the file hides the numbers of its rows: `records` then counts them.

    Raises:
        DataError: there is no such file.
    """
    with open_text(path):
        pass  # a missing file is told apart from a damaged one
    unpacked = path
    if path.suffix.lower() == ".gz":
        folder = Path(scalar(connection, "SELECT current_setting('temp_directory')"))
        unpacked = folder / f"{file}.parquet"
        with gzip.open(path) as packed, unpacked.open("wb") as target:
            shutil.copyfileobj(packed, target)
    source = parquet_table(unpacked)
    hidden = any(name.lower() == ROW for name in columns_of(connection, source))
    return f"(SELECT * FROM {source})" if hidden else source


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Whatever goes wrong in the block is the fault of this Parquet file.

    Raises:
        DataError: names the file.
    """
    try:
        yield
    except duckdb.OutOfMemoryException:
        raise
    except (duckdb.Error, *DAMAGE) as error:
        raise DataError(f"{path}: cannot be read as Parquet: {first_line(error)}") from error


@contextmanager
def naming_shards(connection: Connection, paths: Sequence[Path], columns: Mapping[str, str]) -> Iterator[None]:
    """A block that reads the files through views: DuckDB's error becomes one that names the file at fault.

    Damage between the two ends of a Parquet file shows only when its rows are read.

    Raises:
        DataError: names the file.
    """
    try:
        yield
    except duckdb.OutOfMemoryException:
        raise
    except duckdb.Error:
        for path in paths:
            if path.suffix.lower() != ".gz":
                with reading(path):
                    values = ", ".join(f"max(hash({quoted(name)}))" for name in columns.values())
                    connection.execute(f"SELECT {values} FROM {parquet_table(path)}").fetchall()
        raise
