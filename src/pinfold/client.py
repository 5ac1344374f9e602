"""A typed client of the service, in a few lines.

    with Client("http://127.0.0.1:8000") as pinfold:
        for answer in pinfold.recommend("alice", k=5).items:
            print(answer.rank, answer.id, answer.score)

It imports nothing of the rest of Pinfold but its errors and what answers look like.
"""

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from pinfold.errors import ServiceError
from pinfold.views import EventsStored, Explained, Found, Generations, ItemDeleted, ItemStored, Status

T = TypeVar("T")
Filter = dict[str, Any] | None
WAITS = (0.1, 0.3, 1.0)  # seconds before each further try, unless the service says how long
LONGEST_WAIT = 30.0


@dataclass(frozen=True, slots=True)
class Event:
    """A user took an item. With an id of its own it can be told again without harm."""

    user: str
    item: str
    time: int | None = None  # unix seconds
    id: str | None = None


class Client:
    """A connection to a service; close it, or use it in a `with`.

    Reading, putting and deleting are tried again, with pauses, when the service is overloaded (429, 503); so are
    events that all have an id, because telling them twice changes nothing.

    Args:
        url: such as http://127.0.0.1:8000.
        token: for reading, or for everything.
        timeout: seconds, of each try.
        tries: how often at most.
        transport: what carries requests; a test brings its own.

    Raises (all methods):
        ServiceError: what the service answered instead, with `.status` and `.field`; status 0 if it was not reached.
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        *,
        timeout: float = 30.0,
        tries: int = 4,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        self._http = httpx.Client(base_url=url, headers=headers, timeout=timeout, transport=transport)
        self._tries = tries

    def recommend(self, user: str, k: int = 10, *, only: Filter = None, diversity: float = 0.0) -> Found:
        """Items for a user. `only` is a filter, {"allow": ids, "deny": ids, "where": conditions}."""
        body = {"user": user, "k": k, "filter": only, "diversity": diversity}
        return self._ask(Found, "POST", "/v1/recommendations", body=body)

    def recommend_for(self, items: Sequence[str], k: int = 10, *, only: Filter = None, diversity: float = 0.0) -> Found:
        """Items for somebody unknown who took these."""
        body = {"items": list(items), "k": k, "filter": only, "diversity": diversity}
        return self._ask(Found, "POST", "/v1/recommendations", body=body)

    def similar(
        self, item: str, k: int = 10, *, by: str = "model", only: Filter = None, diversity: float = 0.0
    ) -> Found:
        """Items like this one, by "model", "content" or "walk"."""
        query = {"k": k, "by": by, "diversity": diversity} | ({"filter": json.dumps(only)} if only else {})
        return self._ask(Found, "GET", f"/v1/items/{_part(item)}/similar", query)

    def put_item(self, item: str, attributes: Mapping[str, Any], collections: Sequence[str] = ()) -> ItemStored:
        """Put an item, new or changed; durable when this returns."""
        body = {"attributes": dict(attributes), "collections": list(collections)}
        return self._ask(ItemStored, "PUT", f"/v1/items/{_part(item)}", body=body)

    def delete_item(self, item: str) -> ItemDeleted:
        """Delete an item: no answer has it from now on."""
        return self._ask(ItemDeleted, "DELETE", f"/v1/items/{_part(item)}")

    def events(self, events: Iterable[Event]) -> EventsStored:
        """Tell what users took; durable when this returns."""
        told = [{name: value for name, value in asdict(event).items() if value is not None} for event in events]
        again = all("id" in event for event in told)
        return self._ask(EventsStored, "POST", "/v1/events", body={"events": told}, again=again)

    def explain(self, item: str, user: str | None = None, items: Sequence[str] = ()) -> Explained:
        """Why an item has its score for a user, or for somebody unknown who took `items`."""
        who = {"items": list(items)} if user is None else {"user": user}
        return self._ask(Explained, "GET", "/v1/explain", {"item": item, **who})

    def status(self) -> Status:
        """What the service is and how it does."""
        return self._ask(Status, "GET", "/v1/status")

    def publish(self, name: str) -> Generations:
        """Answer from another generation, by its name."""
        return self._ask(Generations, "POST", "/v1/generations", body={"name": name}, again=False)

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(
        self, kind: type[T], method: str, path: str, query: Any = None, body: Any = None, *, again: bool = True
    ) -> T:
        """One answer as a `kind`, after as many tries as are allowed."""
        for left in reversed(range(self._tries if again else 1)):
            try:
                answer = self._http.request(method, path, params=query, json=body)
            except httpx.HTTPError as error:
                raise ServiceError(0, f"{self._http.base_url}: {str(error) or type(error).__name__}") from error
            if answer.status_code not in (429, 503) or not left:
                break
            time.sleep(_wait(answer, self._tries - 1 - left))
        if not answer.is_success:
            raise _error(answer)
        try:
            return msgspec.json.decode(answer.content, type=kind)
        except msgspec.DecodeError as error:
            raise ServiceError(answer.status_code, f"{path}: not an answer of Pinfold: {error}") from error


def _part(item: str) -> str:
    """An id as one part of a path; `.` and `..` would mean another one."""
    return quote(item, safe="") if item.strip(".") else item.replace(".", "%2E")


def _wait(answer: httpx.Response, n_tried: int) -> float:
    """Seconds until the next try."""
    said = answer.headers.get("retry-after", "")
    return min(float(said), LONGEST_WAIT) if said.isdigit() else WAITS[min(n_tried, len(WAITS) - 1)]


def _error(answer: httpx.Response) -> ServiceError:
    """What the service said went wrong."""
    try:
        said = msgspec.json.decode(answer.content)
        return ServiceError(answer.status_code, str(said["error"]), said["field"])
    except (msgspec.DecodeError, KeyError, TypeError):
        return ServiceError(answer.status_code, f"{answer.status_code} {answer.reason_phrase}")
