"""The graph in parts: every event goes to the owner of its user and to the owner of its item, who sort them."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np

from pinfold.arrays import Floats, Ints, Longs, spans
from pinfold.data.stored import DatasetFiles, open_dataset
from pinfold.engine.interface import NOTHING, Options, Part, Shard
from pinfold.engine.partition import Ranges, by_owner
from pinfold.engine.parts import forget_begun, is_whole, making, open_part
from pinfold.errors import ArtifactError
from pinfold.graph.building import Edges, build_graph_files, write_sorted_csr

EVENT = 160  # bytes that an event takes while it is sorted by owners and sent
LEAST = 1024  # events at once, however little memory there is
SPILLED = np.dtype([("rows", "<i4"), ("columns", "<i4"), ("weights", "<f4")])
Side = Literal["users", "items"]
SIDES: tuple[Side, Side] = ("users", "items")


def files(shard: Shard) -> DatasetFiles:
    """The job's data set, checked once in the worker's life.

    Raises:
        ArtifactError: it is damaged, or not the one that the job was made for.
    """
    if "dataset" not in shard.kept:
        found = open_dataset(shard.job.dataset)
        sizes = (found.n_users, found.n_items, len(found.interactions))
        if sizes != (shard.job.n_users, shard.job.n_items, shard.job.n_edges):
            raise ArtifactError(f"{shard.job.dataset}: has changed since the job began; begin a new one")
        shard.kept["dataset"] = found
    dataset: DatasetFiles = shard.kept["dataset"]
    return dataset


def begin(shard: Shard, options: Options) -> int:
    """Make room for what comes; how many rounds this worker's slice of the events takes.

    With one worker the graph is built at once.
    """
    events = files(shard).interactions
    if shard.size == 1:
        forget_begun(shard, "graph")
        build_graph_files(shard.place("graph"), events, shard.job.memory)
        return 0
    shutil.rmtree(_spill(shard), ignore_errors=True)
    if not is_whole(shard, options):
        with _naming(_spill(shard)):
            _spill(shard).mkdir()
    slices = Ranges(len(events), shard.size)
    return -(-slices.count(shard.rank) // _step(shard))


def send(shard: Shard, options: Options) -> list[Part]:
    """The next events of this worker's slice, to both owners of each."""
    events, step = files(shard).interactions, _step(shard)
    slices = Ranges(len(events), shard.size)
    start = min(slices.start(shard.rank) + options["round"] * step, slices.stop(shard.rank))
    block = slice(start, min(start + step, slices.stop(shard.rank)))
    users, items, weights = events.users[block], events.items[block], events.weights[block]
    parts: list[dict[str, Ints | Floats]] = [{} for _ in range(shard.size)]
    for side, ranges, rows, columns in (("users", shard.users, users, items), ("items", shard.items, items, users)):
        order, ends = by_owner(ranges, rows)
        for rank, part in enumerate(parts):
            own = order[ends[rank] : ends[rank + 1]]
            part |= {f"{side}_rows": rows[own], f"{side}_columns": columns[own], f"{side}_weights": weights[own]}
    return list(parts)


def spill(shard: Shard, options: Options, parts: list[Part]) -> None:  # noqa: ARG001
    """Append what came to a file for each sender, so that in the end events stand in their order again."""
    if not _spill(shard).exists():
        return  # the part is there
    for sender, part in enumerate(parts):
        for side in SIDES:
            rows = np.empty(len(part[f"{side}_rows"]), SPILLED)
            for name in ("rows", "columns", "weights"):
                rows[name] = part[f"{side}_{name}"]
            path = _spill(shard) / f"{side}-{sender:04d}"
            with _naming(path), path.open("ab") as file:
                file.write(rows.data)


def build(shard: Shard, options: Options) -> None:  # noqa: ARG001
    """Sort what came into the two parts of the graph."""
    if not _spill(shard).exists():
        return
    users, items, job = shard.users, shard.items, shard.job
    with making(shard, "graph") as folder:
        for name, side, own, others in (("user_items", "users", users, items), ("item_users", "items", items, users)):
            shape, first = (own.count(shard.rank), others.n), own.start(shard.rank)
            write_sorted_csr(folder, name, _spilled(shard, side), shape, _spill(shard), job.memory, first)
    shutil.rmtree(_spill(shard))


def degrees(shard: Shard, options: Options = NOTHING) -> tuple[int, float, float]:  # noqa: ARG001
    """Of log(1 + degree) over own items that somebody took: how many, the mean, and the squares around it, summed."""
    ptr = open_part(shard, "graph").array("item_users_ptr.npy", np.int64, -1)
    n, mean, squares = 0, 0.0, 0.0
    for span in spans(len(ptr) - 1):
        counts: Longs = np.diff(ptr[span.start : span.stop + 1])
        logs = np.log1p(counts[counts > 0])
        if len(logs):
            own, around = float(logs.mean()), float(((logs - logs.mean()) ** 2).sum())
            both = n + len(logs)
            squares += around + (own - mean) ** 2 * n * len(logs) / both
            mean += (own - mean) * len(logs) / both
            n = both
    return n, mean, squares


def _step(shard: Shard) -> int:
    """Events that are sent in one round."""
    return max(LEAST, shard.job.memory // EVENT)


def _spill(shard: Shard) -> Path:
    return shard.job.work / f".spill-{shard.rank:04d}"


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Says of what the file system refuses what was to be put there."""
    try:
        yield
    except OSError as error:
        raise ArtifactError(f"{path}: events cannot be put there: {error}; make room, or use another folder") from error


def _spilled(shard: Shard, side: str) -> Iterator[Edges]:
    """All that came for one side, senders one after another."""
    for sender in range(shard.size):
        path = _spill(shard) / f"{side}-{sender:04d}"
        if not path.exists():
            continue
        with path.open("rb") as file:
            while len(rows := np.fromfile(file, SPILLED, _step(shard))):
                yield rows["rows"], rows["columns"], rows["weights"]
