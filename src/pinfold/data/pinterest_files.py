"""A Pinterest-like world as files: shards of events, a table of items, their features, and world.json."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.lib import format as npy_format

from pinfold.arrays import Ints, Longs
from pinfold.data.pinterest import PinterestConfig, check_sizes
from pinfold.data.pinterest_world import FEATURE_ROWS, Centers, Places, build_world
from pinfold.data.sql import Connection, Limits, literal, workspace
from pinfold.errors import ConfigError, DataError
from pinfold.files import flush
from pinfold.kernels.worlds import take
from pinfold.progress import SILENT, Progress

SHARD = 4_000_000  # events of a shard unless said otherwise
LARGEST = 16_000_000  # events that are in memory at once
FIRST = 1_704_067_200  # 2024-01-01, when the world begins
ROWS = "ROW_GROUP_SIZE 245760, COMPRESSION zstd"


def generate(path: Path, config: PinterestConfig, shards: int | None = None, progress: Progress = SILENT) -> None:
    """Write the world to a folder that appears when all is in it.

        events-00000.parquet ...    user, item, time (seconds); users and items mixed, no pair twice
        items.parquet               item, title, category: the name of its community
        features.npy                (I, F) float16, unit rows in the order of the items' rows
        world.json                  the options

    Ids are whole numbers of equal length, so that the order of their bytes is the order of rows. The same options give
    the same edges, whatever the number of shards. Memory: the tables of `build_world` and a shard.

    Args:
        path: the folder.
        config: the world.
        shards: files of events; None: as many as keep each near SHARD events.
        progress: who is told.

    Raises:
        ConfigError: sizes that cannot be, or too few or too many shards.
        DataError: the folder exists, or the file system refuses.
    """
    check_sizes(config)
    shards = -(-config.edges // SHARD) if shards is None else shards
    least = -(-config.edges // LARGEST)
    if not least <= shards <= min(config.users, 99_999):
        raise ConfigError(
            f"shards = {shards}: expected {least} to {min(config.users, 99_999)}: a shard holds whole users, and some "
            f"{LARGEST} events at most"
        )
    with _appearing(path) as folder, workspace(Limits(), folder.parent) as connection:
        with progress.task("world", 1) as task:
            places = build_world(config)
            task.advance()
        _write_items(connection, folder, places, progress)
        _write_events(connection, folder, places, _shards(places, shards), progress)
        world = {"format": 1, **asdict(config)}
        (folder / "world.json").write_text(json.dumps(world, indent=1) + "\n", encoding="utf-8")


def first_id(n: int) -> int:
    """What is added to a row to make its id: a power of ten that gives all n ids the same length."""
    return int(10 ** len(str(n - 1)))


def _shards(places: Places, shards: int) -> list[Ints]:
    """The places of the users of each shard: a random part of them, with nearly as many edges as the others'."""
    config = places.config
    users: Ints = np.random.default_rng([config.seed, 5]).permutation(config.users).astype(np.int32)
    sums = np.cumsum(places.world.degrees[users], dtype=np.int64)
    steps = np.arange(1, shards)
    bounds = np.searchsorted(sums, steps * config.edges // shards, side="left") + 1
    # a user each at least, though one before may have more edges than a shard should
    bounds = np.maximum.accumulate(bounds - steps) + steps
    return np.split(users, np.minimum(bounds, config.users - shards + steps))


def _write_events(connection: Connection, folder: Path, places: Places, shards: list[Ints], progress: Progress) -> None:
    config, world = places.config, places.world
    bases = first_id(len(places.users)), first_id(len(places.items))
    with progress.task("events", config.edges) as task:
        for number, users in enumerate(shards):
            ptr: Longs = np.concatenate([[0], np.cumsum(world.degrees[users], dtype=np.int64)])
            items, times = take(world, users, ptr)
            # Mixed, so that whoever reads the files has to sort them, as with files from elsewhere.
            order = np.random.default_rng([config.seed, 6, number]).permutation(len(items)).astype(np.int32)
            rows = np.repeat(places.users[users], np.diff(ptr))[order]
            columns = {"user": rows, "item": places.items[items[order]], "time": times[order]}
            del items, times, order, rows
            connection.register("columns", columns)
            _copy(
                connection,
                folder / f"events-{number:05d}.parquet",
                f'SELECT "user"::BIGINT + {bases[0]} AS "user", item::BIGINT + {bases[1]} AS item, '
                f"time::BIGINT + {FIRST} AS time FROM columns",
            )
            connection.unregister("columns")
            task.advance(int(ptr[-1]))


def _write_items(connection: Connection, folder: Path, places: Places, progress: Progress) -> None:
    """Write items.parquet and features.npy, row after row."""
    config = places.config
    at: Ints = np.empty(config.items, np.int32)  # the place of each row
    at[places.items] = np.arange(config.items, dtype=np.int32)
    centers, communities = Centers(places), np.empty(config.items, np.int32)
    path = folder / "features.npy"
    shape = {"descr": np.dtype(np.float16).str, "fortran_order": False, "shape": (config.items, config.features)}
    with path.open("wb") as file, progress.task("features", config.items) as task:
        npy_format.write_array_header_1_0(file, shape)
        for block, start in enumerate(range(0, config.items, FEATURE_ROWS)):
            items = at[start : start + FEATURE_ROWS]
            communities[start : start + FEATURE_ROWS] = centers.communities(items)
            file.write(centers.features(block, items).astype(np.float16).tobytes())
            task.advance(len(items))
    connection.register("columns", {"row": np.arange(config.items, dtype=np.int32), "community": communities})
    _copy(
        connection,
        folder / "items.parquet",
        f"SELECT row::BIGINT + {first_id(config.items)} AS item, 'pin ' || row AS title, "
        "'community ' || community AS category FROM columns",
    )
    connection.unregister("columns")


def _copy(connection: Connection, path: Path, query: str) -> None:
    connection.execute(f"COPY ({query}) TO {literal(str(path))} (FORMAT parquet, {ROWS})")


@contextmanager
def _appearing(path: Path) -> Iterator[Path]:
    """A hidden folder beside `path` that takes its name when the block ends, and vanishes after an error.

    Raises:
        DataError: `path` exists, or the file system refuses.
    """
    path = path.resolve()
    if path.exists():
        raise DataError(f"{path}: exists already; remove it or name another folder")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent))
    except OSError as error:
        raise DataError(f"{path}: cannot be written: {error}") from error
    try:
        yield partial
        for file in [*sorted(partial.iterdir()), partial]:
            flush(file)
        partial.chmod(0o755)
        partial.rename(path)
        flush(path.parent)
    except OSError as error:
        raise DataError(f"{path}: cannot be written: {error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
