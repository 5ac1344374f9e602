"""How much a request may bring, how long it may take, and how many there may be."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send
from tests.serving.asgi import JSON, Answer, ask, asked

from pinfold.serving.guard import Guard
from pinfold.serving.limits import Limits, ServeConfig
from pinfold.serving.metrics import Metrics
from pinfold.serving.rates import MAX_CLIENTS, Rates
from pinfold.serving.tokens import Tokens


class Toy:
    """Answers with the body's length, after some seconds or when it is told to."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.calls = 0
        self.go: asyncio.Event | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.calls += 1
        body = (await receive()).get("body", b"") if scope["method"] in ("POST", "PUT") else b""
        if self.go is not None:
            await self.go.wait()
        await asyncio.sleep(self.seconds)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"%d" % len(body)})


def guard(app: Any = None, **limits: Any) -> Guard:
    return Guard(app or Toy(), ServeConfig(limits=Limits(**limits)), Tokens(), Metrics())


@pytest.mark.parametrize(("size", "status"), [(1024, 200), (1025, 413)])
@pytest.mark.parametrize("pieces", [1, 5])
def test_a_body_beyond_its_limit_is_refused_whether_it_says_its_length_or_not(
    size: int, status: int, pieces: int
) -> None:
    toy = Toy()
    whole = b"x" * size
    body = whole if pieces == 1 else [whole[i : i + 300] for i in range(0, size, 300)]
    answer = ask(guard(toy, max_body=1024), "POST", "/v1/events", body)
    assert answer.status == status
    if status == 200:
        assert answer.body == b"1024"
    else:
        assert answer.json["field"] == "body"
        assert answer.headers["connection"] == "close"
    assert toy.calls == (status == 200)


def test_no_more_of_a_large_body_is_read_than_its_limit() -> None:
    read = 0

    async def endless() -> Message:
        nonlocal read
        read += 1000
        return {"type": "http.request", "body": b"x" * 1000, "more_body": True}

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"host", b"localhost"), (b"transfer-encoding", b"chunked"), *JSON]
    scope = {"type": "http", "method": "PUT", "path": "/", "raw_path": b"/", "query_string": b"", "headers": headers}
    asyncio.run(guard(max_body=10_000)(scope, endless, send))
    assert sent[0]["status"] == 413
    assert read == 11_000


def test_a_body_that_says_it_is_too_large_is_not_read_at_all() -> None:
    answer = ask(guard(max_body=1024), "POST", "/v1/events", b"", [(b"content-length", b"9" * 18)], pause=60.0)
    assert answer.status == 413


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([(b"content-length", b"-1")], 400),
        ([(b"content-length", b"1e3")], 400),
        ([(b"content-length", b"9" * 30)], 400),
        ([(b"content-length", b"2"), (b"content-length", b"3")], 400),
        ([(b"content-length", b"2"), (b"transfer-encoding", b"chunked")], 400),
    ],
)
def test_a_length_means_one_thing(headers: Sequence[tuple[bytes, bytes]], status: int) -> None:
    assert ask(guard(), "POST", "/v1/events", b"{}", headers).status == status


@pytest.mark.parametrize(
    ("value", "status"),
    [
        (b"application/json", 200),
        (b"Application/JSON; charset=UTF-8", 200),
        (b'application/json;charset="utf-8"', 200),
        (b"application/json; charset=latin-1", 415),
        (b"application/jsonp", 415),
        (b"text/plain", 415),
        (b"multipart/form-data; boundary=x", 415),
        (b"application/x-www-form-urlencoded", 415),
        (b"", 415),
    ],
)
def test_a_body_is_json(value: bytes, status: int) -> None:
    answer = ask(guard(), "POST", "/v1/events", b"{}", [(b"content-type", value)])
    assert answer.status == status
    if status == 415:
        assert answer.json["field"] == "content-type"


def test_a_body_is_not_compressed() -> None:
    answer = ask(guard(), "POST", "/v1/events", b"{}", [(b"content-encoding", b"gzip")])
    assert (answer.status, answer.json["field"]) == (415, "content-encoding")


@pytest.mark.parametrize("method", ["GET", "DELETE", "OPTIONS"])
def test_other_methods_have_no_body(method: str) -> None:
    answer = ask(guard(), method, "/v1/items/a", b"{}")
    assert (answer.status, answer.json["field"]) == (400, "body")
    assert ask(guard(), method, "/v1/items/a", b"").status == 200


def test_a_post_without_a_body_needs_no_type() -> None:
    assert ask(guard(), "POST", "/v1/generations/rollback").status == 200


def test_a_long_address_is_refused() -> None:
    assert ask(guard(max_url=1024), "GET", "/v1/search?q=" + "a" * 1011).status == 200
    assert ask(guard(max_url=1024), "GET", "/v1/search?q=" + "a" * 1024).status == 414
    assert ask(guard(max_url=1024), "GET", "/" + "a" * 1024).status == 414


