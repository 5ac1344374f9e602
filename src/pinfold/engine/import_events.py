"""The steps of an import that read a worker's own Parquet files: kinds of times, good rows and ids, events by number.

Options of all of them, plain values:
    files: all files of the import; a worker reads every size-th of them, from its rank on.
    columns, weighted, min_weight, time_zone, threads: of `ImportConfig`.
    kind: of the times (`times.KINDS`), which `look` of all workers decides.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pinfold.data import staging
from pinfold.data.columns import count_rows
from pinfold.data.npy import NpyStream
from pinfold.data.readers import fingerprint
from pinfold.data.shards import naming_shards, view_shards
from pinfold.data.sql import Connection, Limits, columns_of, parquet_table, scalar, workspace
from pinfold.data.times import kind_of
from pinfold.engine.interface import Options, Shard
from pinfold.engine.parts import is_whole, making, open_part
from pinfold.errors import DataError

SIDES = ("users", "items")
SAMPLES = 256  # ids of each side by which a worker tells where its ids lie
EVENT = 640  # bytes that an event takes while it is sent, with room for what the database does beside
LEAST = 1024  # rows at once, however little memory there is
# double: weights are added up before they are narrowed
DTYPES: dict[str, type[np.generic]] = {
    "user_row": np.int32, "item_row": np.int32, "time": np.int64, "weight": np.float64,
}  # fmt: skip
Summary = dict[str, Any]


@contextmanager
def database(shard: Shard, options: Options) -> Iterator[Connection]:
    """An empty workspace within a worker's limits, which spills into the work folder.

    Raises:
        ConfigError, DataError, ArtifactError: as `sql.workspace`.
    """
    limits = Limits(f"{max(1, shard.job.memory // 10**6)}MB", options["threads"], options["time_zone"])
    with workspace(limits, shard.job.work) as connection:
        yield connection


def copy(connection: Connection, query: str, path: Path) -> int:
    """Write what a query gives as a Parquet file; the number of its rows."""
    done = connection.execute(f"COPY ({query}) TO $path (FORMAT parquet, COMPRESSION zstd)", {"path": str(path)})
    return int(done.fetchall()[0][0])


def block_rows(shard: Shard) -> int:
    """Events or ids that are handled at once."""
    return max(LEAST, shard.job.memory // EVENT)


def own_files(shard: Shard, options: Options) -> list[Path]:
    """The files that this worker reads; none where there are more workers than files."""
    return [Path(path) for path in options["files"][shard.rank :: shard.size]]


def look(shard: Shard, options: Options) -> dict[str, int]:
    """How many times there are of each kind in this worker's files.

    Raises:
        DataError: a file is missing, empty, damaged or lacks a column.
    """
    with _raw(shard, options) as connection:
        kind = kind_of(columns_of(connection, "raw")["time"])
        found = connection.execute(f"SELECT {kind} AS kind, count(*) FROM raw GROUP BY kind HAVING kind IS NOT NULL")
        return {str(name): int(n) for name, n in found.fetchall()}


def read(shard: Shard, options: Options) -> Summary:
    """Make the part `read`: distinct ids of both sides, in the order of their bytes, and the rejected rows.

    Returns:
        rows, kept, rejected, light: counts of rows; files: their fingerprints; users, items: how many distinct ids, and
        at most SAMPLES of them, evenly spaced.

    Raises:
        DataError: as `look`.
    """
    if is_whole(shard, {"stage": "read"}):
        return open_part(shard, "read").json("summary.json")
    with _raw(shard, options) as connection, making(shard, "read") as folder:
        good = staging.reject(connection, options["columns"], options["kind"])
        light = _settle(connection, options, good)
        counts = {name: _count(connection, name) for name in ("events", "rejected")}
        summary: Summary = {"rows": sum(counts.values()) + light, "kept": counts["events"]}
        summary |= {"rejected": counts["rejected"], "light": light}
        for side, column in zip(SIDES, ("user_id", "item_id"), strict=True):
            summary[side] = [staging.number(connection, side, column), _samples(connection, side)]
            query = f"SELECT * EXCLUDE (row) FROM {side} ORDER BY row"
            connection.execute(
                f"COPY ({query}) TO $path (FORMAT parquet)", {"path": str(folder.path(f"{side}.parquet"))}
            )
        query = f"SELECT file * {shard.size} + {shard.rank} AS file, * EXCLUDE (file) FROM rejected"
        copy(connection, query, folder.path("rejected.parquet"))
        summary["files"] = [fingerprint(path) for path in own_files(shard, options)]
        folder.json("summary.json", summary)
    return summary


def rows(shard: Shard, options: Options) -> int:
    """Make the part `rows`, this worker's good events by number; how many rounds it takes to send them.

    `shard.kept["numbers"]` holds the rows of its ids, which owners have answered (`import_ids.take`).
    """
    names = staging.edge_columns(options["columns"])
    if not is_whole(shard, {"stage": "rows"}):
        ids, skipped = open_part(shard, "read"), open_part(shard, "read").json("summary.json")["rejected"]
        with _raw(shard, options) as connection, making(shard, "rows") as folder:
            # what was rejected goes to a table that nobody reads
            good = staging.reject(connection, options["columns"], options["kind"]) if skipped else "true"
            _settle(connection, options, good)
            for side in SIDES:
                _known(connection, side, ids.file(f"{side}.parquet"), shard.kept["numbers"][side])
            connection.execute(f"CREATE TABLE numbered AS {staging.numbered_events(connection, options['columns'])}")
            paths = [folder.path(f"{name}.npy") for name in names]
            with NpyStream(*paths, dtypes=[DTYPES[name] for name in names]) as stream:
                for start in range(0, _count(connection, "numbered"), staging.STEP):
                    query = "SELECT * FROM numbered WHERE rowid >= $1 AND rowid < $2"
                    piece = connection.execute(query, [start, start + staging.STEP]).fetchnumpy()
                    stream.append(*(piece[name] for name in names))
    shard.kept.pop("numbers", None)
    return -(-len(numbered(shard, options)["user_row"]) // block_rows(shard))


def numbered(shard: Shard, options: Options) -> dict[str, NDArray[Any]]:
    """The part `rows`: columns (n,) of this worker's events, memory-mapped."""
    part = open_part(shard, "rows")
    return {name: part.array(f"{name}.npy", DTYPES[name], -1) for name in staging.edge_columns(options["columns"])}


