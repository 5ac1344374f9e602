"""Items and events as rows: checked, written in a transaction, read in order of sequence."""

import heapq
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Table, insert, select, update

from pinfold.errors import ConflictError, StoreError
from pinfold.serving.schema import Totals, check_row, entry_of, event_row, events, item_row, items, read_totals
from pinfold.serving.store import (
    Entry,
    EventEntry,
    ItemEntry,
    NewEvent,
    check_finite,
    check_id,
    check_time,
    to_json,
)

BLOCK = 1000  # rows fetched, and ids looked up, at once


@dataclass(frozen=True, slots=True)
class NewItem:
    """What an item is about to become; checked."""

    id: str
    attributes: str  # JSON
    collections: str  # JSON
    deleted: bool
    accepted: float


def checked_item(item: str, attributes: Mapping[str, Any], collections: Sequence[str], accepted: float) -> NewItem:
    """An item to be put.

    Raises:
        ValueError: a part of it cannot be stored.
    """
    for position, user in enumerate(collections):
        check_id(f"collections[{position}]", user)
    texts = to_json("attributes", dict(attributes)), to_json("collections", list(collections))
    return NewItem(check_id("item", item), *texts, False, check_finite("accepted", accepted))


def deleted_item(item: str, accepted: float) -> NewItem:
    """An item to be deleted.

    Raises:
        ValueError: its id cannot be stored.
    """
    return NewItem(check_id("item", item), "{}", "[]", True, check_finite("accepted", accepted))


def checked_event(position: int, event: NewEvent) -> NewEvent:
    """The event itself.

    Raises:
        ValueError: a part of it cannot be stored.
    """
    name = f"events[{position}]"
    check_id(f"{name}.user", event.user)
    check_id(f"{name}.item", event.item)
    check_time(f"{name}.time", event.time)
    if event.event is not None:
        check_id(f"{name}.event", event.event)
    return event


def write_item(connection: Connection, place: str, found: Totals, new: NewItem) -> ItemEntry:
    """The newest entry of an item in the place of the one before."""
    before = connection.execute(select(items).where(items.c.id == new.id)).one_or_none()
    found.sequence += 1
    row = item_row(found.sequence, new.id, new.attributes, new.collections, new.deleted, new.accepted)
    if before is None:
        connection.execute(insert(items), named(items, row))
        found.n_items += 1
        found.add(row)
    else:
        check_row(place, items, before)
        connection.execute(update(items).where(items.c.id == new.id), named(items, row))
        found.add(row, before.checksum)
    collections = tuple(json.loads(new.collections))
    return ItemEntry(found.sequence, new.id, json.loads(new.attributes), collections, new.deleted, new.accepted)


def write_events(
    connection: Connection, place: str, found: Totals, told: Sequence[NewEvent], accepted: float
) -> list[EventEntry | None]:
    """All events but those that were accepted before.

    Raises:
        ConflictError: an id comes again with other content.
    """
    known = _known(connection, place, told)
    entries: list[EventEntry | None] = []
    rows = []
    for position, event in enumerate(told):
        if _is_repeated(position, event, known):
            entries.append(None)
            continue
        found.sequence += 1
        entry = EventEntry(found.sequence, event.user, event.item, event.time, event.event, accepted)
        row = event_row(entry)
        found.n_events += 1
        found.add(row)
        rows.append(named(events, row))
        entries.append(entry)
    if rows:
        connection.execute(insert(events), rows)
    return entries


def read(connection: Connection, place: str, after: int) -> Iterator[Entry]:
    """The entries above a sequence, each of them checked, and with after = 0 also that none is missing.

    Raises:
        StoreError: one is damaged or missing.
    """
    found = read_totals(connection, place, lock=False)
    n_rows = content = 0
    streams = [_rows(connection, place, table, after) for table in (items, events)]
    for row, table in heapq.merge(*streams, key=lambda pair: pair[0].sequence):
        n_rows, content = n_rows + 1, (content + row.checksum) % 2**63
        yield entry_of(row, table)
    if after <= 0 and (n_rows, content) != (found.n_items + found.n_events, found.content):
        raise StoreError(
            f"{place}: holds {n_rows} entries, but {found.n_items + found.n_events} are on record, or others than "
            "these: the database is damaged; restore it from a copy"
        )


def named(table: Table, row: tuple[Any, ...]) -> dict[str, Any]:
    """A row by the names of its columns."""
    return dict(zip(table.columns.keys(), row, strict=True))


def _is_repeated(position: int, event: NewEvent, known: dict[str, NewEvent]) -> bool:
    """Whether the event was accepted before; if not, it is known from now on."""
    if event.event is None:
        return False
    before = known.setdefault(event.event, event)
    if before == event:
        return before is not event
    raise ConflictError(
        f"events[{position}]: id {event.event!r} was accepted as user {before.user!r}, item {before.item!r}, time "
        f"{before.time}; an event is not changed: tell the new one under an id of its own",
        position,
    )


def _known(connection: Connection, place: str, told: Sequence[NewEvent]) -> dict[str, NewEvent]:
    """What was accepted under the ids of these events."""
    ids = sorted({event.event for event in told if event.event is not None})
    known = {}
    for start in range(0, len(ids), BLOCK):
        for row in connection.execute(select(events).where(events.c.event.in_(ids[start : start + BLOCK]))):
            check_row(place, events, row)
            known[row.event] = NewEvent(row.user_id, row.item_id, row.time, row.event)
    return known


def _rows(connection: Connection, place: str, table: Table, after: int) -> Iterator[tuple[Row[Any], Table]]:
    statement = select(table).where(table.c.sequence > after).order_by(table.c.sequence)
    with closing(connection.execute(statement.execution_options(yield_per=BLOCK))) as result:
        for row in result:
            check_row(place, table, row)
            yield row, table
