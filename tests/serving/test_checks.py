"""What is refused of the contents of a request, with which status and field; and what is taken."""

import json
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinfold.errors import RequestError
from pinfold.serving.checks import (
    PutItem,
    Taken,
    Wanted,
    checked_id,
    checked_text,
    parse_events,
    parse_filter,
    parse_name,
    parse_put_item,
    parse_wanted,
    path_id,
)
from pinfold.serving.filters import Condition, Filter
from pinfold.serving.limits import Limits
from pinfold.serving.query import Query, choice, share, truth, whole
from pinfold.serving.store import NewEvent

LIMITS = Limits(
    max_batch=3, max_k=20, max_history=3, max_collections=2, max_text=10, max_id=8, max_attributes=2, max_values=3,
    max_depth=5, max_filter_ids=3, max_conditions=2,
)  # fmt: skip


def refused(parse: Any, raw: str | bytes) -> tuple[int, str | None]:
    with pytest.raises(RequestError) as caught:
        parse(raw.encode("utf-8", "surrogatepass") if isinstance(raw, str) else raw, LIMITS)
    assert caught.value.field is not None
    assert caught.value.field in str(caught.value)
    assert len(str(caught.value)) < 300
    return caught.value.status, caught.value.field


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"", (400, "body")),
        (b"{", (400, "body")),
        (b"{} {}", (400, "body")),
        (b"\xff\xfe{\x00}\x00", (400, "body")),
        (b"\xef\xbb\xbf{}", (400, "body")),
        (b'{"attributes":{"a":"\xff"}}', (400, "body")),
        (b'{"attributes":{"a":"\n"}}', (400, "body")),
        (b"[" * 100_000, (422, "body")),
        (b'{"a":' * 100_000, (422, "body")),
        (b"[[[[[[]]]]]]", (422, "body[0][0][0][0][0]")),
        (b"[]", (422, "body")),
        (b"null", (422, "body")),
        (b"9" * 1_000_000, (422, "body")),
        (b'{"attributes":[]}', (422, "body.attributes")),
        (b'{"attributs":{}}', (422, "body.attributs")),
        (b'{"attributes":{"a":NaN}}', (422, "body.attributes.a")),
        (b'{"attributes":{"a":[1,-Infinity]}}', (422, "body.attributes.a[1]")),
        (b'{"attributes":{"a":1e400}}', (422, "body.attributes.a")),
        (b'{"attributes":{"a":1' + b"0" * 400 + b"}}", (422, "body.attributes.a")),
        (b'{"attributes":{"a":9223372036854775808}}', (422, "body.attributes.a")),
        (b'{"attributes":{"a":"x\\u0000"}}', (422, "body.attributes.a")),
        (b'{"attributes":{"a":"\\ud800"}}', (422, "body.attributes.a")),
        (b'{"attributes":{"\\udfff":1}}', (422, "body.attributes.'\\udfff'")),
        (b'{"attributes":{"":1}}', (422, "body.attributes.''")),
        (b'{"attributes":{"a":1,"a":2}}', (422, "body.attributes")),
        (b'{"attributes":{},"attributes":{}}', (422, "body")),
        (b'{"attributes":{"a":{"b":1}}}', (422, "body.attributes.a")),
        (b'{"attributes":{"a":[[1]]}}', (422, "body.attributes.a[0]")),
        (b'{"attributes":{"a":[null]}}', (422, "body.attributes.a[0]")),
        (b'{"attributes":{"a":[1,2,3,4]}}', (422, "body.attributes.a")),
        (b'{"attributes":{"a":"12345678901"}}', (422, "body.attributes.a")),
        (b'{"attributes":{"a":1,"b":2,"c":3}}', (422, "body.attributes")),
        (b'{"attributes":{"a23456789":1}}', (422, "body.attributes.a23456789")),
        (b'{"collections":"u1"}', (422, "body.collections")),
        (b'{"collections":[1]}', (422, "body.collections[0]")),
        (b'{"collections":["u","u"]}', (422, "body.collections[1]")),
        (b'{"collections":["u","v","w"]}', (422, "body.collections")),
        (b'{"collections":["u",""]}', (422, "body.collections[1]")),
    ],
)
def test_an_item_that_cannot_be_put(raw: bytes, expected: tuple[int, str]) -> None:
    assert refused(parse_put_item, raw) == expected


