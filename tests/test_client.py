"""The typed client: against scripted answers, and against a real server behind the guard."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI, Request
from starlette.responses import JSONResponse, Response

from pinfold import client as module
from pinfold.client import Client, Event
from pinfold.errors import ServiceError
from pinfold.serving.checks import parse_events, parse_put_item, parse_wanted, path_id
from pinfold.serving.guard import Guard
from pinfold.serving.limits import Limits, ServeConfig
from pinfold.serving.metrics import Metrics
from pinfold.serving.query import Query
from pinfold.serving.tokens import Tokens
from pinfold.serving.wire import error_handlers
from pinfold.views import EventsStored, Explained, Found, Freshness, ItemDeleted, ItemStored, Ranked, Status, Term

READ, WRITE = "r" * 32, "w" * 32
STATUS = Status("g", "pinsage", 3, 2, 1, 0, 4, ["title"], Freshness(0, None, None, None), 0.0, 5)
LIMITS = Limits()


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that would have been made."""
    made: list[float] = []
    monkeypatch.setattr("pinfold.client.time.sleep", made.append)
    return made


def scripted(*answers: httpx.Response | Exception, token: str | None = None, **options: Any) -> Client:
    left = list(answers)

    def answer(request: httpx.Request) -> httpx.Response:
        found = left.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    return Client("http://localhost", token, transport=httpx.MockTransport(answer), **options)


def error(status: int, **headers: str) -> httpx.Response:
    return httpx.Response(status, json={"status": status, "error": "said", "field": "k"}, headers=headers)


FOUND = {"generation": "g", "items": [{"rank": 1, "id": "a", "title": None, "score": 1.5}], "note": None}


def test_an_overloaded_service_is_asked_again(waits: list[float]) -> None:
    client = scripted(error(503, **{"retry-after": "2"}), error(429), httpx.Response(200, json=FOUND))
    assert client.recommend("u").items == [Ranked(1, "a", None, 1.5)]
    assert waits == [2.0, module.WAITS[1]]


def test_it_is_not_asked_for_ever(waits: list[float]) -> None:
    with pytest.raises(ServiceError) as caught:
        scripted(*[error(503, **{"retry-after": "9999"})] * 4).similar("a")
    assert (caught.value.status, caught.value.field, str(caught.value)) == (503, "k", "said")
    assert waits == [module.LONGEST_WAIT] * 3


@pytest.mark.parametrize(
    ("ask", "n_waits"),
    [
        (lambda client: client.events([Event("u", "a")]), 0),
        (lambda client: client.events([Event("u", "a", id="e"), Event("u", "b")]), 0),
        (lambda client: client.events([Event("u", "a", id="e")]), 3),
        (lambda client: client.publish("g"), 0),
        (lambda client: client.put_item("a", {}), 3),
        (lambda client: client.delete_item("a"), 3),
    ],
)
def test_what_would_count_twice_is_not_told_twice(
    ask: Callable[[Client], object], n_waits: int, waits: list[float]
) -> None:
    with pytest.raises(ServiceError):
        ask(scripted(*[error(503)] * 4))
    assert len(waits) == n_waits


@pytest.mark.parametrize(
    ("answer", "status", "said"),
    [
        (error(422), 422, "said"),
        (httpx.Response(502, text="<html>bad gateway"), 502, "502 Bad Gateway"),
        (httpx.Response(502, json=[1]), 502, "502 Bad Gateway"),
        (httpx.Response(200, text="<html>"), 200, "not an answer of Pinfold"),
        (httpx.Response(200, json={"generation": 1}), 200, "not an answer of Pinfold"),
        (httpx.ConnectError("refused"), 0, "refused"),
        (httpx.ReadTimeout(""), 0, "ReadTimeout"),
    ],
)
def test_all_else_is_an_error_with_its_status(
    answer: httpx.Response | Exception, status: int, said: str, waits: list[float]
) -> None:
    with pytest.raises(ServiceError, match=said) as caught:
        scripted(answer, token=WRITE).recommend("u")
    assert caught.value.status == status
    assert WRITE not in str(caught.value)
    assert waits == []


