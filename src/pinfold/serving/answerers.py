"""Rows in, rows out: a model's answers together with items and events that came after its training."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from pinfold.arrays import Bools, Embeddings, Floats, Ints, TopK, unit
from pinfold.errors import ConfigError
from pinfold.graph.csr import Csr, from_pairs
from pinfold.graph.interests import Interests, make_interests
from pinfold.graph.learned import Layered
from pinfold.index.explanation import Explanation
from pinfold.index.interests import asked, medoid_queries, merged
from pinfold.index.interface import Indexes, Recommender
from pinfold.index.layered import propagate
from pinfold.index.live import LiveIndex
from pinfold.index.stored import Searched
from pinfold.serving.embedder import NewVectors

ROOM = 64  # rows that came since for which there is room in the beginning


@dataclass(frozen=True, slots=True)
class Asker:
    """Somebody as the model sees them."""

    user: int | None  # the row of a user of the training data to whom nothing was added since
    history: Ints  # (h,) item rows, ascending, each once; those behind I came since
    known: int | None  # the row of a user of the training data, whatever was added since
    since: Ints  # (n,) what was added, or all that is known of somebody new; the latest last
    ordered: bool = True  # whether the order of `since` means anything


class Answerer(Protocol):
    """Finds rows. One thread writes while others read."""

    vectors: bool  # whether items have vectors, so that new ones can be found and answers be diverse

    def put(self, row: int, vectors: NewVectors | None) -> None:
        """An item is new, or has other vectors than it had; None: an old one that was gone is back as it was."""
        ...

    def delete(self, row: int) -> None:
        """An item is in no answer any more."""
        ...

    def recommend(self, asker: Asker, k: int, exclude: Ints, allowed: Bools | None) -> TopK:
        """The K best rows for somebody, without those in `exclude`. Shape (1, K)."""
        ...

    def similar(self, row: int, k: int, allowed: Bools | None) -> TopK:
        """The K rows most like one. Shape (1, K)."""
        ...

    def directions(self, rows: Ints) -> Floats:
        """The rows' vectors at length 1. Shape (n, D)."""
        ...

    def fresh(self) -> Floats | None:
        """The vectors of the rows from I on, at length 1; zeros for one that has none. Shape (N, D)."""
        ...

    def explain(self, asker: Asker, row: int) -> Explanation:
        """A score as a sum over a history.

        Raises:
            ConfigError: it is no such sum.
        """
        ...


def answerer(n_items: int, vectors: Searched | None, indexes: Indexes | None, recommender: Recommender) -> Answerer:
    """How a model answers that is searched by these vectors, or has none."""
    if vectors is None:
        return ScoreAnswerer(n_items, recommender)
    if indexes is None:
        raise ValueError("a model with vectors needs its indexes")
    return VectorAnswerer(vectors, indexes, recommender)


