"""Recommendations by histories that are smoothed over the item graph."""

from dataclasses import dataclass

import numpy as np

from pinfold.arrays import Floats, Ints, TopK
from pinfold.graph.csr import Csr
from pinfold.graph.learned import GraphFilter
from pinfold.index.exact import check_asked, excluded, itself
from pinfold.kernels.products import multiply
from pinfold.kernels.topk import top_k

FILTERED = 128  # histories smoothed at once: wide enough to hide latency, narrow enough for the cache


@dataclass(frozen=True, slots=True)
class FilterRecommender:
    """Scores are histories, smoothed over the item graph."""

    learned: GraphFilter
    seen: Csr  # (U, I)

    def recommend(self, users: Ints, k: int) -> TopK:
        """By what each user has."""
        return self.recommend_new(self.seen.take(users), k)

    def recommend_new(self, histories: Csr, k: int) -> TopK:
        """By the histories (B, I), each item counted once; nothing for somebody who took nothing."""
        check_asked(histories.n_rows, len(self.learned.scale), k, histories)
        ids = np.empty((histories.n_rows, k), np.int32)
        scores = np.empty((histories.n_rows, k), np.float32)
        asked = histories.to_scipy().sign()
        for start in range(0, histories.n_rows, FILTERED):
            rows = slice(start, start + FILTERED)
            block = smooth(self.learned, asked[rows].toarray())
            block[block <= 0] = -np.inf
            found = top_k(block, *excluded(histories, start, len(block)), k)
            ids[rows], scores[rows] = found.ids, found.scores
        return TopK(ids, scores)

    def similar(self, items: Ints, k: int) -> TopK:
        """By the response to this item alone."""
        return self.recommend_new(itself(items, len(self.learned.scale)), k)


def smooth(learned: GraphFilter, histories: Floats) -> Floats:
    """The scores (B, I) of histories (B, I); the formula is GraphFilter's."""
    forth, back = learned.normalized, learned.transposed
    signal = np.ascontiguousarray((histories / learned.scale).T, np.float32)  # (I, B)
    total = learned.factors @ (learned.factors.T @ signal)
    for coefficient in learned.coefficients:
        signal = multiply(forth.ptr, forth.ids, forth.weights, signal)  # (U, B)
        signal = multiply(back.ptr, back.ids, back.weights, signal)
        total += coefficient * signal
    return np.ascontiguousarray(total.T) * learned.scale
