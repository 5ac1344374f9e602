"""What models leave behind."""

import numpy as np
import pytest

from pinfold.graph.csr import from_pairs
from pinfold.graph.learned import ItemSimilarity

NOTHING = np.zeros(0, np.int32)


def test_a_similarity_is_square() -> None:
    weights = np.zeros(0, np.float32)
    assert ItemSimilarity(from_pairs(NOTHING, NOTHING, weights, (3, 3))).weights.n_rows == 3
    with pytest.raises(ValueError, match=r"similarity must be square, got \(3, 4\)"):
        ItemSimilarity(from_pairs(NOTHING, NOTHING, weights, (3, 4)))
