"""A store in a SQLite file: `NAME`, `NAME-wal`, `NAME-shm` (SQLite's own) and `NAME.lock`.

The kernel holds the lock file for the server that has the state open, and lets it go when that process ends in whatever
way. In it stands how many commits were acknowledged. SQLite takes a damaged log for one that ends earlier; the number
tells the difference.
"""

import fcntl
import os
import re
import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from sqlalchemy import (
    URL,
    Column,
    Connection,
    Engine,
    LargeBinary,
    MetaData,
    Table,
    Text,
    create_engine,
    event,
    insert,
    inspect,
    select,
)

from pinfold.arrays import Floats
from pinfold.errors import StoreError
from pinfold.serving.database import Database, refusals
from pinfold.serving.schema import meta

BUSY_MS = 5000
FULL_CHECK_BYTES = 32 << 20  # the full check takes 40 s for 1 GB of events, the quick one 3 s
MARK = re.compile(rb"(\d{20}) ([0-9a-f]{8})\n")
BLOCK = 4096  # vectors scanned at once


def open_sqlite(path: Path) -> Database:
    """The database at `path`, made if it is not there, checked, and locked.

    Raises:
        StoreError: it is in use, damaged, no database of a store, or its place cannot be used.
    """
    path = path.resolve()
    lock = path.with_name(f"{path.name}.lock")
    with refusals(str(path)):
        if path.exists() and not path.is_file():
            raise StoreError(f"{path}: is not a file; name the file of the database")
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _take(path, lock, handle)
        acknowledged = _read_mark(path, lock, handle)
        _check_missing(path, lock, acknowledged)
        engine = _checked_engine(path)
    except BaseException:
        os.close(handle)
        raise

    def mark(commits: int) -> None:
        text = b"%020d" % commits
        with suppress(OSError):  # an older number is true as well, it only notices less
            os.pwrite(handle, b"%s %08x\n" % (text, crc32(text)), 0)

    def check_mark(commits: int) -> None:
        if commits < acknowledged:
            _keep(path.with_name(f"{path.name}-wal"))
            raise StoreError(
                f"{path}: holds {commits} commits, but {acknowledged} were acknowledged: its log was damaged or "
                f"removed (what is left of it is kept as {path.name}-wal.damaged), or an older copy was put here; "
                f"restore {path.name} and {path.name}-wal, or remove {lock} to go on with what is there"
            )

    def release() -> None:
        engine.dispose()
        os.close(handle)

    return Database(str(path), engine, sqlite3.Error, {}, mark, check_mark, release, BlobVectors())


def _take(path: Path, lock: Path, handle: int) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise StoreError(
            f"{path}: another server has it open ({lock} is held); end that one, or name another state"
        ) from None
    except OSError as error:
        raise StoreError(f"{lock}: cannot be locked: {error}; put the state on a local disk") from error


def _read_mark(path: Path, lock: Path, handle: int) -> int:
    """How many commits were acknowledged; 0 of a new lock file."""
    text = os.pread(handle, 64, 0)
    if not text.strip(b"\0"):  # as after a loss of power, when the file's length came to disk and its bytes did not
        return 0
    found = MARK.fullmatch(text)
    if found is None or int(found[2], 16) != crc32(found[1]):
        raise StoreError(
            f"{lock}: damaged: it should say how many commits {path.name} holds; restore it, or remove it if the "
            "database is known to be whole"
        )
    return int(found[1])


def _check_missing(path: Path, lock: Path, acknowledged: int) -> None:
    if path.exists() and path.stat().st_size:
        return
    log = path.with_name(f"{path.name}-wal")
    if acknowledged or (log.exists() and log.stat().st_size):
        raise StoreError(
            f"{path}: is missing or empty, but {lock.name} or {log.name} says that it held something; restore it, "
            f"or remove {lock.name} and {log.name} as well to start with nothing"
        )
    with refusals(str(path)):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # what people did is nobody else's to read


def _keep(log: Path) -> None:
    """A copy of a damaged log, which SQLite removes when it closes the database."""
    with suppress(OSError):
        shutil.copyfile(log, log.with_name(f"{log.name}.damaged"))


def _set_up(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # transactions begin where `_begin` says so
    for pragma in (f"busy_timeout = {BUSY_MS}", "journal_mode = WAL", "synchronous = FULL"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _checked_engine(path: Path) -> Engine:
    engine = create_engine(URL.create("sqlite", database=str(path)))
    event.listen(engine, "connect", _set_up)
    event.listen(engine, "begin", _begin)
    try:
        with refusals(str(path), sqlite3.Error), engine.connect() as connection:
            _check(connection, path)
    except BaseException:
        engine.dispose()
        raise
    return engine


def _check(connection: Connection, path: Path) -> None:
    kind = "integrity_check" if path.stat().st_size <= FULL_CHECK_BYTES else "quick_check"
    found = connection.exec_driver_sql(f"PRAGMA {kind}(1)").scalar_one()
    if found != "ok":
        raise StoreError(f"{path}: it is damaged ({' '.join(str(found).split())}); restore it from a copy")
    names = inspect(connection).get_table_names()
    if names and meta.name not in names:
        raise StoreError(f"{path}: is a database of something else (table {names[0]}); name another file")


@lru_cache(256)  # SQLAlchemy keeps compiled statements by table
def _vectors(name: str) -> Table:
    return Table(name, MetaData(), Column("id", Text, primary_key=True), Column("vector", LargeBinary))


class BlobVectors:
    """Vectors as rows of bytes, each of them read in a search: for thousands of vectors, not for millions."""

    def table(self, name: str, dim: int) -> Table:
        """4 bytes a number, lowest first."""
        del dim
        return _vectors(name)

    def create(self, connection: Connection, table: Table) -> None:
        """Make the table."""
        table.create(connection)

    def insert(self, connection: Connection, table: Table, ids: Sequence[str], vectors: Floats) -> None:
        """Add rows (n, D)."""
        rows = (vector.astype("<f4").tobytes() for vector in vectors)
        connection.execute(insert(table), [{"id": key, "vector": row} for key, row in zip(ids, rows, strict=True)])

    def add_index(self, connection: Connection, table: Table) -> None:
        """SQLite has none."""

    def nearest(self, connection: Connection, table: Table, vector: Floats, k: int) -> list[tuple[str, float]]:
        """Exact, block by block; equal scores by id."""
        best: list[tuple[str, float]] = []
        statement = select(table.c.id, table.c.vector).execution_options(yield_per=BLOCK)
        for rows in connection.execute(statement).partitions():
            block = np.frombuffer(b"".join(_whole(row, table, len(vector)) for row in rows), "<f4")
            scores = block.reshape(len(rows), -1) @ vector
            found = [(str(row.id), float(score)) for row, score in zip(rows, scores, strict=True)]
            best = sorted(best + found, key=lambda pair: (-pair[1], pair[0]))[:k]
        return best


def _whole(row: Any, table: Table, dim: int) -> bytes:
    if not isinstance(row.vector, bytes) or len(row.vector) != 4 * dim:
        raise StoreError(
            f"table {table.name}, id {row.id!r}: the vector is damaged; save the generation's vectors anew"
        )
    return row.vector
