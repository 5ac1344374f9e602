"""What a model leaves behind when torch has gone: vectors, similarities between items, or a filter of histories."""

from dataclasses import dataclass

import numpy as np

from pinfold.arrays import Embeddings, Floats, check_array
from pinfold.graph.csr import Csr


@dataclass(frozen=True, slots=True)
class ItemSimilarity:
    """A sparse (I, I) matrix W: having taken item j adds W[j, i] to the score of item i."""

    weights: Csr

    def __post_init__(self) -> None:
        if self.weights.n_rows != self.weights.n_columns:
            raise ValueError(f"similarity must be square, got ({self.weights.n_rows}, {self.weights.n_columns})")


@dataclass(frozen=True, slots=True)
class GraphFilter:
    """A low-pass filter over the item graph: scores are a smoothed history.

    A history h (I,) of zeros and ones is scored (sum_k c_k G^k h' + a V V' h') * d^b, where h' = h * d^-b, d are item
    degrees, G = P' P with the normalized user-item matrix P, and V its leading right singular vectors.
    """

    normalized: Csr  # (U, I) P
    transposed: Csr  # (I, U) P'
    coefficients: Floats  # (K,) c_1 .. c_K
    scale: Floats  # (I,) d^b
    factors: Floats  # (I, N) V, times the square root of a

    def __post_init__(self) -> None:
        n_items = self.normalized.n_columns
        if (self.transposed.n_rows, self.transposed.n_columns) != (n_items, self.normalized.n_rows):
            raise ValueError("normalized and transposed must be each other's transposes")
        check_array("coefficients", self.coefficients, np.float32, -1)
        check_array("scale", self.scale, np.float32, n_items)
        check_array("factors", self.factors, np.float32, n_items, -1)


Learned = Embeddings | ItemSimilarity | GraphFilter
