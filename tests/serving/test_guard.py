"""Who is let in, and what every answer carries."""

import asyncio
import logging
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from tests.serving.asgi import Answer, ask, asked
from tests.serving.walk import every_route

from pinfold.errors import RequestError
from pinfold.serving.guard import Guard
from pinfold.serving.limits import Limits, ServeConfig
from pinfold.serving.metrics import Metrics
from pinfold.serving.tokens import Tokens
from pinfold.serving.wire import error_handlers

READ, WRITE = "r" * 32, "w" * 32
TOKENS = Tokens(READ, WRITE)


def bearer(token: str) -> tuple[tuple[bytes, bytes], ...]:
    return ((b"authorization", b"Bearer " + token.encode()),)


async def _echo(request: Request) -> Response:
    return JSONResponse({"path": request.url.path, "body": (await request.body()).decode()})


def toy() -> FastAPI:
    """Routes as the service has them, and some that fail."""
    app = FastAPI(docs_url=None, redoc_url=None, redirect_slashes=False, exception_handlers=error_handlers())
    v1 = APIRouter(prefix="/v1")
    v1.add_api_route("/items/{id}", _echo, methods=["GET", "PUT", "DELETE"])
    v1.add_api_route("/recommendations", _echo, methods=["POST", "GET"])
    v1.add_api_route("/events", _echo, methods=["POST"])
    app.include_router(v1)
    for path in ("/", "/healthz", "/readyz", "/metrics", "/assets/{name}"):
        app.add_api_route(path, _echo, methods=["GET"])

    @app.get("/fails")
    async def fails() -> None:
        raise RuntimeError(f"the secret is {READ}")

    @app.get("/refuses")
    async def refuses(k: int) -> None:
        raise RequestError(422, "k: expected less", "k")

    app.router.routes.append(Mount("/more", routes=[Route("/deep/{id}", _echo)]))
    return app


def guard(tokens: Tokens = TOKENS, config: ServeConfig | None = None, **limits: Any) -> Guard:
    return Guard(toy(), config or ServeConfig(limits=Limits(**limits)), tokens, Metrics())


def error(answer: Answer) -> tuple[int, str | None]:
    """Status and field of an error, whose form is checked."""
    assert answer.headers["content-type"] == "application/json"
    assert set(answer.json) == {"status", "error", "field"}
    assert answer.json["status"] == answer.status
    assert answer.json["error"]
    return answer.status, answer.json["field"]


PUBLIC = {"/", "/healthz", "/readyz", "/assets/{name}"}


def test_no_route_answers_without_a_token_unless_it_is_named_here() -> None:
    app = guard()
    asked_for = list(every_route(toy()))
    assert {template for _, _, template in asked_for} >= PUBLIC | {"/openapi.json", "/v1/items/{id}", "/more/deep/{id}"}
    for method, path, template in asked_for:
        expected = 200 if template in PUBLIC and method == "GET" else 401
        if template in PUBLIC and method == "HEAD":
            expected = 405
        assert ask(app, method, path).status == expected, (method, path)


def test_a_read_token_never_writes_and_a_write_token_does_both() -> None:
    app = guard()
    for method, path, _ in every_route(toy()):
        reads = method in ("GET", "HEAD") or (method, path) == ("POST", "/v1/recommendations")
        body = b"{}" if method in ("POST", "PUT", "PATCH") else None
        assert (ask(app, method, path, body, bearer(READ)).status == 403) is not reads, (method, path)
        assert ask(app, method, path, body, bearer(WRITE)).status not in (401, 403), (method, path)


@pytest.mark.parametrize("tokens", [Tokens(write=WRITE), Tokens(read=READ)])
def test_one_token_is_needed_for_all_that_it_may_do(tokens: Tokens) -> None:
    app = guard(tokens)
    assert ask(app, "GET", "/v1/items/a").status == 401
    given = bearer(WRITE if tokens.access(bearer(WRITE)[0][1]) else READ)
    assert ask(app, "GET", "/v1/items/a", headers=given).status == 200
    assert ask(app, "PUT", "/v1/items/a", b"{}", given).status == (200 if given == bearer(WRITE) else 403)


