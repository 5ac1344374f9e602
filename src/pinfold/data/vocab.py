"""Vocab: the only bridge between external ids (strings) and rows (int32)."""

from collections.abc import Iterable, Sequence

import numpy as np

from pinfold.arrays import Ints, Strings
from pinfold.errors import DataError, did_you_mean


class Vocab:
    """Distinct external ids, the id of row r at position r."""

    def __init__(self, ids: Sequence[str] | Strings, noun: str) -> None:
        """`noun` names the things in messages: "user", "item".

        Raises:
            ValueError: an id occurs twice.
        """
        self._ids: Strings = np.array(ids, dtype=object)
        self._rows: dict[str, int] = {}
        self._noun = noun
        self._rows = {name: row for row, name in enumerate(self._ids.tolist())}
        if len(self._rows) != len(self._ids):
            raise ValueError(f"{noun} ids must be distinct")

    def __len__(self) -> int:
        return len(self._ids)

    def __contains__(self, name: str) -> bool:
        return name in self._rows

    @property
    def all(self) -> Strings:
        """Every id in row order. Shape (n,)."""
        return self._ids

    def ids(self, rows: Ints) -> Strings:
        """The ids of these rows, in the shape of `rows`."""
        named: Strings = self._ids[rows]
        return named

    def row(self, name: str) -> int:
        """The row of one id.

        Raises:
            DataError: no such id; names a near one where there is one.
        """
        row = self._rows.get(name)
        if row is None:
            near = did_you_mean(name, self._rows) if len(self._rows) < 200_000 else ""
            raise DataError(f"no {self._noun} has the id {name!r}{near}")
        return row

    def row_or(self, name: str, otherwise: int) -> int:
        """The row of one id, or `otherwise` where there is none."""
        return self._rows.get(name, otherwise)

    def rows(self, names: Iterable[str]) -> Ints:
        """The rows of these ids. Shape (n,).

        Raises:
            DataError: one of them is unknown.
        """
        return np.fromiter((self.row(name) for name in names), dtype=np.int32)

    def known(self, names: Iterable[str]) -> list[str]:
        """Those of the names that have a row, in order."""
        return [name for name in names if name in self._rows]
