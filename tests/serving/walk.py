"""Every route of an application with every method, however it was added: none can be forgotten by a test."""

import re
from collections.abc import Iterator
from typing import Any

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")


def every_route(app: Any, value: str = "x") -> Iterator[tuple[str, str, str]]:
    """(method, path with `value` for each parameter, template) of a Starlette or FastAPI application.

    All methods are asked of every path, also those that no route has. Mounted applications are walked into; one that
    cannot be is asked at its own path and below it.
    """
    for template in sorted(set(_templates(app, ""))):
        path = re.sub(r"\{[^}]+\}", value, template)
        for method in METHODS:
            yield method, path, template


def _templates(app: Any, prefix: str) -> Iterator[str]:
    routes = getattr(app, "routes", None)
    if routes is None:
        yield prefix or "/"
        yield f"{prefix}/x"
        return
    for route in routes:
        path = getattr(route, "path", None)
        inside = getattr(route, "app", None)
        if path is None:  # FastAPI's included router
            yield from _templates(route.original_router, prefix + route.include_context.prefix)
        elif getattr(route, "endpoint", None) is None:  # mounted
            yield from _templates(inside, prefix + path)
        else:
            yield prefix + path
