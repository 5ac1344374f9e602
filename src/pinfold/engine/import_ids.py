"""The steps of an import that number ids: those of a range go to its owner, who sorts them and answers with ranks.

Ranges are cut at ids (options["bounds"]: side -> the P - 1 first ids of the ranges after the first), in the order of
their bytes; so a row is the count of ids of the ranges before (options["offsets"]: side -> P counts) plus a rank.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pinfold.data.sql import Connection, exact, literal, parquet_table, scalar
from pinfold.engine.import_events import SIDES, block_rows, copy, database
from pinfold.engine.interface import Options, Part, Shard
from pinfold.engine.parts import is_whole, making, open_part
from pinfold.errors import ArtifactError


def spill(shard: Shard) -> Path:
    """Where a worker keeps what came until it is sorted."""
    return shard.job.work / f".spill-{shard.rank:04d}"


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Says of what the file system refuses what was to be put there."""
    try:
        yield
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be written: {error}; free some space, or name another --out") from error


def begin(shard: Shard, options: Options) -> None:
    """Make room for what comes, unless the part of `options["stage"]` is there."""
    shutil.rmtree(spill(shard), ignore_errors=True)
    if not is_whole(shard, options):
        with naming(spill(shard)):
            spill(shard).mkdir()


def rounds(shard: Shard, options: Options) -> int:  # noqa: ARG001
    """How many rounds it takes to send this worker's ids."""
    summary = open_part(shard, "read").json("summary.json")
    return -(-max(int(summary[side][0]) for side in SIDES) // block_rows(shard))


def send(shard: Shard, options: Options) -> list[Part]:
    """The next ids of both sides, to the owners of their ranges, as the bytes of Parquet files."""
    parts: list[dict[str, NDArray[Any]]] = [{} for _ in range(shard.size)]
    start = options["round"] * block_rows(shard)
    with database(shard, options) as connection:
        for side in SIDES:
            path = open_part(shard, "read").file(f"{side}.parquet")
            own = f"file_row_number >= {start} AND file_row_number < {start + block_rows(shard)}"
            connection.execute(f"CREATE TABLE {side} AS SELECT id FROM {parquet_table(path)} WHERE {own} ORDER BY id")
            for part, (low, high) in zip(parts, pairwise([None, *options["bounds"][side], None]), strict=True):
                part[side] = _packed(connection, side, low, high)
    return list(parts)


def _packed(connection: Connection, side: str, low: str | None, high: str | None) -> NDArray[np.uint8]:
    """The ids of a range, from `low` until before `high`, as a Parquet file; nothing where there are none."""
    path = Path(scalar(connection, "SELECT current_setting('temp_directory')")) / "ids.parquet"
    conditions = [f"id {sign} {literal(text)}" for sign, text in ((">=", low), ("<", high)) if text is not None]
    n = copy(connection, f"SELECT id FROM {side} WHERE {' AND '.join(conditions) or 'true'} ORDER BY id", path)
    return np.fromfile(path, np.uint8) if n else np.zeros(0, np.uint8)


def take(shard: Shard, options: Options, parts: list[Part]) -> None:
    """Keep the ids that came."""
    if not spill(shard).exists():
        return  # the part is there
    for sender, part in enumerate(parts):
        for side in SIDES:
            path = spill(shard) / f"{side}-{sender:04d}-{options['round']:06d}.parquet"
            if len(part[side]):
                with naming(path), path.open("wb") as file:
                    file.write(part[side].data)


def number(shard: Shard, options: Options) -> list[int]:
    """Make the part `numbered`: the range's ids in order, and for each sender the ranks of its ids.

    Returns:
        How many users and items the range has.
    """
    if spill(shard).exists():
        counts: list[int] = []
        with database(shard, options) as connection, making(shard, "numbered") as folder:
            for side in SIDES:
                came = [_files(shard, side, sender) for sender in range(shard.size)]
                ids = f"SELECT DISTINCT id FROM {_ids([path for several in came for path in several])} ORDER BY id"
                connection.execute(
                    f"CREATE TABLE {side} AS SELECT CAST(row_number() OVER () - 1 AS INTEGER) AS row, id FROM ({ids})"
                )
                counts.append(copy(connection, f"SELECT id FROM {side} ORDER BY row", folder.path(f"{side}.parquet")))
                for sender, paths in enumerate(came):
                    query = f"SELECT {side}.row FROM {side} JOIN {_ids(paths)} sent USING (id) ORDER BY {side}.row"
                    ranks = connection.execute(query).fetchnumpy()["row"]
                    folder.array(f"{side}_{sender:04d}.npy", np.asarray(ranks, np.int32))
                connection.execute(f"DROP TABLE {side}")
            folder.json("counts.json", {"counts": counts})
        shutil.rmtree(spill(shard))
    return [int(n) for n in open_part(shard, "numbered").json("counts.json")["counts"]]


def answer(shard: Shard, options: Options) -> list[Part]:
    """To each worker the rows of the ids that it sent, in their order."""
    part = open_part(shard, "numbered")
    offsets = options["offsets"]
    return [
        {
            side: part.array(f"{side}_{sender:04d}.npy", np.int32, -1) + np.int32(offsets[side][shard.rank])
            for side in SIDES
        }
        for sender in range(shard.size)
    ]


def answered(shard: Shard, options: Options, parts: list[Part]) -> None:  # noqa: ARG001
    """Keep the rows of this worker's ids: ranges follow each other as its ids do."""
    shard.kept["numbers"] = {side: np.concatenate([part[side] for part in parts]) for side in SIDES}


def _files(shard: Shard, side: str, sender: int) -> list[Path]:
    return sorted(spill(shard).glob(f"{side}-{sender:04d}-*.parquet"))


def _ids(paths: list[Path]) -> str:
    """A table expression for the ids in these files."""
    listed = ", ".join(literal(exact(path)) for path in paths)
    return f"read_parquet([{listed}], hive_partitioning = false)" if paths else "(SELECT '' AS id WHERE false)"
