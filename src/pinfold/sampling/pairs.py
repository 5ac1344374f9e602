"""Mini-batches of edges with negatives: what models learn from."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from pinfold.arrays import Doubles, Floats, Ints, Longs
from pinfold.config import options
from pinfold.graph.bipartite import BipartiteGraph
from pinfold.graph.csr import Csr
from pinfold.kernels.negatives import sample_negatives


@options
class SamplingConfig:
    """What a batch is, and where its negatives come from. A negative that its user took never counts."""

    batch_by: Annotated[
        Literal["edges", "users"],
        Field(description="random edges; or random users with all their edges, which share their negatives' scores"),
    ] = "users"
    batch_size: Annotated[int, Field(ge=1, description="edges, or users, in a step")] = 256
    negatives: Annotated[
        Literal["uniform", "popularity", "in-batch", "mixed"],
        Field(
            description="items drawn evenly; by their number of users; from the batch's positives; half from there "
            "and half evenly"
        ),
    ] = "uniform"
    n_negatives: Annotated[int, Field(ge=1, description="negatives of each row, or of the batch where shared")] = 2048
    shared: Annotated[
        bool, Field(description="one draw of distinct items for the whole batch; always so for in-batch and mixed")
    ] = True


@dataclass(frozen=True, slots=True)
class Share:
    """Which part of a larger batch some rows are; see sampling.shares."""

    n_edges: int  # of the whole batch
    weights: Floats  # of each value of the loss; those of all shares together sum to 1
    leads: bool  # whether this share answers for what all have in common: the L2 term of shared negatives


@dataclass(frozen=True, slots=True)
class PairBatch:
    """Edges and, for each row, items that its user did not take. A row is an edge, or a user with all edges."""

    users: Ints  # (R,)
    positives: Ints  # (E,)
    owner: Longs | None  # (E,) the row of each positive; None: E = R, one each
    negatives: Ints  # (R, N), or (N,) where all rows share them
    taken: tuple[Longs, Longs] | None  # rows and columns of shared negatives that are positives of the row's user
    log_draws: Floats  # (N,), or (R, N): log of how often each negative was expected among the N
    share: Share | None = None  # None: a whole batch

    def edge_users(self) -> Ints:
        """The user of each positive. Shape (E,)."""
        return self.users if self.owner is None else self.users[self.owner]


def pair_batches(graph: BipartiteGraph, config: SamplingConfig, rng: np.random.Generator) -> Iterator[PairBatch]:
    """Every edge once, in random order, `batch_size` edges or users at a time; the last batch may be smaller."""
    draw = _shared if is_shared(config) else _own
    for users, positives, owner in _rows(graph, config, rng):
        yield draw(graph, config, users, positives, owner, rng)


def n_batches(graph: BipartiteGraph, config: SamplingConfig) -> int:
    """How many batches one pass over the edges takes."""
    rows = graph.n_edges if config.batch_by == "edges" else int((graph.user_items.degrees() > 0).sum())
    return -(-rows // config.batch_size)


def is_shared(config: SamplingConfig) -> bool:
    """Whether all rows of a batch have the same negatives."""
    return config.shared or config.negatives in ("in-batch", "mixed")


def _rows(
    graph: BipartiteGraph, config: SamplingConfig, rng: np.random.Generator
) -> Iterator[tuple[Ints, Ints, Longs | None]]:
    """Users (R,), positives (E,) and owners of each batch."""
    edges, size = graph.user_items, config.batch_size
    if config.batch_by == "edges":
        edge_users = np.repeat(np.arange(edges.n_rows, dtype=np.int32), edges.degrees())
        order = rng.permutation(graph.n_edges)
        for start in range(0, len(order), size):
            chosen = order[start : start + size]
            yield edge_users[chosen], edges.ids[chosen], None
    else:
        order = rng.permutation(np.flatnonzero(edges.degrees()))
        for start in range(0, len(order), size):
            users = np.sort(order[start : start + size]).astype(np.int32)
            taken = edges.take(users)
            yield users, taken.ids, np.repeat(np.arange(len(users)), taken.degrees())


def _own(
    graph: BipartiteGraph, config: SamplingConfig, users: Ints, positives: Ints, owner: Longs | None,
    rng: np.random.Generator,
) -> PairBatch:  # fmt: skip
    """Each row has its own negatives."""
    edges, seed = graph.user_items, int(rng.integers(2**63))
    pool = edges.ids if config.negatives == "popularity" else np.arange(graph.n_items, dtype=np.int32)
    negatives = sample_negatives(edges.ptr, edges.ids, users, pool, config.n_negatives, seed)
    draws = config.n_negatives * _chances(graph, config)[negatives]
    return PairBatch(users, positives, owner, negatives, None, np.log(draws).astype(np.float32))


def _shared(
    graph: BipartiteGraph, config: SamplingConfig, users: Ints, positives: Ints, owner: Longs | None,
    rng: np.random.Generator,
) -> PairBatch:  # fmt: skip
    """All rows have the same distinct negatives; where one is a row's own item, its place is noted."""
    n = config.n_negatives
    found: Ints | Longs
    match config.negatives:
        case "uniform":
            found = rng.choice(graph.n_items, min(n, graph.n_items), replace=False)
        case "popularity":
            found = graph.user_items.ids[rng.integers(graph.n_edges, size=n)]
        case "in-batch":
            found = positives[rng.integers(len(positives), size=n)]
        case "mixed":
            some = positives[rng.integers(len(positives), size=n - n // 2)]
            found = np.concatenate([some, rng.integers(graph.n_items, size=n // 2)])
    negatives = np.unique(found).astype(np.int32)
    log_draws = np.log(_expected(graph, config)[negatives])
    taken = _taken(graph.user_items.take(users), negatives)
    return PairBatch(users, positives, owner, negatives, taken, log_draws.astype(np.float32))


def _chances(graph: BipartiteGraph, config: SamplingConfig) -> Doubles:
    """The chance of each item at one draw of own negatives. Shape (I,)."""
    even = np.full(graph.n_items, 1 / graph.n_items)
    chances: Doubles = graph.item_counts() / graph.n_edges if config.negatives == "popularity" else even
    return chances


def _expected(graph: BipartiteGraph, config: SamplingConfig) -> Doubles:
    """How often each item is expected among distinct shared negatives: its chance to be drawn at all. Shape (I,)."""
    n, even, popular = config.n_negatives, 1 / graph.n_items, graph.item_counts() / graph.n_edges
    match config.negatives:
        case "uniform":  # drawn without repeats
            return np.full(graph.n_items, min(1.0, n * even))
        case "mixed":
            missed = (1 - popular) ** (n - n // 2) * (1 - even) ** (n // 2)
        case "popularity" | "in-batch":
            missed = (1 - popular) ** n
    expected: Doubles = 1 - missed
    return expected


def _taken(rows: Csr, negatives: Ints) -> tuple[Longs, Longs]:
    """Where items of the rows (R, I) are among the negatives (N,): rows and columns."""
    place = np.full(rows.n_columns, -1)
    place[negatives] = np.arange(len(negatives))
    columns = place[rows.ids]
    found = columns >= 0
    return np.repeat(np.arange(rows.n_rows), rows.degrees())[found], columns[found]
