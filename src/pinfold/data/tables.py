"""Attribute tables: named columns aligned with the rows of a Vocab, kept as Parquet."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np

from pinfold.arrays import Strings
from pinfold.data.columns import Column, read_columns, types_of
from pinfold.data.sql import ROW, quoted
from pinfold.data.vocab import Vocab
from pinfold.errors import ArtifactError


@dataclass(frozen=True, slots=True)
class Table:
    """What is known about users or items. Row r of every column belongs to row r of the vocabulary."""

    columns: Mapping[str, Column]
    n_rows: int

    def __post_init__(self) -> None:
        names = ["id", ROW, *(name.lower() for name in self.columns)]  # SQL and Parquet readers know no case
        if len(set(names)) != len(names):
            raise ValueError(
                f"columns must differ in more than case, and none is named 'id' or {ROW!r}: {list(self.columns)}"
            )
        for name, column in self.columns.items():
            matrix = column.ndim == 2 and column.dtype.kind in "iuf"
            if column.shape[:1] != (self.n_rows,) or not (column.ndim == 1 or matrix):
                shapes = f"({self.n_rows},), or ({self.n_rows}, D) of numbers"
                raise ValueError(f"column {name!r} must have shape {shapes}, got {column.dtype} of {column.shape}")

    def titles(self) -> Strings | None:
        """The column that names things for people: title, name or description, or None without one."""
        for name in ("title", "name", "description"):
            if name in self.columns and self.columns[name].ndim == 1:
                return np.asarray(self.columns[name], dtype=object)
        return None


def write_table(path: Path, vocab: Vocab, table: Table | None) -> None:
    """Write ids (column `id`) and attributes as one Parquet file, in row order.

    Raises:
        ArtifactError: a value cannot be stored, or the file system refuses.
    """
    columns: dict[str, Column] = {"id": vocab.all} | dict(table.columns if table else {})
    # SQL knows no case, nor matrices: columns go by numbered names, a matrix by its own columns
    registered: dict[str, Column] = {}
    chosen = []
    for n, (name, column) in enumerate(columns.items()):
        if column.ndim == 1:
            registered[f"c{n}"] = column
            chosen.append(f"c{n} AS {quoted(name)}")
        else:
            parts = {f"c{n}_{d}": column[:, d] for d in range(column.shape[1])}
            registered |= parts
            # DuckDB takes a NaN of numpy's for a missing value
            kept = [f"coalesce({part}, 'nan')" if column.dtype.kind == "f" else part for part in parts]
            chosen.append(f"[{', '.join(kept)}] AS {quoted(name)}")
    try:
        with duckdb.connect() as connection:
            connection.execute("SET preserve_insertion_order = true")
            connection.register("written", registered)
            query = f"SELECT {', '.join(chosen)} FROM written"
            connection.execute(f"COPY ({query}) TO $path (FORMAT parquet, COMPRESSION zstd)", {"path": str(path)})
    except duckdb.Error as error:
        raise ArtifactError(f"{path.name}: cannot be written: {error}") from error


def read_table(path: Path, noun: str) -> tuple[Vocab, Table]:
    """The vocabulary and the attributes of a file that `write_table` wrote.

    Raises:
        ArtifactError: the file is not such a table.
    """
    try:
        with duckdb.connect() as connection:
            types = types_of(connection, path)
            if types["id"] not in ("VARCHAR", '"NULL"'):  # of no rows DuckDB knows no type
                raise ValueError(f"its ids are {types['id']}, not text")
            columns = read_columns(connection, path, list(types))
        ids = columns.pop("id")
        if None in ids.tolist():
            raise ValueError("an id is missing")
        return Vocab(ids, noun), Table(columns, len(ids))
    except (duckdb.Error, KeyError, ValueError) as error:
        raise ArtifactError(f"{path}: not a table of {noun}s with distinct ids: {error}") from error
