"""Mini-batches of item pairs with negatives, and the part of the graph that each needs."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from pinfold.arrays import Bools, Doubles, Floats, Ints, Longs
from pinfold.config import options
from pinfold.errors import ConfigError
from pinfold.graph.neighborhoods import Neighborhoods
from pinfold.kernels.negatives import GOLDEN
from pinfold.sampling.blocks import NOTHING, Block, blocks
from pinfold.sampling.item_pairs import ItemPairs, PairSource

NegativesName = Literal["uniform", "popularity", "in-batch", "mixed"]


@options
class ItemNegativesConfig:
    """Items that a query is to be told from. An item that asks or that the batch pairs with the query never counts."""

    batch_size: Annotated[int, Field(ge=2, description="pairs in a step; the paper's are 512 to 4096")] = 2048
    negatives: Annotated[
        NegativesName,
        Field(
            description="items drawn evenly (the paper's); by their number of pairs; the batch's other positives; "
            "these and evenly drawn ones"
        ),
    ] = "mixed"
    n_negatives: Annotated[int, Field(ge=1, description="negatives of a batch, beside in-batch ones")] = 500
    shared: Annotated[
        bool,
        Field(description="all pairs of a batch have the same negatives; else each its own, unless in-batch or mixed"),
    ] = True
    hard: Annotated[int, Field(ge=0, description="most hard negatives of each pair; 0: none")] = 0
    curriculum: Annotated[
        bool, Field(description="n - 1 hard negatives in epoch n, up to `hard`; else all at once")
    ] = True
    hard_ranks: Annotated[
        tuple[int, int] | None,
        Field(
            description="hard negatives have these ranks by personalized PageRank; none: 2000 to 5000, in small "
            "catalogues a twentieth to an eighth of the items"
        ),
    ] = None


@dataclass(frozen=True, slots=True)
class ItemBatch:
    """B pairs and their negatives, by place among the batch's n distinct items (the first n of `nodes`)."""

    nodes: Ints  # (m,) items whose inputs are needed
    blocks: tuple[Block, ...]
    queries: Longs  # (B,)
    positives: Longs  # (B,)
    negatives: Longs  # (N,) shared, or (B, N)
    hard: Longs  # (B, H)
    taken: tuple[Longs, Longs]  # rows and columns of (B, N + H) that are no negatives after all
    log_draws: Floats  # (N + H,) log of how often each negative was expected; of own ones without their items' names
    weights: Floats  # (B,)
    untaken: int = 0  # decides which items go as if nobody had taken them, see `going_untaken`
    more: tuple[Longs, Longs] = (NOTHING, NOTHING)  # rows of (B,), and places of items that ask with the query
    n_whole: int | None = None  # pairs of the whole batch, where this is a share of it; see sampling.item_shares
    content: Floats | None = None  # (m, F) of `nodes`, for who has no table of it; see engine.flat


