"""Recommendations for users who are several interests: a search for each, and the best of all."""

from dataclasses import dataclass

import numpy as np

from pinfold.arrays import Bools, Floats, Ints, TopK
from pinfold.graph.csr import Csr, from_pairs
from pinfold.graph.interests import Interests, make_interests
from pinfold.index.explanation import Explanation, checked_history, checked_user
from pinfold.index.interface import Index
from pinfold.index.vectors import search_alike


@dataclass(frozen=True, slots=True)
class InterestRecommender:
    """Scores are the highest inner product with one of a user's medoids."""

    learned: Interests
    seen: Csr  # (U, I)
    index: Index
    alike: Index  # of the item vectors at length 1

    def recommend(self, users: Ints, k: int, allowed: Bools | None = None) -> TopK:
        """By the users' own interests; nothing for somebody who had none in the training part."""
        return self._best(asked(self.learned, users), self.seen.take(users), k, allowed)

    def recommend_new(self, histories: Csr, k: int, allowed: Bools | None = None) -> TopK:
        """By the interests that are found in the histories (B, I); nothing for somebody who took nothing."""
        return self._best(asked_new(self.learned, histories), histories, k, allowed)

    def similar(self, items: Ints, k: int, allowed: Bools | None = None) -> TopK:
        """By the cosine of item vectors."""
        return search_alike(self.alike, self.learned.items, items, k, allowed)

    def explain(self, user: int, item: int) -> Explanation:
        """Which of the user's interests brings the item: the medoid's term is the whole score."""
        items = checked_history(self.seen.row(checked_user(user, self.seen.n_rows)), item, len(self.learned.items))
        return self._explained(asked(self.learned, np.array([user], np.int32)), items, item)

    def explain_new(self, history: Ints, item: int) -> Explanation:
        """Which interest in the history brings the item: the medoid's term is the whole score."""
        items = checked_history(history, item, len(self.learned.items))
        return self._explained(asked_new(self.learned, _one(items, len(self.learned.items))), items, item)

    def _best(self, interests: Csr, histories: Csr, k: int, allowed: Bools | None) -> TopK:
        owners = np.repeat(np.arange(interests.n_rows, dtype=np.int32), interests.degrees())
        queries = medoid_queries(self.learned, interests)
        found = self.index.search(queries, k, histories.take(owners), allowed)
        return merged(found, owners, interests.n_rows)

    def _explained(self, interests: Csr, history: Ints, item: int) -> Explanation:
        items = np.union1d(history, interests.ids).astype(np.int32)
        terms = np.zeros(len(items), np.float32)
        if len(interests.ids):
            scores = medoid_queries(self.learned, interests) @ self.learned.items[item]
            best = int(scores.argmax())
            terms[np.searchsorted(items, interests.ids[best])] = scores[best]
        return Explanation(items, terms)


def asked(learned: Interests, users: Ints) -> Csr:
    """The medoids (B, I) that speak for these users, with the weights of what they say."""
    starts = learned.ptr[users]
    counts = np.minimum(learned.ptr[users + 1] - starts, learned.config.asked)
    owners = np.repeat(np.arange(len(users), dtype=np.int32), counts)
    within = np.arange(len(owners)) - np.repeat(np.cumsum(counts) - counts, counts)
    entries = starts[owners] + within
    weights = np.ones(len(entries), np.float32)
    if learned.config.merge == "weighted":
        highest = learned.importance[starts[owners]]  # the first one's
        np.divide(learned.importance[entries], highest, out=weights, where=highest > 0)
    return from_pairs(owners, learned.medoids[entries], weights, (len(users), len(learned.items)))


def asked_new(learned: Interests, histories: Csr) -> Csr:
    """The medoids (B, I) that speak for people known only by what they took (B, I), all of it of the same age."""
    found = make_interests(learned.items, histories, None, learned.config)
    return asked(found, np.arange(histories.n_rows, dtype=np.int32))


def interest_scores(learned: Interests, interests: Csr) -> Floats:
    """The scores (B, I) of all items by these medoids (B, I); 0 for somebody who has none."""
    products = medoid_queries(learned, interests) @ learned.items.T  # (Q, I)
    scores = np.zeros((interests.n_rows, len(learned.items)), np.float32)
    some = np.flatnonzero(interests.degrees())
    if len(some):
        scores[some] = np.maximum.reduceat(products, interests.ptr[some], axis=0)
    return scores


def medoid_queries(learned: Interests, interests: Csr) -> Floats:
    """The medoids' vectors (Q, D) at the lengths of their weights."""
    vectors = learned.items[interests.ids]
    lengths = np.maximum(np.linalg.norm(vectors, axis=1), np.finfo(np.float32).tiny)
    return np.asarray(vectors * (interests.weights / lengths)[:, None], np.float32)


def merged(found: TopK, owners: Ints, n: int) -> TopK:
    """The best of what was found (Q, K) for each owner's queries, every item once. Shape (n, K)."""
    k = found.ids.shape[1]
    ids, scores, rows = found.ids.ravel(), found.scores.ravel(), np.repeat(owners, k)
    kept = np.flatnonzero(ids >= 0)
    kept = kept[np.lexsort((-scores[kept], ids[kept], rows[kept]))]
    again = (np.diff(ids[kept]) == 0) & (np.diff(rows[kept]) == 0)
    kept = kept[np.concatenate([[True], ~again])[: len(kept)]]  # each item's highest score
    kept = kept[np.lexsort((ids[kept], -scores[kept], rows[kept]))]
    counts = np.bincount(rows[kept], minlength=n)
    place = np.arange(len(kept)) - np.repeat(np.cumsum(counts) - counts, counts)
    kept, place = kept[place < k], place[place < k]
    best = TopK(np.full((n, k), -1, np.int32), np.full((n, k), -np.inf, np.float32))
    best.ids[rows[kept], place], best.scores[rows[kept], place] = ids[kept], scores[kept]
    return best


def _one(items: Ints, n_items: int) -> Csr:
    return Csr(np.array([0, len(items)]), items, np.ones(len(items), np.float32), n_items)
