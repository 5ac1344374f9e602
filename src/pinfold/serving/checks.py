"""What requests ask for, checked whole before anything is done: JSON, ids and numbers in, frozen values out.

Everything here raises `RequestError` (422 unless said) with the name of the field, such as `body.events[3].user`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

from pinfold.errors import RequestError, did_you_mean
from pinfold.serving.filters import Condition, Filter
from pinfold.serving.limits import Limits
from pinfold.serving.store import NewEvent
from pinfold.serving.strict_json import named, parse_json, text_flaw

FIRST_SECOND, LAST_SECOND = -62_135_596_800, 253_402_300_799  # years 1 to 9999; milliseconds are beyond


@dataclass(frozen=True, slots=True)
class PutItem:
    """An item, new or changed."""

    attributes: Mapping[str, Any]  # text, numbers, true, false, null, or lists of them
    collections: tuple[str, ...] = ()  # ids of its first users


@dataclass(frozen=True, slots=True)
class Taken:
    """An item that somebody unknown took."""

    item: str
    time: int | None = None  # unix seconds


@dataclass(frozen=True, slots=True)
class Wanted:
    """Recommendations for a user, or for whoever took these items; just one of the first three is given."""

    user: str | None
    items: tuple[str, ...] | None
    events: tuple[Taken, ...] | None
    k: int = 10
    filter: Filter | None = None
    diversity: float = 0.0


def parse_put_item(raw: bytes, limits: Limits) -> PutItem:
    """The body of `PUT /v1/items/{id}`."""
    body = _object(parse_json(raw, limits.max_depth, "body"), "body", ("attributes", "collections"))
    attributes = body.get("attributes", {})
    if not isinstance(attributes, dict):
        raise _wrong("body.attributes", "an object", attributes)
    if len(attributes) > limits.max_attributes:
        raise _many("body.attributes", len(attributes), limits.max_attributes)
    for name, value in attributes.items():
        where = f"body.attributes.{named(name)}"
        checked_id(where, name, limits)
        _check_attribute(where, value, limits)
    collections = _ids("body.collections", body.get("collections", []), limits, limits.max_collections)
    return PutItem(attributes, collections)


def parse_events(raw: bytes, limits: Limits) -> tuple[NewEvent, ...]:
    """The body of `POST /v1/events`: at least one event; no id of an event twice."""
    body = _object(parse_json(raw, limits.max_depth, "body"), "body", ("events",), required=("events",))
    events = _list("body.events", body["events"], limits.max_batch)
    if not events:
        raise RequestError(422, "body.events: expected at least one event, got an empty list", "body.events")
    found = tuple(_event(f"body.events[{i}]", event, limits) for i, event in enumerate(events))
    names = [event.event for event in found]
    if len(set(names)) < len(names):
        _refuse_twice("body.events", names, ".id")
    return found


def parse_wanted(raw: bytes, limits: Limits) -> Wanted:
    """The body of `POST /v1/recommendations`."""
    known = ("user", "items", "events", "k", "filter", "diversity")
    body = _object(parse_json(raw, limits.max_depth, "body"), "body", known)
    given = [name for name in known[:3] if name in body]
    if len(given) != 1:
        said = " and ".join(given) or "none of them"
        raise RequestError(422, f"body: expected one of user, items, events, got {said}", "body")
    items = events = None
    if "items" in body:
        items = _ids("body.items", body["items"], limits, limits.max_history)
    if "events" in body:
        taken = _list("body.events", body["events"], limits.max_history)
        events = tuple(_taken(f"body.events[{i}]", one, limits) for i, one in enumerate(taken))
    if not items and not events and "user" not in body:
        raise RequestError(422, f"body.{given[0]}: expected at least one, got an empty list", f"body.{given[0]}")
    return Wanted(
        user=checked_id("body.user", body["user"], limits) if "user" in body else None,
        items=items,
        events=events,
        k=_whole("body.k", body.get("k", 10), 1, limits.max_k),
        filter=_filter("body.filter", body["filter"], limits) if body.get("filter") is not None else None,
        diversity=_number("body.diversity", body.get("diversity", 0.0), 0.0, 1.0),
    )


def parse_filter(text: str, limits: Limits, name: str = "filter") -> Filter:
    """A filter that stands in a query as JSON."""
    return _filter(name, parse_json(text, limits.max_depth, name), limits)


def parse_name(raw: bytes, limits: Limits) -> str:
    """The body of `POST /v1/generations`: the name of one."""
    body = _object(parse_json(raw, limits.max_depth, "body"), "body", ("name",), required=("name",))
    return checked_id("body.name", body["name"], limits)


def checked_id(name: str, text: object, limits: Limits) -> str:
    """An id: text of 1 to `max_id` bytes in UTF-8."""
    if isinstance(text, str) and text.isascii() and 0 < len(text) <= limits.max_id and "\0" not in text:
        return text  # nearly every id
    if not isinstance(text, str):
        raise _wrong(name, "an id, which is text", text)
    if not text:
        raise RequestError(422, f"{name}: expected an id, got an empty text", name)
    why = text_flaw(text)
    if why is not None:
        raise RequestError(422, f"{name}: an id that {why}", name)
    if len(text) > limits.max_id or len(text.encode()) > limits.max_id:
        raise RequestError(422, f"{name}: expected an id of at most {limits.max_id} bytes, got more", name)
    return text


def path_id(name: str, text: str, limits: Limits) -> str:
    """An id from a path, where it stands percent-encoded (see `guard`)."""
    try:
        return checked_id(name, unquote_to_bytes(text).decode() if "%" in text else text, limits)
    except UnicodeDecodeError:
        raise RequestError(422, f"{name}: expected percent-encoded UTF-8", name) from None


def checked_text(name: str, text: str, limits: Limits) -> str:
    """A text of at most `max_text` characters."""
    why = text_flaw(text)
    if why is not None:
        raise RequestError(422, f"{name}: a text that {why}", name)
    if len(text) > limits.max_text:
        raise RequestError(422, f"{name}: expected at most {limits.max_text} characters, got {len(text)}", name)
    return text


def _filter(where: str, value: object, limits: Limits) -> Filter:
    tree = _object(value, where, ("allow", "deny", "where"))
    allow = tree.get("allow")
    conditions = _list(f"{where}.where", tree.get("where", []), limits.max_conditions)
    return Filter(
        allow=None if allow is None else _ids(f"{where}.allow", allow, limits, limits.max_filter_ids),
        deny=_ids(f"{where}.deny", tree.get("deny", []), limits, limits.max_filter_ids),
        where=tuple(_condition(f"{where}.where[{i}]", one, limits) for i, one in enumerate(conditions)),
    )


def _condition(where: str, value: object, limits: Limits) -> Condition:
    """One of: `in` a list, `min` and `max`, `is` true or false."""
    tree = _object(value, where, ("field", "in", "min", "max", "is"), required=("field",))
    field = checked_id(f"{where}.field", tree["field"], limits)
    forms = ("in" in tree) + ("min" in tree or "max" in tree) + ("is" in tree)
    if forms != 1:
        raise RequestError(422, f"{where}: expected one of in, min and max, is; got {forms or 'none'} of them", where)
    if "is" in tree:
        if not isinstance(tree["is"], bool):
            raise _wrong(f"{where}.is", "true or false", tree["is"])
        return Condition(field, flag=tree["is"])
    if "in" in tree:
        values = _list(f"{where}.in", tree["in"], limits.max_filter_ids)
        for i, one in enumerate(values):
            _check_scalar(f"{where}.in[{i}]", one, limits)
        return Condition(field, among=tuple(values))
    low = _number(f"{where}.min", tree["min"]) if "min" in tree else None
    high = _number(f"{where}.max", tree["max"]) if "max" in tree else None
    if low is not None and high is not None and low > high:
        raise RequestError(422, f"{where}.min: {low:g} is above max {high:g}", f"{where}.min")
    return Condition(field, low=low, high=high)


def _event(where: str, value: object, limits: Limits) -> NewEvent:
    tree = _object(value, where, ("user", "item", "time", "id"), required=("user", "item"))
    name = tree.get("id")
    return NewEvent(
        user=checked_id(f"{where}.user", tree["user"], limits),
        item=checked_id(f"{where}.item", tree["item"], limits),
        time=_time(f"{where}.time", tree.get("time")),
        event=None if name is None else checked_id(f"{where}.id", name, limits),
    )


def _taken(where: str, value: object, limits: Limits) -> Taken:
    tree = _object(value, where, ("item", "time"), required=("item",))
    return Taken(checked_id(f"{where}.item", tree["item"], limits), _time(f"{where}.time", tree.get("time")))


def _time(where: str, value: object) -> int | None:
    return None if value is None else _whole(where, value, FIRST_SECOND, LAST_SECOND, " (unix seconds)")


def _check_attribute(where: str, value: object, limits: Limits) -> None:
    if not isinstance(value, list):
        if value is not None:
            _check_scalar(where, value, limits)
        return
    if len(value) > limits.max_values:
        raise _many(where, len(value), limits.max_values)
    for i, one in enumerate(value):
        _check_scalar(f"{where}[{i}]", one, limits)


def _check_scalar(where: str, value: object, limits: Limits) -> None:
    if isinstance(value, str):
        checked_text(where, value, limits)
    elif not isinstance(value, bool | int | float):
        raise _wrong(where, "text, a number, true or false", value)


def _object(value: object, where: str, known: Sequence[str], required: Sequence[str] = ()) -> dict[str, Any]:
    """An object with only these names."""
    if not isinstance(value, dict):
        raise _wrong(where, "an object", value)
    for name in value:
        if name not in known:
            near = did_you_mean(name, known) if len(name) <= 40 else ""
            field = f"{where}.{named(name)}"
            raise RequestError(422, f"{field}: unknown{near} (known: {', '.join(known)})", field)
    for name in required:
        if name not in value:
            raise RequestError(422, f"{where}.{name}: missing", f"{where}.{name}")
    return value


def _list(where: str, value: object, limit: int) -> list[Any]:
    if not isinstance(value, list):
        raise _wrong(where, "a list", value)
    if len(value) > limit:
        raise _many(where, len(value), limit)
    return value


def _ids(where: str, value: object, limits: Limits, limit: int) -> tuple[str, ...]:
    """Distinct ids."""
    found = tuple(checked_id(f"{where}[{i}]", one, limits) for i, one in enumerate(_list(where, value, limit)))
    if len(set(found)) < len(found):
        _refuse_twice(where, found)
    return found


def _refuse_twice(where: str, names: Iterable[str | None], end: str = "") -> None:
    """Raise for the first name that stands twice; None is no name."""
    seen: dict[str, int] = {}
    for i, name in enumerate(names):
        if name is not None and seen.setdefault(name, i) != i:
            raise RequestError(422, f"{where}[{i}]{end}: the same as {where}[{seen[name]}]{end}", f"{where}[{i}]{end}")


def _whole(where: str, value: object, low: int, high: int, unit: str = "") -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise _wrong(where, f"a whole number{unit}", value)
    if not low <= value <= high:
        raise RequestError(422, f"{where}: expected {low} to {high}{unit}, got {value}", where)
    return value


def _number(where: str, value: object, low: float | None = None, high: float | None = None) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong(where, "a number", value)
    if low is not None and high is not None and not low <= value <= high:
        raise RequestError(422, f"{where}: expected {low:g} to {high:g}, got {value:g}", where)
    return float(value)


def _many(where: str, n_found: int, limit: int) -> RequestError:
    return RequestError(422, f"{where}: expected at most {limit}, got {n_found}", where)


def _wrong(where: str, expected: str, found: object) -> RequestError:
    """What was found by its kind only: a value may be long, or private."""
    kinds = {dict: "an object", list: "a list", str: "text", bool: "true or false", int: "a number", float: "a number"}
    return RequestError(422, f"{where}: expected {expected}, got {kinds.get(type(found), 'null')}", where)
