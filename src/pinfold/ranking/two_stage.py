"""Two stages as one recommender: many candidates from simple sources, then a learned order."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pinfold.arrays import Bools, Embeddings, Floats, Ints, TopK
from pinfold.features.encoders import Encoders
from pinfold.graph.bipartite import BipartiteGraph
from pinfold.graph.convolved import Convolved
from pinfold.graph.csr import Csr
from pinfold.graph.interests import Interests
from pinfold.graph.learned import Layered, Learned
from pinfold.index.explanation import Explanation
from pinfold.index.interface import Recommender
from pinfold.ranking.candidates import Candidates, CandidatesConfig, Found, Gatherer, Person, union
from pinfold.ranking.features import Knowledge, features, first_places, prior
from pinfold.ranking.forest import Forest
from pinfold.ranking.statistics import ItemStatistics

BLOCK = 1024  # people whose first-stage lists are held at once


@dataclass(frozen=True, slots=True)
class Ranker:
    """What `pinfold train-ranker` learned, and the numbers that it needs of items and users."""

    candidates: CandidatesConfig
    prior: float  # what the first stage's order counts, see learning.prior
    forest: Forest
    statistics: ItemStatistics
    latest: Csr | None  # (U, I) each user's latest items, weights 1, 2, ... in the order of time; None without times


class Stages:
    """The first stage and what stands around it: candidates and features of people, for learning and for answers."""

    def __init__(
        self, stage_one: Recommender, learned: Learned, graph: BipartiteGraph, statistics: ItemStatistics,
        latest: Csr | None, config: CandidatesConfig, *, content: Floats | None = None, seed: int = 0,
    ) -> None:  # fmt: skip
        """`graph` holds all that may be known, and what its users have; `content` is (I, F)."""
        self.stage_one, self.config, self.graph = stage_one, config, graph
        self._latest = latest
        self._knowledge = Knowledge(graph, statistics, item_vectors(learned), content, config.latest)
        self._gatherer = Gatherer(stage_one, graph, statistics.counts, statistics.trend(), config, seed)

    def users(self, users: Ints, allowed: Bools | None = None, k: int = 1) -> Iterator[tuple[Person, Candidates]]:
        """Users of the training part, one after another, with their candidates: K or more, where there are so many."""
        for start in range(0, len(users), BLOCK):
            block = users[start : start + BLOCK]
            top = self.stage_one.recommend(block, self._n_asked(k), allowed)
            people = [self.person_of(user) for user in block.tolist()]
            yield from self._with_candidates(people, top, allowed)

    def newcomers(
        self, histories: Csr, allowed: Bools | None = None, k: int = 1
    ) -> Iterator[tuple[Person, Candidates]]:
        """People known by what they took (B, I) alone, with their candidates; none for whoever took nothing."""
        for start in range(0, histories.n_rows, BLOCK):
            rows = np.arange(start, min(start + BLOCK, histories.n_rows), dtype=np.int32)
            block = histories.take(rows)
            top = self.stage_one.recommend_new(block, self._n_asked(k), allowed)
            people = [Person(block.row(row)) for row in range(block.n_rows)]
            yield from self._with_candidates(people, top, allowed)

    def features(self, person: Person, candidates: Candidates, fresh: Floats | None = None) -> Floats:
        """One row for each candidate (C, F); see `ranking.features`."""
        return features(self._knowledge, person, candidates, fresh)

    def gather(self, person: Person, model: Found, allowed: Bools | None = None) -> Candidates:
        """The candidates of one person, given what the first stage says."""
        if not len(person.history):
            return union({"model": model}, person.history, allowed)
        return union({"model": model, **self._gatherer.others(person, allowed)}, person.history, allowed)

    def _n_asked(self, k: int) -> int:
        return min(max(k, self.config.model), self.graph.n_items)

    def _with_candidates(
        self, people: Sequence[Person], top: TopK, allowed: Bools | None
    ) -> Iterator[tuple[Person, Candidates]]:
        for person, ids, scores in zip(people, top.ids, top.scores, strict=True):
            there = ids >= 0
            yield person, self.gather(person, (ids[there], scores[there]), allowed)

    def person_of(self, user: int) -> Person:
        """A user of the graph; their latest items come last."""
        history = self.graph.user_items.row(user)
        if self._latest is None:
            return Person(history)
        row = slice(self._latest.ptr[user], self._latest.ptr[user + 1])
        latest = self._latest.ids[row][np.argsort(self._latest.weights[row], kind="stable")]
        return Person(np.concatenate([np.setdiff1d(history, latest), latest]).astype(np.int32), ordered=True)


@dataclass(frozen=True, slots=True)
class TwoStageRecommender:
    """Scores are the second stage's; they order one person's candidates and mean nothing between people."""

    stages: Stages
    ranker: Ranker

    def recommend(self, users: Ints, k: int, allowed: Bools | None = None) -> TopK:
        """By the learned order of the candidates of users of the training part."""
        return self._ranked(self.stages.users(users, allowed, k), len(users), k)

    def recommend_new(self, histories: Csr, k: int, allowed: Bools | None = None) -> TopK:
        """By the learned order of the candidates of people who took these items (B, I); nothing for who took none."""
        return self._ranked(self.stages.newcomers(histories, allowed, k), histories.n_rows, k)

    def similar(self, items: Ints, k: int, allowed: Bools | None = None) -> TopK:
        """As the first stage says."""
        return self.stages.stage_one.similar(items, k, allowed)

    def explain(self, user: int, item: int) -> Explanation:
        """The first stage's score, taken apart; the second stage's is no sum over a history."""
        return self.stages.stage_one.explain(user, item)

    def explain_new(self, history: Ints, item: int) -> Explanation:
        """The first stage's score, taken apart."""
        return self.stages.stage_one.explain_new(history, item)

    def person(self, history: Ints) -> Person:
        """Somebody with this history (h,) in the order of time, which counts if the ranker has learned from it."""
        return Person(history, ordered=self.ranker.latest is not None)

    def rank(self, person: Person, candidates: Candidates, k: int, fresh: Floats | None = None) -> Found:
        """The K best candidates and their scores, best first; equal ones as the first stage has them.

        Args:
            person: who is asked about.
            candidates: what the sources brought, as `ranking.candidates.union` makes them; rows from I on are fresh
                items, of which no statistics are known.
            k: how many.
            fresh: (N, D) vectors of the rows from I on, where the model has vectors.
        """
        if not len(candidates.rows):
            return candidates.rows, np.zeros(0, np.float32)
        table = self.stages.features(person, candidates, fresh)
        scores = prior(table, self.ranker.prior, self.ranker.candidates.model) + self.ranker.forest.predict(table)
        best = np.lexsort((first_places(table), -scores))[:k]
        return candidates.rows[best], scores[best].astype(np.float32)

    def _ranked(self, people: Iterator[tuple[Person, Candidates]], n: int, k: int) -> TopK:
        ids, scores = np.full((n, k), -1, np.int32), np.full((n, k), -np.inf, np.float32)
        for row, (person, candidates) in enumerate(people):
            found = self.rank(person, candidates, k)
            ids[row, : len(found[0])], scores[row, : len(found[0])] = found
        return TopK(ids, scores)


def item_vectors(learned: Learned) -> Floats | None:
    """What a model learned of each item (I, D); None where it has no vectors of two numbers or more."""
    match learned:
        case Convolved():
            return learned.vectors.items
        case Embeddings() | Layered() | Interests() if learned.items.shape[1] > 1:
            return learned.items
        case _:
            return None


def item_content(learned: Learned, encoders: Encoders | None) -> Floats | None:
    """The features of items (I, F) that a model keeps; None where it keeps none."""
    if encoders is None or not isinstance(learned, Convolved):
        return None
    features: Floats = learned.inputs[0][:, : encoders.dim].astype(np.float32, copy=False)
    return features
