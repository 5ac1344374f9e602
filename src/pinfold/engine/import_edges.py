"""The steps of an import that make edges: events go to the owner of their user, who sorts and merges them."""

import shutil
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pinfold.data import staging
from pinfold.data.npy import NpyStream
from pinfold.data.sql import Connection
from pinfold.engine.import_events import DTYPES, block_rows, database, numbered
from pinfold.engine.import_ids import naming, spill
from pinfold.engine.interface import Options, Part, Shard
from pinfold.engine.partition import Ranges, by_owner
from pinfold.engine.parts import making, open_part

FILES = ("users.npy", "items.npy", "weights.npy", "times.npy")
TYPES = {np.int32: "INTEGER", np.int64: "BIGINT", np.float64: "DOUBLE"}


def send(shard: Shard, options: Options) -> list[Part]:
    """The next events of this worker, to the owners of their users; options["n_users"] says who that is."""
    events, step = numbered(shard, options), block_rows(shard)
    block = slice(options["round"] * step, (options["round"] + 1) * step)
    order, ends = by_owner(Ranges(options["n_users"], shard.size), events["user_row"][block])
    sorted_ = {name: column[block][order] for name, column in events.items()}
    return [
        {name: column[ends[rank] : ends[rank + 1]] for name, column in sorted_.items()} for rank in range(shard.size)
    ]


def take(shard: Shard, options: Options, parts: list[Part]) -> None:
    """Append what came to one file for each column."""
    if not spill(shard).exists():
        return  # the part is there
    for name in staging.edge_columns(options["columns"]):
        path = spill(shard) / name
        with naming(path), path.open("ab") as file:
            for part in parts:
                file.write(np.ascontiguousarray(part[name]).data)


def merge(shard: Shard, options: Options) -> int:
    """Make the part `edges`: one edge for each pair by the rule options["duplicates"]; how many there are."""
    if spill(shard).exists():
        with database(shard, options) as connection, making(shard, "edges") as folder:
            _gather(connection, shard, options)
            with NpyStream(*(folder.path(name) for name in FILES)) as stream:
                for piece in staging.merged_edges(connection, options["duplicates"]):
                    stream.append(*piece)
        shutil.rmtree(spill(shard))
    return len(open_part(shard, "edges").array("users.npy", np.int32, -1))


def _gather(connection: Connection, shard: Shard, options: Options) -> None:
    """Create `edges` from what came, sorted as `staging.sort_edges` does."""
    names = staging.edge_columns(options["columns"])
    types = ", ".join(f"{name} {TYPES[DTYPES[name]]}" for name in names)
    connection.execute(f"CREATE TABLE came ({types})")
    for columns in _came(shard, names):
        connection.register("piece", columns)
        connection.execute("INSERT INTO came SELECT * FROM piece")
        connection.unregister("piece")
    connection.execute(f"CREATE TABLE edges AS SELECT * FROM came ORDER BY {', '.join(names)}")
    connection.execute("DROP TABLE came")


def _came(shard: Shard, names: list[str]) -> Iterator[dict[str, NDArray[Any]]]:
    """What came, a piece of all columns at a time."""
    start = 0
    while (spill(shard) / names[0]).exists():
        sizes = [(name, np.dtype(DTYPES[name])) for name in names]
        columns = {
            name: np.fromfile(spill(shard) / name, dtype, staging.STEP, offset=start * dtype.itemsize)
            for name, dtype in sizes
        }
        if not len(columns[names[0]]):
            break
        yield columns
        start += staging.STEP
