"""Candidates: what several simple sources bring for one person, as one list without repetitions."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, get_args

import numpy as np
from pydantic import Field

from pinfold.arrays import Bools, Floats, Ints, check_array
from pinfold.config import options
from pinfold.graph.bipartite import BipartiteGraph
from pinfold.graph.neighborhoods import NeighborhoodConfig, Tables, neighborhoods, walk_tables
from pinfold.index.interface import Recommender

SourceName = Literal["model", "similar", "walk", "popular", "trending"]
SOURCES: tuple[SourceName, ...] = get_args(SourceName)
Found = tuple[Ints, Floats]  # item rows (n,), best first, and their scores (n,)
NOTHING: Found = (np.zeros(0, np.int32), np.zeros(0, np.float32))


@options
class CandidatesConfig:
    """How many candidates each source may bring; 0 leaves it out."""

    model: Annotated[int, Field(ge=10, le=5000, description="from the trained model, the first stage")] = 250
    similar: Annotated[int, Field(ge=0, le=5000, description="items most like the latest of the history")] = 100
    walk: Annotated[int, Field(ge=0, le=5000, description="items that random walks from the history visit most")] = 150
    popular: Annotated[int, Field(ge=0, le=5000, description="items that most users took")] = 50
    trending: Annotated[int, Field(ge=0, le=5000, description="items taken most of late, where times are known")] = 50
    latest: Annotated[
        int, Field(ge=1, le=100, description="items of a history, the latest, from which sources and features start")
    ] = 20
    steps: Annotated[int, Field(ge=100, le=10**6, description="random steps in all, shared by the latest items")] = 5000


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who is asked about: what they took, in the order of time where that is known."""

    history: Ints  # (h,) distinct item rows; the latest last, if `ordered`
    ordered: bool = False

    def latest(self, n: int) -> Ints:
        """The n latest items, latest last; without an order n items spread evenly over the history."""
        if self.ordered or len(self.history) <= n:
            return self.history[-n:]
        return self.history[np.linspace(0, len(self.history) - 1, n).astype(np.int64)]

    def known(self, n_items: int) -> "Person":
        """The same person without the fresh items of the history, which lie behind the last of I."""
        return Person(self.history[self.history < n_items], self.ordered)


@dataclass(frozen=True, slots=True)
class Candidates:
    """Distinct items (C,) with what each of the S sources says of them; NaN where a source did not bring one."""

    rows: Ints  # (C,) ascending
    scores: Floats  # (C, S)
    ranks: Floats  # (C, S) places in the source's list, from 1

    def __post_init__(self) -> None:
        check_array("rows", self.rows, np.int32, -1)
        check_array("scores", self.scores, np.float32, len(self.rows), len(SOURCES))
        check_array("ranks", self.ranks, np.float32, *self.scores.shape)


def union(found: Mapping[SourceName, Found], exclude: Ints, allowed: Bools | None = None) -> Candidates:
    """The lists of several sources as one, without the items in `exclude` (h,) and those that are not allowed.

    Args:
        found: per source distinct item rows, best first, and scores; rows below 0 are left out.
        exclude: what the person has.
        allowed: (I,) which items may be shown; rows from I on (fresh items) are kept, the source knows about them.
    """
    lists = [found.get(name, NOTHING) for name in SOURCES]
    brought = np.concatenate([rows for rows, _ in lists]).astype(np.int32)
    source = np.repeat(np.arange(len(lists)), [len(rows) for rows, _ in lists])
    scores = np.concatenate([scores for _, scores in lists]).astype(np.float32)
    kept = (brought >= 0) & ~np.isin(brought, exclude)
    if allowed is not None and len(allowed):
        kept &= (brought >= len(allowed)) | allowed[np.clip(brought, 0, len(allowed) - 1)]
    brought, source, scores = brought[kept], source[kept], scores[kept]
    starts = np.searchsorted(source, np.arange(len(lists)))
    rows, places = np.unique(brought, return_inverse=True)
    table = np.full((2, len(rows), len(lists)), np.nan, np.float32)
    table[0, places, source] = scores
    table[1, places, source] = np.arange(len(source)) - starts[source] + 1
    return Candidates(rows.astype(np.int32), table[0], table[1])


class Gatherer:
    """Asks every source but the model itself."""

    def __init__(
        self, stage_one: Recommender, graph: BipartiteGraph, counts: Floats, trend: Floats | None,
        config: CandidatesConfig, seed: int,
    ) -> None:  # fmt: skip
        """`counts` (I,) and `trend` (I,) order the popular and the trending items."""
        self._stage_one, self._graph, self._config, self._seed = stage_one, graph, config, seed
        self._tables: Tables = walk_tables(graph, NeighborhoodConfig())
        self._popular = _ordered(counts)
        self._trending = NOTHING if trend is None else _ordered(trend)

    def others(self, person: Person, allowed: Bools | None = None) -> dict[SourceName, Found]:
        """What each source brings for a person, the best first; some of it the person may have."""
        config, latest = self._config, person.known(self._graph.n_items).latest(self._config.latest)
        found: dict[SourceName, Found] = {}
        if config.similar and len(latest):
            found["similar"] = self._similar(latest, person.history, allowed)
        if config.walk and len(latest):
            found["walk"] = self._walk(latest, person.history)
        for name, ordered, n in (
            ("popular", self._popular, config.popular),
            ("trending", self._trending, config.trending),
        ):
            if n:
                found[name] = _first(ordered, person.history, n, allowed)  # type: ignore[index]
        return found

    def _similar(self, latest: Ints, history: Ints, allowed: Bools | None) -> Found:
        """The sum over the latest items of how alike each is to those most like it."""
        n = self._config.similar
        top = self._stage_one.similar(latest, n, allowed)
        return _summed(top.ids, top.scores, history, n)

    def _walk(self, latest: Ints, history: Ints) -> Found:
        """Visits of walks from every latest item: (sum of square roots)^2, so that what several meet counts more.

        Eksombatchai et al., Related Pins at Pinterest: Pixie, WWW 2018, equation 3.
        """
        n = self._config.walk
        steps = -(-self._config.steps // len(latest))
        config = NeighborhoodConfig(method="walks", size=n, steps=steps)
        near = neighborhoods(self._graph, config, self._seed, latest, self._tables)
        rows, scores = _summed(near.ids, np.sqrt(near.weights), history, n)
        return rows, (scores / np.float32(len(latest))) ** 2


def _summed(ids: Ints, scores: Floats, history: Ints, n: int) -> Found:
    """The n items with the highest sums of scores over several lists (L, K), of equal ones the lower row first."""
    listed = ids >= 0
    rows, places = np.unique(ids[listed], return_inverse=True)
    sums = np.bincount(places, scores[listed].astype(np.float64), len(rows))
    new = ~np.isin(rows, history)
    rows, sums = rows[new], sums[new]
    order = np.argsort(-sums, kind="stable")[:n]
    return rows[order].astype(np.int32), sums[order].astype(np.float32)


def _ordered(values: Floats) -> Found:
    """Items with a value above 0, the highest first."""
    order = np.argsort(-values, kind="stable")
    rows = order[values[order] > 0].astype(np.int32)
    return rows, values[rows]


def _first(ordered: Found, history: Ints, n: int, allowed: Bools | None) -> Found:
    """The first n that may be shown and are not in the history."""
    rows, scores = ordered
    if allowed is not None:
        kept = allowed[rows]
        rows, scores = rows[kept], scores[kept]
    rows, scores = rows[: n + len(history)], scores[: n + len(history)]
    new = ~np.isin(rows, history)
    return rows[new][:n], scores[new][:n]
