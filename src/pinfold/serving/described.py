"""What the OpenAPI says of requests. The routes read queries and bodies by `query` and `checks`, which this mirrors."""

from typing import Any

from pinfold.serving.checks import FIRST_SECOND, LAST_SECOND
from pinfold.serving.limits import Limits
from pinfold.serving.wire import PUBLIC
from pinfold.views import Problem

Described = dict[str, Any]
EXAMPLE_ITEM = "python3-numpy"
EXAMPLE_USER = "jupyter-notebook"


def text(
    name: str, place: str, description: str, *, example: str, required: bool = False, most: int = 512
) -> Described:
    """A parameter that is text."""
    schema = {"type": "string", "minLength": 1, "maxLength": most}
    return _parameter(name, place, description, schema, example, required=required or place == "path")


def whole(name: str, description: str, low: int, high: int, default: int) -> Described:
    """A parameter that is a whole number."""
    schema = {"type": "integer", "minimum": low, "maximum": high, "default": default}
    return _parameter(name, "query", description, schema, default)


def choice(name: str, description: str, words: tuple[str, ...]) -> Described:
    """A parameter that is one of several words; the first unless it is given."""
    return _parameter(
        name, "query", description, {"type": "string", "enum": list(words), "default": words[0]}, words[0]
    )


def several(name: str, description: str, limit: int, example: list[str]) -> Described:
    """A parameter that may stand there several times."""
    items = {"type": "string", "minLength": 1, "maxLength": 512}
    schema = {"type": "array", "items": items, "maxItems": limit, "uniqueItems": True}
    return _parameter(name, "query", description, schema, example)


def item_id(description: str = "the item's id") -> Described:
    """The item in a path."""
    return text("item", "path", description, example=EXAMPLE_ITEM)


def user_id(name: str = "user") -> Described:
    """The user or collection in a path."""
    return text(name, "path", "the id of a user; collections are users", example=EXAMPLE_USER)


def k_of(limits: Limits) -> Described:
    """How many answers."""
    return whole("k", "how many answers", 1, limits.max_k, 10)


def filter_of(limits: Limits) -> Described:
    """A filter in a query: JSON in a text."""
    content = {"application/json": {"schema": filter_schema(limits)}}
    return {"name": "filter", "in": "query", "description": "which items may be answered with", "content": content}


def diversity() -> Described:
    """How much answers are to differ."""
    schema = {"type": "number", "minimum": 0, "maximum": 1, "default": 0}
    return _parameter("diversity", "query", "0: the best; towards 1: unlike each other (MMR)", schema, 0)


def seen() -> Described:
    """Whether what somebody has may be answered with."""
    schema = {"type": "string", "enum": ["false", "true", "0", "1"], "default": "false"}
    return _parameter("seen", "query", "also items that the user has", schema, "false")


def body(schema: Described, example: Any) -> Described:
    """A body of JSON."""
    return {"required": True, "content": {"application/json": {"schema": schema, "example": example}}}


