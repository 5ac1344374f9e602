"""Answers by external id: rows become ids and titles here, and nowhere further down."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pinfold.arrays import Ints, Strings, TopK
from pinfold.data.vocab import Vocab
from pinfold.embedding.artifact import Artifact
from pinfold.errors import DataError
from pinfold.graph.bipartite import build_graph
from pinfold.graph.csr import Csr, from_pairs
from pinfold.index.explanation import Explanation
from pinfold.index.fresh import FreshItems
from pinfold.index.interface import Recommender
from pinfold.index.recommender import recommender
from pinfold.index.vectors import similar_users, user_vectors


@dataclass(frozen=True, slots=True)
class Answer:
    """One recommended item, or a user like another."""

    rank: int  # from 1
    id: str
    title: str | None
    score: float

    def to_json(self) -> dict[str, Any]:
        """A plain object."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Reason:
    """What one item of a history adds to a score."""

    id: str
    title: str | None
    term: float


@dataclass(frozen=True, slots=True)
class Reasons:
    """Why an item has its score: `score` is the sum of the terms, `rest` and `own`."""

    id: str
    title: str | None
    score: float
    reasons: list[Reason]  # the largest terms, largest first
    rest: float  # the sum of the others
    n_rest: int
    own: float  # what a known user's own vector adds beyond their history

    def to_json(self) -> dict[str, Any]:
        """A plain object."""
        return asdict(self)


class Answers:
    """An artifact that answers questions asked by id."""

    def __init__(self, artifact: Artifact, answers: Recommender | None = None) -> None:
        """`answers`: what recommends, None for the artifact's model alone."""
        self._artifact = artifact
        self._titles = artifact.item_table.titles()
        self._recommender: Recommender = answers or recommender(artifact.learned, self._seen())

    def for_user(self, user: str, k: int) -> list[Answer]:
        """The K best items for a user of the training data, without the ones they have.

        Raises:
            DataError: no such user.
        """
        row = np.array([self._artifact.users.row(user)], np.int32)
        return self._name(self._recommender.recommend(row, k))

    def for_items(self, items: Sequence[str], k: int) -> list[Answer]:
        """What goes with these items: the K best for somebody of whom nothing else is known.

        Raises:
            DataError: an id is unknown, or there are none.
        """
        rows = self._given(items)
        return self._name(self._recommender.recommend_new(_history(rows, self._artifact.items), k))

    def similar(self, item: str, k: int) -> list[Answer]:
        """The K items most like this one.

        Raises:
            DataError: no such item.
        """
        row = np.array([self._artifact.items.row(item)], np.int32)
        return self._name(self._recommender.similar(row, k))

    def similar_to_fresh(self, attributes: Mapping[str, Any], users: Sequence[str], k: int) -> list[Answer]:
        """The K items most like one that is not in the data, known by attributes and by the users who have it.

        Raises:
            DataError: an unknown user or attribute, or a value of another kind.
            ConfigError: the model does not learn from content.
        """
        return self._name(FreshItems(self._artifact).similar(attributes, users, k))

    def similar_users(self, user: str, k: int) -> list[Answer]:
        """The K users of the training data most like this one; of collections, the related ones.

        Raises:
            DataError: no such user.
            ConfigError: the model has no vector for each user.
        """
        users = self._artifact.users
        top = similar_users(user_vectors(self._artifact.learned), np.array([users.row(user)], np.int32), k)
        return _named(top, users, self._artifact.user_table.titles())

    def explain_for_user(self, user: str, item: str, k: int) -> Reasons:
        """The score of an item for a user of the training data, by the K largest terms of what they have.

        Raises:
            DataError: no such user or item.
            ConfigError: the model's scores are no sums over a history.
        """
        row = self._artifact.users.row(user)
        return self._reasons(item, self._recommender.explain(row, self._artifact.items.row(item)), k)

    def explain_for_items(self, items: Sequence[str], item: str, k: int) -> Reasons:
        """The score of an item for somebody who has `items`, by the K largest terms.

        Raises:
            DataError: an id is unknown, or there are none.
            ConfigError: the model's scores are no sums over a history.
        """
        rows = self._given(items)
        return self._reasons(item, self._recommender.explain_new(rows, self._artifact.items.row(item)), k)

    def _reasons(self, item: str, found: Explanation, k: int) -> Reasons:
        order = np.argsort(-found.terms, kind="stable")
        reasons = []
        for place in order[:k]:
            row = int(found.items[place])
            reasons.append(Reason(self._artifact.items.all[row], self._title(row), float(found.terms[place])))
        rest = float(found.terms[order[k:]].sum(dtype=np.float64))
        title = self._title(self._artifact.items.row(item))
        return Reasons(item, title, found.score, reasons, rest, len(order[k:]), found.own)

    def _given(self, items: Sequence[str]) -> Ints:
        rows = np.unique(self._artifact.items.rows(items))
        if not len(rows):
            raise DataError("no items given; name at least one")
        return rows

    def _title(self, row: int) -> str | None:
        return None if self._titles is None else self._titles[row]

    def _seen(self) -> Csr:
        return build_graph(self._artifact.known()).user_items

    def _name(self, top: TopK) -> list[Answer]:
        return _named(top, self._artifact.items, self._titles)


def _named(top: TopK, ids: Vocab, titles: Strings | None) -> list[Answer]:
    """The answers of the first row."""
    found = [(int(row), float(score)) for row, score in zip(top.ids[0], top.scores[0], strict=True) if row >= 0]
    return [
        Answer(place + 1, ids.all[row], None if titles is None else titles[row], score)
        for place, (row, score) in enumerate(found)
    ]


def _history(rows: Ints, items: Vocab) -> Csr:
    n = len(rows)
    return from_pairs(np.zeros(n, np.int32), rows, np.ones(n, np.float32), (1, len(items)))
