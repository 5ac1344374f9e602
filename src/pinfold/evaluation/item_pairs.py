"""Item to item: given one item that somebody took, where does the one that they took next stand?"""

import time
from dataclasses import dataclass
from typing import Annotated, Any, Protocol

import numpy as np
from pydantic import Field

from pinfold.arrays import Bools, Doubles, Floats, Ints, Longs, check_array
from pinfold.config import options
from pinfold.data.interactions import Interactions
from pinfold.data.splits import Part
from pinfold.errors import DataError
from pinfold.evaluation.exposure import exposure_metrics
from pinfold.evaluation.intervals import Interval, bootstrap_intervals
from pinfold.evaluation.ranks import Questions, find_ranks, rank_metrics
from pinfold.graph.csr import Csr
from pinfold.index.exact import block_rows, excluded, itself
from pinfold.kernels.topk import top_k


@options
class ItemPairsConfig:
    """Which pairs of items are asked about, and what is measured."""

    n_pairs: Annotated[int, Field(ge=1, description="pairs at most, drawn by seed; each is one question")] = 20_000
    ks: Annotated[
        tuple[Annotated[int, Field(ge=1, le=100_000)], ...],
        Field(min_length=1, description="K of hit@K; lists of the first one serve coverage and popularity"),
    ] = (10, 100, 500)
    window: Annotated[
        int | None, Field(ge=0, description="seconds between the two events at most; none: any time. Needs times")
    ] = None
    n_resamples: Annotated[int, Field(ge=100, description="bootstrap resamples over pairs")] = 1000


class ItemScorer(Protocol):
    """Says how well each item goes with each other."""

    def scores(self, items: Ints) -> Floats:
        """Scores (B, I) of all items for somebody who looks at one of these (B,); not NaN, and the caller's own."""
        ...


@dataclass(frozen=True, slots=True)
class ItemPairs:
    """Pairs (q, i): somebody who had q took i."""

    queries: Ints  # (N,)
    targets: Ints  # (N,)
    n_items: int

    def __post_init__(self) -> None:
        check_array("queries", self.queries, np.int32, -1)
        check_array("targets", self.targets, np.int32, len(self.queries))
        if (self.queries == self.targets).any():
            raise ValueError("a query must not be its own target")

    def __len__(self) -> int:
        return len(self.queries)

    def questions(self, candidates: Ints | None = None) -> Questions:
        """The pairs as questions: all items are counted but the query itself, or only `candidates` (C,)."""
        alone = itself(np.arange(self.n_items, dtype=np.int32), self.n_items)
        return Questions(self.queries, self.targets, alone, candidates)


@dataclass(frozen=True, slots=True)
class PairEvaluation:
    """The numbers of one scorer on some pairs."""

    intervals: dict[str, Interval]  # means over pairs, with 95 % bootstrap intervals
    exposure: dict[str, float]  # what the lists of the queries do to the catalogue
    per_pair: dict[str, Doubles]  # (N,) each, for paired tests
    n_pairs: int
    n_queries: int  # distinct ones
    seconds: float  # to score and count, without the bootstrap

    def to_json(self) -> dict[str, Any]:
        """Everything but the values per pair."""
        metrics = {name: {"mean": i.mean, "low": i.low, "high": i.high} for name, i in self.intervals.items()}
        numbers = {"n_pairs": self.n_pairs, "n_queries": self.n_queries, "seconds": self.seconds}
        return {**numbers, "metrics": metrics, "exposure": self.exposure}


def held_out_pairs(part: Part, config: ItemPairsConfig, seed: int) -> ItemPairs:
    """For each held-out event (u, i) the pair (q, i), q being one of the items given of u.

    Where both have times, q is the item that u took last before i or in the same second; of several it is drawn. Where
    not, q is drawn among all given items of u. A pair of user and item that is given too is no question, and one that
    is held out several times is one question, asked at the first of them.

    Raises:
        DataError: no pair is left, or `window` is set and there are no times.
    """
    rng = np.random.default_rng([seed, 0x9A12])
    timed = part.given.timed and part.target.timed
    if config.window is not None and not timed:
        raise DataError("pairs within a window need times, and the events have none; import them with --time COLUMN")
    target = part.target.take(_first_of_new_pairs(part))
    queries, ages = _queries(part.given, target, rng, timed=timed)
    asked = (queries >= 0) & (queries != target.items)
    if config.window is not None:
        asked &= ages <= config.window
    rows = np.flatnonzero(asked)
    if not len(rows):
        raise DataError("no held-out pair of items is left: nobody in this part took an item after a given one")
    if len(rows) > config.n_pairs:
        rows = np.sort(rng.choice(rows, config.n_pairs, replace=False))
    return ItemPairs(queries[rows], target.items[rows], part.given.n_items)


