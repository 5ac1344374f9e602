"""Items by id: those of a generation, those that came since, and which of them are gone."""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np

from pinfold.arrays import Bools, Ints, Longs, Strings
from pinfold.data.tables import Table
from pinfold.data.vocab import Vocab
from pinfold.errors import DataError, RequestError, did_you_mean
from pinfold.serving.filters import Columns, Condition, Filter
from pinfold.views import Named, Origin

TITLES = ("title", "name", "description")
ALWAYS = ("title", "available")  # attributes that any item may have, whatever the table's columns are
LOOKED_AT = 1000
NEAR, SHORT = 500, 50  # ids, and letters of one, up to which a near one is looked for while nobody else is answered


@dataclass(slots=True)
class Later:
    """What was said of an item since the generation was trained."""

    attributes: Mapping[str, Any]
    collections: list[str] = field(default_factory=list)  # users, each once, in the order they came
    deleted: bool = False


class Catalogue:
    """Rows 0 .. I - 1 are the generation's; items that came since have the rows behind, in the order they came.

    One thread writes while others read: a row is complete before its id leads to it.
    """

    def __init__(self, items: Vocab, table: Table, counts: Longs) -> None:
        """`counts` (I,): how many users have each item."""
        self._items, self._columns, self._counts = items, Columns(table), counts
        self._titles: Strings | None = table.titles()
        self._ids: list[str] = []
        self._rows: dict[str, int] = {}
        self._later: dict[int, Later] = {}
        self._gone: set[int] = set()
        self._text: str | None = None
        self._starts: list[int] = []

    def __len__(self) -> int:
        """All rows, also those of items that are gone."""
        return len(self._items) + len(self._ids)

    @property
    def n_old(self) -> int:
        """I."""
        return len(self._items)

    @property
    def n_fresh(self) -> int:
        """Items that are not the generation's."""
        return sum(row >= self.n_old for row in set(range(self.n_old, len(self))) - self._gone)

    @property
    def n_gone(self) -> int:
        """Items of the generation that are gone."""
        return sum(row < self.n_old for row in list(self._gone))

    @property
    def fields(self) -> Sequence[str]:
        """The attributes that items have."""
        return self._columns.names

    def unknown(self, name: str) -> str:
        """What to say of an id that no item has."""
        near = did_you_mean(name, self._items.all.tolist()) if len(self._items) < NEAR and len(name) < SHORT else ""
        return f"no item has the id {name!r}{near}"

    def row_or(self, name: str) -> int | None:
        """The row of an item that is there, or None."""
        row = self.any_row(name)
        return None if row is None or row in self._gone else row

    def any_row(self, name: str) -> int | None:
        """The row of an item, also of one that is gone."""
        row = self._items.row_or(name, -1)
        return row if row >= 0 else self._rows.get(name)

    def id(self, row: int) -> str:
        """An item's id."""
        old = len(self._items)
        return str(self._items.all[row]) if row < old else self._ids[row - old]

    def title(self, row: int) -> str | None:
        """An item's name for people."""
        later = self._later.get(row)
        if later is not None:
            found = next((later.attributes[name] for name in TITLES if name in later.attributes), None)
            return found if isinstance(found, str) else None
        return None if self._titles is None or row >= self.n_old else self._titles[row]

    def named(self, row: int) -> Named:
        """An item's id and title."""
        return Named(self.id(row), self.title(row))

    def names(self, rows: Ints) -> list[tuple[str, str | None]]:
        """Ids and titles of several items."""
        ids, titles, later, n_old = self._items.all, self._titles, self._later, self.n_old
        return [
            (ids[row], None if titles is None else titles[row])
            if row < n_old and row not in later
            else (self.id(row), self.title(row))
            for row in rows.tolist()
        ]

    def attributes(self, row: int) -> Mapping[str, Any]:
        """All that is known of an item."""
        later = self._later.get(row)
        return later.attributes if later is not None else self._columns.row(row)

    def later(self, row: int) -> Later | None:
        """What was said of an item since training."""
        return self._later.get(row)

    def origin(self, row: int) -> Origin:
        """Where the item is from."""
        return "fresh" if row >= self.n_old else "changed" if row in self._later else "trained"

    def check_attributes(self, attributes: Mapping[str, Any]) -> None:
        """Refuse attributes that no item has.

        Raises:
            DataError: names the attribute, and a near one.
        """
        known = [*self._columns.names, *ALWAYS]
        for name in attributes:
            if self._columns.names and name not in known:
                listed = ", ".join(sorted(set(known)))
                raise DataError(f"no attribute {name!r}{did_you_mean(name, known)} (known: {listed}); leave it out")

    def row_for(self, name: str) -> int:
        """The row of an item that is to be put or deleted; to a new one its id does not lead before it is."""
        row = self.any_row(name)
        if row is None:
            row = len(self)
            self._ids.append(name)
        return row

    def put(self, row: int, later: Later) -> None:
        """An item is there, with these attributes."""
        self._later[row] = later
        self._lead(row)
        self._gone.discard(row)

    def delete(self, row: int) -> None:
        """An item is gone, and what was said of it."""
        self._gone.add(row)
        self._later[row] = Later({})
        self._lead(row)

    def _lead(self, row: int) -> None:
        if row >= self.n_old:
            self._rows[self._ids[row - self.n_old]] = row

    def gone(self, row: int) -> bool:
        """Whether an item is gone."""
        return row in self._gone

    def all_gone(self) -> list[int]:
        """The rows of all items that are gone."""
        return list(self._gone)

    def check_fields(self, wanted: Filter, named: str) -> None:
        """Refuse conditions on fields that no item has.

        Raises:
            RequestError: names the field, and a near one.
        """
        known = [*self._columns.names, *ALWAYS]
        for place, condition in enumerate(wanted.where):
            if self._columns.names and condition.field not in known:
                near, where = did_you_mean(condition.field, known), f"{named}.where[{place}].field"
                raise RequestError(422, f"{where}: no item has a field {condition.field[:80]!r}{near}", where)

    def mask(self, wanted: Filter) -> Bools:
        """Which rows a filter lets through; items that are gone need no filter. Shape (n,)."""
        n = len(self)
        allowed = np.ones(n, np.bool_)
        if wanted.allow is not None:
            allowed[:] = False
            allowed[[row for row in map(self.any_row, wanted.allow) if row is not None and row < n]] = True
        allowed[[row for row in map(self.any_row, wanted.deny) if row is not None and row < n]] = False
        for condition in wanted.where:
            allowed &= self._fitting(condition, n)
        return allowed

    def search(self, text: str, k: int) -> list[Named]:
        """Up to K items whose id or title holds the text: what came since, what begins with it, what many users have.

        Capitals do not count. Of very many that hold it, the first LOOKED_AT in the catalogue are looked at.
        """
        wanted = text.casefold().replace("\n", " ")  # lines are what the searched text is made of
        found = dict.fromkeys(islice((row for row in self._holding(wanted) if row not in self._gone), LOOKED_AT))
        return [self.named(row) for row in sorted(found, key=lambda row: self._place(row, wanted))[:k]]

    def _place(self, row: int, wanted: str) -> tuple[bool, bool, int]:
        begins = any(text.casefold().startswith(wanted) for text in (self.id(row), self.title(row) or ""))
        return row not in self._later, not begins, -int(self._counts[row]) if row < self.n_old else 0

    def _holding(self, wanted: str) -> Iterator[int]:
        """Rows whose text holds `wanted`: what came since, then old ones that begin with it, then the others."""
        for row in list(self._later):
            if any(wanted in text.casefold() for text in (self.id(row), self.title(row) or "")):
                yield row
        text, starts = self._searched()
        for pattern, begins in ((f"\n{wanted}", True), (wanted, False)):
            place = text.find(pattern)
            while place >= 0:
                row = (bisect_right(starts, place + begins) - 1) // 2
                if row not in self._later:
                    yield row
                line = bisect_right(starts, place + begins)
                place = text.find(pattern, starts[line] - 1) if line < len(starts) else -1

    def _searched(self) -> tuple[str, list[int]]:
        """All ids and titles of the generation as one text, a line each, and where the lines begin."""
        if self._text is None:
            titles = self._titles.tolist() if self._titles is not None else [None] * self.n_old
            lines = [line for pair in zip(self._items.all.tolist(), titles, strict=True) for line in pair]
            folded = [(line or "").casefold().replace("\n", " ") for line in lines]
            self._starts = (np.cumsum([0, *(len(line) + 1 for line in folded)])[:-1] + 1).tolist()
            self._text = "\n" + "\n".join(folded)
        return self._text, self._starts

    def _fitting(self, condition: Condition, n: int) -> Bools:
        fits = np.zeros(n, np.bool_)
        fits[: self.n_old] = self._columns.fitting(condition)
        for row, later in list(self._later.items()):
            if row < n:
                value = later.attributes.get(condition.field)
                fits[row] = value is not None and condition.fits(value)
        return fits
