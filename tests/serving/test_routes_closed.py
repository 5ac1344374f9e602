"""No route of the service answers somebody without a token, whatever the method and however the path is spelled."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.serving.shop import Shop, error
from tests.serving.walk import METHODS, every_route

from pinfold.serving.tokens import Tokens

READ, WRITE = "r" * 32, "w" * 32
PUBLIC = {"/", "/healthz", "/readyz", "/assets/{name}"}
READS = {
    "/v1/users/{user}", "/v1/users/{user}/recommendations", "/v1/items/{item}", "/v1/items/{item}/similar",
    "/v1/items/{item}/neighborhood", "/v1/collections/{collection}/related", "/v1/explain", "/v1/search", "/v1/map",
    "/v1/status", "/v1/generations", "/metrics", "/openapi.json",
}  # fmt: skip
WRITES = {
    ("PUT", "/v1/items/{item}"), ("DELETE", "/v1/items/{item}"), ("POST", "/v1/events"), ("POST", "/v1/generations"),
    ("POST", "/v1/generations/rollback"),
}  # fmt: skip
READ_BY_POST = ("POST", "/v1/recommendations")
SPELLINGS = [
    "/v1/%69tems/item0", "/v1//items/item0", "//v1/items/item0", "/v1/items/item0/", "/v1/items/%2e%2e/item0",
    "/v1/./items/item0", "/assets/../v1/items/item0", "/assets/%2e%2e/v1/items/item0",
    "/assets/..%2fv1%2fitems%2fitem0", "/healthz/../v1/items/item0", "/healthz/", "/healthz%00", "/HEALTHZ",
    "/healthz;/v1/items/item0", "/%", "/v1",
    "/v1/items", "/v1/items/", "/docs", "/redoc", "/openapi.json/", "/metrics/", "/\\..",
    "/nothing", "/assets/", "/assets/a/b", "/.env", "/v1/users/user0/recommendations/", "/%2e%2e/%2e%2e/etc/passwd",
]  # fmt: skip


@pytest.fixture(scope="module")
def closed(trained: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A service with both tokens."""
    with Shop(trained("item-knn"), tmp_path_factory.mktemp("closed") / "store.db", Tokens(READ, WRITE)) as one:
        yield one


def inner(shop: Shop) -> Any:
    """The application behind the guard, which knows its routes."""
    return shop.app._app


def test_the_routes_are_those_that_this_test_knows(closed: Shop) -> None:
    """Who adds a route says here who may use it."""
    found = {template for _, _, template in every_route(inner(closed))}
    written = {template for _, template in WRITES}
    assert found == PUBLIC | READS | written | {READ_BY_POST[1]}


def test_no_route_answers_without_a_token(closed: Shop) -> None:
    before = closed.service.status(0)
    n_asked = 0
    for method, path, template in every_route(inner(closed), "item0"):
        found = closed.ask(method, path, {} if method in ("POST", "PUT", "PATCH") else None)
        if template in PUBLIC and method in ("GET", "HEAD"):
            assert found.status in (200, 404, 405), (method, path)  # there is no such asset
            continue
        assert error(found, 401), (method, path)
        assert found.headers["www-authenticate"].startswith("Bearer")
        n_asked += 1
    assert n_asked == len(METHODS) * len(PUBLIC | READS | {t for _, t in WRITES} | {READ_BY_POST[1]}) - 2 * len(PUBLIC)
    assert closed.service.status(0) == before


@pytest.mark.parametrize("token", ["", "r", "R" * 32, READ + "x", READ[:-1], "w" * 31, "w" * 32 + " w", "\xff" * 32])
def test_nothing_but_the_tokens_is_one(closed: Shop, token: str) -> None:
    for method, path, template in every_route(inner(closed), "item0"):
        if template not in PUBLIC and method in ("GET", "PUT", "DELETE", "POST"):
            assert closed.ask(method, path, token=token).status == 401, (method, path)


def test_the_token_for_reading_writes_nothing(closed: Shop) -> None:
    before = closed.service.status(0)
    written = set()
    for method, path, template in every_route(inner(closed), "item0"):
        found = closed.ask(method, path, {} if method in ("POST", "PUT", "PATCH") else None, token=READ)
        if method in ("GET", "HEAD") or (method, template) == READ_BY_POST:
            assert found.status not in (401, 403), (method, path)
        else:
            assert error(found, 403), (method, path)
            written.add((method, template))
    assert written >= WRITES
    assert closed.service.status(0) == before


def test_the_token_for_writing_opens_every_route(closed: Shop) -> None:
    for template in sorted(READS):
        path = template.replace("{item}", "item0").replace("{user}", "user0").replace("{collection}", "user0")
        found = closed.ask("GET", path, token=WRITE)
        assert found.status in (200, 409, 422), (path, found.body)  # 422: a query is missing
    assert closed.ask("POST", "/v1/events", {"events": [{"user": "u", "item": "item0"}]}, WRITE).status == 200
    assert closed.ask("PUT", "/v1/items/new", {"attributes": {}}, WRITE).status == 201
    assert closed.ask("DELETE", "/v1/items/new", token=WRITE).status == 200
    assert closed.ask("POST", "/v1/generations", {"name": "nothing"}, WRITE).status == 422
    assert closed.ask("POST", "/v1/generations/rollback", token=WRITE).status == 409


@pytest.mark.parametrize("path", SPELLINGS)
@pytest.mark.parametrize("method", METHODS)
def test_odd_spellings_open_nothing(closed: Shop, method: str, path: str) -> None:
    found = closed.ask(method, path, {} if method in ("POST", "PUT", "PATCH") else None)
    assert found.status == 401, found.body


@pytest.mark.parametrize("method", METHODS)
def test_with_a_token_odd_spellings_are_no_other_route(closed: Shop, method: str) -> None:
    """None of them is taken for another path; a slash inside an id is part of the id."""
    before = closed.service.status(0)
    for path in SPELLINGS:
        found = closed.ask(method, path, {} if method in ("POST", "PUT", "PATCH") else None, token=WRITE)
        assert found.status in (404, 405, 422), (path, found.body)
    assert closed.ask(method, "/v1/items/item0%2fsimilar", {} if method == "POST" else None, WRITE).status != 200
    assert closed.service.status(0) == before


def test_methods_that_a_path_does_not_have_are_405_and_say_which_it_has(closed: Shop) -> None:
    own = {("GET", template) for template in READS} | WRITES | {READ_BY_POST}
    for method, path, template in every_route(inner(closed), "item0"):
        if template in PUBLIC or (method, template) in own or (method, template) == ("HEAD", "/openapi.json"):
            continue
        found = closed.ask(method, path, {} if method in ("POST", "PUT", "PATCH") else None, token=WRITE)
        assert found.status == 405, (method, path, found.status)
        assert set(found.headers["allow"].split(", ")) >= {one for one, other in own if other == template}, path
