"""What a model leaves behind when torch has gone: vectors, or similarities between items."""

from dataclasses import dataclass

from pinfold.arrays import Embeddings
from pinfold.graph.csr import Csr


@dataclass(frozen=True, slots=True)
class ItemSimilarity:
    """A sparse (I, I) matrix W: having taken item j adds W[j, i] to the score of item i."""

    weights: Csr

    def __post_init__(self) -> None:
        if self.weights.n_rows != self.weights.n_columns:
            raise ValueError(f"similarity must be square, got ({self.weights.n_rows}, {self.weights.n_columns})")


Learned = Embeddings | ItemSimilarity
