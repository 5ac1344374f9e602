"""The sparse product against numpy."""

import numpy as np
import pytest
from scipy import sparse

from pinfold.graph.csr import from_scipy
from pinfold.kernels.products import multiply, multiply_sparse


@pytest.mark.parametrize("width", [1, 7, 64])
@pytest.mark.parametrize("threads", [1, 3])
def test_against_dense(monkeypatch: pytest.MonkeyPatch, width: int, threads: int) -> None:
    monkeypatch.setattr("pinfold.kernels.parallel.n_threads", lambda: threads)
    rng = np.random.default_rng(width)
    dense = np.where(rng.random((600, 40)) < 0.1, rng.standard_normal((600, 40)), 0).astype(np.float32)
    table = rng.standard_normal((40, width)).astype(np.float32)
    csr = from_scipy(sparse.csr_array(dense))
    np.testing.assert_allclose(multiply(csr.ptr, csr.ids, csr.weights, table), dense @ table, rtol=1e-4, atol=1e-5)


def test_empty_rows_and_no_columns() -> None:
    csr = from_scipy(sparse.csr_array((3, 4), dtype=np.float32))
    assert multiply(csr.ptr, csr.ids, csr.weights, np.ones((4, 2), np.float32)).tolist() == [[0, 0]] * 3
    assert multiply(csr.ptr, csr.ids, csr.weights, np.ones((4, 0), np.float32)).shape == (3, 0)


@pytest.mark.parametrize("threads", [1, 3])
def test_sparse_times_sparse_against_dense(monkeypatch: pytest.MonkeyPatch, threads: int) -> None:
    monkeypatch.setattr("pinfold.kernels.parallel.n_threads", lambda: threads)
    rng = np.random.default_rng(0)
    dense, left = (
        np.where(rng.random(shape) < 0.2, rng.standard_normal(shape), 0).astype(np.float32)
        for shape in ((40, 30), (300, 40))
    )
    matrix, rows = from_scipy(sparse.csr_array(dense)), from_scipy(sparse.csr_array(left))
    found = multiply_sparse(matrix.ptr, matrix.ids, matrix.weights, 30, (rows.ptr, rows.ids, rows.weights), 1.5)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, 1.5 * dense.T @ left.T, rtol=1e-4, atol=1e-5)