@pytest.mark.parametrize(
    "value",
    [b"", b"Bearer", b"Bearer ", b"Basic " + READ.encode(), READ.encode(), b"Bearer " + READ.encode() + b"r",
     b"Bearer " + READ[:-1].encode(), b"Bearer \xff\xfe", b"Bearer\t" + READ.encode(), b"Bearer r r"],
)  # fmt: skip
def test_a_wrong_token_is_401_and_says_which_scheme(value: bytes) -> None:
    answer = ask(guard(), "GET", "/v1/items/a", headers=[(b"authorization", value)])
    assert error(answer) == (401, None)
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert READ not in answer.body.decode()


def test_the_name_of_the_scheme_has_no_case() -> None:
    assert ask(guard(), "GET", "/v1/items/a", headers=[(b"authorization", b"bEARER " + READ.encode())]).status == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/%68ealthz"),
        ("GET", "//healthz"),
        ("GET", "/healthz/"),
        ("GET", "/assets/../v1/items/a"),
        ("GET", "/assets/%2e%2e/v1/items/a"),
        ("GET", "/assets/..%2fv1%2fitems%2fa"),
        ("GET", "/assets/a/b"),
        ("GET", "/assets/.hidden"),
        ("GET", "/assets/"),
        ("GET", "/healthz/../v1/items/a"),
        ("GET", "/healthz;a"),
        ("GET", "/HEALTHZ"),
        ("GET", "/v1/%69tems/a"),
        ("OPTIONS", "/healthz"),
        ("POST", "/"),
    ],
)
def test_no_other_spelling_of_a_public_path_is_public(method: str, path: str) -> None:
    assert ask(guard(), method, path).status == 401


@pytest.mark.parametrize(
    "path",
    ["/v1/recommendations/", "/v1//recommendations", "/v1/recommendation%73", "/v1/recommendations%2f", "/v1/events"],
)
def test_no_other_post_is_taken_for_reading(path: str) -> None:
    assert ask(guard(), "POST", path, b"{}", bearer(READ)).status == 403


def test_routes_get_the_path_as_it_was_sent() -> None:
    answer = ask(guard(), "GET", "/v1/items/a%2Fb%20c", headers=bearer(READ))
    assert answer.json["path"].endswith("/v1/items/a%2Fb%20c")
    assert ask(guard(), "GET", "/v1/%69tems/a", headers=bearer(READ)).status == 404


def test_without_any_token_this_machine_may_do_everything() -> None:
    assert ask(guard(Tokens()), "PUT", "/v1/items/a", b"{}").status == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        (b"localhost", 200),
        (b"LOCALHOST:1", 200),
        (b"127.0.0.1:8000", 200),
        (b"[::1]:8000", 200),
        (b"[::1]", 200),
        (b"shop.example:80", 200),
        (b"evil.example", 421),
        (b"localhost.evil.example", 421),
        (b"evil@localhost", 421),
        (b"localhost:x", 421),
        (b"localhost:1:2", 421),
        (b"0.0.0.0:8000", 421),
        (b"", 421),
    ],
)
def test_only_names_of_the_service_are_answered(host: bytes, status: int) -> None:
    config = ServeConfig(host="0.0.0.0", allowed_hosts=("Shop.example",))
    assert ask(guard(config=config), "GET", "/healthz", headers=[(b"host", host)], local=False).status == status


@pytest.mark.parametrize("hosts", [[], [(b"host", b"localhost"), (b"host", b"localhost")]])
def test_a_request_has_one_host(hosts: list[tuple[bytes, bytes]]) -> None:
    assert error(ask(guard(), "GET", "/healthz", headers=hosts, local=False)) == (400, None)


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        (b"http://localhost:8000", 200),
        (b"https://find.example", 200),
        (b"https://FIND.example", 200),
        (b"null", 403),
        (b"", 403),
        (b"http://localhost:3000", 403),
        (b"http://localhost", 403),
        (b"http://evil.example", 403),
        (b"http://localhost:8000.evil.example", 403),
    ],
)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_pages_of_other_sites_may_not_call_by_any_method(origin: bytes, status: int, method: str) -> None:
    app = guard(Tokens(), ServeConfig(allowed_origins=("https://find.example/",)))
    body = b"{}" if method == "PUT" else None
    assert ask(app, method, "/v1/items/a", body, [(b"origin", origin)]).status == status


