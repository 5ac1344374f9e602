"""What the second stage looks at: one row of numbers for a person and a candidate, honest in time.

All numbers come from the person's history and from events before the moment of asking. What is not known is NaN, which
trees take as it is: a source that did not bring the item, an item without statistics, a model without vectors.
"""

from dataclasses import dataclass

import numpy as np

from pinfold.arrays import Bools, Doubles, Floats, Ints, Longs, unit
from pinfold.graph.bipartite import BipartiteGraph
from pinfold.graph.csr import Csr
from pinfold.kernels.products import multiply
from pinfold.ranking.candidates import SOURCES, Candidates, Person
from pinfold.ranking.statistics import WINDOWS, ItemStatistics

MOST_USERS = 512  # of an item, looked at for co-occurrence: an even sample beyond
OF_SOURCES = (*(f"{kind}_{source}" for source in SOURCES for kind in ("score", "share", "rank")), "n_sources")
OF_ITEMS = ("log_count", *(f"log_recent_{share:g}" for share in WINDOWS), "trend", "since_last", "since_first")
OF_PERSONS = ("log_history", "mean_log_count", "spread_log_count", "spread_vectors")
OF_BOTH = ("count_above_mean", "age_above_mean", "together_last", "together_latest")
OF_VECTORS = tuple(f"{what}_{how}" for what in ("vector", "content") for how in ("mean", "last", "nearest"))
NAMES = OF_SOURCES + OF_ITEMS + OF_PERSONS + OF_BOTH + OF_VECTORS
GROUPS = {
    "sources": OF_SOURCES, "items": OF_ITEMS, "persons": OF_PERSONS,
    "together": OF_BOTH[2:], "popularity match": OF_BOTH[:2], "vectors": OF_VECTORS[:3], "content": OF_VECTORS[3:],
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What features are made of, beside the person and the candidates."""

    graph: BipartiteGraph
    statistics: ItemStatistics
    vectors: Floats | None  # (I, D) what the model learned of items
    content: Floats | None  # (I, F') features of items
    latest: int  # items of a history that features look at one by one


def features(knowledge: Knowledge, person: Person, candidates: Candidates, fresh: Floats | None = None) -> Floats:
    """One row for each candidate, the columns as in NAMES. Shape (C, F).

    Args:
        knowledge: of the items.
        person: who is asked about; of a history's fresh items only their vectors count.
        candidates: rows from I on are fresh items, of which no statistics are known.
        fresh: (N, D) vectors of the rows from I on, where the model has vectors.
    """
    n_items = knowledge.graph.n_items
    latest = person.latest(knowledge.latest)
    old = person.known(n_items)
    rows = candidates.rows.astype(np.int64)
    known = rows < n_items
    of_items, spread, match = _of_items(knowledge.statistics, rows, known, old.history)
    together = _together(knowledge.graph, rows, known, old.latest(knowledge.latest), person.ordered)
    vectors, spread_vectors = _likeness(knowledge.vectors, fresh, rows, latest, person.ordered)
    content, _ = _likeness(knowledge.content, None, rows, latest, person.ordered)
    of_person = np.broadcast_to([np.log1p(len(person.history)), *spread, spread_vectors], (len(rows), 4))
    parts = [_of_sources(candidates), of_items, of_person, match, together, vectors, content]
    table = np.concatenate(parts, axis=1)
    return table.astype(np.float32)


def first_places(table: Floats) -> Doubles:
    """The place of each row (C,) of features in the first stage's list; infinite for what that did not bring."""
    ranks = table[:, NAMES.index("rank_model")].astype(np.float64)
    return np.asarray(np.where(np.isnan(ranks), np.inf, ranks), np.float64)


def prior(table: Floats, weight: float, n_model: int) -> Doubles:
    """What a row (C, F) scores before any tree (C,): weight times minus log2(1 + its place in the first stage's list).

    Those that the first stage did not bring come behind the `n_model` that it may bring.
    """
    ranks = table[:, NAMES.index("rank_model")].astype(np.float64)
    return np.asarray(-weight * np.log2(1 + np.where(np.isnan(ranks), n_model + 1, ranks)), np.float64)


def _of_sources(candidates: Candidates) -> Floats:
    """For each source the score, its share of the list's best, the place; and how many sources brought the item."""
    scores, ranks = candidates.scores, candidates.ranks
    with np.errstate(divide="ignore", invalid="ignore"):
        best = np.abs(np.fmax.reduce(scores, axis=0, initial=np.float32(-np.inf)))
        shares = np.where(best > 0, scores / best, np.nan)
    n = np.isfinite(ranks).sum(axis=1, keepdims=True)
    told = np.stack([scores, shares, ranks], axis=2).reshape(len(scores), 3 * len(SOURCES))
    return np.concatenate([told, n], axis=1).astype(np.float32)


def _of_items(
    statistics: ItemStatistics, rows: Longs, known: Bools, history: Ints
) -> tuple[Floats, tuple[float, float], Floats]:
    """Numbers of the items (C, .), mean and spread of the history's popularity, and how items differ from it (C, 2)."""
    table = np.full((len(rows), len(OF_ITEMS)), np.nan)
    at = rows[known]
    counts, recent = statistics.counts[at], statistics.recent[at]
    expected = counts * WINDOWS[1]
    table[known] = np.column_stack(
        [np.log1p(counts), np.log1p(recent), np.log((recent[:, 1] + 1) / (expected + 1)),
         statistics.since_last[at], statistics.since_first[at]]
    )  # fmt: skip
    logs, ages = np.log1p(statistics.counts[history]), statistics.since_first[history]
    mean, spread = (float(logs.mean()), float(logs.std())) if len(logs) else (np.nan, np.nan)
    aged = ages[~np.isnan(ages)]
    age = float(aged.mean()) if len(aged) else np.nan
    match = np.column_stack([table[:, 0] - mean, table[:, -1] - age])
    return table.astype(np.float32), (mean, spread), match.astype(np.float32)


def _together(graph: BipartiteGraph, rows: Longs, known: Bools, latest: Ints, ordered: bool) -> Floats:
    """The cosine of each candidate's users with those of the last item, and the sum of cosines with all (C, 2).

    That of items with many users is estimated from MOST_USERS of them.
    """
    table = np.full((len(rows), 2), np.nan, np.float32)
    if not len(latest):
        return table
    told, scale = _sampled(graph.item_users, latest)  # (L, U)
    marks = np.zeros((graph.n_users, 2), np.float32)
    weights = np.repeat(scale / np.sqrt(np.maximum(graph.item_users.degrees()[latest], 1)), told.degrees())
    np.add.at(marks[:, 1], told.ids, weights)
    last = slice(told.ptr[-2], told.ptr[-1]) if ordered else slice(None)
    np.add.at(marks[:, 0], told.ids[last], weights[last])
    asked, scale = _sampled(graph.item_users, rows[known])
    sums = multiply(asked.ptr, asked.ids, np.ones(len(asked.ids), np.float32), marks)
    degrees = np.sqrt(np.maximum(graph.item_users.degrees()[rows[known]], 1))
    table[known] = sums * (scale / degrees)[:, None]
    return table


def _sampled(edges: Csr, rows: Ints | Longs) -> tuple[Csr, Doubles]:
    """At most MOST_USERS evenly spaced entries of each row, and of how many each of them speaks (n,)."""
    degrees = edges.ptr[rows + 1] - edges.ptr[rows]
    sizes = np.minimum(degrees, MOST_USERS)
    ptr = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
    places = np.arange(ptr[-1]) - np.repeat(ptr[:-1], sizes)
    scale = degrees / np.maximum(sizes, 1)
    steps = (places * np.repeat(scale, sizes)).astype(np.int64)
    ids = np.asarray(edges.ids[np.repeat(edges.ptr[rows], sizes) + steps])
    return Csr(ptr, ids, np.ones(len(ids), np.float32), edges.n_columns), scale


def _likeness(
    vectors: Floats | None, fresh: Floats | None, rows: Longs, latest: Ints, ordered: bool
) -> tuple[Floats, float]:
    """Cosines with the mean of the latest items, with the last one and with the nearest (C, 3), and their spread.

    Without an order the last one is all of them.
    """
    table = np.full((len(rows), 3), np.nan, np.float32)
    if vectors is None:
        return table, np.nan
    mine, _ = _taken(vectors, fresh, latest)
    theirs, there = _taken(vectors, fresh, rows)
    if not len(mine):
        return table, np.nan
    products = theirs @ mine.T  # (C, L)
    length = float(np.linalg.norm(mine.mean(axis=0)))
    mean = products.mean(axis=1) / max(length, 1e-9)
    table[there] = np.column_stack([mean, products[:, -1] if ordered else mean, products.max(axis=1)])
    return table, 1 - length


def _taken(vectors: Floats, fresh: Floats | None, rows: Ints | Longs) -> tuple[Floats, Bools]:
    """The vectors, at length 1, of those rows (n,) that have one, and which these are (n,)."""
    n_old, n_fresh = len(vectors), 0 if fresh is None else len(fresh)
    there = rows < n_old + n_fresh
    asked = rows[there]
    old = asked < n_old
    found = np.empty((len(asked), vectors.shape[1]), np.float32)
    found[old] = vectors[asked[old]]
    if fresh is not None:
        found[~old] = fresh[asked[~old] - n_old]
    return unit(found), there
