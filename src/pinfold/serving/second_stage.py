"""The learned order of what the first stage finds, for people and items that came after training as well."""

import numpy as np

from pinfold.arrays import Bools, Ints, TopK
from pinfold.ranking.candidates import Person
from pinfold.ranking.two_stage import TwoStageRecommender
from pinfold.serving.answerers import Answerer, Asker


def ranked(
    stages: TwoStageRecommender, answers: Answerer, asker: Asker, k: int, exclude: Ints, there: Bools | None
) -> TopK:
    """The K best of the candidates that all sources bring, in the ranker's order. Shape (1, K).

    Where nothing came since training these are the answers of `stages` itself, which `pinfold evaluate` judges.

    Args:
        stages: the generation's.
        answers: the first stage, which knows what came since.
        asker: somebody with a history.
        k: how many.
        exclude: what they have.
        there: which rows may be answered with, also without those that are gone; None: all.
    """
    found = answers.recommend(asker, max(k, stages.ranker.candidates.model), exclude, there)
    some = found.ids[0] >= 0
    person = _person(stages, asker)
    old = None if there is None else there[: stages.stages.graph.n_items]
    candidates = stages.stages.gather(person, (found.ids[0][some], found.scores[0][some]), old)
    rows, scores = stages.rank(person, candidates, k, answers.fresh())
    top = TopK(np.full((1, k), -1, np.int32), np.full((1, k), -np.inf, np.float32))
    top.ids[0, : len(rows)], top.scores[0, : len(rows)] = rows, scores
    return top


def _person(stages: TwoStageRecommender, asker: Asker) -> Person:
    """Somebody with what they have in the order of time: as training knew it, then what they took since."""
    if asker.known is None:
        return stages.person(asker.since) if asker.ordered else Person(asker.history)
    before = stages.stages.person_of(asker.known)
    if not len(asker.since):
        return before
    old = before.history[np.isin(before.history, asker.history) & ~np.isin(before.history, asker.since)]
    return Person(np.concatenate([old, asker.since]).astype(np.int32), ordered=before.ordered)
