"""Graphs larger than memory: edges in any order become the sorted files of a CSR, which are then mapped.

    blocks of edges -> bucket files, each for a range of rows and columns -> one bucket after another sorted in memory
    -> pointers, columns and weights appended

A bucket that is too large for memory is parted again, down to a single pair, so that neither a row with more edges
than fit nor a pair that is repeated too often needs more.
"""

import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

import numpy as np

from pinfold.arrays import Floats, Ints, Longs, spans
from pinfold.artifacts import FolderWriter, open_folder, writing
from pinfold.data.interactions import Interactions
from pinfold.errors import ArtifactError
from pinfold.graph.bipartite import BipartiteGraph, read_graph
from pinfold.graph.streams import CsrStream, column_bits
from pinfold.kernels.edges import part_edges, sum_repeats
from pinfold.progress import SILENT, Progress, Silent, Task

KIND = "graph"
FAN = 7  # edges are parted into 2^FAN buckets, whose files are open together
STEP = 1 << 20  # edges that are parted at once
EDGE = 48  # bytes that an edge takes while its bucket is sorted, or while it is parted
WIDTH = 12  # bytes of an edge in a bucket file: row, column and weight
NOBODY: Task = Silent()

Edges = tuple[Ints, Ints, Floats]  # rows, columns, weights; (any,) each


