"""Conditions on items, as structured values that nobody evaluates: which of the catalogue may be answered with."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pinfold.arrays import Bools, Doubles, Ints
from pinfold.data.columns import Column
from pinfold.data.tables import Table


@dataclass(frozen=True, slots=True)
class Condition:
    """One field of an item: one of several values, a number in a range, or true or false. A missing value never fits.

    A field that holds several values (tags) fits where one of them does.
    """

    field: str
    among: tuple[str | float | bool, ...] | None = None
    low: float | None = None
    high: float | None = None
    flag: bool | None = None
    keys: frozenset[Any] = dataclasses.field(init=False, repr=False, compare=False, default=frozenset())

    def __post_init__(self) -> None:
        object.__setattr__(self, "keys", frozenset(map(_key, self.among or ())))

    def fits(self, value: Any) -> bool:
        """Whether a value of the field fits."""
        if isinstance(value, list | tuple):
            return any(self.fits(one) for one in value)
        if self.among is not None:
            return _key(value) in self.keys
        if self.flag is not None:
            return isinstance(value, bool) and value == self.flag
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)


@dataclass(frozen=True, slots=True)
class Filter:
    """All of this must hold of an answer."""

    allow: tuple[str, ...] | None = None  # only these ids
    deny: tuple[str, ...] = ()
    where: tuple[Condition, ...] = ()


class Columns:
    """The columns of an item table, made ready for conditions when one first asks."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._values: dict[str, dict[str | float | bool, Ints]] = {}
        self._numbers: dict[str, tuple[Doubles, Ints]] = {}

    @property
    def names(self) -> Sequence[str]:
        """Of the columns."""
        return list(self._table.columns)

    def value(self, name: str, row: int) -> Any:
        """One item's; None where it is missing."""
        value = self._table.columns[name][row]
        return value.tolist() if isinstance(value, np.generic | np.ndarray) else value

    def row(self, row: int) -> dict[str, Any]:
        """All that is known of one item."""
        found = {name: self.value(name, row) for name in self._table.columns}
        return {name: value for name, value in found.items() if value is not None}

    def fitting(self, condition: Condition) -> Bools:
        """Which rows fit. Shape (I,)."""
        fits = np.zeros(self._table.n_rows, np.bool_)
        if condition.field not in self._table.columns:
            return fits
        if condition.among is not None or condition.flag is not None:
            rows = self._rows_of(condition.field)
            for wanted in condition.among if condition.among is not None else (condition.flag,):
                fits[rows.get(_key(wanted), np.empty(0, np.int32))] = True
            return fits
        numbers, rows_of = self._numbers_of(condition.field)
        low = -np.inf if condition.low is None else condition.low
        high = np.inf if condition.high is None else condition.high
        fits[rows_of[(numbers >= low) & (numbers <= high)]] = True
        return fits

    def _rows_of(self, name: str) -> Mapping[Any, Ints]:
        """The rows of each value of a column."""
        if name not in self._values:
            rows: dict[Any, list[int]] = {}
            for row, value in _flat(self._table.columns[name]):
                rows.setdefault(_key(value), []).append(row)
            self._values[name] = {value: np.array(found, np.int32) for value, found in rows.items()}
        return self._values[name]

    def _numbers_of(self, name: str) -> tuple[Doubles, Ints]:
        """The numbers of a column and their rows."""
        if name not in self._numbers:
            found = [
                (row, value)
                for row, value in _flat(self._table.columns[name])
                if isinstance(value, int | float) and not isinstance(value, bool)
            ]
            numbers = np.array([value for _, value in found], np.float64)
            self._numbers[name] = (numbers, np.array([row for row, _ in found], np.int32))
        return self._numbers[name]


def _flat(column: Column) -> "list[tuple[int, Any]]":
    """Every value of a column with its row; lists are opened, vectors are none of them."""
    if column.ndim == 2:
        return []
    values = column.tolist()
    single = [(row, value) for row, value in enumerate(values) if value is not None and not isinstance(value, list)]
    several = [(row, one) for row, value in enumerate(values) if isinstance(value, list) for one in value]
    return single + [(row, one) for row, one in several if one is not None]


def _key(value: Any) -> Any:
    """A key under which 1 and 1.0 are one value, and 1, True and "1" are three."""
    return (bool, value) if isinstance(value, bool) else float(value) if isinstance(value, int | float) else value