def test_an_item_that_can_be_put() -> None:
    body = {"attributes": {"a": [1, 2.5, True], "ä": None}, "collections": ["ü", "v"]}
    assert parse_put_item(json.dumps(body).encode(), LIMITS) == PutItem(body["attributes"], ("ü", "v"))  # type: ignore[arg-type]
    assert parse_put_item(b"{}", LIMITS) == PutItem({}, ())


def _event(**changed: Any) -> str:
    return json.dumps({"events": [{"user": "u", "item": "a"}, {"user": "u", "item": "a"} | changed]})


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("{}", "body.events"),
        ('{"events":{}}', "body.events"),
        ('{"events":[]}', "body.events"),
        ('{"events":[1]}', "body.events[0]"),
        ('{"events":[{"user":"u"}]}', "body.events[0].item"),
        ('{"events":[{"item":"a"}]}', "body.events[0].user"),
        (_event(user=1), "body.events[1].user"),
        (_event(user=True), "body.events[1].user"),
        (_event(user=None), "body.events[1].user"),
        (_event(item=""), "body.events[1].item"),
        (_event(item="a\0"), "body.events[1].item"),
        (_event(item="\ud800"), "body.events[1].item"),
        (_event(item="äääää"), "body.events[1].item"),
        (_event(time=True), "body.events[1].time"),
        (_event(time=1.5), "body.events[1].time"),
        (_event(time="1"), "body.events[1].time"),
        (_event(time=1_700_000_000_000), "body.events[1].time"),
        (_event(time=math.nan), "body.events[1].time"),
        (_event(id=7), "body.events[1].id"),
        (_event(tiem=7), "body.events[1].tiem"),
        ('{"events":[{"user":"u","item":"a","item":"b"}]}', "body.events[0]"),
        ('{"events":[{"user":"u","item":"a","id":"1"},{"user":"v","item":"a","id":"1"}]}', "body.events[1].id"),
        (json.dumps({"events": [{"user": "u", "item": "a"}] * 4}), "body.events"),
    ],
)
def test_events_that_cannot_be(raw: str, expected: str) -> None:
    assert refused(parse_events, raw) == (422, expected)


def test_events_that_can_be() -> None:
    raw = _event(time=-5, id="e").encode()
    assert parse_events(raw, LIMITS) == (NewEvent("u", "a"), NewEvent("u", "a", -5, "e"))


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "body"),
        ({"user": "u", "items": ["a"]}, "body"),
        ({"user": None}, "body.user"),
        ({"items": []}, "body.items"),
        ({"events": []}, "body.events"),
        ({"items": ["a", "b", "a"]}, "body.items[2]"),
        ({"items": ["a", "b", "c", "d"]}, "body.items"),
        ({"events": [{"item": "a"}] * 4}, "body.events"),
        ({"events": [{"item": "a", "user": "u"}]}, "body.events[0].user"),
        ({"events": [{"time": 1}]}, "body.events[0].item"),
        ({"user": "u", "k": 0}, "body.k"),
        ({"user": "u", "k": 21}, "body.k"),
        ({"user": "u", "k": True}, "body.k"),
        ({"user": "u", "k": 1.0}, "body.k"),
        ({"user": "u", "k": None}, "body.k"),
        ({"user": "u", "diversity": 1.1}, "body.diversity"),
        ({"user": "u", "diversity": True}, "body.diversity"),
        ({"user": "u", "diversity": "0"}, "body.diversity"),
        ({"user": "u", "filter": []}, "body.filter"),
        ({"user": "u", "filter": {"where": [{"field": "p", "min": "1"}]}}, "body.filter.where[0].min"),
        ({"user": "u", "kk": 1}, "body.kk"),
    ],
)
def test_wishes_that_cannot_be(body: dict[str, Any], field: str) -> None:
    assert refused(parse_wanted, json.dumps(body)) == (422, field)


