"""Leading singular vectors against dense linear algebra."""

import numpy as np
import pytest
from scipy import sparse

from pinfold.models.spectrum import largest_singular_value, leading_vectors


def lopsided(seed: int = 0) -> sparse.csr_array:
    """300 x 200, with singular values that fall like those of a data set."""
    rng = np.random.default_rng(seed)
    popular = 1 / np.arange(1, 201) ** 0.7
    rated = (rng.random((300, 200)) < 0.6 * popular).astype(np.float64)
    users, items = np.maximum(rated.sum(1), 1), np.maximum(rated.sum(0), 1)
    return sparse.csr_array(rated / np.sqrt(users[:, None] * items))


@pytest.mark.parametrize("small", [0, 1024])
def test_spans_what_the_dense_vectors_span(small: int) -> None:
    matrix = lopsided()
    found = leading_vectors(matrix, 20, small=small)
    _, _, right = np.linalg.svd(matrix.toarray())
    assert found.shape == (200, 20)
    np.testing.assert_allclose(found.T @ found, np.eye(20), atol=1e-5)
    overlap = np.linalg.norm(right[:20] @ found) ** 2 / 20
    assert overlap > 0.99
    np.testing.assert_allclose(np.abs(right[:8] @ found[:, :8]), np.eye(8), atol=1e-3)


def test_same_bits_every_time() -> None:
    first, second = (leading_vectors(lopsided(), 10, small=0) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("small", [0, 1024])
def test_more_vectors_than_there_are(small: int) -> None:
    matrix = sparse.csr_array(np.ones((5, 4)))  # of rank 1
    found = leading_vectors(matrix, 10, small=small)
    assert found.shape == (4, 3)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(np.abs(found[:, 0]), 0.5, atol=1e-5)
    assert leading_vectors(matrix, 0).shape == (4, 0)


def test_largest_singular_value() -> None:
    matrix = lopsided()
    assert largest_singular_value(matrix) == pytest.approx(np.linalg.norm(matrix.toarray(), 2), rel=1e-9)
    assert largest_singular_value(sparse.csr_array((3, 2))) == 0
