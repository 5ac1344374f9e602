"""A store in a PostgreSQL database, with vectors in pgvector's tables and indexes.

The server that has the store open holds an advisory lock of the schema it is in, on a connection of its own. If that
connection is lost the lock is lost with it; the owner in `pinfold_totals` then sees to it that of two servers only the
later one writes.
"""

import time
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import psycopg
from pgvector import Vector
from pgvector.psycopg import register_vector
from pgvector.sqlalchemy import VECTOR
from sqlalchemy import (
    URL,
    Column,
    Connection,
    Engine,
    MetaData,
    Table,
    Text,
    create_engine,
    event,
    insert,
    literal,
    select,
    text,
)

from pinfold.arrays import Floats
from pinfold.errors import StoreError
from pinfold.serving.database import Database, refusals

CONNECT_SECONDS = 10
TAKE_SECONDS = 3  # the server notices a moment later that a process was killed
SESSION = (
    "SET lock_timeout = '10s'",
    "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'",
)
LOCK = "SELECT pg_try_advisory_lock(hashtextextended('pinfold ' || current_schema(), 0))"
INDEX_DIM = 2000  # HNSW takes no longer vectors
MAX_SEARCH = 1000  # of hnsw.ef_search
COPY_FROM = 100  # vectors; fewer are not worth the questions about types that come before
BUILD_MEMORY = "512MB"


def open_postgres(url: URL) -> Database:
    """The database at `url`, locked.

    Raises:
        StoreError: it cannot be reached, or another server has it open.
    """
    place = f"postgresql://{url.host or url.query.get('host', '')}/{url.database}"
    with refusals(place, psycopg.Error):
        engine = create_engine(
            url.set(drivername="postgresql+psycopg"),
            connect_args={"connect_timeout": CONNECT_SECONDS},
            pool_pre_ping=True,  # connections of before the server was restarted are noticed and replaced
        )
        event.listen(engine, "connect", _set_up)
        guard = _take(engine, place)

    def release() -> None:
        guard.close()
        engine.dispose()

    snapshot = {"isolation_level": "REPEATABLE READ"}
    return Database(place, engine, psycopg.Error, snapshot, lambda _: None, lambda _: None, release, PgVectors(place))


def _set_up(connection: Any, _record: object) -> None:
    with connection.cursor() as cursor:
        for statement in SESSION:
            cursor.execute(statement)
    connection.commit()


def _take(engine: Engine, place: str) -> Connection:
    """The connection that holds the lock."""
    guard = engine.connect()
    try:
        guard.detach()
        until = time.monotonic() + TAKE_SECONDS
        while not (taken := _ask(guard, LOCK)) and time.monotonic() < until:
            time.sleep(0.05)
        if not taken:
            raise StoreError(f"{place}: another server has it open; end that one, or name another database")
    except BaseException:
        guard.close()
        engine.dispose()
        raise
    return guard


def _ask(connection: Connection, statement: str) -> bool:
    with connection.begin():
        return bool(connection.execute(text(statement)).scalar_one())


@lru_cache(256)  # SQLAlchemy keeps compiled statements by table
def _vectors(name: str, dim: int) -> Table:
    return Table(name, MetaData(), Column("id", Text, primary_key=True), Column("vector", VECTOR(dim)))


class PgVectors:
    """Vectors in pgvector's type, searched by an HNSW index for inner products."""

    def __init__(self, place: str) -> None:
        self._place = place

    def table(self, name: str, dim: int) -> Table:
        """A table that people can also ask by SQL: `ORDER BY vector <#> '[...]' LIMIT 10`."""
        return _vectors(name, dim)

    def create(self, connection: Connection, table: Table) -> None:
        """Make the table, and the extension if it is not there."""
        try:
            connection.execute(text("CREATE EXTENSION IF NOT EXISTS vector"))
        except Exception as error:
            raise StoreError(
                f"{self._place}: has no pgvector, which vectors need: install it on the server and let its owner run "
                f"CREATE EXTENSION vector ({' '.join(str(error).split())})"
            ) from error
        table.create(connection)

    def insert(self, connection: Connection, table: Table, ids: Sequence[str], vectors: Floats) -> None:
        """Add rows (n, D), many of them by COPY in pgvector's binary form."""
        if len(ids) < COPY_FROM:
            rows = [{"id": key, "vector": vector} for key, vector in zip(ids, vectors, strict=True)]
            connection.execute(insert(table), rows)
            return
        driver: Any = connection.connection.driver_connection
        register_vector(driver)
        with (
            driver.cursor() as cursor,
            cursor.copy(f"COPY {table.name} (id, vector) FROM STDIN (FORMAT BINARY)") as copy,
        ):
            copy.set_types(["text", "vector"])
            for key, vector in zip(ids, vectors, strict=True):
                copy.write_row((key, Vector(vector)))

    def add_index(self, connection: Connection, table: Table) -> None:
        """HNSW by inner product; none for vectors that are too long for it."""
        kind: Any = table.c.vector.type
        if kind.dim <= INDEX_DIM:
            _set(connection, "maintenance_work_mem", BUILD_MEMORY)
            connection.execute(text(f"CREATE INDEX ON {table.name} USING hnsw (vector vector_ip_ops)"))

    def nearest(self, connection: Connection, table: Table, vector: Floats, k: int) -> list[tuple[str, float]]:
        """By the index, with twice as many candidates as asked for."""
        _set(connection, "hnsw.ef_search", str(min(max(100, 2 * k), MAX_SEARCH)))
        _set(connection, "hnsw.iterative_scan", "strict_order")  # for k above what the index gives at once
        distance: Any = table.c.vector.max_inner_product(literal(vector, table.c.vector.type))
        rows = connection.execute(select(table.c.id, distance.label("distance")).order_by(distance).limit(k))
        return [(str(row.id), -float(row.distance)) for row in rows]


def _set(connection: Connection, name: str, value: str) -> None:
    """A setting of the server until the transaction ends."""
    connection.execute(text("SELECT set_config(:name, :value, true)"), {"name": name, "value": value})
