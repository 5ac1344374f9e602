"""A smaller data set of a share of the users: what a model is trained on where all of the data would be too much.

Users are drawn, not events, so that histories stay whole; the items are those that the drawn users took.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from pinfold.arrays import Bools, Ints
from pinfold.artifacts import writing
from pinfold.data.dataset import KIND
from pinfold.data.npy import NpyStream
from pinfold.data.sql import Limits, literal, parquet_table, workspace
from pinfold.data.stored import SIDES, DatasetFiles, open_dataset
from pinfold.errors import ArtifactError, ConfigError, DataError

STEP = 1 << 22  # events looked at together
BYTES = 1 << 26  # of feature rows copied together
GOLDEN, FIRST, SECOND = (np.uint64(n) for n in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


@dataclass(frozen=True, slots=True)
class Features:
    """An npy file with a row for each item of the whole data set, and where to write the rows of the sample."""

    whole: Path
    out: Path


@dataclass(frozen=True, slots=True)
class SampleReport:
    """What the sample holds."""

    users: int
    items: int
    edges: int


def sample_dataset(
    path: Path,
    out: Path,
    share: float,
    *,
    seed: int = 0,
    features: Features | None = None,
    replace: bool = False,
    progress: Callable[[str], None] | None = None,
) -> SampleReport:
    """Write the data set `out`: some `share` of the users of `path` with all their events, and the items of these.

    Whether a user is drawn depends on the seed and the user's row alone. Rows are numbered afresh in the old order.
    Events and tables are read in blocks; only a mark and a new number for each user and item are held.

    Raises:
        ConfigError: a share that is not in (0, 1].
        DataError: the sample has no event, or the features do not fit the items.
        ArtifactError: `path` is damaged, `out` exists, or the file system refuses.
    """
    if not 0 < share <= 1:
        raise ConfigError(f"users = {share}: expected a share above 0 and up to 1, such as 0.2")
    say = progress or (lambda _: None)
    files = open_dataset(path)
    matrix = None if features is None else _open_features(features, files.n_items, replace=replace)
    say("drawing users")
    users = draw_rows(files.n_users, share, seed)
    items = _taken(files, users)
    if not items.any():
        raise DataError(f"{path}: of the {int(users.sum())} users drawn none has an event; raise --users")
    with writing(out, KIND, replace=replace) as folder:
        say("writing edges")
        names = ("users.npy", "items.npy", "weights.npy", "times.npy")
        with NpyStream(*(folder.path(name) for name in names)) as stream:
            _copy_events(files, users, items, stream)
        say("writing users and items")
        for side, kept in zip(SIDES, (users, items), strict=True):
            _copy_table(files.tables[side], kept, folder.path(f"{side}.parquet"))
        of = {"users": files.n_users, "items": files.n_items, "edges": len(files.interactions)}
        folder.json("source.json", {**files.source, "sample": {"users": share, "seed": seed, "of": of}})
        if features is not None and matrix is not None:
            say("writing features")
            _copy_rows(matrix, items, features.out)
    return SampleReport(int(users.sum()), int(items.sum()), stream.length)


def draw_rows(n: int, share: float, seed: int) -> Bools:
    """Which of n rows are drawn, each with this probability, by a hash of the seed and the row. Shape (n,).

    Splitmix64 (Steele, Lea and Flood, OOPSLA 2014): the row-th number of the stream that the seed begins.
    """
    drawn = np.empty(n, np.bool_)
    for start in range(0, n, STEP):
        rows = np.arange(start, min(start + STEP, n), dtype=np.uint64)
        with np.errstate(over="ignore"):
            mixed = _mix(_mix(np.full(1, seed % 2**64, np.uint64)) + (rows + np.uint64(1)) * GOLDEN)
        drawn[start : start + STEP] = (mixed >> np.uint64(11)) * 2.0**-53 < share
    return drawn


def _mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    x = (x ^ (x >> np.uint64(30))) * FIRST
    x = (x ^ (x >> np.uint64(27))) * SECOND
    return x ^ (x >> np.uint64(31))


def _blocks(files: DatasetFiles) -> Iterator[slice]:
    for start in range(0, len(files.interactions), STEP):
        yield slice(start, start + STEP)


def _taken(files: DatasetFiles, users: Bools) -> Bools:
    """Which items these users took. Shape (I,)."""
    items = np.zeros(files.n_items, np.bool_)
    for block in _blocks(files):
        items[files.interactions.items[block][users[files.interactions.users[block]]]] = True
    return items


def _copy_events(files: DatasetFiles, users: Bools, items: Bools, stream: NpyStream) -> None:
    events, new_users, new_items = files.interactions, _numbered(users), _numbered(items)
    for block in _blocks(files):
        kept = np.flatnonzero(users[events.users[block]])
        old = [column[block][kept] for column in (events.users, events.items, events.weights, events.times)]
        stream.append(new_users[old[0]], new_items[old[1]], *old[2:])


def _numbered(kept: Bools) -> Ints:
    """The new row of each row that is kept; of the others nothing."""
    return np.cumsum(kept, dtype=np.int32) - np.int32(1)


def _copy_table(table: Path, kept: Bools, out: Path) -> None:
    """The rows of a Parquet table that are kept, in order, with the types that they have."""
    with workspace(Limits(), out.parent.parent) as connection:
        connection.register("kept", {"row": np.flatnonzero(kept)})
        query = (
            f"SELECT whole.* FROM {parquet_table(table)} whole "
            "SEMI JOIN kept ON kept.row = file_row_number ORDER BY file_row_number"
        )
        connection.execute(f"COPY ({query}) TO {literal(str(out))} (FORMAT parquet, COMPRESSION zstd)")


def _open_features(features: Features, n_items: int, *, replace: bool) -> NDArray[Any]:
    """The whole features, memory-mapped (I, D)."""
    if features.out.exists() and not replace:
        raise ArtifactError(f"{features.out}: exists already; remove it, name another file, or ask to replace it")
    try:
        matrix: NDArray[Any] = np.lib.format.open_memmap(features.whole, mode="r")  # refuses objects
    except Exception as error:  # numpy's header parser lets many kinds through
        raise DataError(f"{features.whole}: not an npy array: {error}") from error
    if matrix.ndim != 2 or len(matrix) != n_items:
        raise DataError(
            f"{features.whole}: expected one row for each of the {n_items} items, found shape {matrix.shape}"
        )
    return matrix


def _copy_rows(matrix: NDArray[Any], kept: Bools, out: Path) -> None:
    """The rows that are kept as an npy file, in blocks: written beside, flushed to disk, renamed."""
    partial = out.with_name(f".{out.name}.partial")
    step = max(1, BYTES // max(1, matrix[:1].nbytes))
    try:
        with partial.open("wb") as file:
            shape = {"descr": npy_format.dtype_to_descr(matrix.dtype), "fortran_order": False}
            npy_format.write_array_header_1_0(file, shape | {"shape": (int(kept.sum()), matrix.shape[1])})
            for start in range(0, len(matrix), step):
                file.write(np.ascontiguousarray(matrix[start : start + step][kept[start : start + step]]).tobytes())
            file.flush()
            os.fsync(file.fileno())
        partial.replace(out)
    except OSError as error:
        raise ArtifactError(f"{out}: cannot be written: {error}") from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