def test_a_body_that_does_not_arrive_in_time_is_refused() -> None:
    answer = ask(guard(body_seconds=0.05), "POST", "/v1/events", [b"{", b"}"], pause=0.04)
    assert (answer.status, answer.json["field"]) == (408, "body")


def test_a_body_that_ends_early_reaches_nobody() -> None:
    toy = Toy()

    async def run() -> list[Message]:
        messages: list[Message] = [
            {"type": "http.request", "body": b"{", "more_body": True},
            {"type": "http.disconnect"},
        ]
        sent: list[Message] = []

        async def receive() -> Message:
            return messages.pop(0)

        async def send(message: Message) -> None:
            sent.append(message)

        headers = [(b"host", b"localhost"), (b"content-length", b"10"), *JSON]
        scope = {
            "type": "http",
            "method": "PUT",
            "path": "/",
            "raw_path": b"/",
            "query_string": b"",
            "headers": headers,
        }
        await guard(toy)(scope, receive, send)
        return sent

    assert asyncio.run(run())[0]["status"] == 400
    assert toy.calls == 0


def test_slow_bodies_hold_no_place_at_work() -> None:
    async def run() -> tuple[Answer, Answer]:
        app = guard(max_concurrent=1)
        slow = asyncio.create_task(asked(app, "POST", "/v1/events", [b"{", b"}"], pause=0.05))
        await asyncio.sleep(0.02)
        return await asked(app, "GET", "/v1/items/a"), await slow

    assert [answer.status for answer in asyncio.run(run())] == [200, 200]


def test_bodies_that_arrive_at_the_same_time_are_counted() -> None:
    async def run() -> list[int]:
        app = guard(max_arriving=2)
        asks = (asked(app, "POST", "/v1/events", [b"{", b"}"], pause=0.02) for _ in range(3))
        return [answer.status for answer in await asyncio.gather(*asks)]

    assert sorted(asyncio.run(run())) == [200, 200, 503]


def test_more_requests_than_places_are_told_to_come_again() -> None:
    async def run() -> tuple[list[Answer], Answer, Answer]:
        toy = Toy()
        toy.go = asyncio.Event()
        app = guard(toy, max_concurrent=2)
        waiting = [asyncio.create_task(asked(app, "GET", "/v1/items/a")) for _ in range(2)]
        await asyncio.sleep(0.01)
        refused = await asked(app, "GET", "/v1/items/a")
        health = asyncio.create_task(asked(app, "GET", "/healthz"))  # has no place in the queue
        toy.go.set()
        return await asyncio.gather(*waiting), refused, await health

    waited, refused, health = asyncio.run(run())
    assert [answer.status for answer in waited] == [200, 200]
    assert (refused.status, refused.headers["retry-after"]) == (503, "1")
    assert health.status == 200


def test_a_place_is_free_again_after_every_end() -> None:
    async def fails(scope: Scope, receive: Receive, send: Send) -> None:
        raise ValueError

    slow, broken = guard(Toy(1.0), max_concurrent=1, seconds=0.01), guard(fails, max_concurrent=1)
    assert [ask(slow, "GET", "/v1/items/a").status for _ in range(3)] == [504, 504, 504]
    assert [ask(broken, "GET", "/v1/items/a").status for _ in range(3)] == [500, 500, 500]


def test_what_has_begun_is_not_answered_twice(caplog: pytest.LogCaptureFixture) -> None:
    async def breaks(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise ValueError

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/", "raw_path": b"/", "query_string": b"",
             "headers": [(b"host", b"localhost")]}  # fmt: skip
    with caplog.at_level(logging.ERROR):
        asyncio.run(guard(breaks)(scope, None, send))  # type: ignore[arg-type]
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert len(caplog.records) == 1


def test_a_timeout_of_the_application_is_its_own_failure() -> None:
    async def fails(scope: Scope, receive: Receive, send: Send) -> None:
        raise TimeoutError

    assert ask(guard(fails), "GET", "/v1/items/a").status == 500


def test_a_client_that_asks_too_often_is_told_when_to_come_again() -> None:
    app = guard(requests_per_second=0.5)
    answers = [ask(app, "GET", "/v1/items/a") for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 429, 429]
    assert answers[1].headers["retry-after"] == "2"
    assert ask(app, "GET", "/healthz").status == 200


def test_each_client_has_a_bucket_that_fills_steadily() -> None:
    now = [0.0]
    rates = Rates(10.0, lambda: now[0])
    assert [rates.take("a") for _ in range(25)].count(True) == 20
    assert rates.take("b")
    now[0] = 0.5
    assert [rates.take("a") for _ in range(25)].count(True) == 5
    now[0] = 100.0
    assert [rates.take("a") for _ in range(25)].count(True) == 20


def test_only_so_many_clients_are_remembered() -> None:
    rates = Rates(1.0, lambda: 0.0)
    for i in range(MAX_CLIENTS + 10):
        rates.take(str(i))
    assert len(rates._buckets) == MAX_CLIENTS
