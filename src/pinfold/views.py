"""What the service answers, as plain values: JSON and OpenAPI are made from them, and the client reads them back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Origin = Literal["trained", "changed", "fresh"]


@dataclass(frozen=True, slots=True)
class Named:
    """An item, or a user."""

    id: str
    title: str | None


@dataclass(frozen=True, slots=True)
class Ranked:
    """One answer of several."""

    rank: int  # from 1
    id: str
    title: str | None
    score: float


@dataclass(frozen=True, slots=True)
class Found:
    """The answers to one question, all from one generation."""

    generation: str
    items: Sequence[Ranked]
    note: str | None  # why there are fewer than were asked for


@dataclass(frozen=True, slots=True)
class Matches:
    """Items whose id or title holds a text."""

    items: Sequence[Named]


@dataclass(frozen=True, slots=True)
class ItemView:
    """An item as the service knows it."""

    id: str
    title: str | None
    attributes: Mapping[str, Any]
    n_users: int
    origin: Origin
    findable: bool


@dataclass(frozen=True, slots=True)
class UserView:
    """A user (a collection) and what they have, the latest first."""

    id: str
    title: str | None
    history: Sequence[Named]
    n_history: int


@dataclass(frozen=True, slots=True)
class ItemStored:
    """An item was accepted: it is on disk, and where `findable`, in every answer from now on."""

    id: str
    sequence: int
    findable: bool
    note: str | None  # why it is not findable
    generation: str
    seconds: float  # from the request's arrival


@dataclass(frozen=True, slots=True)
class ItemDeleted:
    """An item is gone, on disk and from every answer."""

    id: str
    sequence: int


@dataclass(frozen=True, slots=True)
class EventsStored:
    """Events were accepted: they are on disk, and their users' next answers know them."""

    accepted: int
    repeated: int  # events whose id was accepted before
    sequence: int  # of the last one


@dataclass(frozen=True, slots=True)
class Term:
    """What one item of a history adds to a score."""

    id: str
    title: str | None
    term: float


@dataclass(frozen=True, slots=True)
class Explained:
    """Why an item has its score: the sum of the terms, `rest` and `own`."""

    id: str
    title: str | None
    score: float
    reasons: Sequence[Term]
    rest: float
    n_rest: int
    own: float


@dataclass(frozen=True, slots=True)
class Node:
    """An item of a neighborhood."""

    id: str
    title: str | None
    hop: int  # 0: the item itself
    visits: float  # share of the visits of walks from the item before it


@dataclass(frozen=True, slots=True)
class Edge:
    """The second item belongs to the importance neighborhood of the first."""

    source: str
    target: str
    weight: float


@dataclass(frozen=True, slots=True)
class Neighborhood:
    """An item's importance neighborhood."""

    nodes: Sequence[Node]
    edges: Sequence[Edge]


@dataclass(frozen=True, slots=True)
class MapView:
    """Items in the plane: the two leading principal components of their vectors."""

    ids: Sequence[str]
    titles: Sequence[str | None]
    x: Sequence[float]
    y: Sequence[float]
    categories: Sequence[str]
    category: Sequence[int]  # place in `categories`, -1 without one
    field: str | None


@dataclass(frozen=True, slots=True)
class Freshness:
    """Seconds from an item's arrival to its being durable and findable, of the last 1,000 items."""

    count: int
    p50: float | None
    p99: float | None
    last: float | None


@dataclass(frozen=True, slots=True)
class Status:
    """What is being served."""

    generation: str
    model: str
    n_items: int
    n_users: int
    n_fresh: int
    n_deleted: int
    n_events: int
    fields: Sequence[str]
    freshness: Freshness
    started: float
    requests: int


@dataclass(frozen=True, slots=True)
class Generations:
    """What was served, the current one last."""

    current: str
    history: Sequence[str]


@dataclass(frozen=True, slots=True)
class Health:
    """Whether the service runs, or is ready."""

    status: str


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a request."""

    status: int
    error: str
    field: str | None = None