def test_wishes_that_can_be() -> None:
    assert parse_wanted(b'{"user":"u"}', LIMITS) == Wanted("u", None, None)
    assert parse_wanted(b'{"items":["a"],"k":3,"filter":null,"diversity":1}', LIMITS) == Wanted(
        None, ("a",), None, 3, None, 1.0
    )
    taken = b'{"events":[{"item":"a","time":7},{"item":"a"}],"filter":{"deny":["b"]}}'
    assert parse_wanted(taken, LIMITS) == Wanted(None, None, (Taken("a", 7), Taken("a")), filter=Filter(deny=("b",)))


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("[]", "filter"),
        ('{"alow":[]}', "filter.alow"),
        ('{"allow":["a","a"]}', "filter.allow[1]"),
        ('{"allow":["a","b","c","d"]}', "filter.allow"),
        ('{"deny":[1]}', "filter.deny[0]"),
        ('{"deny":null}', "filter.deny"),
        ('{"where":{}}', "filter.where"),
        ('{"where":[{"in":[1]}]}', "filter.where[0].field"),
        ('{"where":[{"field":"a"}]}', "filter.where[0]"),
        ('{"where":[{"field":"a","in":[1],"is":true}]}', "filter.where[0]"),
        ('{"where":[{"field":"a","in":"x"}]}', "filter.where[0].in"),
        ('{"where":[{"field":"a","in":[{}]}]}', "filter.where[0].in[0]"),
        ('{"where":[{"field":"a","in":[1,2,3,4]}]}', "filter.where[0].in"),
        ('{"where":[{"field":"a","is":1}]}', "filter.where[0].is"),
        ('{"where":[{"field":"a","min":true}]}', "filter.where[0].min"),
        ('{"where":[{"field":"a","max":null}]}', "filter.where[0].max"),
        ('{"where":[{"field":"a","min":2,"max":1}]}', "filter.where[0].min"),
        ('{"where":[{"field":"a","min":1e999}]}', "filter.where[0].min"),
        ('{"where":[{"field":"a","eval":"1"}]}', "filter.where[0].eval"),
        ('{"where":[{"field":"a","is":true},{"field":"a","is":true},{"field":"a","is":true}]}', "filter.where"),
    ],
)
def test_filters_that_cannot_be(text: str, field: str) -> None:
    assert refused(parse_filter, text) == (422, field)


def test_filters_that_can_be() -> None:
    assert parse_filter("{}", LIMITS) == Filter()
    text = '{"allow":[],"where":[{"field":"s","in":["x",1,true]},{"field":"p","min":1,"max":9.5}]}'
    where = (Condition("s", among=("x", 1, True)), Condition("p", low=1.0, high=9.5))
    assert parse_filter(text, LIMITS) == Filter(allow=(), where=where)
    assert parse_filter('{"where":[{"field":"a","is":false}]}', LIMITS).where == (Condition("a", flag=False),)


def test_the_name_of_a_generation() -> None:
    assert parse_name(b'{"name":"g2"}', LIMITS) == "g2"
    assert refused(parse_name, "{}") == (422, "body.name")


@pytest.mark.parametrize("text", ["%ff", "%00", "a%00", "", "%C3", "%ed%a0%80", "123456789"])
def test_ids_of_paths_that_cannot_be(text: str) -> None:
    with pytest.raises(RequestError) as caught:
        path_id("id", text, LIMITS)
    assert (caught.value.status, caught.value.field) == (422, "id")


def test_ids_of_paths_that_can_be() -> None:
    assert path_id("id", "a%2Fb%20%C3%A4", LIMITS) == "a/b ä"
    assert path_id("id", "100%25", LIMITS) == "100%"
    assert checked_id("id", "ääää", LIMITS) == "ääää"


