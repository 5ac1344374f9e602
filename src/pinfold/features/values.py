"""The values of one column, as each kind of encoder wants them, and their place for messages."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pinfold.arrays import Bools, Doubles, Floats, Ints, Strings
from pinfold.data.columns import Column
from pinfold.errors import DataError

Ids = Sequence[str] | Strings

ENTRIES = (list, tuple, np.ndarray, set, frozenset)


@dataclass(frozen=True, slots=True)
class Encoded:
    """What an encoder makes of n values: rows of zeros where nothing is known."""

    matrix: Floats  # (n, D)
    known: Bools  # (n,) whether the value was there and said something


@dataclass(frozen=True, slots=True)
class Values:
    """A column and what to call its rows."""

    name: str
    column: Column  # (n,), or (n, D) numbers
    ids: Ids | None = None  # external ids of all rows of the table
    places: Ints | None = None  # (n,) rows of the table; None: all of them, in order

    def __len__(self) -> int:
        return len(self.column)

    def at(self, row: int) -> str:
        """The place of a row in a message."""
        place = row if self.places is None else int(self.places[row])
        where = f"row {place}" if self.ids is None else f"id {self.ids[place]!r}"
        return f"column {self.name!r}, {where}"

    def take(self, rows: Ints) -> "Values":
        """These rows, in this order."""
        places = rows if self.places is None else self.places[rows]
        return Values(self.name, self.column[rows], self.ids, places)


def is_missing(value: Any) -> bool:
    """None, NaN, no date (NaT), an empty or blank text, an empty list."""
    if value is None:
        return True
    if isinstance(value, str):
        return not value.strip()
    if isinstance(value, ENTRIES):
        return len(value) == 0
    return bool(value != value)  # true of NaN and NaT only


def as_text(value: Any) -> str:
    """The value as one text; a list's entries with spaces between; empty where it is missing."""
    if is_missing(value):
        return ""
    if isinstance(value, ENTRIES):
        return " ".join(as_text(entry) for entry in value)
    return value if isinstance(value, str) else as_category(value)


def as_categories(value: Any, separator: str | None) -> list[str]:
    """The distinct values of a cell, sorted; none where it is missing."""
    if is_missing(value):
        return []
    if isinstance(value, ENTRIES):
        entries = [as_category(entry) for entry in value if not is_missing(entry)]
    elif separator is not None and isinstance(value, str):
        entries = [entry.strip() for entry in value.split(separator)]
    else:
        entries = [as_category(value)]
    return sorted({entry for entry in entries if entry})


def as_category(value: Any) -> str:
    """One text for one value: 3 and 3.0 are the same, since a missing number beside it makes pandas turn 3 into 3.0."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)


def as_numbers(values: Values) -> Doubles:
    """The column as numbers, NaN where missing. Shape (n,).

    Raises:
        DataError: a value is infinite or no number; names column and row.
    """
    column = values.column
    if column.dtype.kind in "iufb":
        numbers = column.astype(np.float64)
    else:
        numbers = np.array([_number(value, values, row) for row, value in enumerate(column)], np.float64)
    infinite = np.flatnonzero(np.isinf(numbers))
    if len(infinite):
        raise DataError(f"{values.at(int(infinite[0]))}: {numbers[infinite[0]]}; expected a finite number or none")
    return numbers


def _number(value: Any, values: Values, row: int) -> float:
    if is_missing(value):
        return math.nan
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise DataError(f"{values.at(row)}: expected a number, found {str(value)[:60]!r}") from None


def one_row(attributes: Mapping[str, Any], name: str) -> Values:
    """One value of one thing as a column."""
    column = np.empty(1, dtype=object)
    column[0] = attributes.get(name)
    return Values(name, column)
