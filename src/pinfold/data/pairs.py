"""A user's own pairs of items that belong together, with weights: what PinSage may learn from."""

from pathlib import Path

import duckdb
import numpy as np

from pinfold.arrays import Doubles, Ints
from pinfold.data.attributes import check_id_type
from pinfold.data.records import open_text, read_header
from pinfold.data.sql import columns_of, exact, first_line, literal, parquet_table
from pinfold.data.vocab import Vocab
from pinfold.errors import DataError

NAMES = ("query", "item")


def read_pairs(path: Path, items: Vocab) -> tuple[Ints, Ints, Doubles]:
    """Rows (P,) of both items of each pair, and weights (P,), 1 where the file has no column `weight`.

    A csv, tsv (or these with .gz) or Parquet file with the columns `query` and `item`, ids as in the data set. Pairs
    with an id that the data set does not have are left out, since filters may have taken it; so are pairs of an item
    with itself.

    Raises:
        DataError: the file cannot be read, a column is missing, a weight is no positive number, or no pair is left.
    """
    try:
        with duckdb.connect() as connection:
            table = _table(path)
            found = columns_of(connection, table)  # SQL types by name
            missing = [name for name in NAMES if name not in found]
            if missing:
                raise DataError(
                    f"{path}: no column {missing[0]!r} (found: {', '.join(found)}); pairs have query and item"
                )
            for name in NAMES:
                check_id_type(path, name, found[name])
            weight = "CAST(weight AS VARCHAR)" if "weight" in found else "'1'"
            ids = "CAST(query AS VARCHAR) AS query, CAST(item AS VARCHAR) AS item"
            columns = connection.execute(f"SELECT {ids}, {weight} AS weight FROM {table}").fetchnumpy()
    except duckdb.Error as error:
        raise DataError(f"{path}: cannot be read as a table: {first_line(error)}") from error
    weights = np.array([_number(text) for text in columns["weight"]], np.float64)
    bad = np.flatnonzero(~(np.isfinite(weights) & (weights > 0)))
    if len(bad):
        raise DataError(f"{path}: pair {bad[0] + 1}: column 'weight' must hold a positive number, as in every pair")
    rows = [np.array([items.row_or(str(name), -1) for name in columns[key]], np.int32) for key in NAMES]
    known = (rows[0] >= 0) & (rows[1] >= 0) & (rows[0] != rows[1])
    if not known.any():
        raise DataError(f"{path}: of its {len(known):,} pairs none is of two different items of the data set")
    return rows[0][known], rows[1][known], weights[known]


def _number(text: object) -> float:
    """The number that a text says; NaN where it says none."""
    try:
        return float(str(text))
    except ValueError:
        return float("nan")


def _table(path: Path) -> str:
    ending = Path(path.name.lower().removesuffix(".gz")).suffix
    if ending == ".parquet":
        with open_text(path):  # says it if there is none
            pass
        return parquet_table(path)
    if ending not in (".csv", ".tsv"):
        raise DataError(f"{path}: expected pairs in a file ending in .csv, .tsv (or these with .gz) or .parquet")
    delimiter = "\t" if ending == ".tsv" else ","
    with open_text(path) as file:
        read_header(file, path, delimiter)
    form = f"header = true, skip = 0, all_varchar = true, delim = '{delimiter}', quote = '\"', comment = ''"
    return f"read_csv({literal(exact(path))}, {form}, hive_partitioning = false)"
