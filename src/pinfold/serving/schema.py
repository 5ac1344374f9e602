"""The tables of a store, the same in SQLite and PostgreSQL, and the checksums that their rows carry.

A row's checksum covers its other columns. The one row of `pinfold_totals` says how many rows there are and the sum of
their checksums, so that a missing row is noticed as a changed one is.
"""

import json
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from hashlib import blake2b
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Double,
    Integer,
    MetaData,
    Row,
    SmallInteger,
    Table,
    Text,
    delete,
    insert,
    inspect,
    select,
    update,
)

from pinfold.errors import StoreError
from pinfold.serving.store import Entry, EventEntry, ItemEntry

VERSION = 1  # raised when this Pinfold could not read what the next one writes
VERSION_KEY = "schema"

tables = MetaData()
meta = Table(
    "pinfold_meta",
    tables,
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
    Column("checksum", BigInteger, nullable=False),
)
totals = Table(
    "pinfold_totals",
    tables,
    Column("one", Integer, primary_key=True),
    Column("owner", Text, nullable=False),  # the server that writes; another one's writes are refused
    Column("commits", BigInteger, nullable=False),
    Column("sequence", BigInteger, nullable=False),  # the newest
    Column("n_items", BigInteger, nullable=False),
    Column("n_events", BigInteger, nullable=False),
    Column("content", BigInteger, nullable=False),  # sum of the checksums of all items and events, modulo 2^63
    Column("checksum", BigInteger, nullable=False),
)
items = Table(
    "pinfold_items",
    tables,
    Column("id", Text, primary_key=True),
    Column("sequence", BigInteger, nullable=False, unique=True),
    Column("attributes", Text, nullable=False),  # JSON object
    Column("collections", Text, nullable=False),  # JSON list of user ids
    Column("deleted", SmallInteger, nullable=False),
    Column("accepted", Double, nullable=False),
    Column("checksum", BigInteger, nullable=False),
)
events = Table(
    "pinfold_events",
    tables,
    Column("sequence", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("user_id", Text, nullable=False),
    Column("item_id", Text, nullable=False),
    Column("time", BigInteger),
    Column("event", Text, unique=True),
    Column("accepted", Double, nullable=False),
    Column("checksum", BigInteger, nullable=False),
)
generations = Table(
    "pinfold_generations",
    tables,
    Column("generation", Text, primary_key=True),
    Column("number", Integer, nullable=False, unique=True),  # its vectors are in pinfold_vectors_NUMBER
    Column("dim", Integer, nullable=False),
)


def checksum(values: Iterable[Any]) -> int:
    """63 bits of BLAKE2b over the values as JSON.

    Raises:
        TypeError: a value is of no kind that is stored, so the row is damaged.
    """
    text = json.dumps(list(values), separators=(",", ":"))
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def sealed(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """The values of a row with their checksum behind them."""
    return (*values, checksum(values))


def item_row(
    sequence: int, item: str, attributes: str, collections: str, deleted: bool, accepted: float
) -> tuple[Any, ...]:
    """A row of `items`; attributes and collections as JSON."""
    return sealed((item, sequence, attributes, collections, int(deleted), accepted))


def event_row(entry: EventEntry) -> tuple[Any, ...]:
    """A row of `events`."""
    return sealed((entry.sequence, entry.user, entry.item, entry.time, entry.event, entry.accepted))


def _values(row: Row[Any]) -> tuple[Any, ...]:
    return tuple(row)


def check_row(place: str, table: Table, row: Row[Any]) -> None:
    """Raise unless the row is the one that was written.

    Raises:
        StoreError: it is not.
    """
    *values, found = _values(row)
    try:
        whole = checksum(values) == found
    except TypeError:
        whole = False
    if not whole:
        key = "sequence" if "sequence" in table.columns else "key"
        raise StoreError(
            f"{place}: table {table.name}, {key} {getattr(row, key)!r}: the row is damaged (another checksum); "
            "restore the database from a copy"
        )


def entry_of(row: Row[Any], table: Table) -> Entry:
    """A checked row of `items` or `events` as an entry."""
    if table is events:
        return EventEntry(*_values(row)[:-1])
    name, sequence, attributes, collections, deleted, accepted, _ = _values(row)
    return ItemEntry(sequence, name, json.loads(attributes), tuple(json.loads(collections)), bool(deleted), accepted)


@dataclass(slots=True)
class Totals:
    """What all rows are together; changed in memory within a transaction and written at its end."""

    owner: str
    commits: int = 0
    sequence: int = 0
    n_items: int = 0
    n_events: int = 0
    content: int = 0

    def add(self, row: tuple[Any, ...], removed: int = 0) -> None:
        """A row more, in the place of one with the checksum `removed`."""
        self.content = (self.content + row[-1] - removed) % 2**63


def read_totals(connection: Connection, place: str, *, lock: bool) -> Totals:
    """The totals; with `lock`, other writers wait until the transaction ends.

    Raises:
        StoreError: they are missing or damaged.
    """
    statement = select(totals).with_for_update() if lock else select(totals)  # SQLite locks at the beginning, anyway
    row = connection.execute(statement).one_or_none()
    if row is None:
        raise StoreError(f"{place}: table {totals.name} is empty: the database is damaged; restore it from a copy")
    check_row(place, totals, row)
    return Totals(*_values(row)[1:-1])


def totals_row(found: Totals) -> tuple[Any, ...]:
    """The row of `totals`."""
    return sealed((1, *astuple(found)))


def write_totals(connection: Connection, found: Totals) -> None:
    """Put the totals in the place of the older ones."""
    connection.execute(update(totals).values(dict(zip(totals.columns.keys(), totals_row(found), strict=True))))


def read_meta(connection: Connection, place: str, key: str) -> str | None:
    """A setting; None if it was never set."""
    row = connection.execute(select(meta).where(meta.c.key == key)).one_or_none()
    if row is None:
        return None
    check_row(place, meta, row)
    return str(row.value)


def write_meta(connection: Connection, key: str, value: str) -> None:
    """Put a setting in the place of the older one."""
    connection.execute(delete(meta).where(meta.c.key == key))
    connection.execute(insert(meta).values(sealed((key, value))))


def prepare(connection: Connection, place: str) -> Totals:
    """Make the tables if there are none, and lock what is there.

    Raises:
        StoreError: they are of a newer Pinfold, or damaged.
    """
    if not inspect(connection).has_table(meta.name):
        tables.create_all(connection)
        write_meta(connection, VERSION_KEY, str(VERSION))
        connection.execute(insert(totals).values(totals_row(Totals(""))))
    found = read_meta(connection, place, VERSION_KEY)
    if found != str(VERSION):
        raise StoreError(
            f"{place}: its tables have version {found}, this Pinfold reads {VERSION}; use the Pinfold that wrote it, "
            "or name another state"
        )
    return read_totals(connection, place, lock=True)
