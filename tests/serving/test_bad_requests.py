"""What no request may hold is refused with the name of the field, by the whole application; nothing of it is kept."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.serving.shop import Shop, error

SMALL: dict[str, Any] = {
    "max_body": 4096, "max_url": 2048, "max_batch": 3, "max_k": 50, "max_history": 3, "max_collections": 3,
    "max_text": 40, "max_id": 16, "max_attributes": 3, "max_values": 3, "max_depth": 5, "max_filter_ids": 3,
    "max_conditions": 2,
}  # fmt: skip


@pytest.fixture(scope="module")
def small(trained: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A service with limits that are reached quickly; at the end it holds what it held at the beginning."""
    with Shop(trained("pinsage"), tmp_path_factory.mktemp("small") / "store.db", **SMALL) as one:
        yield one
        assert list(one.store.entries()) == []


def refused(shop: Shop, method: str, target: str, body: Any, status: int, field: str | None) -> str:
    """The message of a refusal, which is short whatever was sent."""
    found = shop.ask(method, target, body)
    said = error(found, status, field)
    assert len(found.body) < 1000
    return said


PUT, EVENTS, WANTED, PUBLISH = (
    ("PUT", "/v1/items/new"), ("POST", "/v1/events"), ("POST", "/v1/recommendations"), ("POST", "/v1/generations")
)  # fmt: skip
BODIES: list[tuple[tuple[str, str], bytes, int, str]] = [
    # not JSON
    (PUT, b"", 400, "body"),
    (PUT, b"{", 400, "body"),
    (PUT, b"\xff\xfe{}", 400, "body"),
    (PUT, b'{"attributes": {"title": "\xed\xa0\x80"}}', 400, "body"),
    (PUT, b'{"attributes": {}} {}', 400, "body"),
    (PUT, b'\xef\xbb\xbf{"attributes": {}}', 400, "body"),
    (EVENTS, b"{'events': []}", 400, "body"),
    # JSON that means nothing, or several things
    (PUT, b'{"attributes": {"price": NaN}}', 422, "body.attributes.price"),
    (PUT, b'{"attributes": {"price": Infinity}}', 422, "body.attributes.price"),
    (PUT, b'{"attributes": {"price": -Infinity}}', 422, "body.attributes.price"),
    (PUT, b'{"attributes": {"price": 1e400}}', 422, "body.attributes.price"),
    (PUT, b'{"attributes": {"price": 1' + b"0" * 400 + b"}}", 422, "body.attributes.price"),
    (PUT, b'{"attributes": {"price": 9223372036854775808}}', 422, "body.attributes.price"),
    (PUT, b'{"attributes": {"tags": ["a", NaN]}}', 422, "body.attributes.tags[1]"),
    (PUT, b'{"attributes": {"title": "a\\u0000b"}}', 422, "body.attributes.title"),
    (PUT, b'{"attributes": {"title": "\\ud800"}}', 422, "body.attributes.title"),
    (PUT, b'{"attributes": {"\\udfff": 1}}', 422, "body.attributes.'\\udfff'"),
    (PUT, b'{"attributes": {"price": 1, "price": 2}}', 422, "body.attributes"),
    (PUT, b'{"attributes": {}, "attributes": {}}', 422, "body"),
    (PUT, b'{"attributes": {"tags": [[[[["a"]]]]]}}', 422, "body.attributes.tags[0][0][0]"),
    (PUT, b"[" * 6 + b"]" * 6, 422, "body[0][0][0][0][0]"),
    (PUT, b"[" * 2000 + b"]" * 2000, 422, "body"),
    # other values
    (PUT, b"null", 422, "body"),
    (PUT, b"[]", 422, "body"),
    (PUT, b'"x"', 422, "body"),
    (PUT, b'{"atributes": {}}', 422, "body.atributes"),
    (PUT, b'{"attributes": []}', 422, "body.attributes"),
    (PUT, b'{"attributes": null}', 422, "body.attributes"),
    (PUT, b'{"attributes": {"": 1}}', 422, "body.attributes.''"),
    (PUT, b'{"attributes": {"title": {"a": 1}}}', 422, "body.attributes.title"),
    (PUT, b'{"attributes": {"tags": ["a", null]}}', 422, "body.attributes.tags[1]"),
    (PUT, b'{"attributes": {"tags": [["a"]]}}', 422, "body.attributes.tags[0]"),
    (PUT, b'{"attributes": {"colour": "red"}}', 422, "body.attributes.colour"),
    (PUT, b'{"attributes": {"price": "cheap"}}', 422, "body.attributes.price"),
    (PUT, b'{"attributes": {"title": "even thing", "price": [1, 2]}}', 422, "body.attributes.price"),
    (PUT, b'{"collections": "user0"}', 422, "body.collections"),
    (PUT, b'{"collections": ["user0", 1]}', 422, "body.collections[1]"),
    (PUT, b'{"collections": ["user0", "user0"]}', 422, "body.collections[1]"),
    (PUT, b'{"collections": ["a\\u0000"]}', 422, "body.collections[0]"),
    # too much
    (PUT, b'{"attributes": {"title": "' + b"x" * 41 + b'"}}', 422, "body.attributes.title"),
    (PUT, b'{"attributes": {"title": "' + b"x" * 5000 + b'"}}', 413, "body"),
    (PUT, b'{"attributes": {"a": 1, "b": 1, "c": 1, "d": 1}}', 422, "body.attributes"),
    (PUT, b'{"attributes": {"tags": [1, 2, 3, 4]}}', 422, "body.attributes.tags"),
    (PUT, b'{"attributes": {"' + b"x" * 17 + b'": 1}}', 422, "body.attributes." + "x" * 17),
    (PUT, b'{"collections": ["a", "b", "c", "d"]}', 422, "body.collections"),
    (PUT, b'{"collections": ["' + b"x" * 17 + b'"]}', 422, "body.collections[0]"),
    # events
    (EVENTS, b"{}", 422, "body.events"),
    (EVENTS, b'{"events": []}', 422, "body.events"),
    (EVENTS, b'{"events": {}}', 422, "body.events"),
    (EVENTS, b'{"events": [1]}', 422, "body.events[0]"),
    (EVENTS, b'{"events": [{"user": "u"}]}', 422, "body.events[0].item"),
    (EVENTS, b'{"events": [{"item": "item0"}]}', 422, "body.events[0].user"),
    (EVENTS, b'{"events": [{"user": "u", "item": "item0", "when": 1}]}', 422, "body.events[0].when"),
    (EVENTS, b'{"events": [{"user": "u", "item": 7}]}', 422, "body.events[0].item"),
    (EVENTS, b'{"events": [{"user": "", "item": "item0"}]}', 422, "body.events[0].user"),
    (EVENTS, b'{"events": [{"user": "u\\u0000", "item": "item0"}]}', 422, "body.events[0].user"),
    (EVENTS, b'{"events": [{"user": "u", "item": "nothing"}]}', 422, "body.events[0].item"),
    (EVENTS, b'{"events": [{"user": "u", "item": "item0", "time": 1.5}]}', 422, "body.events[0].time"),
    (EVENTS, b'{"events": [{"user": "u", "item": "item0", "time": true}]}', 422, "body.events[0].time"),
    (EVENTS, b'{"events": [{"user": "u", "item": "item0", "time": 1700000000000}]}', 422, "body.events[0].time"),
    (EVENTS, b'{"events": [{"user": "u", "item": "item0", "time": 1' + b"0" * 400 + b"}]}", 422, "body.events[0].time"),
    (EVENTS, b'{"events": [{"user": "u", "item": "item0", "id": 5}]}', 422, "body.events[0].id"),
    (EVENTS, b'{"events": [' + b", ".join([b'{"user": "u", "item": "item0", "id": "e"}'] * 2) + b"]}", 422,
     "body.events[1].id"),
    (EVENTS, b'{"events": [' + b", ".join([b'{"user": "u", "item": "item0"}'] * 4) + b"]}", 422, "body.events"),
    (EVENTS, b'{"events": [{"user": "u", "item": "item0"}, {"user": "u", "item": "\\ud800"}]}', 422,
     "body.events[1].item"),
    # recommendations
    (WANTED, b"{}", 422, "body"),
    (WANTED, b'{"user": "user0", "items": ["item0"]}', 422, "body"),
    (WANTED, b'{"items": []}', 422, "body.items"),
    (WANTED, b'{"events": []}', 422, "body.events"),
    (WANTED, b'{"items": ["item0", "item0"]}', 422, "body.items[1]"),
    (WANTED, b'{"items": ["a", "b", "c", "d"]}', 422, "body.items"),
    (WANTED, b'{"events": [{"time": 3}]}', 422, "body.events[0].item"),
    (WANTED, b'{"user": null}', 422, "body.user"),
    (WANTED, b'{"user": "user0", "k": 0}', 422, "body.k"),
    (WANTED, b'{"user": "user0", "k": 51}', 422, "body.k"),
    (WANTED, b'{"user": "user0", "k": 5.0}', 422, "body.k"),
    (WANTED, b'{"user": "user0", "k": "5"}', 422, "body.k"),
    (WANTED, b'{"user": "user0", "k": true}', 422, "body.k"),
    (WANTED, b'{"user": "user0", "k": 1' + b"0" * 400 + b"}", 422, "body.k"),
    (WANTED, b'{"user": "user0", "diversity": 1.1}', 422, "body.diversity"),
    (WANTED, b'{"user": "user0", "diversity": NaN}', 422, "body.diversity"),
    (WANTED, b'{"user": "user0", "filter": {"deny": ["a", "b", "c", "d"]}}', 422, "body.filter.deny"),
    (WANTED, b'{"user": "user0", "filter": {"where": [{"field": "price", "min": 1e999}]}}', 422,
     "body.filter.where[0].min"),
    # generations
    (PUBLISH, b"{}", 422, "body.name"),
    (PUBLISH, b'{"name": 1}', 422, "body.name"),
    (PUBLISH, b'{"name": ""}', 422, "body.name"),
    (PUBLISH, b'{"name": "../x"}', 422, "body.name"),
    (PUBLISH, b'{"name": "a/b"}', 422, "body.name"),
    (PUBLISH, b'{"name": ".hidden"}', 422, "body.name"),
    (PUBLISH, b'{"name": "nothing"}', 422, "body.name"),
    (PUBLISH, b'{"name": "a\\n"}', 422, "body.name"),
]  # fmt: skip


