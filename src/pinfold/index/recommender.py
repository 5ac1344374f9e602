"""Recommenders: what a model learned, what everybody already has, and an index, as one object."""

from dataclasses import dataclass

import numpy as np

from pinfold.arrays import Embeddings, Floats, Ints, TopK
from pinfold.graph.csr import Csr
from pinfold.graph.learned import ItemSimilarity, Learned
from pinfold.index.exact import ExactIndex, block_rows, check_asked, excluded
from pinfold.index.interface import Index, Recommender
from pinfold.kernels.topk import top_k


def recommender(learned: Learned, seen: Csr) -> Recommender:
    """The recommender for what a model learned; `seen` (U, I) is never recommended to the user again."""
    match learned:
        case Embeddings():
            return EmbeddingRecommender(learned, seen, ExactIndex(learned.items))
        case ItemSimilarity():
            return SimilarityRecommender(learned, seen)


@dataclass(frozen=True, slots=True)
class EmbeddingRecommender:
    """Scores are inner products of vectors."""

    embeddings: Embeddings
    seen: Csr  # (U, I)
    index: Index

    def recommend(self, users: Ints, k: int) -> TopK:
        """By the users' own vectors."""
        return self.index.search(self.embeddings.users[users], k, self.seen.take(users))

    def recommend_new(self, histories: Csr, k: int) -> TopK:
        """By the sum of the history vectors of what they took."""
        queries: Floats = np.asarray(histories.to_scipy().sign() @ self.embeddings.history, dtype=np.float32)
        return self.index.search(queries, k, histories)

    def similar(self, items: Ints, k: int) -> TopK:
        """By the cosine of item vectors."""
        vectors = self.embeddings.items
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        unit = vectors / np.maximum(lengths, np.finfo(np.float32).tiny)
        return ExactIndex(unit).search(unit[items], k, _itself(items, len(unit)))


@dataclass(frozen=True, slots=True)
class SimilarityRecommender:
    """Scores are sums of similarities to what somebody took."""

    similarity: ItemSimilarity
    seen: Csr  # (U, I)

    def recommend(self, users: Ints, k: int) -> TopK:
        """By what each user has."""
        return self.recommend_new(self.seen.take(users), k)

    def recommend_new(self, histories: Csr, k: int) -> TopK:
        """By the histories (B, I), each item counted once."""
        return self._best(histories, histories, k)

    def similar(self, items: Ints, k: int) -> TopK:
        """By the item's own row of similarities."""
        itself = _itself(items, self.similarity.weights.n_rows)
        return self._best(itself, itself, k)

    def _best(self, histories: Csr, exclude: Csr, k: int) -> TopK:
        """The highest rows of histories (B, I) times W, computed in blocks; items without any score are left out."""
        check_asked(histories.n_rows, self.similarity.weights.n_rows, k, exclude)
        weights = self.similarity.weights.to_scipy()
        asked = histories.to_scipy().sign()
        ids = np.empty((histories.n_rows, k), np.int32)
        scores = np.empty((histories.n_rows, k), np.float32)
        size = block_rows(histories.n_columns)
        for start in range(0, histories.n_rows, size):
            rows = slice(start, start + size)
            block = (asked[rows] @ weights).toarray()
            block[block == 0] = -np.inf
            found = top_k(block, *excluded(exclude, start, len(block)), k)
            ids[rows], scores[rows] = found.ids, found.scores
        return TopK(ids, scores)


def _itself(items: Ints, n_items: int) -> Csr:
    """One row for each of these items, holding the item."""
    n = len(items)
    return Csr(np.arange(n + 1, dtype=np.int64), items.astype(np.int32), np.ones(n, np.float32), n_items)
