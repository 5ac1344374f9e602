"""Recommendations by histories that are smoothed over the item graph."""

from dataclasses import dataclass

import numpy as np

from pinfold.arrays import Bools, Floats, Ints, TopK
from pinfold.graph.csr import Csr
from pinfold.graph.learned import GraphFilter
from pinfold.index.exact import check_asked, excluded, forbid, itself
from pinfold.index.explanation import Explanation, checked_history, checked_user
from pinfold.kernels.products import multiply, multiply_sparse
from pinfold.kernels.topk import top_k

FILTERED = 128  # histories smoothed at once: wide enough to hide latency, narrow enough for the cache


@dataclass(frozen=True, slots=True)
class FilterRecommender:
    """Scores are histories, smoothed over the item graph."""

    learned: GraphFilter
    seen: Csr  # (U, I)

    def recommend(self, users: Ints, k: int, allowed: Bools | None = None) -> TopK:
        """By what each user has."""
        return self.recommend_new(self.seen.take(users), k, allowed)

    def recommend_new(self, histories: Csr, k: int, allowed: Bools | None = None) -> TopK:
        """By the histories (B, I), each item counted once; nothing for somebody who took nothing."""
        check_asked(histories.n_rows, len(self.learned.scale), k, histories, allowed)
        ids = np.empty((histories.n_rows, k), np.int32)
        scores = np.empty((histories.n_rows, k), np.float32)
        for start in range(0, histories.n_rows, FILTERED):
            rows = slice(start, min(start + FILTERED, len(ids)))
            block = smooth(self.learned, histories.take(np.arange(rows.start, rows.stop, dtype=np.int32)))
            block[block <= 0] = -np.inf
            forbid(block, allowed)
            found = top_k(block, *excluded(histories, start, len(block)), k)
            ids[rows], scores[rows] = found.ids, found.scores
        return TopK(ids, scores)

    def similar(self, items: Ints, k: int, allowed: Bools | None = None) -> TopK:
        """By the response to this item alone."""
        return self.recommend_new(itself(items, len(self.learned.scale)), k, allowed)

    def explain(self, user: int, item: int) -> Explanation:
        """By what the user has."""
        return self.explain_new(self.seen.row(checked_user(user, self.seen.n_rows)), item)

    def explain_new(self, history: Ints, item: int) -> Explanation:
        """From one response: with f the symmetric filter, j adds f_ij d_i^b / d_j^b, and answers i with the inverse."""
        scale = self.learned.scale
        items = checked_history(history, item, len(scale))
        response = smooth(self.learned, itself(np.array([item], np.int32), len(scale)))[0]
        return Explanation(items, response[items] * (scale[item] / scale[items]) ** 2)


def smooth(learned: GraphFilter, histories: Csr) -> Floats:
    """The scores (B, I) of histories (B, I), whose weights are not looked at; the formula is GraphFilter's.

    By Horner's rule, sum_k c_k G^k h = G (c_1 h + G (c_2 h + ...)): one table of scores, and each step adds a sparse h.
    Moves 8 E (2 K - 1) / 2 bytes a history: the first product of P meets a sparse h and is nearly free.
    """
    forth, back = learned.normalized, learned.transposed
    weights: Floats = np.reciprocal(learned.scale[histories.ids])  # h', (E',)
    asked = np.repeat(np.arange(histories.n_rows), histories.degrees())
    *others, highest = learned.coefficients.tolist()
    left = (histories.ptr, histories.ids, weights)
    users = multiply_sparse(back.ptr, back.ids, back.weights, back.n_columns, left, highest)  # (U, B)
    items = multiply(back.ptr, back.ids, back.weights, users)  # (I, B)
    for coefficient in reversed(others):
        items[histories.ids, asked] += np.float32(coefficient) * weights
        items = multiply(forth.ptr, forth.ids, forth.weights, items)
        items = multiply(back.ptr, back.ids, back.weights, items)
    scores = np.ascontiguousarray(items.T)
    if learned.factors.shape[1]:
        scores += multiply(histories.ptr, histories.ids, weights, learned.factors) @ learned.factors.T
    scores *= learned.scale
    return scores