@pytest.mark.parametrize(("route", "body", "status", "field"), BODIES, ids=lambda value: str(value)[:70])
def test_bodies(small: Shop, route: tuple[str, str], body: bytes, status: int, field: str) -> None:
    refused(small, *route, body, status, field)


QUERIES: list[tuple[str, str]] = [
    *((f"/v1/users/user0/recommendations?k={k}", "k") for k in
      ("0", "-1", "51", "1e2", "5.0", "%205", "+5", "1_0", "", "x", "nan", "1" + "0" * 400, "%00", "%D9%A5")),
    ("/v1/users/user0/recommendations?k=1&k=2", "k"),
    *((f"/v1/users/user0/recommendations?diversity={one}", "diversity") for one in
      ("1.1", "-0.1", "nan", "inf", "x", "", "1e400", "0x1")),
    *((f"/v1/users/user0/recommendations?seen={one}", "seen") for one in ("yes", "True", "", "2")),
    ("/v1/users/user0/recommendations?K=5", "K"),
    ("/v1/users/user0/recommendations?kk=5", "kk"),
    ("/v1/users/user0/recommendations?by=walk", "by"),
    ("/v1/users/user0?k=5", "k"),
    ("/v1/items/item0?k=5", "k"),
    ("/v1/status?k=5", "k"),
    ("/v1/generations?x=1", "x"),
    ("/v1/collections/user0/related?filter={}", "filter"),
    ("/v1/collections/user0/related?k=0", "k"),
    *((f"/v1/items/item0/similar?by={one}", "by") for one in ("", "models", "Model", "model%00")),
    ("/v1/items/item0/neighborhood?size=0", "size"),
    ("/v1/items/item0/neighborhood?size=51", "size"),
    ("/v1/items/item0/neighborhood?hops=4", "hops"),
    ("/v1/items/item0/neighborhood?hops=0", "hops"),
    ("/v1/map?n=0", "n"),
    ("/v1/map?n=200001", "n"),
    ("/v1/map?field=", "field"),
    ("/v1/map?field=" + "x" * 17, "field"),
    ("/v1/search?q=" + "x" * 41, "q"),
    ("/v1/search?q=%00", "q"),
    ("/v1/search?q=%ED%A0%80", "query"),  # a lone surrogate is no UTF-8
    ("/v1/search?q=%FF", "query"),
    ("/v1/search?q=a&k=51", "k"),
    ("/v1/explain?item=item0&items=a&items=b&items=c&items=d", "items"),
    ("/v1/explain?item=item0&items=item1&items=", "items[1]"),
    ("/v1/explain?item=%00&user=user0", "item"),
    ("/v1/explain?item=" + "x" * 17 + "&user=user0", "item"),
    ("/v1/items/" + "x" * 17, "item"),
    ("/v1/items/" + "%C3%A9" * 9, "item"),  # 18 bytes
    ("/v1/items/%00", "item"),
    ("/v1/items/%FF", "item"),
    ("/v1/items/%ED%A0%80/similar", "item"),
    ("/v1/users/a%00/recommendations", "user"),
    ("/v1/users/" + "x" * 17, "user"),
    ("/v1/collections/%FF/related", "collection"),
    ("/v1/items/item0/similar?filter=%7B%22deny%22%3A%5B%22a%22%2C1e400%5D%7D", "filter.deny[1]"),
    ("/v1/items/item0/similar?filter=" + "%5B" * 200 + "%5D" * 200, "filter[0][0][0][0][0]"),
]  # fmt: skip


