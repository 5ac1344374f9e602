"""Tables of neighborhoods on disk, written block by block; a build that was killed goes on where it ended.

Its work folder holds the two arrays as far as they are written, and a journal: of what they are made, and the SHA-256
of every part that had reached the disk.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from pinfold import __version__
from pinfold.arrays import spans
from pinfold.artifacts import check_place, open_folder, writing
from pinfold.errors import ArtifactError
from pinfold.graph.bipartite import BipartiteGraph
from pinfold.graph.neighborhoods import (
    BLOCK,
    NeighborhoodConfig,
    Neighborhoods,
    neighborhood_blocks,
    read_neighborhoods,
)
from pinfold.progress import SILENT, Progress, Task

KIND = "neighborhoods"
PART = 4  # blocks that a kill can cost
DTYPES = {"neighbor_ids.npy": np.dtype(np.int32), "neighbor_weights.npy": np.dtype(np.float32)}
JOURNAL = "journal.json"


def build_neighborhoods(
    path: Path, graph: BipartiteGraph, config: NeighborhoodConfig, seed: int,
    progress: Progress = SILENT, *, replace: bool = False, work: Path | None = None,
) -> Neighborhoods:  # fmt: skip
    """The neighborhoods of all items written to the folder `path` block by block, then memory-mapped.

    Args:
        path: the folder to be made.
        graph: who took what.
        config: the method and its options.
        seed: in [0, 2^63).
        progress: is told of items.
        replace: whether a table at `path` may be replaced.
        work: a folder of this build alone, on the same disk, where it leaves what it has. Called again after a kill or
            an error, with the same graph, options, seed and version, it goes on from there; the result is the same. It
            goes away when the table stands. None: such a build begins anew.

    Raises:
        ArtifactError: the folder exists and may not be replaced, or the file system refuses.
        ValueError: see `walk_tables`.
    """
    check_place(path, KIND, replace=replace)
    with progress.task("neighborhoods", graph.n_items) as task:
        if work is None:
            with writing(path, KIND, replace=replace) as folder:
                files = [folder.path(name) for name in DTYPES]
                _write(files, graph, config, seed, task)
        else:
            with _naming(work):
                _go_on(work, graph, config, seed, task)
            with writing(path, KIND, replace=replace) as folder:
                for name in DTYPES:
                    _share(work / name, folder.path(name))
            _clear(work)
    return load_neighborhoods(path)


def load_neighborhoods(path: Path) -> Neighborhoods:
    """The table that `build_neighborhoods` wrote, memory-mapped.

    Raises:
        ArtifactError: names the file that is missing or damaged.
    """
    return read_neighborhoods(open_folder(path, KIND))


def _write(files: list[Path], graph: BipartiteGraph, config: NeighborhoodConfig, seed: int, task: Task) -> None:
    """Both arrays from the first row to the last."""
    with files[0].open("wb") as ids, files[1].open("wb") as weights:
        for file, dtype in zip((ids, weights), DTYPES.values(), strict=True):
            _write_header(file, dtype, graph, config)
        for block in neighborhood_blocks(graph, config, seed, BLOCK):
            ids.write(block.ids.data)
            weights.write(block.weights.data)
            task.advance(len(block.ids))


def _write_header(file: BinaryIO, dtype: np.dtype[Any], graph: BipartiteGraph, config: NeighborhoodConfig) -> None:
    shape = (graph.n_items, config.size)
    npy_format.write_array_header_1_0(file, {"descr": dtype.str, "fortran_order": False, "shape": shape})


def _go_on(work: Path, graph: BipartiteGraph, config: NeighborhoodConfig, seed: int, task: Task) -> None:
    """Both arrays in `work` from the first row that is not safe there."""
    work.mkdir(parents=True, exist_ok=True)
    made_of = {"version": __version__, "config": asdict(config), "seed": seed, "graph": _digest(graph, config)}
    parts = _promised(work / JOURNAL, made_of)
    with _opened(work / "neighbor_ids.npy") as ids, _opened(work / "neighbor_weights.npy") as weights:
        files, rows = (ids, weights), PART * BLOCK
        for file, dtype in zip(files, DTYPES.values(), strict=True):
            _write_header(file, dtype, graph, config)
        begins = [file.tell() for file in files]
        safe = _safe(files, parts, rows * config.size)
        parts, done = parts[:safe], min(safe * rows, graph.n_items)
        for file, begin in zip(files, begins, strict=True):
            file.seek(begin + 4 * done * config.size)
            file.truncate()
        task.advance(done)
        sums = [hashlib.sha256(), hashlib.sha256()]
        for block in neighborhood_blocks(graph, config, seed, BLOCK, done):
            for file, array, digest in zip(files, (block.ids, block.weights), sums, strict=True):
                file.write(array.data)
                digest.update(array.data)
            done += len(block.ids)
            if done % rows == 0 or done == graph.n_items:
                parts.append([digest.hexdigest() for digest in sums])
                sums = [hashlib.sha256(), hashlib.sha256()]
                _promise(work / JOURNAL, files, made_of | {"parts": parts})
            task.advance(len(block.ids))


def _safe(files: tuple[BinaryIO, BinaryIO], parts: list[list[str]], n: int) -> int:
    """How many parts of `n` numbers (the last one may have fewer) are what the journal says, read from here on."""
    for place, promised in enumerate(parts):
        if [hashlib.sha256(file.read(4 * n)).hexdigest() for file in files] != promised:
            return place
    return len(parts)


def _promised(journal: Path, made_of: dict[str, Any]) -> list[list[str]]:
    """The sums of the parts that the journal promises; none if it is not one of this table."""
    try:
        found = json.loads(journal.read_text(encoding="utf-8"))
        parts = found.pop("parts")
    except (OSError, ValueError, AttributeError, KeyError, TypeError):
        return []
    return parts if found == json.loads(json.dumps(made_of)) and isinstance(parts, list) else []


def _promise(journal: Path, files: tuple[BinaryIO, BinaryIO], value: dict[str, Any]) -> None:
    """Let the journal say so once the files are on the disk, and not before."""
    for file in files:
        file.flush()
        os.fsync(file.fileno())
    beside = journal.with_suffix(".partial")
    with beside.open("wb") as said:
        said.write(json.dumps(value).encode())
        said.flush()
        os.fsync(said.fileno())
    beside.replace(journal)


def _digest(graph: BipartiteGraph, config: NeighborhoodConfig) -> str:
    """The SHA-256 of what walks read of the graph, of one of its sides: the other has the same edges."""
    edges = graph.user_items
    digest = hashlib.sha256(f"{edges.n_rows} {edges.n_columns} {len(edges.ids)} ".encode())
    arrays: list[NDArray[Any]] = [edges.ptr, edges.ids, *([edges.weights] if config.weighted else [])]
    for array in arrays:
        for span in spans(len(array)):
            digest.update(np.ascontiguousarray(array[span]).data)
    return digest.hexdigest()


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """A file to read and write, as it is or new."""
    if path.exists() and path.stat().st_nlink > 1:  # a table shares it: the kill came after the last part
        beside = path.with_suffix(".partial")
        shutil.copyfile(path, beside)
        beside.replace(path)
    with path.open("r+b" if path.exists() else "w+b") as file:
        yield file


@contextmanager
def _naming(work: Path) -> Iterator[None]:
    """Says of what the file system refuses where it was, and that nothing is lost."""
    try:
        yield
    except OSError as error:
        raise ArtifactError(
            f"{work}: neighborhoods cannot be written: {error}; what is there is kept: "
            "make room and call again, and the work goes on"
        ) from error


def _share(made: Path, path: Path) -> None:
    """The same file under another name, so that it is there until the folder is; a copy where that cannot be."""
    try:
        path.hardlink_to(made)
    except OSError:
        shutil.copyfile(made, path)


def _clear(work: Path) -> None:
    """Remove what this module put there, and the folder if nothing else is in it."""
    with suppress(OSError):
        for name in (*DTYPES, JOURNAL):
            (work / name).unlink(missing_ok=True)
        work.rmdir()
