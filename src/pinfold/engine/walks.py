"""Neighborhoods over a partitioned graph: walks in rounds, the very walks that one worker takes by its kernels.

A wave of a worker's items is cut into segments (`kernels.segments`), and all segments of all workers advance together.
A round: walkers stand at users, whose owners draw an item for each; the visit goes to the source's owner, and the
walker, unless its segment ends there, to the item's owner, who draws a user. Sources' owners count the visits.
Memory bounds a worker's wave; where edges are so uneven that most walkers meet at one worker, that one needs more.
"""

from collections.abc import Generator
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from pinfold.arrays import BLOCK, Bools, Floats, Ints
from pinfold.engine.interface import Engine, Options, Part, Shard
from pinfold.engine.partition import Ranges
from pinfold.engine.parts import blocks, is_whole, making, open_part
from pinfold.engine.trained import read_trained
from pinfold.errors import ConfigError
from pinfold.graph.bipartite import BipartiteGraph, read_csr
from pinfold.graph.neighborhoods import NeighborhoodConfig, neighborhoods, walk_table, walk_tables
from pinfold.graph.streams import ArrayStream
from pinfold.kernels.segments import count_walks, cut_walks, going_on, grouped, hop, place_visits
from pinfold.kernels.walks import Table

WALKER = 96  # bytes that a walker takes while it is sorted, sent and taken in
WAVE = 1 << 14  # items of a worker that walk together at most: more spill out of caches, fewer make rounds many
Found = tuple[Ints, Floats]
Writer = Generator[None, Found, None]
NONE = np.empty(0, np.int32)


@dataclass(frozen=True, slots=True)
class Walkers:
    """Where each of W walkers stands, whose it is, and the number of its next step."""

    rows: Ints
    sources: Ints
    numbers: Ints


@dataclass(slots=True)
class Walking:
    """A worker's state while waves are under way."""

    items: Table  # of own items
    users: Table  # of own users
    config: NeighborhoodConfig
    chance: int  # of 2^32, to go home
    waves: list[tuple[int, int]]  # own items, some at a time
    writer: Writer | None
    walkers: Walkers
    visits: Ints  # (S, steps) of the wave
    first: int = 0  # the wave's first item


def run(engine: Engine, options: Options) -> None:
    """All waves and rounds."""
    n_waves = max(engine.run("walks.begin", options))
    for wave in range(n_waves):
        walking = engine.run("walks.start", {**options, "wave": wave})
        while any(walking):
            engine.exchange("walks.to_users", "walks.at_users", options)
            walking = engine.exchange("walks.to_items", "walks.at_items", options)
        engine.run("walks.count", {**options, "wave": wave})
    engine.run("walks.end", options)


def begin(shard: Shard, options: Options) -> int:
    """Open what walks need; how many waves this worker's items make. With one worker all is done at once.

    Raises:
        ConfigError: a push over a partitioned graph.
    """
    growth = read_trained(shard, options).growth
    config, whole = growth.neighborhood, is_whole(shard, options)
    if shard.size == 1:
        if not whole:
            _alone(shard, options["stage"], config)
        return 0
    check_parts(config, shard.size)
    graph = open_part(shard, "graph")
    items, users = (walk_table(read_csr(graph, name), config) for name in ("item_users", "user_items"))
    restart = 1.0 if config.method == "uniform" else config.restart
    most = shard.job.memory // (4 * config.steps + WALKER * (1 + int(config.steps * restart)))
    waves = [] if whole else list(blocks(shard.items, shard.rank, max(1, min(most, shard.job.block, WAVE))))
    writer = None if whole else _writer(shard, options["stage"], config, len(waves))
    if writer is not None:
        put(writer)
    nobody = Walkers(NONE, NONE, NONE)
    no_visits = np.empty((0, config.steps), np.int32)
    chance = int(restart * 2.0**32)
    shard.kept["walking"] = Walking(items, users, config, chance, waves, writer, nobody, no_visits)
    return len(waves)


def check_parts(config: NeighborhoodConfig, size: int) -> None:
    """Raise unless `size` workers can make such neighborhoods.

    Raises:
        ConfigError: they need the whole graph, which only one worker has.
    """
    if size > 1 and config.method == "push":
        raise ConfigError('neighborhoods by method "push" need the whole graph; use "walks", or one worker')
    if size > 1 and config.prune < 1:
        raise ConfigError("neighborhoods with prune below 1 need the whole graph; train with 1, or use one worker")


def start(shard: Shard, options: Options) -> int:
    """Cut the walks of the wave's items into segments; how many walkers set out."""
    walking: Walking = shard.kept["walking"]
    if options["wave"] >= len(walking.waves):
        return 0
    first, stop = walking.waves[options["wave"]]
    rows, own = np.arange(first, stop, dtype=np.int32), shard.items.start(shard.rank)
    steps, seed = walking.config.steps, shard.job.seed
    walking.visits, walking.first = np.empty((len(rows), steps), np.int32), first
    walking.walkers = Walkers(*cut_walks(walking.items, own, rows, steps, walking.chance, seed))
    return len(walking.walkers.rows)


