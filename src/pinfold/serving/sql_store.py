"""The store on SQLAlchemy Core: the same statements for SQLite and PostgreSQL.

Writers take turns. A transaction locks the one row of `pinfold_totals`, takes its sequences from it and writes it back,
so that the order of commits is the order of sequences, and a sequence whose transaction failed is free again.
"""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Lock
from typing import Any

from sqlalchemy import URL, Connection, make_url
from sqlalchemy.exc import ArgumentError

from pinfold.arrays import Floats
from pinfold.errors import StoreError
from pinfold.serving import journal
from pinfold.serving import vectors as vector_tables
from pinfold.serving.database import Database, refusals
from pinfold.serving.schema import VERSION_KEY, Totals, prepare, read_meta, read_totals, write_meta, write_totals
from pinfold.serving.store import Entry, EventEntry, ItemEntry, NewEvent, Store, check_finite, check_id, to_json


def open_store(place: str | Path) -> Store:
    """The store at a path, `sqlite:///PATH` or `postgresql://USER:PASSWORD@HOST/DATABASE`; made if it is not there.

    One server at a time: the store belongs to this process until `close`, or until the process ends in whatever way.

    Raises:
        StoreError: the place cannot be used, is in use, is damaged, or was written by a newer Pinfold.
    """
    return SqlStore(_open_database(place))


class SqlStore:
    """A `Store` in a SQLite file or a PostgreSQL database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._turn = Lock()
        self._closed = Event()
        self._owner = secrets.token_hex(8)
        try:
            with self._transaction(writes=True) as connection:
                found = prepare(connection, self._database.place)
                self._database.check_mark(found.commits)
                found.owner = self._owner  # from now on nobody else writes
                found.commits += 1
                write_totals(connection, found)
            self._database.mark(found.commits)
        except BaseException:
            self.close()
            raise

    def put_item(
        self,
        item: str,
        attributes: Mapping[str, Any],
        collections: Sequence[str],
        accepted: float,
        vector: tuple[str, Floats] | None = None,
    ) -> ItemEntry:
        """See `Store`."""
        new = journal.checked_item(item, attributes, collections, accepted)
        with self._writing() as (connection, found):
            entry = journal.write_item(connection, self._database.place, found, new)
            if vector is not None:
                generation, numbers = vector
                vector_tables.put_vectors(connection, self._database, generation, [item], numbers.reshape(1, -1))
        return entry

    def delete_item(self, item: str, accepted: float) -> ItemEntry:
        """See `Store`."""
        new = journal.deleted_item(item, accepted)
        with self._writing() as (connection, found):
            entry = journal.write_item(connection, self._database.place, found, new)
            vector_tables.remove_item(connection, self._database, item)
        return entry

    def add_events(self, events: Sequence[NewEvent], accepted: float) -> list[EventEntry | None]:
        """See `Store`."""
        accepted = check_finite("accepted", accepted)
        told = [journal.checked_event(position, event) for position, event in enumerate(events)]
        if not told:
            return []
        with self._writing() as (connection, found):
            return journal.write_events(connection, self._database.place, found, told, accepted)

    def entries(self, after: int = 0) -> Iterator[Entry]:
        """See `Store`."""
        with self._transaction(writes=False) as connection:
            for entry in journal.read(connection, self._database.place, after):
                if self._closed.is_set():
                    raise StoreError(f"{self._database.place}: was closed while its entries were read")
                yield entry

    def last_sequence(self) -> int:
        """See `Store`."""
        with self._transaction(writes=False) as connection:
            return read_totals(connection, self._database.place, lock=False).sequence

    def meta(self, key: str) -> str | None:
        """See `Store`."""
        with self._transaction(writes=False) as connection:
            return read_meta(connection, self._database.place, key)

    def set_meta(self, key: str, value: str) -> None:
        """See `Store`."""
        if check_id("key", key) == VERSION_KEY:
            raise ValueError(f"key {VERSION_KEY!r} is the store's own")
        to_json("value", value)
        if "\0" in value:
            raise ValueError("value must not hold NUL")
        with self._writing() as (connection, _):
            write_meta(connection, key, value)

    def save_vectors(self, generation: str, ids: Sequence[str], vectors: Floats) -> None:
        """See `Store`."""
        with self._writing() as (connection, _):
            vector_tables.put_vectors(connection, self._database, generation, ids, vectors)

    def delete_vectors(self, generation: str) -> None:
        """See `Store`."""
        with self._writing() as (connection, _):
            vector_tables.remove_generation(connection, self._database, generation)

    def nearest(self, generation: str, vector: Floats, k: int) -> list[tuple[str, float]]:
        """See `Store`."""
        with self._transaction(writes=False) as connection:
            return vector_tables.nearest(connection, self._database, generation, vector, k)

    def close(self) -> None:
        """See `Store`."""
        with self._turn:
            if not self._closed.is_set():
                self._closed.set()
                with refusals(self._database.place):
                    self._database.release()

    @contextmanager
    def _transaction(self, *, writes: bool) -> Iterator[Connection]:
        place = self._database.place
        if self._closed.is_set():
            raise StoreError(f"{place}: was closed; open it again")
        options = {"writes": True} if writes else dict(self._database.snapshot)
        with refusals(place, self._database.driver_error), self._database.engine.connect() as connection:
            connection.execution_options(**options)
            try:
                with connection.begin():
                    yield connection
            finally:
                if self._closed.is_set():
                    connection.detach()  # the pool that it came from has gone

    @contextmanager
    def _writing(self) -> Iterator[tuple[Connection, Totals]]:
        """A transaction with the totals, which are written back at its end."""
        with self._turn:
            with self._transaction(writes=True) as connection:
                found = read_totals(connection, self._database.place, lock=True)
                if found.owner != self._owner:
                    raise StoreError(
                        f"{self._database.place}: another server has taken it over; end one of the two servers"
                    )
                yield connection, found
                found.commits += 1
                write_totals(connection, found)
            self._database.mark(found.commits)


def _open_database(place: str | Path) -> Database:
    if isinstance(place, Path) or "://" not in place:
        url = None
        path = Path(place)
    else:
        url, path = _parsed(place)
    if url is None:
        from pinfold.serving.sqlite import open_sqlite

        return open_sqlite(path)
    try:
        from pinfold.serving.postgres import open_postgres
    except ImportError as error:
        raise StoreError(f"PostgreSQL needs pip install 'pinfold[postgres]': {error}") from error
    return open_postgres(url)


def _parsed(place: str) -> tuple[URL | None, Path]:
    """The URL of a server, or None and the path of a file."""
    expected = "expected a path, sqlite:///PATH or postgresql://USER:PASSWORD@HOST/DATABASE"
    try:
        url = make_url(place)
    except (ArgumentError, ValueError):  # whose words hold the password
        raise StoreError(f"the place of a store is no URL; {expected}") from None
    kind = url.get_backend_name()
    if kind == "postgresql":
        return url, Path()
    if kind == "sqlite" and url.database not in (None, "", ":memory:") and not url.query:
        return None, Path(str(url.database))
    raise StoreError(f"{kind}://...: no store is kept there; {expected}")
