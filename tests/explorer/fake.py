"""A service of made-up answers in the real one's shapes, behind the real guard, with the real page."""

import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import numpy as np
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from pinfold.errors import RequestError
from pinfold.serving.guard import Guard
from pinfold.serving.limits import ServeConfig
from pinfold.serving.metrics import Metrics
from pinfold.serving.page import PageFile, page_routes
from pinfold.serving.tokens import Tokens
from pinfold.serving.wire import error_handlers

N_ITEMS = 50_000
SECTIONS = [
    "python", "libs", "science", "web", "games", "admin", "editors", "fonts", "graphics", "kernel", "mail", "math",
    "net", "perl", "shells", "sound", "text", "utils", "video", "vcs",
]  # fmt: skip
FIRST = ("fast", "small", "portable", "parallel", "simple", "typed", "static", "modern", "terminal", "graphical")
SECOND = ("parser", "editor", "compiler", "toolkit", "viewer", "server", "client", "solver", "player", "manager")
HOSTILE = '<img src=x onerror="window.hacked=1"><script>window.hacked=2</script>'

Json = dict[str, Any]


@dataclass
class World:
    """What the fake knows: a catalogue by formula, and what was put since."""

    content: bool = True  # whether the model can say what is alike by content
    put: dict[str, Json] = field(default_factory=dict)
    n_requests: int = 0

    def ids(self) -> list[str]:
        return ["pkg/hostile", *(f"item-{row}" for row in range(1, N_ITEMS))]

    def title(self, row: int) -> str:
        if row == 0:
            return HOSTILE
        return f"{FIRST[row % 10]} {SECOND[row // 10 % 10]} {row // 100}"

    def section(self, row: int) -> int:
        """Sizes fall: the first sections are much larger."""
        return int(len(SECTIONS) * (row * 0.6180339887 % 1.0) ** 2)

    def row(self, item: str) -> int | None:
        if item == "pkg/hostile":
            return 0
        number = item.removeprefix("item-")
        return int(number) if number.isdigit() and 0 < int(number) < N_ITEMS and item != number else None

    def named(self, row: int) -> Json:
        return {"id": "pkg/hostile" if row == 0 else f"item-{row}", "title": self.title(row)}


def build_fake(page: dict[str, PageFile], world: World, tokens: Tokens) -> Guard:
    """The fake as an ASGI application."""
    answers = _Answers(world)
    get: dict[str, Callable[[Request], Json]] = {
        "/v1/status": answers.status,
        "/v1/search": answers.search,
        "/v1/map": answers.map,
        "/v1/explain": answers.explain,
        "/v1/items/{id}": answers.item,
        "/v1/items/{id}/similar": answers.similar,
        "/v1/items/{id}/neighborhood": answers.neighborhood,
        "/v1/users/{id}": answers.user,
        "/v1/users/{id}/recommendations": answers.recommendations,
        "/v1/collections/{id}/related": answers.related,
    }
    routes: list[BaseRoute] = [Route(path, _answering(world, handle)) for path, handle in get.items()]
    routes.append(Route("/v1/items/{id}", _putting(world), methods=["PUT"]))
    routes.append(Route("/v1/items/{id}", _deleting(world), methods=["DELETE"]))
    routes.extend(page_routes(page))
    return Guard(Starlette(routes=routes, exception_handlers=error_handlers()), ServeConfig(), tokens, Metrics())


def _id(request: Request) -> str:
    # the guard hands paths on as they were sent

    return unquote(request.path_params["id"])


def _answering(world: World, handle: Callable[[Request], Json]) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        world.n_requests += 1
        return Response(json.dumps(handle(request)), media_type="application/json")

    return answer


def _putting(world: World) -> Callable[[Request], Awaitable[Response]]:
    async def put(request: Request) -> Response:
        body, item = await request.json(), _id(request)
        if body["attributes"].get("size") == "large":
            raise RequestError(422, "expected a number, got 'large'", "body.attributes.size")
        world.put[item] = body["attributes"]
        stored = {"id": item, "sequence": len(world.put), "findable": True, "note": None,
                  "generation": "fake-1", "seconds": 0.012}  # fmt: skip
        return Response(json.dumps(stored), 201, media_type="application/json")

    return put


def _deleting(world: World) -> Callable[[Request], Awaitable[Response]]:
    async def delete(request: Request) -> Response:
        item = _id(request)
        if world.put.pop(item, None) is None:
            raise RequestError(404, f"there is no item {item!r}")
        return Response(json.dumps({"id": item, "sequence": 99}), media_type="application/json")

    return delete


