"""What stands behind the `?` of an address: every name known and given once, every value checked."""

import re
from collections.abc import Sequence
from urllib.parse import parse_qsl

from pinfold.errors import RequestError, did_you_mean
from pinfold.serving.checks import checked_id, checked_text, parse_filter
from pinfold.serving.filters import Filter
from pinfold.serving.limits import Limits
from pinfold.serving.strict_json import named

MAX_PARTS = 10_000
TRUTHS = {"true": True, "1": True, "false": False, "0": False}

NUMBER = re.compile(r"[0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]{1,3})?|[0-9]+\.")


def whole(name: str, text: str, low: int, high: int) -> int:
    """A whole number from low to high.

    Raises:
        RequestError: 422 with the name for everything else, also for `1_0`, `+1`, ` 1` and digits of other scripts.
    """
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 19:
        raise RequestError(422, f"{name}: expected a whole number from {low} to {high}, got {text[:40]!a}", name)
    if not low <= int(text) <= high:
        raise RequestError(422, f"{name}: expected {low} to {high}, got {int(text)}", name)
    return int(text)


def share(name: str, text: str) -> float:
    """A number from 0 to 1, such as 0.25."""
    plain = len(text) <= 40 and NUMBER.fullmatch(text) is not None
    if not plain or not 0.0 <= float(text) <= 1.0:
        raise RequestError(422, f"{name}: expected a number from 0 to 1, got {text[:40]!a}", name)
    return float(text)


def truth(name: str, text: str) -> bool:
    """True or false."""
    if text not in TRUTHS:
        raise RequestError(422, f"{name}: expected true or false, got {text[:40]!a}", name)
    return TRUTHS[text]


def choice(name: str, text: str, known: Sequence[str]) -> str:
    """One of the known words."""
    if text not in known:
        near = did_you_mean(text[:40], known)
        raise RequestError(422, f"{name}: expected one of {', '.join(known)}, got {text[:40]!a}{near}", name)
    return text


class Query:
    """The parts of a query.

    Args:
        raw: `scope["query_string"]`.
        once: names that may stand there once.
        several: names that may stand there several times.

    Raises:
        RequestError: 422 for another name, one of `once` that stands there twice, or what is not UTF-8.
    """

    def __init__(self, raw: bytes, limits: Limits, once: Sequence[str] = (), several: Sequence[str] = ()) -> None:
        self._limits = limits
        self._found: dict[str, list[str]] = {}
        if not raw:
            return
        try:
            parts = parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_PARTS)
        except UnicodeError:
            raise RequestError(422, "query: expected percent-encoded UTF-8", "query") from None
        except ValueError:
            raise RequestError(422, f"query: more than {MAX_PARTS} parts", "query") from None
        known = (*once, *several)
        for name, text in parts:
            if name not in known:
                near = did_you_mean(name[:40], known)
                field = named(name)
                raise RequestError(422, f"{field}: unknown{near} (known: {', '.join(known) or 'none'})", field)
            if name in once and name in self._found:
                raise RequestError(422, f"{name}: given twice", name)
            self._found.setdefault(name, []).append(text)

    def whole(self, name: str, default: int, low: int, high: int) -> int:
        """A whole number."""
        text = self._one(name)
        return default if text is None else whole(name, text, low, high)

    def share(self, name: str, default: float) -> float:
        """A number from 0 to 1."""
        text = self._one(name)
        return default if text is None else share(name, text)

    def truth(self, name: str, default: bool) -> bool:
        """True or false."""
        text = self._one(name)
        return default if text is None else truth(name, text)

    def choice(self, name: str, default: str, known: Sequence[str]) -> str:
        """One of the known words."""
        text = self._one(name)
        return default if text is None else choice(name, text, known)

    def filter(self, name: str = "filter") -> Filter | None:
        """A filter, as JSON."""
        text = self._one(name)
        return None if text is None else parse_filter(text, self._limits, name)

    def text(self, name: str) -> str | None:
        """A text."""
        text = self._one(name)
        return None if text is None else checked_text(name, text, self._limits)

    def id(self, name: str) -> str | None:
        """An id."""
        text = self._one(name)
        return None if text is None else checked_id(name, text, self._limits)

    def ids(self, name: str, limit: int) -> tuple[str, ...]:
        """Distinct ids, each as a part of its own; none where the name does not stand there."""
        texts = self._found.get(name, [])
        if len(texts) > limit:
            raise RequestError(422, f"{name}: expected at most {limit}, got {len(texts)}", name)
        found: dict[str, None] = {}
        for i, text in enumerate(texts):
            if text in found:
                raise RequestError(422, f"{name}[{i}]: the same id twice", f"{name}[{i}]")
            found[checked_id(f"{name}[{i}]", text, self._limits)] = None
        return tuple(found)

    def _one(self, name: str) -> str | None:
        found = self._found.get(name)
        return None if found is None else found[0]