def to_users(shard: Shard, options: Options) -> list[Part]:  # noqa: ARG001
    """Walkers to the owners of the users they stand at."""
    walking: Walking = shard.kept["walking"]
    walkers, walking.walkers = walking.walkers, Walkers(NONE, NONE, NONE)
    return _sent(walkers, shard.users, np.ones(len(walkers.rows), np.bool_))


def at_users(shard: Shard, options: Options, parts: list[Part]) -> None:  # noqa: ARG001
    """Draw an item for each walker that came."""
    walking: Walking = shard.kept["walking"]
    came, own = _came(parts), shard.users.start(shard.rank)
    items = hop(walking.users, own, came.rows, came.sources, came.numbers, shard.job.seed, 1)
    walking.walkers = Walkers(items, came.sources, came.numbers)


def to_items(shard: Shard, options: Options) -> list[Part]:  # noqa: ARG001
    """Visits to the owners of their sources; walkers that go on to the owners of the items they stand at."""
    walking: Walking = shard.kept["walking"]
    at, walking.walkers = walking.walkers, Walkers(NONE, NONE, NONE)
    on = going_on(at.sources, at.numbers, walking.config.steps, walking.chance, shard.job.seed)
    visits = Walkers(at.sources, at.numbers, at.rows)
    visited = _sent(visits, shard.items, np.ones(len(on), np.bool_), "visit_")
    return [{**one, **other} for one, other in zip(_sent(at, shard.items, on), visited, strict=True)]


def at_items(shard: Shard, options: Options, parts: list[Part]) -> int:  # noqa: ARG001
    """Note the visits, and draw a user for each walker that came; how many walkers there are."""
    walking: Walking = shard.kept["walking"]
    for part in parts:
        visits = (part["visit_rows"], part["visit_sources"], part["visit_numbers"])
        place_visits(walking.visits, walking.first, *visits)
    came, own = _came(parts), shard.items.start(shard.rank)
    numbers = came.numbers + np.int32(1)
    users = hop(walking.items, own, came.rows, came.sources, numbers, shard.job.seed, 0)
    walking.walkers = Walkers(users, came.sources, numbers)
    return len(users)


def count(shard: Shard, options: Options) -> None:
    """Write the neighborhoods of the wave's items."""
    walking: Walking = shard.kept["walking"]
    if options["wave"] >= len(walking.waves) or walking.writer is None:
        return
    first, stop = walking.waves[options["wave"]]
    own, config = shard.items.start(shard.rank), walking.config
    walked = np.diff(walking.items.ptr[first - own : stop - own + 1]) > 0
    rows, once = np.arange(first, stop, dtype=np.int32), config.method == "uniform"
    found = count_walks(walking.visits, rows, walked, shard.job.n_items, config.size, once=once)
    put(walking.writer, found)


def end(shard: Shard, options: Options) -> None:  # noqa: ARG001
    """Let go what walks needed."""
    shard.kept.pop("walking", None)


def _alone(shard: Shard, stage: str, config: NeighborhoodConfig) -> None:
    """One worker has the whole graph, and its kernels walk it."""
    folder = open_part(shard, "graph")
    graph = BipartiteGraph(read_csr(folder, "user_items"), read_csr(folder, "item_users"))
    tables, waves = walk_tables(graph, config), list(blocks(shard.items, 0, min(shard.job.block, BLOCK)))
    writer = _writer(shard, stage, config, len(waves))
    put(writer)
    for first, stop in waves:
        found = neighborhoods(graph, config, shard.job.seed, np.arange(first, stop, dtype=np.int32), tables)
        put(writer, (found.ids, found.weights))


def put(writer: Writer, found: Found | None = None) -> None:
    """Begin the part, or write the next of its rows; the last ones seal it."""
    with suppress(StopIteration):
        next(writer) if found is None else writer.send(found)


def _writer(shard: Shard, stage: str, config: NeighborhoodConfig, n: int) -> Writer:
    """Takes in n pieces of the neighborhoods."""
    with (
        making(shard, stage) as folder,
        ArrayStream(folder.path("neighbor_ids.npy"), np.int32, config.size) as ids,
        ArrayStream(folder.path("neighbor_weights.npy"), np.float32, config.size) as weights,
    ):
        for _ in range(n):
            found = yield
            ids.append(found[0])
            weights.append(found[1])


def _sent(walkers: Walkers, ranges: Ranges, kept: Bools, prefix: str = "") -> list[Part]:
    """To each worker the walkers that stand in its range."""
    *columns, ends = grouped(walkers.rows, ranges.bounds(), kept, walkers.sources, walkers.numbers)
    names = [f"{prefix}{name}" for name in ("rows", "sources", "numbers")]
    return [
        {name: column[a:b] for name, column in zip(names, columns, strict=True)} for a, b in pairwise(ends.tolist())
    ]


def _came(parts: list[Part]) -> Walkers:
    return Walkers(*(np.concatenate([part[name] for part in parts]) for name in ("rows", "sources", "numbers")))
