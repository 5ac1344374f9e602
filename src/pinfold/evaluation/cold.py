"""Cold items: held out of everything, then asked for. What a model says of items that nobody took before."""

import time
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from pydantic import Field

from pinfold.arrays import Bools, Doubles, Ints, Longs
from pinfold.config import options
from pinfold.data.interactions import Interactions
from pinfold.data.splits import Part
from pinfold.errors import DataError
from pinfold.evaluation.intervals import Interval, bootstrap_intervals
from pinfold.evaluation.item_pairs import ItemPairs, ItemPairsConfig, held_out_pairs
from pinfold.evaluation.ranks import Questions, Score, find_ranks, rank_metrics
from pinfold.graph.bipartite import build_graph


@options
class ColdConfig:
    """Which items nobody may know, and what is measured on them."""

    share: Annotated[float, Field(gt=0, lt=1, description="share of the items that are held out, drawn by seed")] = 0.1
    asked_share: Annotated[
        float,
        Field(
            gt=0,
            lt=1,
            description="share of a cold item's users who are asked; the warm ceiling knows the others",
        ),
    ] = 0.5
    min_users: Annotated[int, Field(ge=2, description="users that an item must have to be held out")] = 2
    ks: Annotated[
        tuple[Annotated[int, Field(ge=1, le=100_000)], ...],
        Field(min_length=1, description="list lengths K of recall@K, among cold items"),
    ] = (20,)


@dataclass(frozen=True, slots=True)
class ColdSplit:
    """Events in three parts; `items` are in none of the first."""

    items: Ints  # (C,) the cold items, ascending
    warm: Interactions  # no event of a cold item: what may be learned
    shown: Interactions  # events of cold items that are not asked about: their first few takers, for who wants them
    asked: Interactions  # the questions: events of cold items, by users who have warm events

    @property
    def ceiling(self) -> Interactions:
        """Everything but the questions: what a model may learn from for which the items are not cold."""
        return self.warm.join(self.shown)

    def part(self) -> Part:
        """The questions to users of whom the warm events are given."""
        return Part(self.warm, self.asked, new_users=False)

    def pairs(self, config: ItemPairsConfig, seed: int) -> ItemPairs:
        """Pairs of a warm item and a cold one, by the protocol of `held_out_pairs`."""
        return held_out_pairs(self.part(), config, seed)


@dataclass(frozen=True, slots=True)
class ColdEvaluation:
    """The numbers of one model on cold items."""

    intervals: dict[str, Interval]  # recall@K, means over users, with 95 % bootstrap intervals
    per_user: dict[str, Doubles]  # (B,) each, for paired tests
    n_users: int
    n_questions: int
    seconds: float


def split_cold(events: Interactions, config: ColdConfig, seed: int) -> ColdSplit:
    """Draw cold items, and of each one's users those who are asked about: rounded, at least one, never all.

    A user takes an item or does not: repeated events go where the first one goes. Events of cold items by users without
    a warm event are in no part.

    Raises:
        DataError: there are too few items with `min_users` users to hold one out, or nobody to ask.
    """
    rng = np.random.default_rng([seed, 0xC01D])
    counts = build_graph(events).item_counts()
    able = np.flatnonzero(counts >= config.min_users)
    n_cold = round(len(able) * config.share)
    if not n_cold:
        raise DataError(
            f"{len(able)} items have {config.min_users} users, and a share of {config.share:g} of them is none; "
            "use more data, a greater share, or a lower min_users"
        )
    items = np.sort(rng.choice(able, n_cold, replace=False)).astype(np.int32)
    is_cold = np.isin(events.items, items)
    warm, cold = events.take(~is_cold), events.take(is_cold)
    asked = _asked(cold, config.asked_share, rng)
    met = np.isin(cold.users, warm.users)
    if not (asked & met).any():
        raise DataError("no user of the cold items has taken anything else, so nobody can be asked about them")
    return ColdSplit(items, warm, cold.take(~asked & met), cold.take(asked & met))


def _asked(cold: Interactions, share: float, rng: np.random.Generator) -> Bools:
    """Mask (E,) of the events whose pair is asked about."""
    codes = cold.items.astype(np.int64) * cold.n_users + cold.users
    pairs, which = np.unique(codes, return_inverse=True)
    owners = pairs // cold.n_users  # (P,) ascending
    order = np.lexsort((rng.random(len(pairs)), owners))
    starts = np.searchsorted(owners, owners)
    counts: Longs = np.searchsorted(owners, owners, side="right") - starts
    places = np.arange(len(pairs)) - starts
    wanted = np.clip(np.rint(counts * share), 1, np.maximum(counts - 1, 0))
    chosen = np.zeros(len(pairs), np.bool_)
    chosen[order] = places < wanted
    asked: Bools = chosen[which]
    return asked


def evaluate_cold(
    score: Score, split: ColdSplit, config: ColdConfig, *, seed: int, n_resamples: int = 1000
) -> ColdEvaluation:
    """recall@K of users among cold items only: of the cold items that a user is asked about, the share in the first K.

    Only cold items are ranked, without those that the ceiling is shown of the user. Items of equal scores stand in any
    order, so a model that knows nothing of cold items (popularity) gets K over their number, and no less.

    Args:
        score: by user row, scores (B, I) of all items: see `item_scorers.user_scorer`.
        split: the questions.
        config: list lengths.
        seed: of the bootstrap over users.
        n_resamples: of the bootstrap.
    """
    started = time.perf_counter()
    asked = build_graph(split.asked).user_items
    rows = np.repeat(np.arange(asked.n_rows, dtype=np.int32), asked.degrees())
    shown = build_graph(split.shown).user_items
    found = rank_metrics(find_ranks(score, Questions(rows, asked.ids, shown, split.items)), config.ks)
    users, place, counts = np.unique(rows, return_inverse=True, return_counts=True)
    per_user = {f"recall@{k}": np.bincount(place, found[f"hit@{k}"]) / counts for k in config.ks}
    seconds = time.perf_counter() - started
    intervals = bootstrap_intervals(per_user, seed=seed, n_resamples=n_resamples)
    return ColdEvaluation(intervals, per_user, len(users), len(rows), seconds)


def cold_last(split: ColdSplit) -> tuple[ColdSplit, Ints]:
    """The same with items numbered anew: the warm ones in their order, then the cold ones; and the old rows (I,).

    So that a model can learn from the warm items as if there were no others, and be extended by the cold ones.
    """
    n_items = split.warm.n_items
    order = np.concatenate([np.setdiff1d(np.arange(n_items), split.items), split.items]).astype(np.int32)
    place = np.empty(n_items, np.int32)
    place[order] = np.arange(n_items, dtype=np.int32)
    parts = [replace(part, items=place[part.items]) for part in (split.warm, split.shown, split.asked)]
    return ColdSplit(place[split.items], *parts), order


def narrowed(events: Interactions, n_items: int) -> Interactions:
    """The same events where only the first `n_items` items exist."""
    return replace(events, n_items=n_items)
