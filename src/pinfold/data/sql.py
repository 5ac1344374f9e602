"""A DuckDB workspace: in memory, spilling to a temporary folder, limited; its errors never escape as DuckDB's."""

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from pinfold.errors import ArtifactError, ConfigError, DataError

Connection = duckdb.DuckDBPyConnection
ROW = "file_row_number"  # what DuckDB calls the place of a row in a Parquet file, from 0
REFUSED = re.compile(r'Could not write (?:to )?file \\?"(.*?)\\?"(?: \(.*?\))?: ([^"\n]*)')  # the system's own words


@dataclass(frozen=True, slots=True)
class Limits:
    """What a workspace may use, and how it reads times."""

    memory: str = "1GB"
    threads: int = 1
    time_zone: str = "UTC"


@contextmanager
def workspace(limits: Limits, beside: Path | None = None) -> Iterator[Connection]:
    """A connection to an empty database in memory that spills to a temporary folder and vanishes when the block ends.

    Args:
        limits: memory, threads and the zone of times without an offset.
        beside: where the temporary folder stands; the system's own place without it.

    Raises:
        ConfigError: a limit that DuckDB refuses.
        ArtifactError: the disk is full, or refuses to be written to.
        DataError: whatever else goes wrong in DuckDB inside the block.
    """
    with (
        tempfile.TemporaryDirectory(prefix=".pinfold.", suffix=".work", dir=beside) as folder,
        duckdb.connect() as connection,
    ):
        _set(connection, "memory_limit", limits.memory, "memory")
        _set(connection, "threads", limits.threads, "threads")
        _set(connection, "TimeZone", limits.time_zone, "time_zone")
        _set(connection, "temp_directory", folder, "temp_directory")
        _set(connection, "enable_progress_bar", False, "progress")  # DuckDB would write to the terminal
        # or every query over many Parquet files reads the end of each of them again
        _set(connection, "parquet_metadata_cache", True, "parquet_metadata_cache")
        _set(connection, "autoinstall_known_extensions", False, "extensions")  # nothing is ever downloaded
        try:
            yield connection
        except duckdb.OutOfMemoryException as error:
            raise DataError(f"the data needs more than memory = {limits.memory}; allow more with --memory") from error
        except duckdb.Error as error:
            refused = REFUSED.search(str(error))
            if refused:
                advice = "free some space, or name a place on another disk"
                raise ArtifactError(f"{refused[1]}: cannot be written: {refused[2]}; {advice}") from error
            raise DataError(f"the data cannot be processed: {first_line(error)}") from error


def quoted(name: str) -> str:
    """A column name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as an SQL string."""
    return "'" + text.replace("'", "''") + "'"


def exact(path: Path) -> str:
    """A path as DuckDB finds this one file by it, though `*`, `?` and `[` in a name make a pattern there."""
    return re.sub(r"([*?[])", r"[\1]", str(path))


def parquet_table(path: Path) -> str:
    """The table expression of a Parquet file with its own columns, and none from a folder named `key=value`."""
    return f"read_parquet({literal(exact(path))}, hive_partitioning = false)"


def scalar(connection: Connection, query: str, *values: object) -> Any:
    """The one value that a query gives."""
    rows = connection.execute(query, list(values)).fetchall()  # fetchone would leave the result open
    return rows[0][0] if rows else None


def columns_of(connection: Connection, source: str, *values: object) -> dict[str, str]:
    """Names and SQL types of the columns of a table expression, in order."""
    found = connection.execute(f"DESCRIBE SELECT * FROM {source}", list(values)).fetchall()
    return {row[0]: row[1] for row in found}


def first_line(error: Exception) -> str:
    """What an error says, without DuckDB's kind of error before it and its own SQL after it."""
    line = (str(error).strip() or type(error).__name__).splitlines()[0]
    return line.partition(" Error: ")[2] or line


def _set(connection: Connection, name: str, value: object, option: str) -> None:
    try:
        connection.execute(f"SET {name} = {literal(str(value))}")
    except duckdb.Error as error:
        raise ConfigError(f"{option} = {value!r}: {first_line(error)}") from error
