"""The sparse product against numpy."""

import numpy as np
import pytest
from scipy import sparse

from pinfold.graph.csr import from_scipy
from pinfold.kernels.products import multiply


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