class _Answers:
    def __init__(self, world: World) -> None:
        self.world = world
        self._map = json.loads(json.dumps(_plane(world)))

    def status(self, _: Request) -> Json:
        n = len(self.world.put)
        return {"generation": "fake-1", "model": "pinsage", "n_items": N_ITEMS + n, "n_users": 30_627, "n_fresh": n,
                "n_deleted": 2, "n_events": 224_677, "fields": ["title", "section", "size", "tags"],
                "freshness": {"count": 12, "p50": 0.021, "p99": 0.184, "last": 0.019},
                "started": time.time() - 3600, "requests": self.world.n_requests}  # fmt: skip

    def search(self, request: Request) -> Json:
        wanted, k = request.query_params["q"].lower(), int(request.query_params["k"])
        put = [{"id": item, "title": said.get("title")} for item, said in self.world.put.items() if wanted in item]
        rows = (row for row in range(N_ITEMS) if wanted in self.world.title(row).lower())
        old = [self.world.named(row) for row, _ in zip(rows, range(k), strict=False)]
        return {"items": (put + old)[:k]}

    def map(self, request: Request) -> Json:
        n = int(request.query_params["n"])
        if request.query_params.get("field") == "size":
            raise RequestError(422, "size is a number; color by a category", "field")
        return {key: value[:n] if isinstance(value, list) and key != "categories" else value
                for key, value in self._map.items()}  # fmt: skip

    def item(self, request: Request) -> Json:
        item = _id(request)
        row = self.world.row(item)
        if item in self.world.put:
            attributes = self.world.put[item]
            title = attributes.get("title")
            return {
                "id": item,
                "title": title,
                "attributes": attributes,
                "n_users": 0,
                "origin": "fresh",
                "findable": True,
            }
        if row is None:
            raise RequestError(404, f"there is no item {item!r}")
        section = SECTIONS[self.world.section(row)]
        tags = ["role::program", f"works-with::{SECOND[row % 10]}"]
        attributes = {"title": self.world.title(row), "section": section, "size": 10.5 * (row % 97), "tags": tags}
        return {
            **self.world.named(row),
            "attributes": attributes,
            "n_users": row % 1000,
            "origin": "trained",
            "findable": True,
        }

    def similar(self, request: Request) -> Json:
        item, by, k = _id(request), request.query_params.get("by", "model"), int(request.query_params["k"])
        row = self.world.row(item)
        if by == "content" and not self.world.content:
            raise RequestError(409, "this model has no content: it knows items by who took them alone")
        if row is None and item not in self.world.put:
            raise RequestError(404, f"there is no item {item!r}")
        start, step = {"model": (row or 500, 1), "content": (row or 500, 3), "walk": (row or 500, 2)}[by]
        near = [self.world.named((start + step * (n + 1)) % N_ITEMS) for n in range(k)]
        if by == "model":
            near = [
                {"id": new, "title": said.get("title")} for new, said in self.world.put.items() if new != item
            ] + near
        return _ranked(near[:k])

    def neighborhood(self, request: Request) -> Json:
        row = self.world.row(_id(request)) or 0
        nodes = [{**self.world.named(row), "hop": 0, "visits": 1.0}]
        edges = []
        for n in range(14):
            one = self.world.named((row + 7 * (n + 1)) % N_ITEMS)
            nodes.append({**one, "hop": 1, "visits": 0.2 * 0.8**n})
            edges.append({"source": nodes[0]["id"], "target": one["id"], "weight": 0.2 * 0.8**n})
            for m in range(2):
                two = self.world.named((row + 1000 + 5 * n + m) % N_ITEMS)
                nodes.append({**two, "hop": 2, "visits": 0.05 * 0.8**n})
                edges.append({"source": one["id"], "target": two["id"], "weight": 0.3 / (m + 1)})
        return {"nodes": nodes, "edges": edges}

    def user(self, request: Request) -> Json:
        user = _id(request)
        if user == "nobody":
            raise RequestError(404, "there is no user 'nobody'")
        history = [self.world.named(row) for row in (0, *range(100, 155))]
        return {"id": user, "title": None, "history": history, "n_history": 56}

    def recommendations(self, request: Request) -> Json:
        k = int(request.query_params["k"])
        return _ranked([self.world.named(row) for row in range(900, 900 + k)])

    def related(self, request: Request) -> Json:
        return _ranked([{"id": f"user {n}", "title": None} for n in range(int(request.query_params["k"]))])

    def explain(self, request: Request) -> Json:
        row = self.world.row(request.query_params["item"]) or 0
        terms = [{**self.world.named(n), "term": term} for n, term in enumerate((0.41, 0.22, 0.1, -0.03))]
        return {**self.world.named(row), "score": 0.93, "reasons": terms, "rest": 0.18, "n_rest": 52, "own": 0.05}


def _ranked(items: list[Json]) -> Json:
    scored = [{"rank": n + 1, **item, "score": 0.97 * 0.95**n} for n, item in enumerate(items)]
    return {"generation": "fake-1", "items": scored, "note": None}


def _plane(world: World) -> Json:
    """Clumps by section, of uneven width."""
    rng = np.random.default_rng(0)
    section = np.array([world.section(row) for row in range(N_ITEMS)])
    angle = rng.uniform(0, 2 * np.pi, len(SECTIONS))
    middle = np.stack([np.cos(angle), np.sin(angle)], axis=1) * rng.uniform(1, 6, (len(SECTIONS), 1))
    points = middle[section] + rng.normal(size=(N_ITEMS, 2)) * rng.uniform(0.3, 1.1, (len(SECTIONS), 1))[section]
    x, y = points.round(4).T.tolist()
    titles = [world.title(row) for row in range(N_ITEMS)]
    return {"ids": world.ids(), "titles": titles, "x": x, "y": y, "categories": SECTIONS,
            "category": section.tolist(), "field": "section"}  # fmt: skip
