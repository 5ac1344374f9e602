"""Recommenders: what a model learned, what everybody already has, and an index, as one object."""

from dataclasses import dataclass

import numpy as np

from pinfold.arrays import Embeddings, Floats, Ints, TopK
from pinfold.graph.csr import Csr
from pinfold.graph.learned import GraphFilter, ItemSimilarity, Learned
from pinfold.index.exact import ExactIndex, block_rows, check_asked, excluded
from pinfold.index.interface import Index, Recommender
from pinfold.kernels.products import multiply
from pinfold.kernels.topk import top_k

FILTERED = 128  # histories smoothed at once: wide enough to hide latency, narrow enough for the cache


def recommender(learned: Learned, seen: Csr) -> Recommender:
    """The recommender for what a model learned; `seen` (U, I) is never recommended to the user again."""
    match learned:
        case Embeddings():
            return EmbeddingRecommender(learned, seen, ExactIndex(learned.items), _unit(learned.items))
        case ItemSimilarity():
            return SimilarityRecommender(learned.weights, learned.weights.transpose(), seen)
        case GraphFilter():
            return FilterRecommender(learned, seen)


@dataclass(frozen=True, slots=True)
class EmbeddingRecommender:
    """Scores are inner products of vectors."""

    embeddings: Embeddings
    seen: Csr  # (U, I)
    index: Index
    units: Floats  # (I, D) the item vectors at length 1

    def recommend(self, users: Ints, k: int) -> TopK:
        """By the users' own vectors."""
        return self.index.search(self.embeddings.users[users], k, self.seen.take(users))

    def recommend_new(self, histories: Csr, k: int) -> TopK:
        """By the sum of the history vectors of what they took; nothing for somebody who took nothing."""
        queries: Floats = np.asarray(histories.to_scipy().sign() @ self.embeddings.history, dtype=np.float32)
        found = self.index.search(queries, k, histories)
        nobody = histories.degrees() == 0
        found.ids[nobody], found.scores[nobody] = -1, -np.inf
        return found

    def similar(self, items: Ints, k: int) -> TopK:
        """By the cosine of item vectors."""
        return ExactIndex(self.units).search(self.units[items], k, _itself(items, len(self.units)))


@dataclass(frozen=True, slots=True)
class SimilarityRecommender:
    """Scores are sums of similarities to what somebody took."""

    weights: Csr  # (I, I) row j: for which items taking j speaks
    neighbors: Csr  # (I, I) the transpose, row i: the items most like i
    seen: Csr  # (U, I)

    def recommend(self, users: Ints, k: int) -> TopK:
        """By what each user has."""
        return self.recommend_new(self.seen.take(users), k)

    def recommend_new(self, histories: Csr, k: int) -> TopK:
        """By the histories (B, I), each item counted once."""
        return _best(histories, self.weights, k)

    def similar(self, items: Ints, k: int) -> TopK:
        """By the similarities that were kept for each of these items."""
        return _best(_itself(items, self.neighbors.n_rows), self.neighbors, k)


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
        return self.recommend_new(_itself(items, len(self.learned.scale)), k)


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


def _best(asked: Csr, weights: Csr, k: int) -> TopK:
    """The highest entries of asked (B, I) times weights (I, I), in blocks, without what was asked or scores 0."""
    check_asked(asked.n_rows, weights.n_rows, k, asked)
    ids = np.empty((asked.n_rows, k), np.int32)
    scores = np.empty((asked.n_rows, k), np.float32)
    left, right = asked.to_scipy().sign(), weights.to_scipy()
    size = block_rows(weights.n_columns)
    for start in range(0, asked.n_rows, size):
        rows = slice(start, start + size)
        block = (left[rows] @ right).toarray()
        block[block == 0] = -np.inf
        found = top_k(block, *excluded(asked, start, len(block)), k)
        ids[rows], scores[rows] = found.ids, found.scores
    return TopK(ids, scores)


def _unit(vectors: Floats) -> Floats:
    """The rows at length 1; a row of zeros stays as it is."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, np.finfo(np.float32).tiny), np.float32)


def _itself(items: Ints, n_items: int) -> Csr:
    """One row for each of these items, holding the item."""
    n = len(items)
    return Csr(np.arange(n + 1, dtype=np.int64), items.astype(np.int32), np.ones(n, np.float32), n_items)
