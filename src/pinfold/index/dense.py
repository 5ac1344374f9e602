"""Recommendations by a full matrix of what each item says about each other."""

from dataclasses import dataclass

import numpy as np

from pinfold.arrays import Bools, Floats, Ints, TopK
from pinfold.graph.csr import Csr
from pinfold.index.exact import block_rows, check_asked, excluded, forbid, itself
from pinfold.index.explanation import Explanation, checked_history, checked_user
from pinfold.kernels.products import multiply
from pinfold.kernels.topk import top_k


@dataclass(frozen=True, slots=True)
class DenseRecommender:
    """Scores are sums of weights, of which some are negative."""

    weights: Floats  # (I, I) row j: what taking j adds to each item
    seen: Csr  # (U, I)

    def recommend(self, users: Ints, k: int, allowed: Bools | None = None) -> TopK:
        """By what each user has."""
        return self.recommend_new(self.seen.take(users), k, allowed)

    def recommend_new(self, histories: Csr, k: int, allowed: Bools | None = None) -> TopK:
        """By the histories (B, I), each item counted once; nothing for somebody who took nothing.

        Moves 4 I bytes for each item of a history; the blocks keep memory at BLOCK_BYTES (index/exact.py).
        """
        n_items = len(self.weights)
        check_asked(histories.n_rows, n_items, k, histories, allowed)
        ids = np.empty((histories.n_rows, k), np.int32)
        scores = np.empty((histories.n_rows, k), np.float32)
        once = np.ones(len(histories.ids), np.float32)
        size = block_rows(n_items)
        for start in range(0, histories.n_rows, size):
            rows = slice(start, start + size)
            ptr = histories.ptr[start : start + size + 1]
            block = multiply(ptr, histories.ids, once, self.weights)
            block[np.diff(ptr) == 0] = -np.inf
            forbid(block, allowed)
            found = top_k(block, *excluded(histories, start, len(block)), k)
            ids[rows], scores[rows] = found.ids, found.scores
        return TopK(ids, scores)

    def similar(self, items: Ints, k: int, allowed: Bools | None = None) -> TopK:
        """The items that speak most for each of these; none that speaks against it or says nothing.

        Reads columns of the matrix, so one entry of every row: from a cold disk a page for each item.

        Raises:
            ValueError: an item out of range, k below 1.
        """
        n_items = len(self.weights)
        asked = itself(items, n_items)
        check_asked(len(items), n_items, k, asked, allowed)
        ids = np.empty((len(items), k), np.int32)
        scores = np.empty((len(items), k), np.float32)
        size = block_rows(n_items)
        for start in range(0, len(items), size):
            rows = slice(start, start + size)
            block = np.ascontiguousarray(self.weights[:, items[rows]].T)  # row b: what each item says about item b
            block[block <= 0] = -np.inf
            forbid(block, allowed)
            found = top_k(block, *excluded(asked, start, len(block)), k)
            ids[rows], scores[rows] = found.ids, found.scores
        return TopK(ids, scores)

    def explain(self, user: int, item: int) -> Explanation:
        """By what the user has."""
        return self.explain_new(self.seen.row(checked_user(user, self.seen.n_rows)), item)

    def explain_new(self, history: Ints, item: int) -> Explanation:
        """The weights with which the history speaks for the item, or against it."""
        items = checked_history(history, item, len(self.weights))
        return Explanation(items, self.weights[items, item])