@pytest.mark.parametrize(("path", "status"), [("/v1/items/a", 403), ("/", 200)])
def test_pages_of_other_sites_may_link_to_the_page_but_not_fetch_data(path: str, status: int) -> None:
    answer = ask(guard(Tokens()), "GET", path, headers=[(b"sec-fetch-site", b"cross-site")])
    assert answer.status == status


@pytest.mark.parametrize("path", ["/", "/assets/a.js", "/healthz", "/v1/items/a", "/nothing", "/fails"])
@pytest.mark.parametrize("headers", [(), bearer(READ)])
def test_every_answer_has_its_headers(path: str, headers: tuple[tuple[bytes, bytes], ...]) -> None:
    answer = ask(guard(), "GET", path, headers=headers)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "no-store"
    policy = answer.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy
    assert ("worker-src 'self' blob:" in policy) == (path in ("/", "/assets/a.js", "/healthz"))


def test_the_application_may_say_another_policy_or_that_a_file_lasts() -> None:
    own = {"content-security-policy": "sandbox", "cache-control": "max-age=9"}

    async def asset(request: Request) -> Response:
        return Response(headers=own)

    app = Guard(Route("/assets/map.html", asset), ServeConfig(), TOKENS, Metrics())
    answer = ask(app, "GET", "/assets/map.html")
    assert {name: answer.headers[name] for name in own} == own
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_what_fails_inside_is_logged_and_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        answer = ask(guard(), "GET", "/fails", headers=bearer(READ))
    assert error(answer) == (500, None)
    assert "secret" not in answer.body.decode()
    assert any(record.getMessage() == "GET /fails failed" and record.exc_info for record in caplog.records)


def test_errors_of_routes_have_one_form() -> None:
    app = guard()
    assert error(ask(app, "GET", "/refuses?k=1", headers=bearer(READ))) == (422, "k")
    assert error(ask(app, "GET", "/refuses?k=a", headers=bearer(READ))) == (422, "k")
    assert error(ask(app, "GET", "/nothing", headers=bearer(READ))) == (404, None)
    answer = ask(app, "DELETE", "/metrics", headers=bearer(WRITE))
    assert error(answer) == (405, None)
    assert answer.headers["allow"] == "GET"


def test_a_websocket_is_closed_before_it_opens() -> None:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(guard()({"type": "websocket", "path": "/", "headers": []}, receive, send))
    assert [message["type"] for message in sent] == ["websocket.close"]


def test_start_and_end_of_the_server_reach_the_application() -> None:
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    asyncio.run(Guard(app, ServeConfig(), TOKENS, Metrics())({"type": "lifespan"}, None, None))  # type: ignore[arg-type]
    assert seen == ["lifespan"]


def test_requests_are_counted_by_route_and_never_by_id() -> None:
    metrics = Metrics()
    app = Guard(toy(), ServeConfig(), TOKENS, metrics)
    for path in ("/v1/items/secret-id", "/v1/items/other-id", "/nothing/secret-id"):
        ask(app, "GET", path, headers=bearer(READ))
    ask(app, "BREW", "/v1/items/secret-id")
    text = metrics.text().decode()
    assert 'pinfold_requests_total{method="GET",route="/v1/items/{id}",status="200"} 2.0' in text
    assert 'pinfold_requests_total{method="GET",route="(unknown)",status="404"} 1.0' in text
    assert 'pinfold_requests_total{method="OTHER",route="(refused)",status="401"} 1.0' in text
    assert "secret" not in text
    assert metrics.n_requests == 4


def test_two_services_in_one_process_count_apart() -> None:
    one, other = guard(), guard()
    asyncio.run(asked(one, "GET", "/healthz"))
    assert (one._metrics.n_requests, other._metrics.n_requests) == (1, 0)
