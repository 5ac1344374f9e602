"""How fast this machine is at what the stages do: two seconds of measuring, kept as numbers that can be stored."""

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from pinfold.arrays import Floats
from pinfold.data.interactions import Interactions
from pinfold.data.vocab import Vocab
from pinfold.errors import ConfigError
from pinfold.files import write_json
from pinfold.graph.bipartite import build_graph
from pinfold.kernels.products import multiply
from pinfold.kernels.visits import walk_top
from pinfold.kernels.walks import Sources, Table

LARGE = 6_000_000  # edges of the graph that is walked: some 60 MB both ways, more than most caches hold
STEPS = 500  # of a walk
DIM = 128  # of vectors
BLOCK = 4096  # rows of a product, as in graph.convolve
AGAIN = 2  # times that each is measured; the best counts
Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Speeds:
    """Units a second, with all threads where a stage uses all."""

    walk_steps: float  # steps of random walks over a graph that no cache holds, visits counted
    gathered: float  # bytes of rows read at random places and added up
    multiplied: float  # floating point operations of matrix products, two for each term
    touched: float  # bytes of large arrays written by simple arithmetic: fresh pages too
    hashed: float  # bytes by SHA-256
    written: float  # bytes to the disk, flushed
    edges_sorted: float  # edges made into a graph, both directions
    ids_read: float  # external ids made into a vocabulary

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not (np.isfinite(value) and value > 0):
                raise ValueError(f"{name} must be finite and positive, got {value}")


UNMEASURED = Speeds(*[1.0] * len(fields(Speeds)))


def calibrate(disk: Path | None = None, clock: Clock = time.perf_counter) -> Speeds:
    """Measured here and now, in two to three seconds; what else runs on the machine slows it as it will slow the job.

    Args:
        disk: a folder on the disk that the job will write to; None: where temporary files are.
        clock: what counts as a second; `time.process_time` counts those of this process alone.
    """
    rng = np.random.default_rng(0)
    return Speeds(
        walk_steps=walk_rate(rng, clock),
        gathered=gather_rate(rng, clock),
        multiplied=product_rate(rng, clock),
        touched=touch_rate(clock),
        hashed=hash_rate(clock),
        written=write_rate(disk, clock),
        edges_sorted=sort_rate(rng, clock),
        ids_read=id_rate(clock),
    )


def save_speeds(speeds: Speeds, path: Path) -> None:
    """Write them as JSON, so that a later plan need not measure.

    Raises:
        ConfigError: the file system refuses.
    """
    try:
        write_json(path, asdict(speeds))
    except OSError as error:
        raise ConfigError(f"{path}: speeds cannot be written: {error.strerror}; name another file") from error


def load_speeds(path: Path) -> Speeds:
    """What `save_speeds` wrote.

    Raises:
        ConfigError: the file cannot be read, or is not such a file.
    """
    try:
        found: Any = json.loads(path.read_text(encoding="utf-8"))
        return Speeds(**{name: float(value) for name, value in found.items()})
    except (OSError, ValueError, TypeError, AttributeError) as error:
        names = ", ".join(one.name for one in fields(Speeds))
        raise ConfigError(f"{path}: not a file of speeds: {error}; expected numbers for {names}") from error


def walk_rate(rng: np.random.Generator, clock: Clock) -> float:
    """Steps a second on a random graph of LARGE edges, six to an item and twelve to a user."""
    n_items, n_users = LARGE // 6, LARGE // 12
    items, users = (_random_table(n, m, rng) for n, m in ((n_items, n_users), (n_users, n_items)))
    rows = rng.integers(n_items, size=1024)
    starts = items.ptr[rows], items.ptr[rows + 1]
    sources = Sources(*starts, items, False, rows.astype(np.int32), rows.astype(np.int64))
    walk_top(items, users, sources, 10, 0.5, 0, 50)  # compiled
    return len(rows) * STEPS / _best(lambda: walk_top(items, users, sources, STEPS, 0.5, 0, 50), clock)


def gather_rate(rng: np.random.Generator, clock: Clock) -> float:
    """Bytes a second of rows of DIM numbers, fifty added up for each of some results."""
    table = rng.random((1 << 17, DIM), np.float32)  # 64 MiB
    n, size = 2048, 50
    ptr = np.arange(n + 1, dtype=np.int64) * size
    ids = rng.integers(len(table), size=n * size, dtype=np.int32)
    weights = np.full(n * size, 1 / size, np.float32)
    multiply(ptr[:2], ids[:size], weights[:size], table)  # compiled
    return n * size * DIM * 4 / _best(lambda: multiply(ptr, ids, weights, table), clock)


def product_rate(rng: np.random.Generator, clock: Clock) -> float:
    """Operations a second of products of blocks of rows with a square matrix."""
    rows, square = rng.random((BLOCK, DIM), np.float32), rng.random((DIM, DIM), np.float32)
    out = np.empty_like(rows)
    return 8 * 2 * BLOCK * DIM * DIM / _best(lambda: [np.matmul(rows, square, out=out) for _ in range(8)], clock)


def touch_rate(clock: Clock) -> float:
    """Bytes a second of a sum written into a new array."""
    table: Floats = np.ones((1 << 15, 256), np.float32)
    return table.nbytes / _best(lambda: table + np.float32(1), clock)


def hash_rate(clock: Clock) -> float:
    """Bytes a second by SHA-256."""
    block = bytes(16 << 20)
    return len(block) / _best(lambda: hashlib.sha256(block).digest(), clock)


def write_rate(disk: Path | None, clock: Clock) -> float:
    """Bytes a second to a file that is flushed to the disk."""
    block = os.urandom(1 << 20)

    def write() -> None:
        with tempfile.TemporaryFile(dir=disk) as file:
            for _ in range(32):
                file.write(block)
            file.flush()
            os.fsync(file.fileno())

    return 32 * len(block) / _best(write, clock, 1)


def sort_rate(rng: np.random.Generator, clock: Clock) -> float:
    """Edges a second from a list in the order of users, as data sets have them, to a graph."""
    n = 300_000
    users = np.sort(rng.integers(n // 6, size=n)).astype(np.int32)
    events = Interactions.of(users, rng.integers(n // 3, size=n).astype(np.int32), n // 6, n // 3)
    return n / _best(lambda: build_graph(events), clock)


def id_rate(clock: Clock) -> float:
    """Ids a second from a list of texts to a vocabulary."""
    names = [f"item{row:08d}" for row in range(50_000)]
    return len(names) / _best(lambda: Vocab(names, "item"), clock)


def _random_table(n: int, n_columns: int, rng: np.random.Generator) -> Table:
    degree = LARGE // n
    ptr = np.arange(n + 1, dtype=np.int64) * degree
    ids = rng.integers(n_columns, size=n * degree, dtype=np.int32)
    return Table(ptr, ids, np.empty(0, np.float32), np.empty(0))


def _best(work: Callable[[], Any], clock: Clock, times: int = AGAIN) -> float:
    """Seconds of the fastest round."""
    taken = []
    for _ in range(times):
        started = clock()
        work()
        taken.append(clock() - started)
    return max(min(taken), 1e-9)
