"""Pairs of items (q, i) that belong together: what PinSage learns from."""

from dataclasses import dataclass, replace
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from pinfold.arrays import Bools, Doubles, Floats, Ints, Longs
from pinfold.config import options
from pinfold.data.interactions import Interactions
from pinfold.errors import ConfigError, DataError
from pinfold.graph.bipartite import BipartiteGraph
from pinfold.sampling.blocks import NOTHING
from pinfold.sampling.informativeness import InformativenessConfig, mean_one

ALONE = 0.5  # share of the queries that are one item, though more may ask together


@options
class PairsConfig:
    """Which items belong together, and how much each pair says."""

    source: Annotated[
        Literal["co-occurrence", "next", "file"],
        Field(
            description="co-occurrence: two items of one collection, drawn afresh every epoch; next: the item that the "
            "same user took right after (the paper's); file: pairs of your own, in data.pairs"
        ),
    ] = "co-occurrence"
    window: Annotated[
        float | None, Field(gt=0, description="next: at most so many days between the two; none: any time")
    ] = None
    history: Annotated[
        int,
        Field(
            ge=1,
            description="most items that ask together, by the mean of their vectors: every other query is made of 2 to "
            "so many items of the same user, as users are when they are answered, drawn with repeats and at most as "
            "many as the user has beside the pair's second item; file: always one; 1: every query is one item (the "
            "paper's)",
        ),
    ] = 10
    informativeness: Annotated[
        InformativenessConfig, Field(description="what makes a pair count for more in the loss")
    ] = InformativenessConfig()


@dataclass(frozen=True, slots=True)
class ItemPairs:
    """P pairs of different items."""

    queries: Ints  # (P,)
    items: Ints  # (P,)
    weights: Floats  # (P,) positive, mean 1
    edges: Longs | None = None  # (P,) of the users who took both, those to the second item; None: no users are known

    def take(self, which: Longs | slice) -> "ItemPairs":
        """Some of the pairs."""
        edges = None if self.edges is None else self.edges[which]
        return ItemPairs(self.queries[which], self.items[which], self.weights[which], edges)


class PairSource:
    """Where the pairs of an epoch come from."""

    def __init__(
        self, config: PairsConfig, graph: BipartiteGraph, events: Interactions, factors: Floats | None,
        given: ItemPairs | None = None,
    ) -> None:  # fmt: skip
        self._graph = graph
        self._factors = factors
        self._n_more = config.history - 1
        match config.source:
            case "next":
                self._fixed: ItemPairs | None = self._bare(next_pairs(events, graph, factors, config.window))
            case "file" if given is None:
                raise ConfigError("pairs.source is 'file', but no pairs are given; set data.pairs to a file")
            case "file":
                self._fixed = given
            case "co-occurrence":
                self._fixed = None
        self.n_pairs = len(self._fixed.queries) if self._fixed is not None else _n_together(graph)
        if not self.n_pairs:
            raise DataError(
                f"pairs.source {config.source!r} finds no pair of different items; some user must have two items"
            )

    def chances(self) -> Doubles:
        """The chance of each item (I,) to be the second one of a pair."""
        if self._fixed is not None:
            return _chances(self._fixed.items, np.ones(self.n_pairs), self._graph.n_items)
        edges = self._graph.user_items
        together = np.repeat(edges.degrees(), edges.degrees()) > 1
        return _chances(edges.ids, together, self._graph.n_items)

    def draw(self, rng: np.random.Generator) -> ItemPairs:
        """The pairs of one epoch, in random order."""
        pairs = self._fixed if self._fixed is not None else self._bare(co_occurring(self._graph, self._factors, rng))
        return pairs.take(rng.permutation(self.n_pairs))

    def _bare(self, pairs: ItemPairs) -> ItemPairs:
        """Without edges that nobody will ask for."""
        return pairs if self._n_more else replace(pairs, edges=None)

    def company(self, pairs: ItemPairs, rng: np.random.Generator) -> tuple[Longs, Ints]:
        """Rows (E,) of these pairs, rising, and items (E,) that ask together with the rows' queries.

        They are drawn evenly, and one by one so that some may ask twice, from what the same user took but the second
        item; at most as many as there are beside the query.
        """
        if not self._n_more or pairs.edges is None:
            return NOTHING, np.zeros(0, np.int32)
        taken = self._graph.user_items
        owner = np.searchsorted(taken.ptr, pairs.edges, side="right") - 1
        start, n = taken.ptr[owner], taken.ptr[owner + 1] - taken.ptr[owner]
        counts = rng.integers(1, self._n_more + 1, len(owner))
        counts[rng.random(len(owner)) < ALONE] = 0
        rows = np.repeat(np.arange(len(owner)), np.minimum(counts, n - 2))
        further = 1 + np.floor(rng.random(len(rows)) * (n[rows] - 1)).astype(np.int64)
        return rows, taken.ids[start[rows] + (pairs.edges[rows] - start[rows] + further) % n[rows]]


def _chances(items: Ints, weights: Doubles | Bools, n_items: int) -> Doubles:
    counts = np.bincount(items, weights, minlength=n_items)
    chances: Doubles = counts / counts.sum()
    return chances


def co_occurring(graph: BipartiteGraph, factors: Floats | None, rng: np.random.Generator) -> ItemPairs:
    """For every edge (u, q) of a user with two items or more, another item of u drawn evenly."""
    edges = graph.user_items
    degrees = edges.degrees()
    chosen = np.flatnonzero(np.repeat(degrees, degrees) > 1)
    owner = np.repeat(np.arange(edges.n_rows), degrees)[chosen]
    start, n = edges.ptr[owner], degrees[owner]
    other = start + (chosen - start + 1 + np.floor(rng.random(len(chosen)) * (n - 1)).astype(np.int64)) % n
    return ItemPairs(edges.ids[chosen], edges.ids[other], _weights(factors, chosen, other), other)


def next_pairs(events: Interactions, graph: BipartiteGraph, factors: Floats | None, window: float | None) -> ItemPairs:
    """Each event with the one that the same user had right before, unless the item is the same.

    PinSage section 3.3: pairs "where a user interacted with pin i immediately after she interacted with pin q". Events
    of equal time stay in the order of rows.

    Raises:
        ConfigError: the events have no times.
    """
    if not events.timed:
        raise ConfigError("pairs.source 'next' needs times, and the events have none; use 'co-occurrence'")
    order = np.lexsort((events.times, events.users))
    users, items, times = events.users[order], events.items[order], events.times[order]
    together = (users[1:] == users[:-1]) & (items[1:] != items[:-1])
    if window is not None:
        together &= times[1:] - times[:-1] <= window * 86_400
    place = np.flatnonzero(together)
    n_items = graph.n_items
    owner = np.repeat(np.arange(graph.n_users), graph.user_items.degrees())
    keys = owner * n_items + graph.user_items.ids
    edge = np.searchsorted(keys, users.astype(np.int64) * n_items + items)
    weights = _weights(factors, edge[place], edge[place + 1])
    return ItemPairs(items[place], items[place + 1], weights, edge[place + 1])


def _n_together(graph: BipartiteGraph) -> int:
    degrees = graph.user_items.degrees()
    return int(degrees[degrees > 1].sum())


def _weights(factors: Floats | None, one: Longs, other: Longs) -> Floats:
    """Geometric means of the factors of the pairs' two edges, scaled to mean 1."""
    if factors is None:
        return np.ones(len(one), np.float32)
    return mean_one(np.sqrt(factors[one].astype(np.float64) * factors[other]))
