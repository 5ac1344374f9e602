"""Where tokens come from, and which addresses need them."""

import os
import socket
from pathlib import Path
from typing import Any

import pytest

from pinfold.errors import ConfigError
from pinfold.serving.limits import ServeConfig
from pinfold.serving.tokens import READ_TOKEN, WRITE_TOKEN, Access, Tokens, is_loopback, is_wildcard, read_tokens

READ, WRITE = "read-" * 8, "write-" * 8


def test_tokens_from_the_environment() -> None:
    tokens = read_tokens(ServeConfig(), {READ_TOKEN: READ, WRITE_TOKEN: WRITE})
    assert tokens.access(b"Bearer " + READ.encode()) == Access.READ
    assert tokens.access(b"Bearer " + WRITE.encode()) == Access.WRITE
    assert tokens.access(None) == tokens.access(b"Bearer x") == Access.NONE


def test_tokens_from_files(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(WRITE + "\n")
    file.chmod(0o600)
    tokens = read_tokens(ServeConfig(write_token_file=str(file)), {})
    assert tokens.access(b"Bearer " + WRITE.encode()) == Access.WRITE


def test_nothing_prints_a_token() -> None:
    tokens = Tokens(READ, WRITE)
    assert READ not in f"{tokens!r} {tokens}"
    assert not any(READ.encode() == getattr(tokens, name) or getattr(tokens, name) == READ for name in Tokens.__slots__)


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o644])
def test_a_file_that_everyone_may_read_or_change_is_refused(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "token"
    file.write_text(WRITE)
    file.chmod(mode)
    with pytest.raises(ConfigError, match="chmod 600"):
        read_tokens(ServeConfig(read_token_file=str(file)), {})


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(ConfigError, match="expected a file"):
        read_tokens(ServeConfig(read_token_file=str(tmp_path / "pipe")), {})
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        read_tokens(ServeConfig(read_token_file=str(tmp_path / "none")), {})
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        read_tokens(ServeConfig(read_token_file=str(tmp_path)), {})


@pytest.mark.parametrize(
    ("token", "said"),
    [
        ("", "is empty"),
        ("s" * 31, "has 31 characters"),
        ("s" * 5000, "has 5000 characters"),
        ("secret " * 8, "without spaces"),
        ("sécret" * 8, "ASCII"),
        ("secret\n" * 8, "ASCII"),
    ],
)
def test_a_token_that_cannot_be_is_refused_without_saying_it(token: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        read_tokens(ServeConfig(), {WRITE_TOKEN: token})
    assert "secrets.token_urlsafe(32)" in str(caught.value)
    assert not token or token not in str(caught.value)


def test_one_token_is_given_one_way(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="given twice"):
        read_tokens(ServeConfig(read_token_file=str(tmp_path / "t")), {READ_TOKEN: READ})


def test_the_two_tokens_differ() -> None:
    with pytest.raises(ConfigError, match="are the same") as caught:
        read_tokens(ServeConfig(), {READ_TOKEN: READ, WRITE_TOKEN: READ})
    assert READ not in str(caught.value)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "2001:db8::1", "::ffff:192.0.2.7"])
def test_an_address_that_others_can_reach_needs_a_token(host: str) -> None:
    with pytest.raises(ConfigError, match=r"secrets\.token_urlsafe"):
        read_tokens(ServeConfig(host=host), {})
    assert read_tokens(ServeConfig(host=host), {WRITE_TOKEN: WRITE}).needed


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost"])
def test_this_machine_alone_needs_none(host: str) -> None:
    assert not read_tokens(ServeConfig(host=host), {}).needed


def _answers(*addresses: str) -> Any:
    return lambda *_, **__: [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in addresses]


@pytest.mark.parametrize(
    ("addresses", "expected"),
    [(["127.0.0.1", "::1"], True), (["127.0.0.1", "192.0.2.7"], False), (["192.0.2.7"], False), (["fe80::1%2"], False)],
)
def test_a_name_is_what_it_stands_for(monkeypatch: pytest.MonkeyPatch, addresses: list[str], expected: bool) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", _answers(*addresses))
    assert is_loopback("localhost") is expected


def test_a_name_that_stands_for_nothing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fails)
    with pytest.raises(ConfigError, match="no such address"):
        read_tokens(ServeConfig(host="nowhere.example"), {})


@pytest.mark.parametrize(
    ("host", "expected"), [("0.0.0.0", True), ("::", True), ("[::]", True), ("127.0.0.1", False), ("a", False)]
)
def test_all_addresses_are_no_name(host: str, expected: bool) -> None:
    assert is_wildcard(host) is expected
