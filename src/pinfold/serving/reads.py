"""Handlers of requests that change nothing: each reads its query, asks one snapshot, and answers in JSON."""

from asyncio import wrap_future
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

import msgspec
from fastapi import Request
from fastapi.responses import Response

from pinfold.errors import RequestError
from pinfold.serving import answering, checks
from pinfold.serving.answering import Question
from pinfold.serving.filters import Filter
from pinfold.serving.limits import Limits
from pinfold.serving.live import Live
from pinfold.serving.metrics import CONTENT_TYPE, Metrics
from pinfold.serving.query import Query
from pinfold.serving.service import Service
from pinfold.views import Found, Health, Matches

MAP_POINTS = 200_000
SIZES, HOPS = 50, 3  # of a neighborhood, at most
WAYS = ("model", "content", "walk")
ALL = Filter()
THREADS = 2  # that look things up beside the event loop; kernels take threads of their own
encode = msgspec.json.Encoder().encode
Value = TypeVar("Value")


class Reads:
    """Quick questions are answered in the event loop, slow ones in threads."""

    def __init__(self, service: Service, limits: Limits, metrics: Metrics) -> None:
        self._service, self._limits, self._metrics = service, limits, metrics
        self._threads = ThreadPoolExecutor(THREADS, "pinfold-read")

    async def recommend_user(self, request: Request) -> Response:
        """The best items for a user or collection, without what they have."""
        user = self._path(request, "user")
        query = self._query(request, "k", "filter", "diversity", "seen")
        question = self._question(query, seen=query.truth("seen", False))
        live = self._service.snapshot.live
        return json(await self._ask(live, question, partial(answering.for_user, live, user, question)))

    async def recommend(self, request: Request) -> Response:
        """The best items for a user, or for somebody whom nobody knows, by what they have."""
        wanted = checks.parse_wanted(await request.body(), self._limits)
        question = Question(wanted.k, wanted.filter or ALL, wanted.diversity, named="body.filter")
        live = self._service.snapshot.live
        if wanted.user is not None:
            return json(await self._ask(live, question, partial(answering.for_user, live, wanted.user, question)))
        items, ordered = (wanted.items, False) if wanted.items is not None else _by_time(wanted.events or ())
        return json(
            await self._ask(live, question, partial(answering.for_items, live, items, question, ordered=ordered))
        )

    async def similar(self, request: Request) -> Response:
        """The items most like one: by the model's vectors, by content alone, or by walks alone."""
        item = self._path(request, "item")
        query = self._query(request, "k", "by", "filter", "diversity")
        way, question = query.choice("by", WAYS[0], WAYS), self._question(query)
        snapshot = self._service.snapshot
        live = snapshot.live
        if way == "model":
            return json(await self._ask(live, question, partial(answering.similar, live, item, question)))
        explorer = snapshot.explorer
        look = explorer.by_content if way == "content" else explorer.by_walk

        def found() -> Found:
            allowed = answering.allowed_of(live, question)
            return answering.as_found(live, look(live, item, question.k, allowed), question, allowed)

        return json(await self._in_thread(found))

    async def related(self, request: Request) -> Response:
        """The collections (users) most like one."""
        user = self._path(request, "collection")
        k = self._query(request, "k").whole("k", 10, 1, self._limits.max_k)
        return json(await self._in_thread(partial(answering.related, self._service.snapshot.live, user, k)))

    async def explain(self, request: Request) -> Response:
        """Why an item has its score for somebody: what each item that they have adds."""
        query = self._query(request, "item", "user", "k", several=("items",))
        item, user, items = query.id("item"), query.id("user"), query.ids("items", self._limits.max_history)
        if item is None:
            raise RequestError(422, "item: say which item is to be explained", "item")
        if (user is None) == (not items):
            raise RequestError(422, "user: say for whom, by user=ID or by items=ID&items=ID, one of them", "user")
        k = query.whole("k", 10, 1, self._limits.max_k)
        live = self._service.snapshot.live
        return json(await self._in_thread(partial(answering.explain, live, user, items, item, k)))

    async def item(self, request: Request) -> Response:
        """An item as it is known."""
        self._query(request)
        return json(answering.item_view(self._service.snapshot.live, self._path(request, "item")))

    async def user(self, request: Request) -> Response:
        """A user or collection, and what they have, the latest first."""
        self._query(request)
        return json(answering.user_view(self._service.snapshot.live, self._path(request, "user")))

    async def search(self, request: Request) -> Response:
        """Items whose id or title holds a text."""
        query = self._query(request, "q", "k")
        text, k = query.text("q"), query.whole("k", 20, 1, self._limits.max_k)
        if not text:
            raise RequestError(422, "q: expected a text to look for", "q")
        items = self._service.snapshot.live.items
        return json(Matches(await self._in_thread(partial(items.search, text, k))))

    async def neighborhood(self, request: Request) -> Response:
        """The items that matter most to one, by visits of random walks, and those that matter most to these."""
        item, query = self._path(request, "item"), self._query(request, "size", "hops")
        size, hops = query.whole("size", 20, 1, SIZES), query.whole("hops", 2, 1, HOPS)
        snapshot = self._service.snapshot
        return json(await self._in_thread(partial(snapshot.explorer.neighborhood, snapshot.live, item, size, hops)))

    async def map(self, request: Request) -> Response:
        """Items in the plane, by the two leading principal components of their vectors."""
        query = self._query(request, "n", "field")
        n, field = query.whole("n", 50_000, 1, MAP_POINTS), query.id("field")
        snapshot = self._service.snapshot
        if field is not None and field not in snapshot.live.items.fields:
            known = ", ".join(snapshot.live.items.fields) or "none"
            raise RequestError(422, f"field: no item has an attribute {field[:80]!r} (known: {known})", "field")

        def drawn() -> Response:  # large, so it is also encoded in the thread
            return json(snapshot.explorer.map(snapshot.live, n, field))

        return await self._in_thread(drawn)

    async def status(self, request: Request) -> Response:
        """What is served, how much of it came since training, and how quickly it was found."""
        self._query(request)
        return json(await self._in_thread(partial(self._service.status, self._metrics.n_requests)))

    async def generations(self, request: Request) -> Response:
        """What was served, the current one last."""
        self._query(request)
        return json(await self._in_thread(self._service.generations))

    async def health(self, request: Request) -> Response:  # noqa: ARG002
        """The service runs."""
        return json(Health("ok"))

    async def ready(self, request: Request) -> Response:  # noqa: ARG002
        """The service answers; it is not listening before it can."""
        return json(Health("ok"))

    async def metrics(self, request: Request) -> Response:  # noqa: ARG002
        """Figures for Prometheus."""
        self._metrics.generation(self._service.snapshot.live.generation.mark)
        return Response(self._metrics.text(), media_type=CONTENT_TYPE)

    def _path(self, request: Request, name: str) -> str:
        return checks.path_id(name, request.path_params[name], self._limits)

    def _query(self, request: Request, *once: str, several: tuple[str, ...] = ()) -> Query:
        return Query(request.scope["query_string"], self._limits, once, several)

    def _question(self, query: Query, *, seen: bool = False) -> Question:
        k = query.whole("k", 10, 1, self._limits.max_k)
        return Question(k, query.filter() or ALL, query.share("diversity", 0.0), seen)

    async def _ask(self, live: Live, question: Question, ask: Callable[[], Value]) -> Value:
        """In the event loop where one look into an index answers; a thread costs more than that."""
        if live.quick and question.filter == ALL and not question.diversity:
            return ask()
        return await self._in_thread(ask)

    async def _in_thread(self, work: Callable[[], Value]) -> Value:
        return await in_pool(self._threads, work)


def _by_time(events: Sequence[checks.Taken]) -> tuple[tuple[str, ...], bool]:
    """The items of events, the latest last, and whether all have a time; else as they stand."""
    timed = [(event.time, event.item) for event in events if event.time is not None]
    if len(timed) < len(events):
        return tuple(event.item for event in events), False
    return tuple(item for _, item in sorted(timed, key=lambda one: one[0])), True


async def in_pool(pool: Executor, work: Callable[[], Value]) -> Value:
    """What the work gives, done by one of the pool's threads.

    Whoever stops waiting (a request that took too long) withdraws work that nobody has begun; what has begun keeps its
    thread to its end, so that there is never more of it than the pool has threads.
    """
    return await wrap_future(pool.submit(work))


def json(value: Any, status: int = 200) -> Response:
    """A value as JSON."""
    return Response(encode(value), status, media_type="application/json")