class VectorAnswerer:
    """Scores are inner products of vectors; what came since has vectors like everything else."""

    vectors = True

    def __init__(self, learned: Searched, indexes: Indexes, recommender: Recommender) -> None:
        self._learned, self._recommender = learned, recommender
        self._users = LiveIndex(indexes.users, learned.items)
        self._alike = self._users if indexes.alike is indexes.users else LiveIndex(indexes.alike, learned.items)
        self._new: dict[int, NewVectors] = {}
        self._fresh = np.zeros((ROOM, learned.items.shape[1]), np.float32)
        self._n_fresh = 0

    def put(self, row: int, vectors: NewVectors | None) -> None:
        """The item is found from now on; without vectors, as it was trained."""
        if vectors is None:
            if row not in self._new and self._users.vector(row) is not None:
                return  # the base has it still
            vectors = self._old(row)
        self._new[row] = vectors
        self._keep(row - len(self._learned.items), vectors.alike)
        self._users.put(row, vectors.item)
        if self._alike is not self._users:
            self._alike.put(row, vectors.alike)

    def delete(self, row: int) -> None:
        """The item is found no more; what it says of who took it stays."""
        if row in self._new and row < len(self._learned.items):
            self._new[row] = self._old(row)  # as after a restart, which knows no more than that it is gone
        if row < self._users.n_rows:
            self._users.delete(row)
        if self._alike is not self._users and row < self._alike.n_rows:
            self._alike.delete(row)

    def recommend(self, asker: Asker, k: int, exclude: Ints, allowed: Bools | None) -> TopK:
        """By the user's own vectors, or those that their history makes; nothing for somebody who took nothing."""
        queries = self._queries(asker)
        n = len(queries)
        if not n:
            return TopK(np.full((1, k), -1, np.int32), np.full((1, k), -np.inf, np.float32))
        found = self._users.search(queries, k, _rows(exclude, n), allowed)
        return found if n == 1 else merged(found, np.zeros(n, np.int32), 1)

    def similar(self, row: int, k: int, allowed: Bools | None) -> TopK:
        """By cosine."""
        found = self._alike.search(self.directions(np.array([row], np.int32)), k + 1, None, allowed)
        others = np.flatnonzero(found.ids[0] != row)[:k]  # cheaper than to exclude it
        return TopK(found.ids[:, others], found.scores[:, others])

    def directions(self, rows: Ints) -> Floats:
        """The rows' vectors at length 1."""
        found = np.empty((len(rows), self._learned.items.shape[1]), np.float32)
        for place, row in enumerate(rows.tolist()):
            new = self._new.get(row)
            found[place] = self._learned.items[row] if new is None else new.alike
        return unit(found)

    def fresh(self) -> Floats:
        """The vectors of what came since, at length 1."""
        return self._fresh[: self._n_fresh]

    def explain(self, asker: Asker, row: int) -> Explanation:
        """As the recommender does where all is old; else by the vectors that recommended it."""
        if row not in self._new and not any(one in self._new for one in asker.history.tolist()):
            if asker.user is not None:
                return self._recommender.explain(asker.user, row)
            return self._recommender.explain_new(asker.history, row)
        item = self._new[row].item if row in self._new else self._learned.items[row]
        if isinstance(self._learned, Layered):
            raise ConfigError("this model's scores are no sum over a history that holds an item which came since")
        queries = self._queries(asker)
        if isinstance(self._learned, Interests):
            terms = np.zeros(len(asker.history), np.float32)
            if len(queries):
                products = queries @ item
                best = unit(queries[products.argmax()][None, :])[0]
                terms[(self.directions(asker.history) @ best).argmax()] = products.max()
            return Explanation(asker.history, terms)
        scale = np.float32(max(len(asker.history), 1) ** -self._learned.history_exponent)
        terms = (self._history(asker.history) @ item * scale).astype(np.float32)
        own = 0.0 if asker.user is None else float(queries[0] @ item) - float(terms.sum(dtype=np.float64))
        return Explanation(asker.history, terms, own)

    def _keep(self, place: int, vector: Floats) -> None:
        if place >= len(self._fresh):
            self._fresh = np.concatenate([self._fresh, np.zeros((place + 1, self._fresh.shape[1]), np.float32)])
        if place >= 0:
            self._fresh[place] = vector
            self._n_fresh = max(self._n_fresh, place + 1)

    def _queries(self, asker: Asker) -> Floats:
        """What is asked for somebody. Shape (Q, D), Q may be 0."""
        learned = self._learned
        if asker.user is not None:
            row = np.array([asker.user], np.int32)
            if isinstance(learned, Interests):
                return medoid_queries(learned, asked(learned, row))
            return np.asarray(learned.users[row])
        if not len(asker.history):
            return np.empty((0, learned.items.shape[1]), np.float32)
        match learned:
            case Embeddings():
                scale = np.float32(len(asker.history) ** -learned.history_exponent)
                return np.asarray(self._history(asker.history).sum(axis=0) * scale, np.float32)[None, :]
            case Layered():
                old = asker.history[asker.history < len(learned.items)]  # newer ones have no place in its layers
                return propagate(learned, _rows(old, min(len(old), 1), len(learned.items)))
            case Interests():
                return self._medoids(asker.history, learned)

    def _medoids(self, history: Ints, learned: Interests) -> Floats:
        """Queries of the interests that are found in a history, by the vectors of its items alone."""
        everything = np.arange(len(history), dtype=np.int32)
        found = make_interests(self._items(history), _rows(everything, 1, len(history)), None, learned.config)
        return medoid_queries(found, asked(found, np.zeros(1, np.int32)))

    def _old(self, row: int) -> NewVectors:
        """The vectors of a trained item."""
        item = self._learned.items[row]
        history = self._learned.history[row] if isinstance(self._learned, Embeddings) else np.zeros_like(item)
        return NewVectors(np.array(item), np.array(history), unit(item[None, :])[0])

    def _items(self, rows: Ints) -> Floats:
        old = np.minimum(rows, len(self._learned.items) - 1)
        found = np.array(self._learned.items[old], np.float32)
        for place, row in enumerate(rows.tolist()):
            if row in self._new:
                found[place] = self._new[row].item
        return found

    def _history(self, rows: Ints) -> Floats:
        """What each item adds to who has it. Shape (h, D). An item without a vector adds nothing."""
        learned = self._learned
        if not isinstance(learned, Embeddings):
            raise TypeError("only Embeddings have history vectors")
        found = np.zeros((len(rows), learned.items.shape[1]), np.float32)
        for place, row in enumerate(rows.tolist()):
            if row in self._new:
                found[place] = self._new[row].history
            elif row < len(learned.items):
                found[place] = learned.history[row]
        return found