def problems(*statuses: int) -> dict[int | str, Described]:
    """The errors that a route may answer with, beside those that any may."""
    said = {
        400: "not HTTP, or not JSON",
        401: "no token, or a wrong one", 403: "this token may only read", 404: "nothing has this id",
        409: "the model that is served cannot do this, or it contradicts what was told before",
        413: "the body is too large", 415: "the body is no JSON", 422: "the request is not what it should be",
        429: "too many requests", 503: "too much at once, or the store refuses", 504: "it took too long",
    }  # fmt: skip
    chosen = sorted({*statuses, 400, 401, 403, 422, 429, 503, 504})
    found: dict[int | str, Described] = {}
    for status in chosen:  # JSON also where the answer is something else
        content: Described = {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
        found[status] = {"model": Problem, "description": said[status], "content": content}
    found[400]["content"]["text/plain"] = {"schema": {"type": "string"}}  # what is not HTTP does not come this far
    return found


def secured(schema: Described) -> Described:
    """The OpenAPI with what it says of tokens: `Authorization: Bearer`, but for what is public."""
    said = "where the service was started with tokens; the one for writing also reads"
    schemes = {"token": {"type": "http", "scheme": "bearer", "description": said}}
    schema.setdefault("components", {})["securitySchemes"] = schemes
    schema["security"] = [{"token": []}]
    for path in PUBLIC & set(schema["paths"]):
        for operation in schema["paths"][path].values():
            operation["security"] = []
    return schema


def object_of(properties: Described, required: tuple[str, ...] = ()) -> Described:
    """An object with these properties and no others."""
    schema: Described = {"type": "object", "properties": properties, "additionalProperties": False}
    return schema | ({"required": list(required)} if required else {})


def ids(limits: Limits, most: int) -> Described:
    """A list of ids, each once."""
    return {"type": "array", "items": _id(limits), "maxItems": most, "uniqueItems": True}


def item_schema(limits: Limits) -> Described:
    """The body of PUT /v1/items/{item}."""
    scalar = {"type": ["string", "number", "boolean"], "maxLength": limits.max_text}
    several_of = {"type": "array", "items": scalar, "maxItems": limits.max_values}
    value = {"anyOf": [scalar, several_of, {"type": "null"}]}
    names = {"minLength": 1, "maxLength": limits.max_id}
    attributes = {
        "type": "object", "additionalProperties": value, "propertyNames": names, "maxProperties": limits.max_attributes,
    }  # fmt: skip
    return object_of({"attributes": attributes, "collections": ids(limits, limits.max_collections)})


def events_schema(limits: Limits) -> Described:
    """The body of POST /v1/events."""
    event = object_of(_event(limits) | {"user": _id(limits), "id": _or_null(_id(limits))}, ("user", "item"))
    events = {"type": "array", "items": event, "minItems": 1, "maxItems": limits.max_batch}
    return object_of({"events": events}, ("events",))


def wanted_schema(limits: Limits) -> Described:
    """The body of POST /v1/recommendations."""
    most = limits.max_history
    event = object_of(_event(limits), ("item",))
    schema = object_of(
        {
            "user": _id(limits),
            "items": ids(limits, most) | {"minItems": 1},
            "events": {"type": "array", "items": event, "minItems": 1, "maxItems": most},
            "k": {"type": "integer", "minimum": 1, "maximum": limits.max_k, "default": 10},
            "filter": _or_null(filter_schema(limits)),
            "diversity": {"type": "number", "minimum": 0, "maximum": 1, "default": 0},
        }
    )
    return schema | {"oneOf": [{"required": [name]} for name in ("user", "items", "events")]}


def filter_schema(limits: Limits) -> Described:
    """A filter: all that it says must hold."""
    value = {"type": ["string", "number", "boolean"], "maxLength": limits.max_text}
    field = {"type": "string", "minLength": 1, "maxLength": limits.max_id}
    number = {"type": "number"}
    among = {"type": "array", "items": value, "maxItems": limits.max_filter_ids}
    kinds = [
        object_of({"field": field, "in": among}, ("field", "in")),
        object_of({"field": field, "min": number, "max": number}, ("field", "min")),
        object_of({"field": field, "max": number}, ("field", "max")),
        object_of({"field": field, "is": {"type": "boolean"}}, ("field", "is")),
    ]
    where = {"type": "array", "items": {"oneOf": kinds}, "maxItems": limits.max_conditions}
    listed = ids(limits, limits.max_filter_ids)
    return object_of({"allow": _or_null(listed), "deny": listed, "where": where})


def _event(limits: Limits) -> Described:
    time = {"type": "integer", "minimum": FIRST_SECOND, "maximum": LAST_SECOND, "description": "unix seconds"}
    return {"item": _id(limits), "time": _or_null(time)}


def _or_null(schema: Described) -> Described:
    """The same, or null, which says as much as leaving it out."""
    return {"anyOf": [schema, {"type": "null"}]}


def _id(limits: Limits) -> Described:
    return {"type": "string", "minLength": 1, "maxLength": limits.max_id}


def _parameter(
    name: str, place: str, description: str, schema: Described, example: Any, *, required: bool = False
) -> Described:
    return {
        "name": name, "in": place, "required": required or place == "path", "description": description,
        "schema": schema, "example": example,
    }  # fmt: skip
