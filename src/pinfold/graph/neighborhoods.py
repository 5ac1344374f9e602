"""Importance neighborhoods: for every item the T items that matter most to it, with weights (PinSage, section 3.1)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from pinfold.arrays import Floats, Ints, check_array
from pinfold.artifacts import Folder, FolderWriter
from pinfold.config import options
from pinfold.errors import ArtifactError
from pinfold.graph.bipartite import BipartiteGraph
from pinfold.graph.csr import Csr
from pinfold.graph.pruning import prune
from pinfold.kernels.push import push_top, push_window
from pinfold.kernels.visits import walk_once, walk_top, walk_window
from pinfold.kernels.walks import Sources, Table, running_sums

BLOCK = 65_536  # items whose neighborhoods are in memory at once while a table is written
STEPS_PER_RANK = 4  # walks that rank deep take at least so many steps for each rank


@options
class NeighborhoodConfig:
    """Which items are an item's neighbors, and how much each weighs.

    A step goes from an item to a random user of it and on to a random item of that user.
    """

    method: Annotated[
        Literal["walks", "push", "uniform"],
        Field(
            description="shares of the visits of random walks with restart; their limit by forward push, without "
            "chance; or distinct items one random step away, all of one weight (GraphSAGE)"
        ),
    ] = "walks"
    size: Annotated[int, Field(ge=1, description="T, neighbors of an item at most")] = 50
    steps: Annotated[int, Field(ge=1, le=2**24, description="random steps from each item, restarts together")] = 500
    restart: Annotated[float, Field(gt=0, le=1, description="chance to go back to the item after each step")] = 0.5
    weighted: Annotated[bool, Field(description="draw edges in proportion to their weights, else evenly")] = False
    epsilon: Annotated[
        float, Field(gt=0, le=1, description="of push: how much may stay behind at a node, for each of its edges")
    ] = 1e-5
    prune: Annotated[
        float, Field(gt=0, le=1, description="an item of d users is walked through d to this power of them; 1: all")
    ] = 1.0


@dataclass(frozen=True, slots=True)
class Neighborhoods:
    """The neighbors of each item, the best first. The arrays may be memory-mapped and are never changed."""

    ids: Ints  # (I, T) item rows; -1 where there are fewer
    weights: Floats  # (I, T) 1 in the sum of each row that has neighbors; 0 beside -1

    def __post_init__(self) -> None:
        check_array("ids", self.ids, np.int32, -1, -1)
        check_array("weights", self.weights, np.float32, *self.ids.shape)


@dataclass(frozen=True, slots=True)
class Tables:
    """A graph as the walks read it: made once, used for many sources."""

    items: Table
    users: Table


def walk_tables(graph: BipartiteGraph, config: NeighborhoodConfig) -> Tables:
    """What `neighborhoods` and the others make of the graph unless they are given it.

    Raises:
        ValueError: walks by weight, and a weight is not positive.
    """
    kept = prune(graph, config.prune)
    return Tables(walk_table(kept.item_users, config), walk_table(kept.user_items, config))


def walk_table(edges: Csr, config: NeighborhoodConfig) -> Table:
    """One side's edges as the walks read them, of the whole graph or of some of its rows.

    Raises:
        ValueError: walks by weight, and a weight is not positive.
    """
    ptr, ids = np.asarray(edges.ptr), np.asarray(edges.ids)
    if not config.weighted:
        return Table(ptr, ids, np.empty(0, np.float32), np.empty(0))
    weights = np.asarray(edges.weights)
    if not (weights > 0).all():
        raise ValueError("walks by weight need weights above 0; walk without weights, or leave those edges out")
    return Table(ptr, ids, weights, running_sums(ptr, weights))


def neighborhoods(
    graph: BipartiteGraph, config: NeighborhoodConfig, seed: int, rows: Ints | None = None, tables: Tables | None = None
) -> Neighborhoods:
    """The neighborhoods of all items, or of `rows` in their order.

    A row depends on the graph, the options, the seed and the item alone: not on the other rows nor on threads. An item
    without users has none; nor has one whose users took nothing else. An item is never its own neighbor.

    Args:
        graph: who took what.
        config: the method and its options.
        seed: in [0, 2^63); push has no use for it.
        rows: (B,) items, as often as wanted; None: all.
        tables: of this graph and these options, for those who ask often.

    Raises:
        ValueError: a row out of range, or see `walk_tables`.
    """
    tables = tables or walk_tables(graph, config)
    return _found(tables, _old(graph, tables, rows), config, seed)


def fresh_neighborhoods(
    graph: BipartiteGraph, config: NeighborhoodConfig, seed: int, collections: Csr, tables: Tables | None = None
) -> Neighborhoods:
    """The neighborhoods of items that are not in the graph but in a few of its users' collections.

    All walk with the draws of the first row behind the catalogue, so what an item gets does not depend on the items
    asked for beside it. The graph stays as it is: nobody's walk meets a fresh item, its own no more than the others'.

    Args:
        graph: who took what.
        config: the method and its options.
        seed: in [0, 2^63).
        collections: (N, U) the users of each fresh item.
        tables: of this graph and these options, for those who ask often.

    Raises:
        ValueError: collections of another number of users, or see `walk_tables`.
    """
    if collections.n_columns != graph.n_users:
        raise ValueError(f"collections has {collections.n_columns} users, the graph {graph.n_users}: must be equal")
    tables = tables or walk_tables(graph, config)
    ptr, ids = tables.users.ptr, collections.ids  # as pruned: a user may have lost all items
    leading = ptr[ids + 1] > ptr[ids]  # from a user without items no walk goes on
    table, n = walk_table(collections.only(leading), config), collections.n_rows
    streams = np.full(n, graph.n_items, np.int64)
    sources = Sources(table.ptr[:-1], table.ptr[1:], table, True, np.full(n, -1, np.int32), streams)
    return _found(tables, sources, config, seed)


def rank_window(
    graph: BipartiteGraph, first: int, last: int, n: int, config: NeighborhoodConfig, seed: int,
    rows: Ints | None = None,
) -> Ints:  # fmt: skip
    """Items drawn evenly, each once, from the ranks [first, last) of personalized PageRank: hard negatives.

    With method "push" ranks are by shares, with "walks" and "uniform" by visits of walks of at least
    STEPS_PER_RANK * last steps, equal counts in random order. Where only R < last items are reached, the ranks
    shrink in proportion, to [first R / last, R), rounded up: the deepest there are, and never the nearest.

    Args:
        graph: who took what.
        first: 0 for the nearest item.
        last: above first.
        n: draws for each item.
        config: the method and its options; size is not used.
        seed: in [0, 2^63).
        rows: (B,) items; None: all.

    Returns:
        (B, n) item rows; -1 at the end of a row whose window has fewer than n.

    Raises:
        ValueError: not 0 <= first < last, a row out of range, or see `walk_tables`.
    """
    if not 0 <= first < last:
        raise ValueError(f"ranks must be 0 <= first < last, got {first} and {last}")
    tables, window = walk_tables(graph, config), (first, min(last, 2**24), n)
    sources = _old(graph, tables, rows)
    if config.method == "push":
        return push_window(tables.items, tables.users, sources, config.restart, config.epsilon, seed, window)
    steps = min(max(config.steps, STEPS_PER_RANK * last), 2**24)
    return walk_window(tables.items, tables.users, sources, steps, config.restart, seed, window)


def refreshed(
    table: Neighborhoods, graph: BipartiteGraph, config: NeighborhoodConfig, seed: int, rows: Ints
) -> Neighborhoods:
    """The table with some rows made afresh from this graph, and those of items that came behind its last.

    Raises:
        ValueError: a table of another T or of more items than the graph, or a row out of range.
    """
    n, size = table.ids.shape
    if size != config.size or n > graph.n_items:
        raise ValueError(
            f"table has (I, T) = {table.ids.shape}, the graph {graph.n_items} items and the options T = {config.size}: "
            "T must be equal, and items may only come, not go"
        )
    chosen = np.unique(np.concatenate([rows, np.arange(n, graph.n_items)])).astype(np.int32)
    made = neighborhoods(graph, config, seed, chosen)
    ids, weights = np.empty((graph.n_items, size), np.int32), np.empty((graph.n_items, size), np.float32)
    ids[:n], weights[:n] = table.ids, table.weights
    ids[chosen], weights[chosen] = made.ids, made.weights
    return Neighborhoods(ids, weights)


def _old(graph: BipartiteGraph, tables: Tables, rows: Ints | None) -> Sources:
    """Items of the graph as sources."""
    if rows is None:
        rows = np.arange(graph.n_items, dtype=np.int32)
    elif len(rows) and not (rows.min() >= 0 and rows.max() < graph.n_items):
        raise ValueError(f"rows must lie in [0, {graph.n_items}), found {rows.min()} to {rows.max()}")
    ptr = tables.items.ptr
    return Sources(ptr[rows], ptr[rows + 1], tables.items, False, rows.astype(np.int32), rows.astype(np.int64))


def _found(tables: Tables, sources: Sources, config: NeighborhoodConfig, seed: int) -> Neighborhoods:
    items, users = tables.items, tables.users
    match config.method:
        case "walks":
            found = walk_top(items, users, sources, config.steps, config.restart, seed, config.size)
        case "push":
            found = push_top(items, users, sources, config.restart, config.epsilon, config.size)
        case "uniform":
            found = walk_once(items, users, sources, config.steps, seed, config.size)
    return Neighborhoods(*found)


def neighborhood_blocks(
    graph: BipartiteGraph, config: NeighborhoodConfig, seed: int, block: int = BLOCK, first: int = 0
) -> Iterator[Neighborhoods]:
    """The rows of `neighborhoods` from row `first`, `block` items at a time: memory stays bounded."""
    tables = walk_tables(graph, config)
    for start in range(first, graph.n_items, block):
        rows = np.arange(start, min(start + block, graph.n_items), dtype=np.int32)
        yield neighborhoods(graph, config, seed, rows, tables)


def write_neighborhoods(folder: FolderWriter, table: Neighborhoods, prefix: str = "") -> None:
    """Two arrays, `neighbor_ids` and `neighbor_weights`, with the prefix before their names."""
    folder.array(f"{prefix}neighbor_ids.npy", table.ids)
    folder.array(f"{prefix}neighbor_weights.npy", table.weights)


def read_neighborhoods(folder: Folder, prefix: str = "", n_items: int | None = None) -> Neighborhoods:
    """The table that `write_neighborhoods` wrote, memory-mapped.

    Args:
        folder: what holds it.
        prefix: as it was written.
        n_items: how many items ids may name; None: as many as the table has rows.

    Raises:
        ArtifactError: a file is missing, an id is no item, or a weight is not in [0, 1].
    """
    ids = folder.array(f"{prefix}neighbor_ids.npy", np.int32, -1, -1)
    weights = folder.array(f"{prefix}neighbor_weights.npy", np.float32, *ids.shape)
    most = len(ids) if n_items is None else n_items
    for start in range(0, len(ids), BLOCK):  # a part at a time: the table may be larger than memory
        part, shares = ids[start : start + BLOCK], weights[start : start + BLOCK]
        if part.size and not (part.min() >= -1 and part.max() < most):
            raise ArtifactError(f"{folder.path}: {prefix}neighbor_ids.npy names items outside [0, {most})")
        if not ((shares >= 0) & (shares <= 1) & ((part >= 0) | (shares == 0))).all():
            raise ArtifactError(
                f"{folder.path}: {prefix}neighbor_weights.npy holds weights outside [0, 1], or without a neighbor"
            )
    return Neighborhoods(ids, weights)
