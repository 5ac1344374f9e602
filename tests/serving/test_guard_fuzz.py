"""Whatever bytes come, the answer is a result or a refusal in our form, and never a failure."""

import json
from typing import Any

from fastapi import FastAPI, Request
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.responses import JSONResponse, Response
from tests.serving.asgi import ask

from pinfold.serving.checks import parse_events, parse_put_item, parse_wanted, path_id
from pinfold.serving.guard import Guard
from pinfold.serving.limits import Limits, ServeConfig
from pinfold.serving.metrics import Metrics
from pinfold.serving.query import Query
from pinfold.serving.tokens import Tokens
from pinfold.serving.wire import error_handlers

LIMITS = Limits(max_body=1024, max_url=1024)
ROUTES = [("PUT", "/v1/items/a"), ("POST", "/v1/events"), ("POST", "/v1/recommendations")]


def _app() -> Guard:
    app = FastAPI(exception_handlers=error_handlers())

    @app.put("/v1/items/{id}")
    async def put(id: str, request: Request) -> Response:  # noqa: A002
        path_id("id", id, LIMITS)
        return JSONResponse(len(parse_put_item(await request.body(), LIMITS).attributes))

    @app.get("/v1/items/{id}")
    async def get(id: str, request: Request) -> Response:  # noqa: A002
        query = Query(request.scope["query_string"], LIMITS, ("k", "filter", "q"))
        found = (query.whole("k", 10, 1, 1000), query.text("q"), query.filter() is None)
        return JSONResponse([path_id("id", id, LIMITS), *found])

    @app.post("/v1/events")
    async def events(request: Request) -> Response:
        return JSONResponse(len(parse_events(await request.body(), LIMITS)))

    @app.post("/v1/recommendations")
    async def recommendations(request: Request) -> Response:
        return JSONResponse(parse_wanted(await request.body(), LIMITS).k)

    return Guard(app, ServeConfig(limits=LIMITS), Tokens(), Metrics())


APP = _app()
NAMES = ["attributes", "collections", "events", "user", "item", "items", "time", "id", "k", "filter", "where", "field"]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=10,
)
BODIES = st.binary(max_size=1500) | VALUES.map(lambda value: json.dumps(value).encode("utf-8", "surrogatepass"))


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(ROUTES), BODIES | st.lists(st.binary(max_size=400), min_size=1, max_size=5))
def test_any_body_is_taken_or_refused(route: tuple[str, str], body: Any) -> None:
    answer = ask(APP, *route, body)
    assert answer.status == 200 or (400 <= answer.status < 500 and answer.json["error"])


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(["GET", "PUT", "POST", "DELETE", "HEAD", "OPTIONS", "BREW"]),
    st.binary(max_size=40).map(lambda raw: raw.decode("latin-1")),
    st.lists(
        st.tuples(
            st.sampled_from([b"host", b"origin", b"authorization", b"content-length", b"content-type", b"x"]),
            st.binary(max_size=20),
        ),
        max_size=3,
    ),
)
def test_any_address_and_headers_are_taken_or_refused(
    method: str, path: str, headers: list[tuple[bytes, bytes]]
) -> None:
    answer = ask(APP, method, "/v1/items/" + path, headers=headers)
    assert 200 <= answer.status < 500
