"""Parts: the sealed folders in which workers leave what a stage makes."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pinfold.arrays import Floats
from pinfold.artifacts import Folder, FolderWriter, open_folder, writing
from pinfold.engine.interface import Options, Shard
from pinfold.engine.partition import Ranges
from pinfold.errors import ArtifactError

Values = NDArray[Any]  # float32, or float16 on disk and on the way


def is_whole(shard: Shard, options: Options) -> bool:
    """Whether this worker's part of `options["stage"]` is there and undamaged; a damaged one is removed."""
    stage = options["stage"]
    if not shard.place(stage).exists():
        return False
    try:
        open_part(shard, stage)
    except ArtifactError:
        shutil.rmtree(shard.place(stage))
        return False
    return True


def open_part(shard: Shard, stage: str) -> Folder:
    """This worker's own part of a stage, checked once in the worker's life.

    Raises:
        ArtifactError: it is missing or damaged.
    """
    opened: dict[str, Folder] = shard.kept.setdefault("parts", {})
    if stage not in opened:
        opened[stage] = open_folder(shard.place(stage), stage)
    return opened[stage]


@contextmanager
def making(shard: Shard, stage: str) -> Iterator[FolderWriter]:
    """A writer for this worker's part; what a worker that was lost had begun goes away first.

    Raises:
        ArtifactError: the file system refuses.
    """
    forget_begun(shard, stage)
    with writing(shard.place(stage), stage) as folder:
        yield folder


def forget_begun(shard: Shard, stage: str) -> None:
    """Remove what a worker that was lost had begun of this part."""
    place = shard.place(stage)
    for begun in place.parent.glob(f".{place.name}.*.partial"):
        shutil.rmtree(begun, ignore_errors=True)


def stored(shard: Shard) -> type[np.generic]:
    """How inputs and messages of the layers are kept."""
    return np.float16 if shard.job.half else np.float32


def read_rows(shard: Shard, stage: str, name: str) -> Values:
    """This worker's rows (n, D) of a stage, memory-mapped; float32 or float16."""
    folder = open_part(shard, stage)
    half = shard.job.half and name in ("inputs.npy", "sent.npy")
    return folder.array(name, np.float16 if half else np.float32, -1, -1)


def wide(rows: Values) -> Floats:
    """The rows in single precision."""
    return np.asarray(rows, np.float32)


def blocks(ranges: Ranges, rank: int, block: int) -> Iterator[tuple[int, int]]:
    """Rows of one range, cut where a multiple of `block` stands, whatever the number of ranges. Global rows."""
    start, end = ranges.start(rank), ranges.stop(rank)
    while start < end:
        stop = min((start // block + 1) * block, end)
        yield start, stop
        start = stop
