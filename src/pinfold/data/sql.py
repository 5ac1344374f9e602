"""A DuckDB workspace: a database in a temporary folder, with limits, whose errors never escape as DuckDB's."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
from duckdb import DuckDBPyConnection as Connection

from pinfold.errors import ConfigError, DataError


@dataclass(frozen=True, slots=True)
class Limits:
    """What a workspace may use, and how it reads times."""

    memory: str = "1GB"
    threads: int = 1
    time_zone: str = "UTC"


@contextmanager
def workspace(limits: Limits, beside: Path | None = None) -> Iterator[Connection]:
    """A connection to an empty database that spills to a temporary folder and vanishes when the block ends.

    Args:
        limits: memory, threads and the zone of times without an offset.
        beside: where the temporary folder stands; the system's own place without it.

    Raises:
        ConfigError: a limit that DuckDB refuses.
        DataError: whatever goes wrong in DuckDB inside the block.
    """
    with (
        tempfile.TemporaryDirectory(prefix=".pinfold.", suffix=".work", dir=beside) as folder,
        duckdb.connect(str(Path(folder) / "work.duckdb")) as connection,
    ):
        _set(connection, "memory_limit", limits.memory, "memory")
        _set(connection, "threads", limits.threads, "threads")
        _set(connection, "TimeZone", limits.time_zone, "time_zone")
        _set(connection, "temp_directory", folder, "temp_directory")
        _set(connection, "autoinstall_known_extensions", False, "extensions")  # nothing is ever downloaded
        try:
            yield connection
        except duckdb.OutOfMemoryException as error:
            raise DataError(f"the data needs more than memory = {limits.memory}; allow more with --memory") from error
        except duckdb.Error as error:
            raise DataError(f"the data cannot be processed: {first_line(error)}") from error


def quoted(name: str) -> str:
    """A column name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def scalar(connection: Connection, query: str, *values: object) -> Any:
    """The one value that a query gives."""
    row = connection.execute(query, list(values)).fetchone()
    return None if row is None else row[0]


def columns_of(connection: Connection, source: str, *values: object) -> dict[str, str]:
    """Names and SQL types of the columns of a table expression, in order."""
    found = connection.execute(f"DESCRIBE SELECT * FROM {source}", list(values)).fetchall()
    return {row[0]: row[1] for row in found}


def first_line(error: Exception) -> str:
    """The first line of an error's message; DuckDB's further lines speak of its own SQL."""
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


def _set(connection: Connection, name: str, value: object, option: str) -> None:
    text = str(value).replace("'", "''")
    try:
        connection.execute(f"SET {name} = '{text}'")
    except duckdb.Error as error:
        raise ConfigError(f"{option} = {value!r}: {first_line(error)}") from error