@contextmanager
def _raw(shard: Shard, options: Options) -> Iterator[Connection]:
    """A workspace whose `raw` is this worker's files."""
    paths = own_files(shard, options)
    with database(shard, options) as connection:
        staging.create_tables(connection, raw=not paths)
        if paths:
            view_shards(connection, paths, options["columns"])
        with naming_shards(connection, paths, options["columns"]):
            yield connection


def _settle(connection: Connection, options: Options, good: str) -> int:
    weighted, least = options["weighted"], options["min_weight"]
    return staging.settle(connection, good, weighted=weighted, kind=options["kind"], min_weight=least, view=True)


def _count(connection: Connection, table: str) -> int:
    return int(scalar(connection, f"SELECT count(*) FROM {table}"))


def _samples(connection: Connection, side: str) -> list[str]:
    query = f"SELECT id FROM {side} WHERE row % $1 = 0 ORDER BY row"
    step = -(-_count(connection, side) // SAMPLES)
    return [row[0] for row in connection.execute(query, [max(1, step)]).fetchall()]


def _known(connection: Connection, side: str, ids: Path, numbers: NDArray[np.int32]) -> None:
    """Create `users` or `items` from this worker's ids and the rows that their owners gave them."""
    if count_rows(connection, ids) != len(numbers):
        raise DataError(f"{ids}: its {side} and the rows that came for them differ in number; begin the import again")
    connection.register("numbers", {"n": np.arange(len(numbers)), "row": numbers})
    source = parquet_table(ids)
    connection.execute(
        f"CREATE TABLE {side} AS SELECT numbers.row, ids.* FROM (SELECT *, file_row_number AS n FROM {source}) ids "
        "JOIN numbers USING (n)"
    )
    connection.unregister("numbers")
