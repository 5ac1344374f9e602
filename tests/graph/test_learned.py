"""What models leave behind."""

import numpy as np
import pytest

from pinfold.graph.csr import from_pairs
from pinfold.graph.learned import DenseSimilarity, ItemSimilarity

NOTHING = np.zeros(0, np.int32)


def test_a_similarity_is_square() -> None:
    weights = np.zeros(0, np.float32)
    assert ItemSimilarity(from_pairs(NOTHING, NOTHING, weights, (3, 3))).weights.n_rows == 3
    with pytest.raises(ValueError, match=r"similarity must be square, got \(3, 4\)"):
        ItemSimilarity(from_pairs(NOTHING, NOTHING, weights, (3, 4)))


def test_a_dense_similarity_is_square_and_in_single_precision() -> None:
    assert len(DenseSimilarity(np.zeros((3, 3), np.float32)).weights) == 3
    with pytest.raises(ValueError, match=r"weights must have shape \(3, 3\)"):
        DenseSimilarity(np.zeros((3, 4), np.float32))
    with pytest.raises(TypeError, match="float32"):
        DenseSimilarity(np.zeros((3, 3)))  # type: ignore[arg-type]
