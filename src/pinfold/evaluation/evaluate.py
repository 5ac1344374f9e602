"""Evaluation: every user of a held-out part is asked, over the full catalogue, and the answers are judged."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from pinfold.arrays import Doubles, Ints, TopK
from pinfold.config import options
from pinfold.data.interactions import Interactions
from pinfold.data.splits import Part
from pinfold.evaluation.exposure import exposure_metrics, mean_popularity
from pinfold.evaluation.intervals import Interval, bootstrap_intervals
from pinfold.evaluation.metrics import hits, ranking_metrics
from pinfold.graph.csr import Csr, from_pairs
from pinfold.index.interface import Recommender
from pinfold.progress import SILENT, Progress

BLOCK = 4096  # users asked at once


@options
class EvaluationConfig:
    """What is measured."""

    ks: Annotated[
        tuple[Annotated[int, Field(ge=1, le=1000)], ...],
        Field(min_length=1, description="list lengths K; the first one serves validation"),
    ] = (20,)
    n_resamples: Annotated[int, Field(ge=100, description="bootstrap resamples over users")] = 1000


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The numbers of one recommender on one part."""

    intervals: dict[str, Interval]  # means over users, with 95 % bootstrap intervals
    exposure: dict[str, float]  # what the lists do to the catalogue
    per_user: dict[str, Doubles]  # (B,) each, for paired tests
    n_users: int  # users asked
    seconds: float  # to answer and judge, without the bootstrap

    def to_json(self) -> dict[str, Any]:
        """Everything but the values per user."""
        metrics = {name: {"mean": i.mean, "low": i.low, "high": i.high} for name, i in self.intervals.items()}
        return {"n_users": self.n_users, "seconds": self.seconds, "metrics": metrics, "exposure": self.exposure}


def evaluate(
    recommender: Recommender,
    part: Part,
    known: Csr,
    config: EvaluationConfig,
    *,
    seed: int,
    progress: Progress = SILENT,
) -> Evaluation:
    """Judge the recommender on a held-out part; metrics as defined in docs/metrics.md.

    Args:
        recommender: what is judged.
        part: the questions and their answers.
        known: (U, I) the events that may be known, for popularity and novelty.
        config: list lengths and resamples.
        seed: of the bootstrap.
        progress: hears how many users have been asked.
    """
    started = time.perf_counter()
    users = part.users()
    top = _ask(recommender, part, users, max(config.ks), progress)
    per_user = _judge(top, part, users, config.ks)
    given = _rows(part.given).take(users)
    counts = np.bincount(known.ids, minlength=known.n_columns)
    popularity = mean_popularity(given.ptr, given.ids, counts)
    popularity[popularity == 0] = np.nan  # a newcomer whose items nobody else knows: no lift to be measured against
    exposure: dict[str, float] = {}
    for k in config.ks if (top.ids >= 0).any() else ():
        exposure |= exposure_metrics(top.ids, counts, k, n_users=known.n_rows, history_popularity=popularity)
    seconds = time.perf_counter() - started
    intervals = bootstrap_intervals(per_user, seed=seed, n_resamples=config.n_resamples)
    return Evaluation(intervals, exposure, per_user, len(users), seconds)


def mean_metric(recommender: Recommender, part: Part, metric: str, k: int) -> float:
    """The mean of one metric over users, such as recall@20: what validation looks at."""
    users = part.users()
    top = _ask(recommender, part, users, k, SILENT)
    return float(_judge(top, part, users, (k,))[f"{metric}@{k}"].mean())


def _ask(recommender: Recommender, part: Part, users: Ints, k: int, progress: Progress) -> TopK:
    """The answers for all users of the part, in order."""
    given = _rows(part.given) if part.new_users else None
    answers = []
    with progress.task("evaluating", len(users)) as task:
        for start in range(0, len(users), BLOCK):
            block = users[start : start + BLOCK]
            if given is None:
                answers.append(recommender.recommend(block, k))
            else:
                answers.append(recommender.recommend_new(given.take(block), k))
            task.advance(len(block))
    return TopK(np.concatenate([a.ids for a in answers]), np.concatenate([a.scores for a in answers]))


def _judge(top: TopK, part: Part, users: Ints, ks: Sequence[int]) -> dict[str, Doubles]:
    relevant = _rows(part.target).take(users)
    return ranking_metrics(hits(top.ids, relevant.ptr, relevant.ids), relevant.degrees(), ks)


def _rows(events: Interactions) -> Csr:
    """The items (U, I) of every user."""
    return from_pairs(events.users, events.items, events.weights, (events.n_users, events.n_items))
