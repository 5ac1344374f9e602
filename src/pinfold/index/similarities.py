"""Recommendations by sums of similarities between items."""

from dataclasses import dataclass

import numpy as np

from pinfold.arrays import Bools, Ints, TopK
from pinfold.graph.csr import Csr
from pinfold.index.exact import block_rows, check_asked, excluded, forbid, itself
from pinfold.index.explanation import Explanation, checked_history, checked_user
from pinfold.kernels.topk import top_k


@dataclass(frozen=True, slots=True)
class SimilarityRecommender:
    """Scores are sums of similarities to what somebody took."""

    weights: Csr  # (I, I) row j: for which items taking j speaks
    neighbors: Csr  # (I, I) the transpose, row i: the items most like i
    seen: Csr  # (U, I)

    def recommend(self, users: Ints, k: int, allowed: Bools | None = None) -> TopK:
        """By what each user has."""
        return self.recommend_new(self.seen.take(users), k, allowed)

    def recommend_new(self, histories: Csr, k: int, allowed: Bools | None = None) -> TopK:
        """By the histories (B, I), each item counted once."""
        return _best(histories, self.weights, k, allowed)

    def similar(self, items: Ints, k: int, allowed: Bools | None = None) -> TopK:
        """By the similarities that were kept for each of these items."""
        return _best(itself(items, self.neighbors.n_rows), self.neighbors, k, allowed)

    def explain(self, user: int, item: int) -> Explanation:
        """By what the user has."""
        return self.explain_new(self.seen.row(checked_user(user, self.seen.n_rows)), item)

    def explain_new(self, history: Ints, item: int) -> Explanation:
        """The weights with which the history speaks for the item."""
        items = checked_history(history, item, self.neighbors.n_rows)
        terms = np.zeros(self.neighbors.n_rows, np.float32)
        start, stop = self.neighbors.ptr[item], self.neighbors.ptr[item + 1]
        terms[self.neighbors.ids[start:stop]] = self.neighbors.weights[start:stop]
        return Explanation(items, terms[items])


def _best(asked: Csr, weights: Csr, k: int, allowed: Bools | None) -> TopK:
    """The highest entries of asked (B, I) times weights (I, I), in blocks, without what was asked or scores 0."""
    check_asked(asked.n_rows, weights.n_rows, k, asked, allowed)
    ids = np.empty((asked.n_rows, k), np.int32)
    scores = np.empty((asked.n_rows, k), np.float32)
    left, right = asked.to_scipy().sign(), weights.to_scipy()
    size = block_rows(weights.n_columns)
    for start in range(0, asked.n_rows, size):
        rows = slice(start, start + size)
        block = (left[rows] @ right).toarray()
        block[block == 0] = -np.inf
        forbid(block, allowed)
        found = top_k(block, *excluded(asked, start, len(block)), k)
        ids[rows], scores[rows] = found.ids, found.scores
    return TopK(ids, scores)
