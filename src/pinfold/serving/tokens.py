"""Who may read and who may write: tokens from the environment or from files, and which addresses need them."""

import hashlib
import hmac
import ipaddress
import os
import secrets
import socket
import stat
from collections.abc import Mapping
from enum import IntEnum
from pathlib import Path

from pinfold.errors import ConfigError
from pinfold.serving.limits import ServeConfig

READ_TOKEN = "PINFOLD_READ_TOKEN"  # noqa: S105 - the name of a variable
WRITE_TOKEN = "PINFOLD_WRITE_TOKEN"  # noqa: S105
MIN_TOKEN = 32  # bytes; as many random ones cannot be guessed
MAX_TOKEN = 4096
MAKE_ONE = 'python -c "import secrets; print(secrets.token_urlsafe(32))"'


class Access(IntEnum):
    """What a request may do; each level includes those below it."""

    NONE = 0
    READ = 1
    WRITE = 2


class Tokens:
    """The two tokens, as digests: a token itself is kept nowhere, so nothing can print it."""

    __slots__ = ("_read", "_write", "needed")

    def __init__(self, read: str | None = None, write: str | None = None) -> None:
        self.needed = read is not None or write is not None
        self._read = _digest(read)
        self._write = _digest(write)

    def access(self, header: bytes | None) -> Access:
        """What the value of an Authorization header allows; without any token, everything.

        Takes the same time whichever token is right: digests of equal length are compared, always both.
        """
        if not self.needed:
            return Access.WRITE
        scheme, _, token = (header or b"").partition(b" ")
        shown = hashlib.sha256(token.strip(b" ")).digest()
        reads = hmac.compare_digest(shown, self._read)
        writes = hmac.compare_digest(shown, self._write)
        if scheme.lower() != b"bearer":
            return Access.NONE
        return Access.WRITE if writes else Access.READ if reads else Access.NONE

    def __repr__(self) -> str:
        return f"Tokens(needed={self.needed})"


def read_tokens(config: ServeConfig, environment: Mapping[str, str] = os.environ) -> Tokens:
    """The tokens of a service, each from its file or its environment variable.

    With only a write token, reading needs it too. With only a read token, nobody may write.

    Raises:
        ConfigError: a token that is empty, short or not of printable ASCII; both ways for one token; a file that
            is missing or that everyone on the machine may read; the same token twice; an address that others can
            reach without any token. No message contains a token.
    """
    read = _token("read", READ_TOKEN, config.read_token_file, environment)
    write = _token("write", WRITE_TOKEN, config.write_token_file, environment)
    if read is not None and write is not None and hmac.compare_digest(read.encode(), write.encode()):
        raise ConfigError("the read token and the write token are the same; make another one, or leave one out")
    if read is None and write is None and not is_loopback(config.host):
        raise ConfigError(
            f"host {config.host!r} can be reached from other machines, and there is no token: set {WRITE_TOKEN} "
            f"(and {READ_TOKEN} for readers), or --write-token-file FILE; {MAKE_ONE} makes one. "
            "Or listen on 127.0.0.1"
        )
    return Tokens(read, write)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a service that listens on this address.

    A name counts when every address that it stands for is a loopback address; 0.0.0.0 and :: are all addresses of
    the machine, so they do not.

    Raises:
        ConfigError: a name that stands for no address.
    """
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        pass  # a name
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"host {host!r}: there is no such address ({error}); 127.0.0.1 is this machine") from error
    return all(ipaddress.ip_address(str(address[4][0]).partition("%")[0]).is_loopback for address in found)


def is_wildcard(host: str) -> bool:
    """Whether this address means all addresses of the machine; it is then no name to call the service by."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_unspecified
    except ValueError:
        return False


def _digest(token: str | None) -> bytes:
    """SHA-256 of a token; where there is none, of a value that nobody has."""
    return hashlib.sha256(secrets.token_bytes(32) if token is None else token.encode()).digest()


def _token(role: str, variable: str, file: str | None, environment: Mapping[str, str]) -> str | None:
    """One token, checked; None where neither a file nor a variable is given."""
    given = environment.get(variable)
    if given is not None and file is not None:
        raise ConfigError(f"the {role} token is given twice: by {variable} and by --{role}-token-file; leave one out")
    if file is not None:
        return _checked(_file_text(Path(file)), str(file))
    return None if given is None else _checked(given, variable)


def _file_text(path: Path) -> str:
    """The text of a token file that not everyone may read."""
    try:
        # Not blocking: a pipe without a writer is refused below instead of waited for.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
            mode = os.fstat(file.fileno()).st_mode  # of what was opened, not of what has this name later
            if not stat.S_ISREG(mode):
                raise ConfigError(f"{path}: expected a file with a token")
            if mode & 0o007:
                raise ConfigError(f"{path}: everyone on this machine may read or change it; run `chmod 600 {path}`")
            return file.read(MAX_TOKEN + 2).decode("ascii", "replace").removesuffix("\n").removesuffix("\r")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error


def _checked(token: str, where: str) -> str:
    """A token that is long enough and can stand in a header."""
    if not MIN_TOKEN <= len(token) <= MAX_TOKEN:
        found = "is empty" if not token else f"has {len(token)} characters"
        raise ConfigError(f"{where}: the token {found}, expected {MIN_TOKEN} to {MAX_TOKEN}; {MAKE_ONE} makes one")
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise ConfigError(f"{where}: a token is ASCII letters, digits and signs without spaces; {MAKE_ONE} makes one")
    return token