def write_sorted_csr(
    folder: FolderWriter, name: str, blocks: Iterable[Edges], shape: tuple[int, int], work: Path, memory: int,
    first_row: int = 0, task: Task = NOBODY,
) -> None:  # fmt: skip
    """The files of `bipartite.write_csr` from edges in any order, byte for byte as from `from_pairs`.

    Weights of a repeated pair are summed one after another, in the order in which they come, in float32.

    Args:
        folder: where `name_ptr.npy` and the others are written.
        name: of the matrix.
        blocks: rows, columns and weights (any,) each, in any order. Rows count from `first_row`, as those of a
            partition do that keeps their numbers in the whole graph.
        shape: (R, C) of this matrix: rows lie in [first_row, first_row + R).
        work: a folder for bucket files, 12 bytes an edge; what is put there is gone in the end, after an error too.
            Only a kill leaves it, as `.edges.*`.
        memory: bytes for buffers and sorting, beside the blocks that are given. Less than some MB is slow.
        first_row: the number of the first row in the blocks.
        task: told of every edge twice: when it is in its bucket, and when its bucket is written.

    Raises:
        ValueError: a row or column out of range.
        ArtifactError: the file system refuses a bucket file.
    """
    with _buckets_in(work) as spill, CsrStream(folder, name, shape) as csr:
        room = _Room(csr.bits, max(memory // EDGE, 1), task)
        checked = _checked(blocks, shape, first_row)
        for keys, weights in _sorted_pieces(room, checked, 0, max(shape[0], 1) << csr.bits, spill):
            csr.append(keys, weights)


def build_graph_files(
    path: Path, events: Interactions, memory: int, progress: Progress = SILENT, *, replace: bool = False
) -> BipartiteGraph:
    """The graph of `bipartite.build_graph` as a folder of kind "graph", written in bounded memory, then mapped.

    Events that stand by user and item, as an import writes them, are not sorted for the side of the users.

    Args:
        path: the folder to be made; bucket files stand beside it meanwhile, 12 bytes an edge.
        events: may be mapped.
        memory: bytes for buffers and sorting.
        progress: is told of every edge twice a side.
        replace: whether a graph at `path` may be replaced.

    Raises:
        ArtifactError: the folder exists and may not be replaced, or the file system refuses.
    """
    n_users, n_items = events.n_users, events.n_items
    step = max(1, min(STEP, memory // EDGE))
    with (
        writing(path, KIND, replace=replace) as folder,
        tempfile.TemporaryDirectory(
            prefix=f".{path.name}.", suffix=".partial", dir=path.parent, ignore_cleanup_errors=True
        ) as buckets,
        progress.task("graph", 4 * len(events)) as task,
    ):
        work = Path(buckets)
        forth = ((events.users[s], events.items[s], events.weights[s]) for s in spans(len(events), step))
        back = ((events.items[s], events.users[s], events.weights[s]) for s in spans(len(events), step))
        if _in_order(events, step):
            with CsrStream(folder, "user_items", (n_users, n_items)) as csr:
                for users, items, weights in forth:
                    csr.append(users.astype(np.int64) << csr.bits | items, weights)
                    task.advance(2 * len(users))
        else:
            write_sorted_csr(folder, "user_items", forth, (n_users, n_items), work, memory, task=task)
        write_sorted_csr(folder, "item_users", back, (n_items, n_users), work, memory, task=task)
    return load_graph(path)


def load_graph(path: Path) -> BipartiteGraph:
    """The graph that `build_graph_files` wrote, memory-mapped.

    Raises:
        ArtifactError: names the file that is missing or damaged.
    """
    return read_graph(open_folder(path, KIND))


def _in_order(events: Interactions, step: int) -> bool:
    """Whether pairs of user and item rise from event to event, none repeated."""
    bits = column_bits((events.n_users, events.n_items))
    last = -1
    for span in spans(len(events), step):
        keys = events.users[span].astype(np.int64) << bits | events.items[span]
        if keys[0] <= last or (keys[1:] <= keys[:-1]).any():
            return False
        last = int(keys[-1])
    return True


@contextmanager
def _buckets_in(work: Path) -> Iterator[Path]:
    """A folder in `work` that is gone in the end."""
    with _naming(work):
        work.mkdir(parents=True, exist_ok=True)
        spill = Path(tempfile.mkdtemp(prefix=".edges.", dir=work))
    try:
        yield spill
    finally:
        shutil.rmtree(spill, ignore_errors=True)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Says of what the file system refuses that it was about bucket files."""
    try:
        yield
    except OSError as error:
        raise ArtifactError(
            f"{path}: edges cannot be put there for sorting: {error}; make room ({WIDTH} bytes an edge), "
            "or name another work folder"
        ) from error


def _checked(blocks: Iterable[Edges], shape: tuple[int, int], first_row: int) -> Iterator[Edges]:
    """The blocks with rows from 0, all of them in range."""
    for rows, columns, weights in blocks:
        for name, found, least, n in (("rows", rows, first_row, shape[0]), ("columns", columns, 0, shape[1])):
            if len(found) and not (found.min() >= least and found.max() < least + n):
                raise ValueError(f"{name} must lie in [{least}, {least + n}), found {found.min()} to {found.max()}")
        yield rows - np.int32(first_row), columns, weights


@dataclass(frozen=True, slots=True)
class _Room:
    """What sorting has to keep to."""

    bits: int  # of a column in a key
    most: int  # edges in memory at once
    task: Task


def _sorted_pieces(
    room: _Room, blocks: Iterable[Edges], low: int, high: int, spill: Path
) -> Iterator[tuple[Longs, Floats]]:
    """Keys in [low, high), ascending and distinct over all pieces, and the sums of their weights."""
    shift = max(0, (high - low - 1).bit_length() - FAN)
    counts = _part(room, blocks, low, shift, spill)
    for bucket, count in enumerate(counts.tolist()):
        path, first = spill / f"{bucket}", low + (bucket << shift)
        if count == 0:
            continue
        if count <= room.most:
            yield _sort(room, path, count)
        elif shift == 0:
            yield _sum(room, path, count, first)
        else:
            deeper = spill / f"{bucket}.parted"
            with _naming(deeper):
                deeper.mkdir()
            quiet = _Room(room.bits, room.most, NOBODY)
            yield from _sorted_pieces(quiet, _read(room, path, count), first, first + (1 << shift), deeper)
        path.unlink()
        room.task.advance(count)


def _part(room: _Room, blocks: Iterable[Edges], low: int, shift: int, spill: Path) -> Longs:
    """Append every edge to the file of its bucket; how many each one has."""
    n = 1 << FAN
    counts, files = np.zeros(n, np.int64), dict[int, FileIO]()
    with ExitStack() as stack:  # no buffers: they could fail to be written when the files are closed
        for block in blocks:
            for span in spans(len(block[0]), min(STEP, room.most)):
                parted, ends = part_edges(_packed(block, span), room.bits, low, shift, n)
                with _naming(spill):
                    for bucket in np.flatnonzero(np.diff(ends)).tolist():
                        if bucket not in files:
                            files[bucket] = stack.enter_context((spill / f"{bucket}").open("wb", buffering=0))
                        _append(files[bucket], parted[ends[bucket] : ends[bucket + 1]])
                counts += np.diff(ends)
                room.task.advance(len(parted))
    return counts


def _append(file: FileIO, edges: Ints) -> None:
    left = edges.reshape(-1).view(np.uint8).data
    while left:  # the system may take less than it is given
        left = left[file.write(left) :]


def _packed(block: Edges, span: slice) -> Ints:
    """Edges as a bucket file has them. Shape (any, 3)."""
    rows, columns, weights = block
    packed = np.empty((span.stop - span.start, 3), np.int32)
    packed[:, 0], packed[:, 1] = rows[span], columns[span]
    packed[:, 2] = np.ascontiguousarray(weights[span], np.float32).view(np.int32)
    return packed


def _read(room: _Room, path: Path, count: int) -> Iterator[Edges]:
    """The edges of a bucket file in pieces."""
    with path.open("rb") as file:
        for span in spans(count, min(STEP, room.most)):
            packed = np.fromfile(file, np.int32, 3 * (span.stop - span.start)).reshape(-1, 3)
            yield packed[:, 0], packed[:, 1], np.ascontiguousarray(packed[:, 2]).view(np.float32)


def _sort(room: _Room, path: Path, count: int) -> tuple[Longs, Floats]:
    """The keys of a bucket, sorted and distinct, and the sums of their weights."""
    keys, weights = np.empty(count, np.int64), np.empty(count, np.float32)
    done = 0
    for rows, columns, some in _read(room, path, count):
        place = slice(done, done + len(rows))
        keys[place] = rows
        keys[place] <<= room.bits
        keys[place] |= columns
        weights[place] = some
        done = place.stop
    if (weights.view(np.int32) == weights.view(np.int32)[0]).all():
        keys.sort()  # several times as fast as finding an order, and weights stand in every order
    else:
        order = np.argsort(keys)
        if _repeated(keys[order]):
            order = np.argsort(keys, kind="stable")  # slower, but the order of sums is part of the result
        keys, weights = keys[order], weights[order]
    n = sum_repeats(keys, weights)
    return keys[:n], weights[:n]


def _repeated(keys: Longs) -> bool:
    return bool((keys[1:] == keys[:-1]).any())


def _sum(room: _Room, path: Path, count: int, key: int) -> tuple[Longs, Floats]:
    """One pair that is repeated more often than fits."""
    total = np.empty(0, np.float32)
    for _, _, weights in _read(room, path, count):
        total = np.concatenate([total, weights])
        sum_repeats(np.full(len(total), key), total)
        total = total[:1]
    return np.array([key]), total
