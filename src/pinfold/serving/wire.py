"""Answers that are no result: one form for every error, and the headers that every answer has."""

import re
from collections.abc import Mapping
from typing import Any

import msgspec
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from pinfold.errors import RequestError

PUBLIC = frozenset({"/", "/healthz", "/readyz"})  # without a token: no data in them
ASSET = re.compile(r"/assets/[A-Za-z0-9_][A-Za-z0-9_.-]*")  # the explorer's files; flat, so nothing can climb

PAGE_POLICY = (
    "default-src 'self'; worker-src 'self' blob:; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
DATA_POLICY = "default-src 'none'; frame-ancestors 'none'"  # what is no page needs nothing
EVERYWHERE = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),  # ids stand in addresses
    (b"cross-origin-resource-policy", b"same-origin"),
]
PAGE_HEADERS = [*EVERYWHERE, (b"content-security-policy", PAGE_POLICY.encode())]
DATA_HEADERS = [*EVERYWHERE, (b"content-security-policy", DATA_POLICY.encode())]
NO_STORE = (b"cache-control", b"no-store")
FAILED = "the service failed; its log says why"


def is_public(path: str) -> bool:
    """Whether this path, as it was sent, is answered without a token."""
    return path in PUBLIC or ASSET.fullmatch(path) is not None


def error_body(status: int, message: str, field: str | None = None) -> bytes:
    """The JSON of an error."""
    said = message.encode("utf-8", "backslashreplace").decode()
    return msgspec.json.encode({"status": status, "error": said, "field": field})


def error_handlers() -> dict[Any, Any]:
    """Handlers for `FastAPI(exception_handlers=...)`, so that its own errors have our form as well."""
    return {
        RequestError: _on_request_error,
        HTTPException: _on_http_exception,
        RequestValidationError: _on_validation_error,
        Exception: _on_failure,
    }


def _on_request_error(_: Request, error: RequestError) -> Response:
    return _response(error.status, str(error), error.field)


def _on_http_exception(_: Request, error: HTTPException) -> Response:
    return _response(error.status_code, str(error.detail), None, error.headers)


def _on_validation_error(_: Request, error: RequestValidationError) -> Response:
    first = error.errors()[0]
    _, *path = first["loc"]  # (query, k) is k; what was given is not repeated
    field = ".".join(str(part) for part in path) or None
    return _response(422, f"{field or 'request'}: {first['msg']}", field)


def _on_failure(_: Request, __: Exception) -> Response:
    return _response(500, FAILED)  # the guard, outside, logs the exception


def _response(
    status: int, message: str, field: str | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    return Response(error_body(status, message, field), status, headers, "application/json")
