"""JSON that means one thing only: what parsers read differently, or cannot keep, is refused with its field."""

import json
import math
from dataclasses import dataclass
from typing import Any

from pinfold.errors import RequestError

MAX_DIGITS = 20  # of a whole number; int64 has 19 and a sign
LOW, HIGH = -(2**63), 2**63 - 1


@dataclass(frozen=True, slots=True)
class _Flaw:
    """In place of a value that cannot be taken: why. The parser does not know where it is; the walk does."""

    why: str


def parse_json(raw: bytes | str, max_depth: int, where: str) -> Any:
    """The plain values of one JSON text.

    Raises:
        RequestError: 400 for what is no JSON in UTF-8; 422 with the field for a name that stands twice in an object,
            NaN and infinities, whole numbers beyond 64 bits and others beyond float64, NUL and lone surrogates in
            texts and names, and more than `max_depth` lists and objects inside each other.
    """
    flaws = _Flaws()
    try:
        text = raw.decode() if isinstance(raw, bytes) else raw
        value = flaws.decoder().decode(text)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno} column {error.colno}"
        raise RequestError(400, f"{where}: not JSON: {error.msg} at {place}", where) from None
    except UnicodeDecodeError as error:
        raise RequestError(400, f"{where}: not UTF-8 at byte {error.start}", where) from None
    except RecursionError:
        raise RequestError(422, _too_deep(where, max_depth), where) from None
    if not flaws.any and "\\u" not in text and text_flaw(text) is None and not _is_deeper(value, max_depth):
        return value  # without an escape no text holds what cannot be kept; most requests end here
    found = _find(value, max_depth)
    if found is not None:
        path, why = found
        raise RequestError(422, f"{where}{path}: {why}", where + path)
    return value


def text_flaw(text: str) -> str | None:
    """Why this text cannot be stored or sent; None for nearly every text."""
    if "\0" in text:
        return "holds the character NUL"
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            return "holds half a character (a lone surrogate)"
    return None


def named(name: str) -> str:
    """The name of a field as part of a path; a strange or long one shortened, without what a terminal obeys."""
    return name if name.isidentifier() and len(name) <= 40 else ascii(name[:40])


def _is_deeper(value: Any, depth: int) -> bool:
    """Whether more than `depth` lists and objects are inside each other."""
    if type(value) is not dict and type(value) is not list:
        return False
    inside = value.values() if type(value) is dict else value
    return depth == 0 or any(_is_deeper(one, depth - 1) for one in inside if type(one) is dict or type(one) is list)


def _find(value: Any, depth: int) -> tuple[str, str] | None:
    """Where in a value something cannot be taken, and why."""
    kind = type(value)
    if kind is str:
        why = text_flaw(value)
        return None if why is None else ("", why)
    if kind is _Flaw:
        return "", value.why
    if kind is dict or kind is list:
        if depth == 0:
            return "", "lists and objects too deep inside each other"
        return _find_inside(value, depth - 1)
    return None


def _find_inside(value: dict[str, Any] | list[Any], depth: int) -> tuple[str, str] | None:
    if isinstance(value, list):
        for i, one in enumerate(value):
            found = _find(one, depth)
            if found is not None:
                return f"[{i}]{found[0]}", found[1]
        return None
    for name, one in value.items():
        why = text_flaw(name)
        found = _find(one, depth) if why is None else ("", f"the name {why}")
        if found is not None:
            return f".{named(name)}{found[0]}", found[1]
    return None


def _too_deep(where: str, max_depth: int) -> str:
    return f"{where}: more than {max_depth} lists and objects inside each other"


class _Flaws:
    """What the parser calls for numbers and objects; it notes whether any could not be taken."""

    __slots__ = ("any",)

    def __init__(self) -> None:
        self.any = False

    def decoder(self) -> json.JSONDecoder:
        return json.JSONDecoder(
            object_pairs_hook=self._object, parse_int=self._whole, parse_float=self._real, parse_constant=self._constant
        )

    def _flaw(self, why: str) -> _Flaw:
        self.any = True
        return _Flaw(why)

    def _whole(self, text: str) -> int | _Flaw:
        if len(text) > MAX_DIGITS or not LOW <= (number := int(text)) <= HIGH:  # int() of many digits takes long
            return self._flaw("a whole number beyond 64 bits")
        return number

    def _real(self, text: str) -> float | _Flaw:
        number = float(text)
        return number if math.isfinite(number) else self._flaw("a number beyond 64-bit floating point")

    def _constant(self, text: str) -> _Flaw:
        return self._flaw(f"{text} is not a number in JSON")

    def _object(self, pairs: list[tuple[str, Any]]) -> Any:
        found = dict(pairs)
        if len(found) == len(pairs):
            return found
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        return self._flaw(f"{named(twice)} stands twice in one object")
