"""The service over HTTP: routes, and what the OpenAPI says of each."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from fastapi.routing import APIRoute
from starlette.routing import request_response

from pinfold import __version__
from pinfold.errors import ConfigError, ConflictError, DataError, NotFoundError, StoreError
from pinfold.serving import described
from pinfold.serving.described import EXAMPLE_ITEM, EXAMPLE_USER, Described
from pinfold.serving.guard import Guard
from pinfold.serving.limits import Limits, ServeConfig
from pinfold.serving.metrics import Metrics
from pinfold.serving.page import PageFile, page_routes
from pinfold.serving.reads import HOPS, MAP_POINTS, SIZES, WAYS, Reads
from pinfold.serving.service import Service
from pinfold.serving.tokens import Tokens
from pinfold.serving.wire import error_body, error_handlers
from pinfold.serving.writes import Writes
from pinfold.views import (
    EventsStored,
    Explained,
    Found,
    Generations,
    Health,
    ItemDeleted,
    ItemStored,
    ItemView,
    MapView,
    Matches,
    Neighborhood,
    Status,
    UserView,
)  # fmt: skip

ABOUT = (
    "Recommendations from what `pinfold train` made, together with items and events that are told to the service: "
    "these are durable, and in every answer, when their request returns."
)


@dataclass(frozen=True, slots=True)
class Route:
    """A method and a path, what handles it, and what is said of it."""

    method: str
    path: str
    handle: Callable[[Request], Awaitable[Response]]
    answer: type[Any] | None
    parameters: Sequence[Described] = ()
    body: Described | None = None
    problems: tuple[int, ...] = ()
    statuses: tuple[int, ...] = field(default=(200,))


def build_app(service: Service, config: ServeConfig, tokens: Tokens, page: Mapping[str, PageFile]) -> Guard:
    """The ASGI application: every request passes the guard."""
    metrics = Metrics()
    metrics.generation(service.generations().current)
    app = FastAPI(
        title="Pinfold", version=__version__, description=ABOUT, docs_url=None, redoc_url=None,
        exception_handlers=error_handlers() | HANDLERS, redirect_slashes=False,
    )  # fmt: skip
    reads, writes = Reads(service, config.limits, metrics), Writes(service, config.limits, metrics)
    routes = [*reading(reads, config.limits), *writing(writes, config.limits)]
    for route in routes:
        _add(app, route)
    plain = app.openapi
    app.openapi = lambda: described.secured(plain())  # type: ignore[method-assign]
    app.add_exception_handler(405, _not_this_way(routes))
    app.router.routes.extend(page_routes(page))
    return Guard(app, config, tokens, metrics)


def reading(reads: Reads, limits: Limits) -> list[Route]:
    """Routes that change nothing."""
    item, user, k = described.item_id(), described.user_id(), described.k_of(limits)
    which = [described.filter_of(limits), described.diversity()]
    about = described.text("item", "query", "the item", example=EXAMPLE_ITEM, required=True)
    for_user = described.text("user", "query", "for whom; or items", example=EXAMPLE_USER)
    for_items = described.several("items", "what they have; or user", limits.max_history, [])
    looked_for = described.text(
        "q", "query", "part of an id or title", example="num", required=True, most=limits.max_text
    )
    by = described.choice("by", "what makes items alike", WAYS)
    wanted = described.body(described.wanted_schema(limits), {"items": [EXAMPLE_ITEM], "k": 5})
    most = described.whole("k", "how many answers", 1, limits.max_k, 20)
    size = [
        described.whole("size", "neighbors of the item", 1, SIZES, 20),
        described.whole("hops", "how far", 1, HOPS, 2),
    ]
    points = described.whole("n", "points at most", 1, MAP_POINTS, 50_000)
    colored = described.text("field", "query", "the attribute that colors the points", example="section")
    return [
        Route("GET", "/v1/users/{user}", reads.user, UserView, [user], None, (404,)),
        Route("GET", "/v1/users/{user}/recommendations", reads.recommend_user, Found,
              [user, k, *which, described.seen()], None, (404, 409)),
        Route("POST", "/v1/recommendations", reads.recommend, Found, [], wanted, (404, 409, 413, 415)),
        Route("GET", "/v1/items/{item}", reads.item, ItemView, [item], None, (404,)),
        Route("GET", "/v1/items/{item}/similar", reads.similar, Found, [item, k, by, *which], None, (404, 409)),
        Route("GET", "/v1/items/{item}/neighborhood", reads.neighborhood, Neighborhood, [item, *size],
              None, (404,)),
        Route("GET", "/v1/collections/{collection}/related", reads.related, Found,
              [described.user_id("collection"), k], None, (404, 409)),
        Route("GET", "/v1/explain", reads.explain, Explained, [about, for_user, for_items, k], None, (404, 409)),
        Route("GET", "/v1/search", reads.search, Matches, [looked_for, most]),
        Route("GET", "/v1/map", reads.map, MapView, [points, colored], None, (409,)),
        Route("GET", "/v1/status", reads.status, Status),
        Route("GET", "/v1/generations", reads.generations, Generations),
        Route("GET", "/healthz", reads.health, Health),
        Route("GET", "/readyz", reads.ready, Health),
        Route("GET", "/metrics", reads.metrics, None),
    ]  # fmt: skip


def writing(writes: Writes, limits: Limits) -> list[Route]:
    """Routes that change something."""
    item = described.item_id()
    put = described.body(
        described.item_schema(limits),
        {"attributes": {"title": "numerical arrays, fast"}, "collections": [EXAMPLE_USER]},
    )
    events = described.body(
        described.events_schema(limits), {"events": [{"user": EXAMPLE_USER, "item": EXAMPLE_ITEM, "id": "event-1"}]}
    )
    name = described.object_of({"name": {"type": "string", "minLength": 1, "maxLength": 128}}, ("name",))
    published = described.body(name, {"name": "out-of-tuesday"})
    large = (413, 415)
    return [
        Route("PUT", "/v1/items/{item}", writes.put_item, ItemStored, [item], put, large, (200, 201)),
        Route("DELETE", "/v1/items/{item}", writes.delete_item, ItemDeleted, [item], None, (404,)),
        Route("POST", "/v1/events", writes.add_events, EventsStored, [], events, (409, *large)),
        Route("POST", "/v1/generations", writes.publish, Generations, [], published, (409, *large)),
        Route("POST", "/v1/generations/rollback", writes.rollback, Generations, [], None, (409, *large)),
    ]


def _add(app: FastAPI, route: Route) -> None:
    answers: dict[int | str, Described] = {
        status: {"model": route.answer} for status in route.statuses if route.answer is not None
    }
    extra: Described = {"parameters": list(route.parameters)}
    if route.body is not None:
        extra["requestBody"] = route.body
    app.add_api_route(
        route.path,
        route.handle,
        methods=[route.method],
        summary=(route.handle.__doc__ or "").strip(),
        operation_id=route.handle.__name__,
        response_class=PlainTextResponse if route.answer is None else JSONResponse,
        responses={**answers, **described.problems(*route.problems)},
        openapi_extra=extra,
        response_model=None,
    )
    added = app.router.routes[-1]
    if isinstance(added, APIRoute):  # handlers read the request themselves; FastAPI's reading finds nothing, in 0.1 ms
        added.app = request_response(route.handle)


def _problem(status: int) -> Callable[[Request, Exception], Response]:
    def respond(_: Request, error: Exception) -> Response:
        return Response(error_body(status, str(error)), status, media_type="application/json")

    return respond


def _not_this_way(routes: Sequence[Route]) -> Callable[[Request, Exception], Response]:
    """A path that several routes share has the methods of all of them; Starlette names the first one's."""

    def respond(request: Request, error: Exception) -> Response:
        path = getattr(request.scope.get("route"), "path", None)
        methods = sorted(route.method for route in routes if route.path == path)
        headers = {"allow": ", ".join(methods)} if methods else getattr(error, "headers", None)
        return Response(error_body(405, "Method Not Allowed"), 405, headers, "application/json")

    return respond


def _conflict(_: Request, error: Exception) -> Response:
    field = f"body.events[{error.position}].id" if isinstance(error, ConflictError) else None
    return Response(error_body(409, str(error), field), 409, media_type="application/json")


HANDLERS: dict[Any, Any] = {
    NotFoundError: _problem(404),
    DataError: _problem(422),
    ConfigError: _problem(409),
    StoreError: _problem(503),
    ConflictError: _conflict,
}
