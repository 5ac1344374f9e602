"""A data set folder opened without reading its ids and attributes: rows are asked for in blocks.

20 million ids as Python strings take gigabytes; whoever works through all rows takes a block at a time from here.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import duckdb

from pinfold.arrays import Strings
from pinfold.artifacts import open_folder
from pinfold.data.columns import count_rows, read_columns, types_of
from pinfold.data.dataset import KIND, map_events
from pinfold.data.interactions import Interactions
from pinfold.data.sql import Connection
from pinfold.data.tables import Table
from pinfold.errors import ArtifactError

Side = Literal["users", "items"]
SIDES: tuple[Side, Side] = ("users", "items")


@dataclass(frozen=True, slots=True)
class DatasetFiles:
    """A data set whose events are mapped and whose tables stay on disk."""

    path: Path
    interactions: Interactions
    tables: Mapping[Side, Path]  # Parquet files: `id` and the attributes, in row order
    columns: Mapping[Side, tuple[str, ...]]  # names of the attributes
    source: Mapping[str, Any]

    def __post_init__(self) -> None:
        if set(self.tables) != set(SIDES) or set(self.columns) != set(SIDES):
            raise ValueError("tables and columns must be those of users and of items")

    @property
    def n_users(self) -> int:
        """U."""
        return self.interactions.n_users

    @property
    def n_items(self) -> int:
        """I."""
        return self.interactions.n_items

    def n_rows(self, side: Side) -> int:
        """U or I."""
        return self.n_users if side == "users" else self.n_items

    def block(self, side: Side, columns: Sequence[str], start: int, stop: int) -> Table:
        """These attributes of the rows [start, stop); row r of the table is row start + r. Without columns, no reading.

        Raises:
            ArtifactError: the file is damaged or has no such column.
            ValueError: rows that are not there.
        """
        self._check(side, start, stop)
        missing = [name for name in columns if name not in self.columns[side]]
        if missing:
            listed = ", ".join(self.columns[side]) or "none"
            raise ArtifactError(f"{self.tables[side]}: no column {missing[0]!r} (found: {listed})")
        if not columns:
            return Table({}, stop - start)
        with _reading(self.tables[side]) as connection:
            return Table(read_columns(connection, self.tables[side], columns, start, stop), stop - start)

    def ids(self, side: Side, start: int, stop: int) -> Strings:
        """The external ids of the rows [start, stop).

        Raises:
            ArtifactError: the file is damaged.
            ValueError: rows that are not there.
        """
        self._check(side, start, stop)
        with _reading(self.tables[side]) as connection:
            return read_columns(connection, self.tables[side], ["id"], start, stop)["id"]

    def _check(self, side: Side, start: int, stop: int) -> None:
        if not 0 <= start <= stop <= self.n_rows(side):
            raise ValueError(f"rows {start} to {stop} of {self.n_rows(side)} {side}")


def open_dataset(path: Path) -> DatasetFiles:
    """The data set in a folder, its tables unread.

    Raises:
        ArtifactError: names the file that is missing or damaged.
    """
    folder = open_folder(path, KIND)
    tables = {side: folder.file(f"{side}.parquet") for side in SIDES}
    lengths: dict[Side, int] = {}
    columns: dict[Side, tuple[str, ...]] = {}
    for side, file in tables.items():
        with _reading(file) as connection:
            lengths[side] = count_rows(connection, file)
            types = types_of(connection, file)
        if types.get("id") != "VARCHAR" and lengths[side]:
            raise ArtifactError(f"{file}: not a table of {side}: it has no column `id` of text")
        columns[side] = tuple(name for name in types if name != "id")
    try:
        events = map_events(folder, lengths["users"], lengths["items"])
    except ValueError as error:
        raise ArtifactError(f"{path}: its files do not fit together: {error}") from error
    return DatasetFiles(path, events, tables, columns, folder.json("source.json"))


@contextmanager
def _reading(file: Path) -> Iterator[Connection]:
    try:
        with duckdb.connect() as connection:
            connection.execute("SET threads = 1; SET enable_progress_bar = false")
            yield connection
    except duckdb.Error as error:
        raise ArtifactError(f"{file}: cannot be read: {error}") from error