@pytest.mark.parametrize(("target", "field"), QUERIES, ids=lambda value: str(value)[:70])
def test_queries_and_paths(small: Shop, target: str, field: str) -> None:
    refused(small, "GET", target, None, 422, field)


@pytest.mark.parametrize("name", ["x" * 17, "%00", "%FF", "%ED%A0%80", "%C3%A9" * 9])
def test_ids_that_nothing_can_have_are_not_put(small: Shop, name: str) -> None:
    refused(small, "PUT", f"/v1/items/{name}", {"attributes": {}}, 422, "item")
    refused(small, "DELETE", f"/v1/items/{name}", None, 422, "item")


def test_an_address_that_is_too_long_is_414(small: Shop) -> None:
    refused(small, "GET", "/v1/search?q=" + "x" * 2048, None, 414, None)


def test_a_body_where_there_is_none(small: Shop) -> None:
    for method, target in (("GET", "/v1/items/item0"), ("DELETE", "/v1/items/item0"), ("GET", "/healthz")):
        refused(small, method, target, {"k": 5}, 400, "body")
    assert small.get("/v1/items/item0")["id"] == "item0"


def test_writes_take_no_query(small: Shop) -> None:
    for method, target in (PUT, ("DELETE", "/v1/items/item0"), EVENTS, PUBLISH, ("POST", "/v1/generations/rollback")):
        refused(small, method, f"{target}?force=1", None if method == "DELETE" else {}, 422, "force")


@pytest.mark.parametrize("path", ["/v1/items/", "/v1/items//similar", "/v1/users/", "/v1/collections//related",
                                  "/V1/status", "/v1/status/", "/v2/status", "/v1/items/item0/similar/"])  # fmt: skip
def test_other_paths_are_404_in_the_same_form(small: Shop, path: str) -> None:
    refused(small, "GET", path, None, 404, None)
