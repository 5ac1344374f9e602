"""Attribute tables: named columns aligned with the rows of a Vocab, kept as Parquet."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from pinfold.arrays import Strings
from pinfold.data.vocab import Vocab
from pinfold.errors import ArtifactError

Column = NDArray[Any]  # (n,) numbers, or objects: str, list, None where missing


@dataclass(frozen=True, slots=True)
class Table:
    """What is known about users or items. Row r of every column belongs to row r of the vocabulary."""

    columns: Mapping[str, Column]
    n_rows: int

    def __post_init__(self) -> None:
        names = ["id", *(name.lower() for name in self.columns)]  # SQL and Parquet readers know no case
        if len(set(names)) != len(names):
            raise ValueError(f"columns must differ in more than case, and none is named 'id': {list(self.columns)}")
        for name, column in self.columns.items():
            if column.shape != (self.n_rows,):
                raise ValueError(f"column {name!r} must have shape ({self.n_rows},), got {column.shape}")

    def titles(self) -> Strings | None:
        """The column that names things for people: title, name or description, or None without one."""
        for name in ("title", "name", "description"):
            if name in self.columns:
                return np.asarray(self.columns[name], dtype=object)
        return None


def write_table(path: Path, vocab: Vocab, table: Table | None) -> None:
    """Write ids (column `id`) and attributes as one Parquet file, in row order.

    Raises:
        ArtifactError: a value cannot be stored, or the file system refuses.
    """
    columns: dict[str, Column] = {"id": vocab.all} | dict(table.columns if table else {})
    try:
        with duckdb.connect() as connection:
            connection.execute("SET preserve_insertion_order = true")
            connection.register("written", columns)
            connection.execute(
                "COPY (SELECT * FROM written) TO $path (FORMAT parquet, COMPRESSION zstd)", {"path": str(path)}
            )
    except duckdb.Error as error:
        raise ArtifactError(f"{path.name}: cannot be written: {error}") from error


def read_table(path: Path, noun: str) -> tuple[Vocab, Table]:
    """The vocabulary and the attributes of a file that `write_table` wrote.

    Raises:
        ArtifactError: the file is not such a table.
    """
    try:
        with duckdb.connect() as connection:
            found = connection.execute("SELECT * FROM read_parquet($path)", {"path": str(path)})
            names = [column[0] for column in found.description]
            rows = found.fetchall()
        columns = {name: _column([row[i] for row in rows]) for i, name in enumerate(names)}
        ids = columns.pop("id")
        if not all(isinstance(name, str) for name in ids):
            raise ValueError("an id is missing or is not text")
        return Vocab(ids, noun), Table(columns, len(ids))
    except (duckdb.Error, KeyError, ValueError) as error:
        raise ArtifactError(f"{path}: not a table of {noun}s with distinct ids: {error}") from error


def _column(values: list[Any]) -> Column:
    """Numbers as numbers where none is missing, everything else as objects."""
    numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    if values and numeric:
        return np.array(values)
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column
