"""What a client may send before anybody knows who it is."""

import socket
import threading
from collections.abc import Iterator

import pytest
import uvicorn
from starlette.responses import Response
from starlette.routing import Route

from pinfold.serving import protocol
from pinfold.serving.protocol import BoundedProtocol

REQUEST = b"GET / HTTP/1.1\r\nhost: localhost\r\n"


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A server that gives a head half a second."""
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.5)
    app = Route("/", lambda _: Response("fine"))
    config = uvicorn.Config(app, port=0, http=BoundedProtocol, log_level="critical", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        thread.join(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join()


def _told(port: int, *pieces: bytes) -> bytes:
    """All that the server says until it closes the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        said = b""
        try:
            for piece in pieces:
                client.sendall(piece)
            while more := client.recv(65536):
                said += more
        except (BrokenPipeError, ConnectionResetError):
            return said
        return said


def test_requests_are_answered_also_one_after_the_other(port: int) -> None:
    said = _told(port, REQUEST + b"\r\n" + REQUEST, b"x: " + b"y" * 60_000, b"\r\nconnection: close\r\n\r\n")
    assert said.count(b"200 OK") == 2


@pytest.mark.parametrize("endless", [b"x: " + b"y" * 300_000, b"x: y\r\n" * 60_000])
def test_a_head_that_does_not_end_is_cut_off(port: int, endless: bytes) -> None:
    assert b"200 OK" not in _told(port, REQUEST, endless, endless)


def test_an_address_that_does_not_end_is_cut_off(port: int) -> None:
    assert b"200 OK" not in _told(port, b"GET /" + b"a" * 400_000, b"a" * 400_000)


@pytest.mark.parametrize("begun", [b"", b"GET", REQUEST])
def test_a_head_that_takes_too_long_is_cut_off(port: int, begun: bytes) -> None:
    assert _told(port, begun) == b""


def test_a_second_head_that_takes_too_long_is_cut_off(port: int) -> None:
    said = _told(port, REQUEST + b"\r\n", REQUEST)
    assert said.count(b"200 OK") == 1
