"""The outermost layer of the service: nothing reaches the routes that may not, and nothing leaves without its headers.

A request is refused unless all of these let it through, in this order: the length of its address, Host, Origin,
token, rate and number of requests at work, form and size of its body, time. It decides by method and by the path
*as it was sent*, and hands just this path on to the routes: `%2e`, `//` or `%68` cannot make the two disagree. What is
inside decodes ids by `checks.path_id`; ids may therefore contain slashes.
"""

import asyncio
import logging
from collections.abc import Mapping
from time import perf_counter
from typing import Any
from urllib.parse import quote

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pinfold.errors import RequestError
from pinfold.serving.headers import check_content, deciding, declared_size, host_bytes, without_port
from pinfold.serving.limits import ServeConfig
from pinfold.serving.metrics import Metrics
from pinfold.serving.rates import Rates
from pinfold.serving.tokens import Access, Tokens, is_wildcard
from pinfold.serving.wire import DATA_HEADERS, FAILED, NO_STORE, PAGE_HEADERS, error_body, is_public

LOG = logging.getLogger("pinfold.serving")
READS = frozenset({"GET", "HEAD"})
LOADS = frozenset({"/v1/generations", "/v1/generations/rollback"})
READS_BY_POST = "/v1/recommendations"
TAKES_BODY = frozenset({"POST", "PUT", "PATCH"})


class Guard:
    """An ASGI application around the service's own.

    Args:
        app: what answers; sees only requests that were let through, with their body whole.
        config: names, origins and limits.
        tokens: who may read and write; `tokens.read_tokens`.
        metrics: what counts requests.
    """

    def __init__(self, app: ASGIApp, config: ServeConfig, tokens: Tokens, metrics: Metrics) -> None:
        self._app = app
        self._limits = config.limits
        self._tokens = tokens
        self._metrics = metrics
        own = () if is_wildcard(config.host) else (config.host,)
        names = ("localhost", "127.0.0.1", "::1", *own, *config.allowed_hosts)
        self._hosts = frozenset(host_bytes(name) for name in names)
        self._origins = frozenset(origin.lower().rstrip("/").encode() for origin in config.allowed_origins)
        self._rates = Rates(self._limits.requests_per_second) if self._limits.requests_per_second else None
        self._at_work = 0
        self._arriving = 0
        metrics.watch(lambda: self._at_work)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or the start and end of the server."""
        if scope["type"] == "http":
            await self._answer(scope, receive, send)
        elif scope["type"] == "websocket":  # there are none; closed before it is accepted, which is a 403
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        elif scope["type"] == "lifespan":
            await self._app(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through or refuse it; count it either way."""
        began = perf_counter()
        scope = dict(scope)  # ours: the routes note in it which of them it was
        raw = scope.get("raw_path")
        path = scope["path"] = quote(scope["path"]) if raw is None else raw.decode("latin-1")
        sender = _Sender(send, page=is_public(path))
        refused = True
        try:
            headers = deciding(scope)
            self._admit(scope, path, headers, public=sender.page)
            receive = await self._arrived(scope["method"], headers, receive)
            refused = False
            await self._work(scope, receive, sender)
        except RequestError as error:
            await sender.refuse(error, self._retry_after(error.status), close=refused)
        except Exception:
            LOG.exception("%s %s failed", scope["method"], _template(scope))  # no ids, no headers
            await sender.refuse(RequestError(500, FAILED), None, close=refused)
        route = "(refused)" if refused else _template(scope)
        self._metrics.observe(scope["method"], route, sender.status, perf_counter() - began)

    def _admit(self, scope: Scope, path: str, headers: Mapping[bytes, bytes], *, public: bool) -> None:
        """Refuse by what is known before the body: address, Host, Origin, token, rate."""
        if len(path) + len(scope["query_string"]) > self._limits.max_url:
            raise RequestError(414, f"the address is longer than {self._limits.max_url} bytes")
        self._check_host(headers)
        self._check_origin(headers, public)
        read = scope["method"] in READS or (scope["method"] == "POST" and path == READS_BY_POST)
        if read and public:
            return
        access = self._tokens.access(headers.get(b"authorization"))
        if access == Access.NONE:
            raise RequestError(401, "a token is needed: Authorization: Bearer TOKEN")
        if not read and access != Access.WRITE:
            raise RequestError(403, "this token may only read")
        if self._rates is not None and not self._rates.take((scope.get("client") or ("",))[0]):
            raise RequestError(429, f"more than {self._limits.requests_per_second:g} requests per second")

    def _check_host(self, headers: Mapping[bytes, bytes]) -> None:
        """A name under which nobody is to call is refused: a page elsewhere could have it point here."""
        host = headers.get(b"host")
        if host is None:
            raise RequestError(400, "no Host header")
        if host not in self._hosts and without_port(host.lower()) not in self._hosts:
            raise RequestError(421, "not a name of this service; see --allowed-hosts")

    def _check_origin(self, headers: Mapping[bytes, bytes], public: bool) -> None:
        """Pages of other sites may not call, by any method; only a link to a public page may be followed."""
        origin = headers.get(b"origin")
        if origin is None:
            if headers.get(b"sec-fetch-site") in (b"cross-site", b"same-site") and not public:
                raise RequestError(403, "called by a page of another site")
            return
        origin, host = origin.lower(), headers[b"host"].lower()
        if origin not in (b"http://" + host, b"https://" + host) and origin not in self._origins:
            raise RequestError(403, "called by a page of another site; see --allowed-origins")

    async def _arrived(self, method: str, headers: Mapping[bytes, bytes], receive: Receive) -> Receive:
        """The same request with its body whole and checked for form and size; it holds no place at work until then."""
        size = declared_size(headers)
        if method not in TAKES_BODY:
            if size != 0:
                raise RequestError(400, f"a {method} has no body", "body")
            return receive
        if size is not None and size > self._limits.max_body:
            raise RequestError(413, f"the body is larger than {self._limits.max_body} bytes", "body")
        if size != 0:
            check_content(headers)
        if self._arriving >= self._limits.max_arriving:
            raise RequestError(503, "too many requests are arriving")
        self._arriving += 1
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                body = await self._read(receive)
        except TimeoutError:
            seconds = self._limits.body_seconds
            raise RequestError(408, f"the body did not arrive within {seconds:g} seconds", "body") from None
        finally:
            self._arriving -= 1
        if body and size == 0:  # HTTP/2 may say nothing about a body before it comes
            check_content(headers)
        return _Replay(body, receive)

    async def _read(self, receive: Receive) -> bytes:
        """The body, of which at most one message beyond the limit is ever held."""
        chunks: list[bytes] = []
        size = 0
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise RequestError(400, "the body ended early", "body")
            chunks.append(message.get("body", b""))
            size += len(chunks[-1])
            if size > self._limits.max_body:
                raise RequestError(413, f"the body is larger than {self._limits.max_body} bytes", "body")
            more = message.get("more_body", False)
        return b"".join(chunks)

    async def _work(self, scope: Scope, receive: Receive, sender: "_Sender") -> None:
        """The answer of the application, within its time; liveness and the page have no place in the queue."""
        if sender.page:
            await self._in_time(scope, receive, sender)
            return
        if self._at_work >= self._limits.max_concurrent:
            raise RequestError(503, "too many requests are at work")
        self._at_work += 1
        try:
            await asyncio.sleep(0)  # what else has arrived is counted, or refused, before this one is answered
            await self._in_time(scope, receive, sender)
        finally:
            self._at_work -= 1

    async def _in_time(self, scope: Scope, receive: Receive, sender: "_Sender") -> None:
        try:
            async with asyncio.timeout(None if _takes_its_time(scope) else self._limits.seconds) as clock:
                await self._app(scope, receive, sender)
        except TimeoutError:
            if not clock.expired():
                raise  # the application's own
            raise RequestError(504, f"no answer within {self._limits.seconds:g} seconds") from None

    def _retry_after(self, status: int) -> bytes | None:
        if status == 429 and self._rates is not None:
            return b"%d" % self._rates.wait
        return b"1" if status == 503 else None


