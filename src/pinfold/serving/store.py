"""What a service was told, kept on disk: items and events in the order in which they were accepted.

`Store` is the interface; `open_store` in `sql_store.py` opens one in a SQLite file or a PostgreSQL database.
Every entry has a sequence: whole numbers from 1 that rise in the order of acceptance and are never given twice. An item
keeps its newest entry only, a deleted one stays as an entry that says so; events are never changed.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pinfold.arrays import Floats

MAX_ID_BYTES = 2000  # in UTF-8: a PostgreSQL index takes no key above 2,704 bytes


@dataclass(frozen=True, slots=True)
class ItemEntry:
    """An item as it was last put, or that it was deleted."""

    sequence: int
    id: str
    attributes: Mapping[str, Any]  # JSON values; empty of a deleted item
    collections: tuple[str, ...]  # user ids; empty of a deleted item
    deleted: bool
    time: float  # unix seconds, when it was accepted


@dataclass(frozen=True, slots=True)
class EventEntry:
    """A user took an item."""

    sequence: int
    user: str
    item: str
    time: int | None  # unix seconds, as told
    event: str | None  # the client's id of this event
    accepted: float  # unix seconds


Entry = ItemEntry | EventEntry


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event as a client tells it. With an id of its own (`event`) it can be told again without harm."""

    user: str
    item: str
    time: int | None = None  # unix seconds
    event: str | None = None


class Store(Protocol):
    """A durable journal of items and events, with some settings and vectors beside it. Safe to call from any thread.

    What a method has returned is on disk: killing the process or the machine does not lose it. A method that raises has
    changed nothing, and the store can be used again when the reason has gone.

    Every method raises StoreError when the database refuses (disk full, damaged, gone, taken by another server), and
    ValueError for text that is empty, too long (MAX_ID_BYTES), or holds NUL or a lone surrogate, and for numbers that
    are not finite.
    """

    def put_item(
        self,
        item: str,
        attributes: Mapping[str, Any],
        collections: Sequence[str],
        accepted: float,
        vector: tuple[str, Floats] | None = None,
    ) -> ItemEntry:
        """Put an item, new or changed; with `(generation, vector (D,))` also its vector, in the same transaction."""

    def delete_item(self, item: str, accepted: float) -> ItemEntry:
        """Note that an item is deleted, known here or not, and remove its vectors of all generations."""

    def add_events(self, events: Sequence[NewEvent], accepted: float) -> list[EventEntry | None]:
        """All events, or none of them. None in the place of one whose id was accepted before with the same content.

        Raises:
            ConflictError: an id was accepted before, or stands earlier in the batch, with other content.
        """

    def entries(self, after: int = 0) -> Iterator[Entry]:
        """The entries above this sequence as of now, in order of sequence, streamed. Close what is not read to its end.

        Raises:
            StoreError: an entry is damaged or missing; with after = 0 nothing that is missing goes unnoticed.
        """

    def last_sequence(self) -> int:
        """The newest sequence; 0 before the first entry."""

    def meta(self, key: str) -> str | None:
        """A setting; None if it was never set."""

    def set_meta(self, key: str, value: str) -> None:
        """Set a setting."""

    def save_vectors(self, generation: str, ids: Sequence[str], vectors: Floats) -> None:
        """Add or replace vectors (n, D) of a generation, in one transaction. All of a generation have the same D."""

    def delete_vectors(self, generation: str) -> None:
        """Remove a generation's vectors; nothing happens where there are none."""

    def nearest(self, generation: str, vector: Floats, k: int) -> list[tuple[str, float]]:
        """At most k ids of this generation with their inner products with `vector` (D,), largest first.

        SQLite: exact, every vector is read. PostgreSQL: by pgvector's HNSW index, which may miss some.
        """

    def close(self) -> None:
        """Let go of the database. Entries that are being streamed end with a StoreError."""


def check_id(name: str, text: object) -> str:
    """The text, if every database can store it as an id.

    Raises:
        ValueError: says what is wrong with it.
    """
    if not isinstance(text, str) or not text:
        raise ValueError(f"{name} must be a text that is not empty, got {text!r:.80}")
    if "\0" in text:
        raise ValueError(f"{name} must not hold NUL, got {text!r:.80}")
    try:
        n_bytes = len(text.encode())
    except UnicodeEncodeError:
        raise ValueError(f"{name} must not hold lone surrogates, got {text!r:.80}") from None
    if n_bytes > MAX_ID_BYTES:
        raise ValueError(f"{name} has {n_bytes} bytes of UTF-8, at most {MAX_ID_BYTES} are possible: {text!r:.80}")
    return text


def check_time(name: str, time: object) -> int | None:
    """Unix seconds in 64 bits, or None.

    Raises:
        ValueError: neither.
    """
    if time is None:
        return None
    if not isinstance(time, int) or isinstance(time, bool) or not -(2**63) <= time < 2**63:
        raise ValueError(f"{name} must be whole unix seconds of 64 bits or None, got {time!r:.80}")
    return time


def check_finite(name: str, number: float) -> float:
    """The number as a float.

    Raises:
        ValueError: it is not finite.
    """
    if not math.isfinite(number):
        raise ValueError(f"{name} must be finite, got {number!r}")
    return float(number)


def to_json(name: str, value: object) -> str:
    """The value as JSON text.

    Raises:
        ValueError: it holds what JSON or UTF-8 cannot, or is nested too deeply.
    """
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{name} cannot be stored as JSON: {error}") from error
    return text