@pytest.mark.parametrize("text", ["x" * 11, "\0", "\udc80"])
def test_texts_that_cannot_be(text: str) -> None:
    with pytest.raises(RequestError) as caught:
        checked_text("q", text, LIMITS)
    assert caught.value.field == "q"


@pytest.mark.parametrize("text", ["", "0", "21", "1.0", "1e1", "+1", " 1", "1_0", "\u0661", "a", "-", "9" * 5000])
def test_whole_numbers_that_cannot_be(text: str) -> None:
    with pytest.raises(RequestError) as caught:
        whole("k", text, 1, 20)
    assert (caught.value.status, caught.value.field) == (422, "k")


@pytest.mark.parametrize("text", ["", ".", "-0.1", "1.01", "nan", "inf", "\u0660", "0" * 41])
def test_shares_that_cannot_be(text: str) -> None:
    with pytest.raises(RequestError):
        share("diversity", text)


def test_parts_of_a_query() -> None:
    query = Query(
        b"k=5&q=a%20b&seen=true&by=walk&id=x%2Fy&items=a&items=b&d=0.5&filter=%7B%7D", LIMITS,
        ("k", "q", "seen", "by", "id", "d", "filter"), ("items",),
    )  # fmt: skip
    assert (query.whole("k", 10, 1, 20), query.whole("size", 7, 1, 20)) == (5, 7)
    assert (query.text("q"), query.text("nothing")) == ("a b", None)
    assert (query.truth("seen", False), query.choice("by", "model", ["model", "walk"])) == (True, "walk")
    assert (query.id("id"), query.ids("items", 2), query.share("d", 0.0)) == ("x/y", ("a", "b"), 0.5)
    assert query.filter() == Filter()


@pytest.mark.parametrize(
    ("raw", "field"),
    [(b"k=1&k=2", "k"), (b"kk=1", "kk"), (b"q=%ff", "query"), (b"q=\xff", "query"), (b"&" * 20_000, "query"),
     (b"k", None), (b"%00=1", "'\\x00'")],
)  # fmt: skip
def test_queries_that_cannot_be(raw: bytes, field: str | None) -> None:
    if field is None:
        assert Query(raw, LIMITS, ("k", "q")).text("k") == ""
        return
    with pytest.raises(RequestError) as caught:
        Query(raw, LIMITS, ("k", "q"))
    assert (caught.value.status, caught.value.field) == (422, field)


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        (b"items=a&items=b&items=a", "items[2]"),
        (b"items=a&items=", "items[1]"),
        (b"items=a&items=b&items=c&items=d", "items"),
    ],
)
def test_ids_of_a_query_that_cannot_be(raw: bytes, field: str) -> None:
    with pytest.raises(RequestError) as caught:
        Query(raw, LIMITS, (), ("items",)).ids("items", 3)
    assert caught.value.field == field


def test_words_that_are_not_known() -> None:
    with pytest.raises(RequestError, match="did you mean 'model'"):
        choice("by", "modle", ["model", "walk"])
    with pytest.raises(RequestError, match="true or false"):
        truth("seen", "True")


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["user", "item", "items", "events", "time", "k", "where", "field", "in"]), inner
        )
    ),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60) | JSON_VALUES.map(lambda value: json.dumps(value).encode("utf-8", "surrogatepass")))
def test_whatever_comes_is_taken_or_refused(raw: bytes) -> None:
    for parse in (parse_put_item, parse_events, parse_wanted, parse_name):
        found = _refusal(partial(parse, raw, LIMITS))
        assert found is None or (400 <= found.status < 500 and found.field is not None and str(found).encode())


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60))
def test_whatever_is_asked_is_taken_or_refused(raw: bytes) -> None:
    def ask() -> None:
        query = Query(raw, LIMITS, ("k", "filter", "q"), ("items",))
        query.whole("k", 10, 1, 20), query.filter(), query.text("q"), query.ids("items", 3)

    found = _refusal(ask)
    assert found is None or 400 <= found.status < 500


def _refusal(ask: Callable[[], object]) -> RequestError | None:
    try:
        ask()
    except RequestError as error:
        return error
    return None
