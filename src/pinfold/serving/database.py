"""What a store asks of a database, and the words in which its refusals are passed on."""

import errno
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import Connection, Engine, Table
from sqlalchemy.exc import SQLAlchemyError

from pinfold.arrays import Floats
from pinfold.errors import StoreError

SQLITE_REASONS = {
    sqlite3.SQLITE_BUSY: "another program holds it; end that program",
    sqlite3.SQLITE_LOCKED: "another program holds it; end that program",
    sqlite3.SQLITE_READONLY: "it cannot be written; make it and its folder writable",
    sqlite3.SQLITE_IOERR: "the disk gives errors; look at the system's log",
    sqlite3.SQLITE_CORRUPT: "it is damaged; restore it from a copy",
    sqlite3.SQLITE_NOTADB: "it is no SQLite database, or its beginning is damaged; name another file, or restore it",
    sqlite3.SQLITE_FULL: "the disk is full; make room",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened; look at the permissions of its folder",
}
POSTGRES_REASONS = {  # by the beginning of the SQLSTATE
    "53100": "the server's disk is full; make room",
    "53": "the server has too little memory or too few connections",
    "55P03": "another program holds its rows; end that program",
    "08": "the server cannot be reached",
    "57": "the server was stopped or restarted",
    "25006": "it cannot be written; connect to the primary server",
    "28": "the server refuses the user; look at the user and password",
    "3D000": "the server has no such database; create it",
    "42501": "the user may not do this; grant it",
    "58": "the server's disk gives errors; look at its log",
    "XX": "it is damaged; look at the server's log and restore it",
}
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class Vectors(Protocol):
    """How a database keeps and searches vectors, one table a generation."""

    def table(self, name: str, dim: int) -> Table:
        """A table with columns `id` and `vector` of `dim` numbers."""

    def create(self, connection: Connection, table: Table) -> None:
        """Make the table."""

    def insert(self, connection: Connection, table: Table, ids: Sequence[str], vectors: Floats) -> None:
        """Add rows (n, D) whose ids are not there."""

    def add_index(self, connection: Connection, table: Table) -> None:
        """Make searches fast, if the database can."""

    def nearest(self, connection: Connection, table: Table, vector: Floats, k: int) -> list[tuple[str, float]]:
        """The k largest inner products with `vector` (D,)."""


@dataclass(frozen=True, slots=True)
class Database:
    """A database that belongs to this process."""

    place: str  # what people call it; no password in it
    engine: Engine
    driver_error: type[Exception]  # what the driver raises where SQLAlchemy does not stand between
    snapshot: Mapping[str, Any]  # execution options of a transaction that sees one state from its beginning to its end
    mark: Callable[[int], None]  # note, beside the database, that this many commits were acknowledged
    check_mark: Callable[[int], None]  # raise if fewer commits are found than were acknowledged
    release: Callable[[], None]
    vectors: Vectors


@contextmanager
def refusals(place: str, *more: type[Exception]) -> Iterator[None]:
    """Pass on what the database raises as a StoreError that says where, why, and what to do."""
    kinds: tuple[type[Exception], ...] = (SQLAlchemyError, OSError, *more)
    try:
        yield
    except kinds as error:
        raise StoreError(f"{place}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    cause = getattr(error, "orig", None) or error
    words = " ".join(str(cause).split())
    advice = _advice(cause)
    return f"{advice} ({words})" if advice else words


def _advice(cause: BaseException) -> str:
    if isinstance(cause, OSError):
        return SQLITE_REASONS[sqlite3.SQLITE_FULL] if cause.errno in FULL else ""
    code = getattr(cause, "sqlite_errorcode", None)
    if code is not None:
        return SQLITE_REASONS.get(code & 0xFF, "")  # the higher bits say more than people want to know
    state = getattr(cause, "sqlstate", None) or ""
    return next((words for start, words in POSTGRES_REASONS.items() if state.startswith(start)), "")
