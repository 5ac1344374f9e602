"""The elastic nets against their optimality conditions and a slow projected gradient."""

import numpy as np
import pytest
from scipy import sparse

from pinfold.arrays import Doubles, Floats
from pinfold.graph.csr import Csr, from_scipy
from pinfold.kernels.descent import regress

N_USERS, N_ITEMS = 120, 30


def taken() -> Doubles:
    """Zeros and ones in groups of alike items; item 7 is nobody's."""
    rng = np.random.default_rng(0)
    tastes = rng.random((N_USERS, 4)) < 0.4
    matrix = (tastes[:, rng.integers(4, size=N_ITEMS)] & (rng.random((N_USERS, N_ITEMS)) < 0.6)).astype(np.float64)
    matrix[:, 7] = 0
    return matrix


def candidates(n: int) -> Csr:
    """N of the other items for each item, at random; none for item 5."""
    rng = np.random.default_rng(1)
    mask = np.zeros((N_ITEMS, N_ITEMS), np.float32)
    for item in range(N_ITEMS):
        mask[item, rng.choice(np.delete(np.arange(N_ITEMS), item), n, replace=False)] = item != 5
    return from_scipy(sparse.csr_array(mask))


def dense(near: Csr, weights: Floats) -> Doubles:
    """Row i: the weights of i's candidates."""
    full: Doubles = Csr(near.ptr, near.ids, weights, N_ITEMS).to_scipy().toarray().astype(np.float64)
    return full


def found(matrix: Doubles, near: Csr, l1: float, l2: float) -> Doubles:
    users = from_scipy(sparse.csr_array(matrix.T))
    return dense(near, regress(users.ptr, users.ids, N_USERS, near.ptr, near.ids, l1, l2))


@pytest.mark.parametrize("n", [1, 8, 29])
@pytest.mark.parametrize(("l1", "l2"), [(0.0, 1.0), (1.0, 5.0), (4.0, 0.0)])
def test_optimality_conditions(n: int, l1: float, l2: float) -> None:
    """The slope is 0 where a weight is positive, and not below 0 where it is 0 (Karush, Kuhn and Tucker)."""
    matrix, near = taken(), candidates(n)
    weights = found(matrix, near, l1, l2)
    assert (weights >= 0).all()
    assert np.count_nonzero(weights) > 0
    for item in range(N_ITEMS):
        own = near.row(item)
        w = weights[item, own]
        slope = matrix[:, own].T @ (matrix[:, own] @ w - matrix[:, item]) + l2 * w + l1
        np.testing.assert_allclose(slope[w > 0], 0, atol=0.02)  # of some 30 users
        assert (slope[w == 0] > -0.02).all()


def test_against_projected_gradient() -> None:
    matrix, near = taken(), candidates(10)
    weights, slow = found(matrix, near, 1.0, 3.0), np.zeros((N_ITEMS, N_ITEMS))
    for item in range(0, N_ITEMS, 5):
        own = near.row(item)
        gram, shared = matrix[:, own].T @ matrix[:, own], matrix[:, own].T @ matrix[:, item]
        w = np.zeros(len(own))
        for _ in range(2000):
            w = np.maximum(0, w - (gram @ w - shared + 3 * w + 1) / (np.trace(gram) + 3))
        slow[item, own] = w
    np.testing.assert_allclose(weights[::5], slow[::5], atol=2e-3)


def test_l1_is_a_number_of_users() -> None:
    """A candidate alone gets (shared - l1) / (its users + l2)."""
    matrix = np.zeros((N_USERS, 2))
    matrix[:10, 0], matrix[4:12, 1] = 1, 1  # 10 and 8 users, 6 shared
    near = from_scipy(sparse.csr_array(np.array([[0, 1], [1, 0]], np.float32)))
    users = from_scipy(sparse.csr_array(matrix.T))
    for l1, expected in ((0.0, [6 / 10, 6 / 12]), (2.0, [4 / 10, 4 / 12]), (6.0, [0, 0])):
        weights = regress(users.ptr, users.ids, N_USERS, near.ptr, near.ids, l1, 2.0)
        np.testing.assert_allclose(weights, expected, rtol=1e-6)


def test_threads_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix, near = taken(), candidates(8)
    one = found(matrix, near, 0.5, 2.0)
    monkeypatch.setattr("pinfold.kernels.parallel.SMALL", 1)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    np.testing.assert_array_equal(found(matrix, near, 0.5, 2.0), one)
