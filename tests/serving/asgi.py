"""A client below HTTP: just the messages that a server would send to an application, good or bad."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from starlette.types import ASGIApp, Message

LOCAL = ((b"host", b"localhost:8000"),)
JSON = ((b"content-type", b"application/json"),)


@dataclass(frozen=True)
class Answer:
    """What an application sent."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def ask(
    app: ASGIApp,
    method: str,
    target: str,
    body: bytes | Sequence[bytes] | None = None,
    headers: Sequence[tuple[bytes, bytes]] = (),
    *,
    local: bool = True,
    pause: float = 0.0,
) -> Answer:
    """One request and its answer."""
    return asyncio.run(asked(app, method, target, body, headers, local=local, pause=pause))


async def asked(
    app: ASGIApp,
    method: str,
    target: str,
    body: bytes | Sequence[bytes] | None = None,
    headers: Sequence[tuple[bytes, bytes]] = (),
    *,
    local: bool = True,
    pause: float = 0.0,
) -> Answer:
    """One request and its answer; a body in pieces comes without its length, with `pause` seconds before each."""
    path, _, query = target.partition("?")
    given = [*(LOCAL if local else ()), *headers]
    names = {name for name, _ in given}
    if body is not None and b"content-type" not in names:
        given.extend(JSON)
    if isinstance(body, bytes):
        pieces = [body]
        if b"content-length" not in names:
            given.append((b"content-length", b"%d" % len(body)))
    else:
        pieces = list(body or [b""])
        if body is not None:
            given.append((b"transfer-encoding", b"chunked"))
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode("latin-1"),
        "root_path": "",
        "query_string": query.encode("latin-1"),
        "headers": given,
        "client": ("192.0.2.1", 50000),
        "server": ("127.0.0.1", 8000),
    }
    left = [{"type": "http.request", "body": piece, "more_body": i < len(pieces) - 1} for i, piece in enumerate(pieces)]
    sent: list[Message] = []

    async def receive() -> Message:
        if pause:
            await asyncio.sleep(pause)
        return left.pop(0) if left else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    assert sent[0]["type"] == "http.response.start"
    found = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    assert len(found) == len(sent[0]["headers"]), "a header twice"
    assert not sent[-1].get("more_body", False)
    return Answer(sent[0]["status"], found, b"".join(message["body"] for message in sent[1:]))