@dataclass(frozen=True, slots=True)
class Sampler:
    """All that batches are made of."""

    config: ItemNegativesConfig
    source: PairSource
    neighborhoods: Neighborhoods
    chances: Doubles  # (I,) of each item to be the second of a pair
    window: Ints | None  # (I, W) candidates for hard negatives, -1 where there are fewer
    n_layers: int
    guard: bool  # hide the pairs' own edges

    def n_batches(self) -> int:
        """Steps in an epoch."""
        return -(-self.source.n_pairs // self.config.batch_size)

    def batches(self, rng: np.random.Generator, n_hard: int) -> Iterator[ItemBatch]:
        """The pairs of an epoch, with `n_hard` hard negatives each."""
        pairs = self.source.draw(rng)
        for start in range(0, self.source.n_pairs, self.config.batch_size):
            yield self._batch(pairs.take(slice(start, start + self.config.batch_size)), n_hard, rng)

    def _batch(self, pairs: ItemPairs, n_hard: int, rng: np.random.Generator) -> ItemBatch:
        n, n_items = len(pairs.queries), len(self.chances)
        negatives = self._negatives(pairs, rng)
        hard = self._hard(pairs.queries, n_hard, rng)
        rows, more = self.source.company(pairs, rng)
        wrong = _taken(pairs, (rows, more), negatives, hard, n_items)
        parts = [pairs.queries, pairs.items, negatives.ravel(), np.maximum(hard, 0).ravel(), more]
        seeds, place = np.unique(np.concatenate(parts), return_inverse=True)
        ends = np.cumsum([len(part) for part in parts])[:-1]
        queries, positives, others, close, company = np.split(place.astype(np.int64), ends)
        guarded = np.concatenate([pairs.queries, more]), np.concatenate([pairs.items, pairs.items[rows]])
        hidden = guarded if self.guard else ()
        nodes, made = blocks(self.neighborhoods, seeds.astype(np.int32), self.n_layers, hidden)
        return ItemBatch(
            nodes, made, queries, positives, others.reshape(negatives.shape), close.reshape(n, -1), wrong,
            self._log_draws(negatives, hard, n), pairs.weights, int(rng.integers(2**63)), (rows, company),
        )  # fmt: skip

    def _negatives(self, pairs: ItemPairs, rng: np.random.Generator) -> Ints:
        config, n_items = self.config, len(self.chances)
        n = min(config.n_negatives, n_items)
        if not config.shared and config.negatives in ("uniform", "popularity"):
            chances = self.chances if config.negatives == "popularity" else None
            return rng.choice(n_items, (len(pairs.queries), n), p=chances).astype(np.int32)
        match config.negatives:
            case "uniform":
                drawn = rng.choice(n_items, n, replace=False)
            case "popularity":
                drawn = np.unique(rng.choice(n_items, n, p=self.chances))
            case "in-batch":
                drawn = np.unique(pairs.items)
            case "mixed":
                drawn = np.union1d(pairs.items, rng.choice(n_items, n, replace=False))
        return drawn.astype(np.int32)

    def _hard(self, queries: Ints, n_hard: int, rng: np.random.Generator) -> Ints:
        """Candidates (B, H) of every query, drawn evenly from its window."""
        if not n_hard or self.window is None:
            return np.zeros((len(queries), 0), np.int32)
        columns = rng.integers(self.window.shape[1], size=(len(queries), n_hard))
        return self.window[queries[:, None], columns]

    def _log_draws(self, negatives: Ints, hard: Ints, n_pairs: int) -> Floats:
        """Own negatives are as many draws of the same law, so their correction is the same for all but a constant."""
        config, n_items = self.config, len(self.chances)
        n_drawn = min(config.n_negatives, n_items)
        even = n_drawn / n_items
        match config.negatives:
            case "uniform":
                expected = np.full(n_items, even)
            case "popularity":
                expected = 1 - (1 - self.chances) ** n_drawn
            case "in-batch":
                expected = 1 - (1 - self.chances) ** n_pairs
            case "mixed":
                expected = 1 - (1 - self.chances) ** n_pairs * (1 - even)
        if negatives.ndim == 2:  # one row of logs for all rows: the mean law
            return np.full(negatives.shape[1] + hard.shape[1], np.log(even), np.float32)
        of_hard = np.full(hard.shape[1], np.log(even))
        return np.concatenate([np.log(np.maximum(expected[negatives], 1e-12)), of_hard]).astype(np.float32)


def going_untaken(nodes: Ints, key: int, share: float) -> Bools:
    """A coin for each item (n,), true with chance `share`; an item's depends on the key and the item alone.

    So every process of several has the same for the same item. Splitmix64's finalizer (Steele et al., OOPSLA 2014).
    """
    x = (nodes.astype(np.uint64) + np.uint64(1)) * GOLDEN ^ np.uint64(key)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    coins: Bools = (x >> np.uint64(32)) < np.uint64(share * 2**32)
    return coins


def hard_ranks(config: ItemNegativesConfig, n_items: int) -> tuple[int, int]:
    """The ranks that hard negatives are drawn from: the paper's, in small catalogues a twentieth to an eighth."""
    if config.hard_ranks is not None and not 0 <= config.hard_ranks[0] < config.hard_ranks[1]:
        raise ConfigError(f"negatives.hard_ranks must be first < last, from 0; got {list(config.hard_ranks)}")
    return config.hard_ranks or (min(2000, n_items // 20), max(min(5000, n_items // 8), 1))


def _taken(
    pairs: ItemPairs, more: tuple[Longs, Ints], negatives: Ints, hard: Ints, n_items: int
) -> tuple[Longs, Longs]:
    """Where a row's negative is what asks, one of the query's positives in this batch, or missing (-1)."""
    keys = np.unique(pairs.queries.astype(np.int64) * n_items + pairs.items)
    width = negatives.shape[-1]
    if negatives.ndim == 1:
        place = np.full(n_items, -1)
        place[negatives] = np.arange(width)
        found = [_shared_taken(pairs, keys, place, n_items), _among(more, place)]
    else:
        found = [_own_taken(pairs.queries, negatives, keys, n_items), _own_among(more, negatives, n_items)]
    for rows, columns in (_own_taken(pairs.queries, hard, keys, n_items), _own_among(more, hard, n_items)):
        found.append((rows, columns + width))
    rows, columns = (np.concatenate(part) for part in zip(*found, strict=True))
    return rows, columns


def _among(more: tuple[Longs, Ints], place: Longs) -> tuple[Longs, Longs]:
    """Which of the items that ask are shared negatives, by row and place."""
    rows, columns = more[0], place[more[1]]
    return rows[columns >= 0], columns[columns >= 0]


def _own_among(more: tuple[Longs, Ints], negatives: Ints, n_items: int) -> tuple[Longs, Longs]:
    """Which of each row's own negatives (B, N) ask in that row."""
    if not len(more[0]):
        return NOTHING, NOTHING
    keys = np.unique(more[0] * n_items + more[1])
    wanted = np.arange(len(negatives))[:, None] * n_items + negatives
    rows, columns = np.nonzero((np.append(keys, -1)[np.searchsorted(keys, wanted)] == wanted) & (negatives >= 0))
    return rows, columns


def _shared_taken(pairs: ItemPairs, keys: Longs, place: Longs, n_items: int) -> tuple[Longs, Longs]:
    """For shared negatives: each row's query itself, and all that the batch pairs with it."""
    rows = np.arange(len(pairs.queries))
    starts = np.searchsorted(keys, pairs.queries.astype(np.int64) * n_items)
    counts = np.searchsorted(keys, (pairs.queries.astype(np.int64) + 1) * n_items) - starts
    offsets = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    partners = keys[np.repeat(starts, counts) + offsets] % n_items
    all_rows = np.concatenate([rows, np.repeat(rows, counts)])
    columns = place[np.concatenate([pairs.queries.astype(np.int64), partners])]
    return all_rows[columns >= 0], columns[columns >= 0]


def _own_taken(queries: Ints, negatives: Ints, keys: Longs, n_items: int) -> tuple[Longs, Longs]:
    """For each row's own negatives (B, N)."""
    wanted = queries.astype(np.int64)[:, None] * n_items + negatives
    nearest = np.append(keys, -1)[np.searchsorted(keys, wanted)]
    rows, columns = np.nonzero((nearest == wanted) | (negatives == queries[:, None]) | (negatives < 0))
    return rows, columns
