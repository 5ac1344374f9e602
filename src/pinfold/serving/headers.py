"""What the headers of a request say, read so strictly that no proxy can read them otherwise."""

from collections.abc import Mapping

from starlette.types import Scope

from pinfold.errors import RequestError

LOOKED_AT = frozenset(
    {
        b"host",
        b"origin",
        b"sec-fetch-site",
        b"authorization",
        b"content-length",
        b"content-type",
        b"content-encoding",
        b"transfer-encoding",
    }
)


def deciding(scope: Scope) -> dict[bytes, bytes]:
    """The headers that decide, each at most once: of two, this service and a proxy could each believe another."""
    found: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        if name in LOOKED_AT:
            if name in found:
                raise RequestError(400, f"two {name.decode()} headers")
            found[name] = value
    return found


def declared_size(headers: Mapping[bytes, bytes]) -> int | None:
    """The size of the body in bytes; None: it comes in pieces, of any size."""
    length = headers.get(b"content-length")
    if b"transfer-encoding" in headers:
        if length is not None:
            raise RequestError(400, "both content-length and transfer-encoding")
        return None
    if length is None:
        return 0
    if not length.isdigit() or len(length) > 18:
        raise RequestError(400, "content-length is not a number of bytes")
    return int(length)


def check_content(headers: Mapping[bytes, bytes]) -> None:
    """A body is JSON in UTF-8, as it is."""
    kind, _, parameter = headers.get(b"content-type", b"").lower().partition(b";")
    charset = parameter.strip().replace(b'"', b"")
    if kind.strip() != b"application/json" or charset not in (b"", b"charset=utf-8"):
        raise RequestError(415, "expected content-type: application/json", "content-type")
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise RequestError(415, "expected a body that is not compressed", "content-encoding")


def host_bytes(name: str) -> bytes:
    """A name as it stands in a Host header; IPv6 addresses in brackets."""
    name = name.lower().strip("[]")
    return (f"[{name}]" if ":" in name else name).encode("idna" if not name.isascii() else "ascii")


def without_port(host: bytes) -> bytes:
    """`localhost` of `localhost:8000`; nothing of what is no host and port."""
    name, colon, port = host.rpartition(b":")
    if not colon or host.endswith(b"]"):
        return host
    return name if port.isdigit() else b""
