"""Truncated SVD: many columns to few, the same ones on any number of threads."""

import numpy as np
from scipy import sparse

from pinfold.arrays import Doubles, Floats

NEGLIGIBLE = 1e-4  # of the largest singular value: below, a component is rounding error


def principal(matrix: "sparse.csr_array | Floats", dim: int, seed: int) -> Floats:
    """The right singular vectors of the largest singular values, as columns. Shape (V, D) with D <= dim.

    D is less than `dim` where the matrix (n, V) has fewer singular values that are not zero. Each vector's sign is
    such that its entry of largest size is positive.

    Source: randomized SVD (Halko, Martinsson and Tropp, SIAM Review 2011), as scikit-learn has it.
    """
    # Half a second to import, and only fitting needs it.
    from sklearn.utils.extmath import randomized_svd
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1, user_api="blas"):  # sums in another order would change the last digits
        _, sizes, vectors = randomized_svd(matrix, min(dim, *matrix.shape), n_iter=5, random_state=seed)
    vectors = np.asarray(vectors)[sizes > NEGLIGIBLE * sizes[0]]
    signs = np.sign(vectors[np.arange(len(vectors)), np.abs(vectors).argmax(axis=1)])
    return np.ascontiguousarray((vectors * signs[:, None]).T, np.float32)


def unit_rows(matrix: Floats, least: float = 0.0) -> Floats:
    """Each row scaled to length 1; one no longer than `least` becomes zeros. Shape as `matrix`."""
    lengths = row_lengths(matrix)[:, None]
    return np.divide(matrix, lengths, out=np.zeros_like(matrix), where=lengths > least, casting="same_kind")


def row_lengths(matrix: Floats) -> Doubles:
    """The Euclidean length of each row. Shape (n,)."""
    lengths: Doubles = np.sqrt(np.einsum("nd,nd->n", matrix, matrix, dtype=np.float64))
    return lengths