def _toy(seen: list[Any]) -> FastAPI:
    """Routes with the paths and forms of the service, that note what they were asked."""
    app = FastAPI(exception_handlers=error_handlers())

    @app.post("/v1/recommendations")
    async def recommendations(request: Request) -> Response:
        seen.append(parse_wanted(await request.body(), LIMITS))
        return JSONResponse(FOUND)

    @app.get("/v1/items/{id}/similar")
    async def similar(id: str, request: Request) -> Response:  # noqa: A002
        query = Query(request.scope["query_string"], LIMITS, ("k", "by", "diversity", "filter"))
        k = query.whole("k", 10, 1, LIMITS.max_k)
        seen.append((path_id("id", id, LIMITS), k, query.choice("by", "model", ["model", "walk"])))
        return JSONResponse(FOUND)

    @app.put("/v1/items/{id}")
    async def put(id: str, request: Request) -> Response:  # noqa: A002
        name = path_id("id", id, LIMITS)
        seen.append((name, parse_put_item(await request.body(), LIMITS)))
        stored = {"id": name, "sequence": 1, "findable": True, "note": None, "generation": "g", "seconds": 0.1}
        return JSONResponse(stored, 201)

    @app.delete("/v1/items/{id}")
    async def delete(id: str) -> Response:  # noqa: A002
        return JSONResponse({"id": path_id("id", id, LIMITS), "sequence": 2})

    @app.post("/v1/events")
    async def events(request: Request) -> Response:
        seen.append(parse_events(await request.body(), LIMITS))
        return JSONResponse({"accepted": 1, "repeated": 0, "sequence": 3})

    @app.get("/v1/explain")
    async def explain(request: Request) -> Response:
        query = Query(request.scope["query_string"], LIMITS, ("item", "user"), ("items",))
        seen.append((query.id("item"), query.id("user"), query.ids("items", 9)))
        reasons = [{"id": "b", "title": "B", "term": 1.0}]
        return JSONResponse(
            {"id": "a", "title": None, "score": 1, "reasons": reasons, "rest": 0, "n_rest": 0, "own": 0}
        )

    @app.get("/v1/status")
    async def status() -> Response:
        return JSONResponse(asdict(STATUS))

    return app


@contextmanager
def served(app: FastAPI, limits: Limits = LIMITS) -> Iterator[str]:
    """A server in a thread; its address."""
    guard = Guard(app, ServeConfig(limits=limits), Tokens(READ, WRITE), Metrics())
    server = uvicorn.Server(uvicorn.Config(guard, port=0, log_level="critical", lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        thread.join(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


def test_every_call_against_a_real_server() -> None:
    seen: list[Any] = []
    found = Found("g", [Ranked(1, "a", None, 1.5)], None)
    with served(_toy(seen)) as url, Client(url, WRITE) as client:
        assert client.recommend("ü", 3, only={"deny": ["x"]}, diversity=0.5) == found
        assert client.recommend_for(["a", "b"]) == found
        assert client.similar("a/b?c d%", 7, by="walk") == found
        for name in (".", "..", "ä/../b", "#"):
            assert client.put_item(name, {"p": 1.5}, ["u"]) == ItemStored(name, 1, True, None, "g", 0.1)
            assert client.delete_item(name) == ItemDeleted(name, 2)
        assert client.events([Event("u", "a", 7, "e")]) == EventsStored(1, 0, 3)
        assert client.explain("a", "u") == Explained("a", None, 1.0, [Term("b", "B", 1.0)], 0.0, 0, 0.0)
        client.explain("a", items=["b", "c"])
        assert client.status() == STATUS
        with pytest.raises(ServiceError, match="k: expected 1 to 1000") as caught:
            client.similar("a", 1001)
        assert (caught.value.status, caught.value.field) == (422, "k")
        with pytest.raises(ServiceError, match="Not Found"):
            client.publish("g")
    assert (seen[0].user, seen[0].k, seen[0].filter.deny, seen[0].diversity) == ("ü", 3, ("x",), 0.5)
    assert seen[1].items == ("a", "b")
    assert seen[2] == ("a/b?c d%", 7, "walk")
    assert [name for name, _ in seen[3:7]] == [".", "..", "ä/../b", "#"]
    assert seen[-2:] == [("a", "u", ()), ("a", None, ("b", "c"))]


def test_refusals_of_a_real_server_arrive() -> None:
    with served(_toy([]), Limits(max_body=1024)) as url:
        for token, status in [(None, 401), ("x" * 32, 401), (READ, 403)]:
            with pytest.raises(ServiceError) as caught:
                Client(url, token).put_item("a", {})
            assert caught.value.status == status
        with pytest.raises(ServiceError) as caught:
            Client(url, WRITE).put_item("a", {"text": "x" * 3_000_000})
        assert (caught.value.status, caught.value.field) == (413, "body")
        pieces = iter([b"x" * 100_000] * 30)
        headers = {"authorization": f"Bearer {WRITE}", "content-type": "application/json"}
        answer = httpx.put(f"{url}/v1/items/a", content=pieces, headers=headers)
        assert answer.status_code == 413
        assert json.loads(answer.content)["field"] == "body"
