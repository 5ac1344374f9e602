"""The leading singular vectors of a sparse matrix, by products with blocks of vectors."""

import numpy as np
from scipy import sparse

from pinfold.arrays import Doubles, Floats
from pinfold.graph.csr import Csr, from_scipy
from pinfold.kernels.products import multiply

SMALL = 1024  # columns up to which the dense eigenproblem takes less than a second
DEGREE = 4  # of the Chebyshev polynomial between two orthogonalizations; higher ones drown in float32's rounding
ROUNDS = 5


def largest_singular_value(matrix: sparse.csr_array) -> float:
    """Of a matrix (R, C) without negative entries, by power iteration from a positive vector."""
    vector: Doubles = np.ones(matrix.shape[1])
    value = 0.0
    for _ in range(1000):
        image = matrix.T @ (matrix @ vector)
        length = float(np.linalg.norm(image))
        if length == 0 or abs(length - value) <= 1e-12 * length:
            return float(np.sqrt(length))
        vector, value = image / length, length
    return float(np.sqrt(value))


def leading_vectors(matrix: sparse.csr_array, n: int, *, small: int = SMALL) -> Floats:
    """The right singular vectors of the largest singular values, in falling order. Shape (C, at most n).

    Subspace iteration with a quarter more vectors than asked, each round a Chebyshev polynomial that is small below the
    smallest eigenvalue of the round before (Zhou, Saad, Tiago and Chelikowsky, J. Comput. Phys. 2006). The signal
    in the last vectors is approximate; a low-pass filter does not notice. The start is always the same.
    """
    n = min(n, min(matrix.shape) - 1)
    if n < 1:
        return np.zeros((matrix.shape[1], 0), np.float32)
    if matrix.shape[1] <= small:
        _, vectors = np.linalg.eigh((matrix.T @ matrix).toarray().astype(np.float64))
        return np.ascontiguousarray(vectors[:, ::-1][:, :n], np.float32)
    forth = from_scipy(matrix)
    back = forth.transpose()
    start = np.random.default_rng(0).standard_normal((matrix.shape[0], min(n + n // 4 + 8, min(matrix.shape))))
    basis = _orthonormal(_times(back, start.astype(np.float32)))
    for last in (False,) * ROUNDS + (True,):
        image = _times(forth, basis)
        values, turn = np.linalg.eigh((image.T @ image).astype(np.float64))
        basis = basis @ turn[:, ::-1].astype(np.float32)  # Rayleigh-Ritz: the best vectors within the basis
        if not last:
            basis = _orthonormal(_chebyshev(forth, back, basis, max(float(values[0]), 1e-3 * float(values[-1]))))
    return np.ascontiguousarray(basis[:, :n])


def _chebyshev(forth: Csr, back: Csr, basis: Floats, bound: float) -> Floats:
    """T_DEGREE of the matrix that takes G's eigenvalues in [0, bound] to [-1, 1], times the basis."""
    before = basis
    step = np.float32(4 / bound)
    now = step / 2 * _times(back, _times(forth, basis)) - basis
    for _ in range(DEGREE - 1):
        before, now = now, step * _times(back, _times(forth, now)) - 2 * now - before
    return now


def _orthonormal(table: Floats) -> Floats:
    """An orthonormal basis of the columns' span; twice, since float32 loses it once."""
    for _ in range(2):
        table = table / np.maximum(np.linalg.norm(table, axis=0), np.float32(1e-30))
        values, turn = np.linalg.eigh((table.T @ table).astype(np.float64))
        table = table @ (turn / np.sqrt(np.maximum(values, 1e-10 * values[-1]))).astype(np.float32)
    return table


def _times(matrix: Csr, table: Floats) -> Floats:
    return multiply(matrix.ptr, matrix.ids, matrix.weights, np.ascontiguousarray(table))