def _first_of_new_pairs(part: Part) -> Longs:
    """Rows of the held-out events whose pair is not given; of a repeated pair the earliest event."""
    target = part.target
    given, wanted = (one.users.astype(np.int64) * one.n_items + one.items for one in (part.given, target))
    order = np.argsort(target.times, kind="stable")
    pairs, first = np.unique(wanted[order], return_index=True)
    new: Bools = ~np.isin(pairs, given)
    rows: Longs = np.sort(order[first[new]])
    return rows


def _queries(given: Interactions, target: Interactions, rng: np.random.Generator, *, timed: bool) -> tuple[Ints, Longs]:
    """The query of each held-out event (N,), -1 where nothing is given before it, and how many seconds lie between."""
    given_times, target_times = (one.times if timed else np.zeros(len(one), np.int64) for one in (given, target))
    moments = np.unique(np.concatenate([given_times, target_times]))
    n_moments = len(moments)
    keys = given.users.astype(np.int64) * n_moments + np.searchsorted(moments, given_times)
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    users = target.users.astype(np.int64) * n_moments
    stop = np.searchsorted(keys, users + np.searchsorted(moments, target_times), side="right")
    known = stop > np.searchsorted(keys, users)  # (N,)
    stop = np.where(known, stop, 1)
    latest = keys[stop - 1] if len(keys) else np.zeros(len(target), np.int64)
    start = np.searchsorted(keys, latest)  # events of the same user and moment: [start, stop)
    drawn = start + (rng.random(len(target)) * (stop - start)).astype(np.int64)
    queries = given.items[order[drawn]] if len(keys) else np.full(len(target), -1, np.int32)
    return np.where(known, queries, -1).astype(np.int32), target_times - moments[latest % n_moments]


def evaluate_pairs(
    scorer: ItemScorer,
    pairs: ItemPairs,
    config: ItemPairsConfig,
    *,
    seed: int,
    known: Csr | None = None,
    candidates: Ints | None = None,
) -> PairEvaluation:
    """Judge the scorer on the pairs; metrics as defined in docs/metrics.md.

    Args:
        scorer: what is judged.
        pairs: the questions.
        config: list lengths and resamples.
        seed: of the bootstrap.
        known: (U, I) the events that may be known; with them come the exposure metrics.
        candidates: (C,) ascending item rows, the only ones that are counted and listed; None: all.
    """
    started = time.perf_counter()
    per_pair = rank_metrics(find_ranks(scorer.scores, pairs.questions(candidates)), config.ks)
    queries = np.unique(pairs.queries)
    k = config.ks[0]
    exposure: dict[str, float] = {}
    if known is not None:
        exposure = _exposure(neighbor_lists(scorer, queries, pairs.n_items, k, candidates), queries, known)
    seconds = time.perf_counter() - started
    intervals = bootstrap_intervals(per_pair, seed=seed, n_resamples=config.n_resamples)
    return PairEvaluation(intervals, exposure, per_pair, len(pairs), len(queries), seconds)


def mean_hit(scorer: ItemScorer, pairs: ItemPairs, k: int) -> float:
    """The mean of hit@k over pairs: what validation looks at."""
    return float(rank_metrics(find_ranks(scorer.scores, pairs.questions()), (k,))[f"hit@{k}"].mean())


def neighbor_lists(scorer: ItemScorer, queries: Ints, n_items: int, k: int, candidates: Ints | None = None) -> Ints:
    """The K items that score highest for each query (B, K), without itself; -1 where fewer are told apart.

    Items with the lowest score of a row are not listed: with sparse scores these are all of which nothing is known,
    and with equal scores nothing says which items the list should hold.
    """
    lists = []
    size = block_rows(n_items)
    for start in range(0, len(queries), size):
        part = queries[start : start + size]
        block = scorer.scores(part)  # (b, I)
        if candidates is not None:
            hidden = np.ones(n_items, np.bool_)
            hidden[candidates] = False
            block[:, hidden] = -np.inf
        lowest = np.where(np.isfinite(block), block, np.inf).min(axis=1, keepdims=True)
        block[block <= lowest] = -np.inf
        lists.append(top_k(block, *excluded(itself(part, n_items), 0, len(part)), k).ids)
    return np.concatenate(lists)


def _exposure(top: Ints, queries: Ints, known: Csr) -> dict[str, float]:
    """Exposure metrics of the lists, and the mean count of what they show; the query takes the history's place."""
    shown = top[top >= 0]
    if not len(shown):
        return {}
    counts = np.bincount(known.ids, minlength=known.n_columns)
    of_query = np.where(counts[queries] > 0, counts[queries], np.nan)
    k = top.shape[1]
    metrics = exposure_metrics(top, counts, k, n_users=known.n_rows, history_popularity=of_query)
    return {**metrics, f"popularity@{k}": float(counts[shown].mean())}
