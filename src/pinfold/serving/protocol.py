"""The web server's protocol, with an end to what may come before a request reaches the guard.

uvicorn on httptools by itself takes an address and headers of any size, and waits for the rest of them for ever; nobody
has shown a token by then.
"""

from asyncio import BaseTransport, TimerHandle
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_BYTES = 1 << 17  # of address and headers, up to one read of the socket more
HEAD_SECONDS = 10.0  # for them to arrive, from the connection on, or from a later request's first byte
TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class BoundedProtocol(HttpToolsProtocol):
    """`uvicorn.Config(http=BoundedProtocol)`: a connection whose head is too large or too slow is closed."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._n_bytes = 0  # of a head that is not whole yet
        self._in_head = False
        self._clock: TimerHandle | None = None

    def connection_made(self, transport: BaseTransport) -> None:
        """Wait for a request, but not for ever."""
        super().connection_made(transport)  # type: ignore[arg-type]
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing more to wait for."""
        self._arrived()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self._n_bytes = 0
        self._in_head = True
        if self._clock is None:
            self._wait()

    def on_headers_complete(self) -> None:
        """A head is whole."""
        self._in_head = False
        self._arrived()
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        """What a client sent, counted while a head is incomplete: even one header that never ends."""
        super().data_received(data)
        if self._in_head:
            self._n_bytes += len(data)
            if self._n_bytes > HEAD_BYTES and not self.transport.is_closing():
                self.transport.write(TOO_LARGE)
                self.transport.close()

    def _wait(self) -> None:
        self._clock = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _arrived(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None