class ScoreAnswerer:
    """The recommender's own answers; what came since has no score before the model is trained again."""

    vectors = False

    def __init__(self, n_items: int, recommender: Recommender) -> None:
        self._recommender = recommender
        self._there = np.ones(n_items, np.bool_)

    def put(self, row: int, vectors: NewVectors | None) -> None:  # noqa: ARG002
        """An old item that was gone is back; a new one is not found."""
        if row < len(self._there):
            self._there[row] = True

    def delete(self, row: int) -> None:
        """The item is found no more."""
        if row < len(self._there):
            self._there[row] = False

    def recommend(self, asker: Asker, k: int, exclude: Ints, allowed: Bools | None) -> TopK:
        """By the user's row, or by their old items.

        Raises:
            ConfigError: what they have is not to be excluded.
        """
        n = len(self._there)
        if len(np.setdiff1d(asker.history, exclude)):
            raise ConfigError("this model never answers with what somebody has; leave out seen=true")
        kept = self._allowed(allowed)
        kept[exclude[exclude < n]] = False
        if asker.user is not None:
            return self._recommender.recommend(np.array([asker.user], np.int32), k, kept)
        return self._recommender.recommend_new(_rows(asker.history[asker.history < n], 1, n), k, kept)

    def similar(self, row: int, k: int, allowed: Bools | None) -> TopK:
        """As the recommender does."""
        self._check_old(row)
        return self._recommender.similar(np.array([row], np.int32), k, self._allowed(allowed))

    def fresh(self) -> None:
        """There are none."""

    def directions(self, rows: Ints) -> Floats:  # noqa: ARG002
        """There are none."""
        raise ConfigError("this model has no vectors of items, and diversity needs them; leave it out")

    def explain(self, asker: Asker, row: int) -> Explanation:
        """As the recommender does."""
        self._check_old(row)
        if asker.user is not None:
            return self._recommender.explain(asker.user, row)
        return self._recommender.explain_new(asker.history[asker.history < len(self._there)], row)

    def _allowed(self, allowed: Bools | None) -> Bools:
        return self._there.copy() if allowed is None else self._there & allowed[: len(self._there)]

    def _check_old(self, row: int) -> None:
        if row >= len(self._there):
            raise ConfigError("this model knows nothing of items that came after its training; train it again")


def _rows(rows: Ints, n: int, n_columns: int | None = None) -> Csr:
    """The same items in each of n rows, of a matrix as wide as it has to be unless it is said."""
    if n_columns is None:
        n_columns = int(rows.max()) + 1 if len(rows) else 1
    ids, weights = np.tile(rows, n).astype(np.int32), np.ones(n * len(rows), np.float32)
    if (rows[1:] > rows[:-1]).all():
        return Csr(np.arange(n + 1, dtype=np.int64) * len(rows), ids, weights, n_columns)
    return from_pairs(np.repeat(np.arange(n, dtype=np.int32), len(rows)), ids, weights, (n, n_columns))
