"""Recommendations by inner products of vectors."""

from dataclasses import dataclass

import numpy as np

from pinfold.arrays import Embeddings, Floats, Ints, TopK
from pinfold.graph.csr import Csr
from pinfold.index.exact import ExactIndex, itself
from pinfold.index.interface import Index


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
        return ExactIndex(self.units).search(self.units[items], k, itself(items, len(self.units)))


def unit(vectors: Floats) -> Floats:
    """The rows at length 1; a row of zeros stays as it is."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, np.finfo(np.float32).tiny), np.float32)