class _Sender:
    """`send` with the headers that every answer has."""

    __slots__ = ("_send", "_started", "page", "status")

    def __init__(self, send: Send, page: bool) -> None:
        self._send = send
        self._started = False
        self.page = page
        self.status = 0  # 0: the connection ended before an answer

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._started = True
            self.status = message["status"]
            headers = list(message.get("headers", ()))
            own = {name for name, _ in headers}  # the page's map has a policy of its own; of two, both would hold
            always = (*(PAGE_HEADERS if self.page else DATA_HEADERS), NO_STORE)
            headers.extend((name, value) for name, value in always if name not in own)
            message = {**message, "headers": headers}
        await self._send(message)

    async def refuse(self, error: RequestError, retry_after: bytes | None, *, close: bool) -> None:
        """The error as an answer; where one has begun it cannot be taken back, and ends unfinished."""
        if self._started:
            return
        body = error_body(error.status, str(error), error.field)
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        if close:  # what is left of the body is not read
            headers.append((b"connection", b"close"))
        if retry_after is not None:
            headers.append((b"retry-after", retry_after))
        if error.status == 401:
            headers.append((b"www-authenticate", b'Bearer realm="pinfold"'))
        await self({"type": "http.response.start", "status": error.status, "headers": headers})
        await self({"type": "http.response.body", "body": body})


class _Replay:
    """`receive` that gives a body that has been read, then whatever comes."""

    __slots__ = ("_body", "_receive")

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def __call__(self) -> Message:
        if self._body is None:
            return await self._receive()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}


def _takes_its_time(scope: Mapping[str, Any]) -> bool:
    """Loading a generation takes as long as it is large, and is asked for by who may write."""
    return scope["method"] == "POST" and scope["path"] in LOADS


def _template(scope: Mapping[str, Any]) -> str:
    """The route that answered, without ids; one word for all paths that no route has."""
    return getattr(scope.get("route"), "path", None) or "(unknown)"
