"""ChebyCF's transfer function and its scores."""

import numpy as np
import pytest
from numpy.polynomial import Polynomial

from pinfold.graph.bipartite import BipartiteGraph
from pinfold.models.chebycf import ChebyCFConfig, chebycf, plateau, plateau_coefficients
from pinfold.models.gf_cf import GFCFConfig, gf_cf


def test_plateau_falls_from_one_over_a_half_to_zero() -> None:
    t = np.linspace(-1, 1, 201)
    for flatness in (1.0, 1.5, 10.0):
        assert plateau(np.array([-1.0, 0.0, 1.0]), flatness).tolist() == [1, 0.5, 0]
        assert (np.diff(plateau(t, flatness)) <= 0).all()
    np.testing.assert_allclose(plateau(t, 1.0), (1 - t) / 2)
    np.testing.assert_allclose(plateau(np.array([-0.5, 0.5]), 10.0), 0.5, atol=1e-3)


@pytest.mark.parametrize("flatness", [1.0, 1.5, 10.0])
@pytest.mark.parametrize("order", [1, 2, 8])
def test_polynomial_passes_through_the_values_of_the_authors_code(order: int, flatness: float) -> None:
    """Interpolation: at the k-th Chebyshev node stands the plateau's value at the k-th point from end to end."""
    k = np.arange(1, order + 2)
    nodes = np.cos((order + 1.5 - k) / (order + 1) * np.pi)
    values = plateau(np.cos((order + 1 - k) / order * np.pi), flatness)
    found = Polynomial(plateau_coefficients(order, flatness))((1 - nodes) / 2)
    np.testing.assert_allclose(found, values, atol=2e-3)  # the authors round to three digits


def test_response_by_hand() -> None:
    """Order 1: values 1 and 0 at t = -+cos(pi / 4), so 1/2 - t / sqrt(2), which is 1/2 - 1/sqrt(2) + sqrt(2) x."""
    np.testing.assert_allclose(plateau_coefficients(1, 3.0), [0.5 - 0.5**0.5, 2**0.5])


def test_is_gf_cf_with_other_coefficients(graph: BipartiteGraph) -> None:
    cheby = chebycf(ChebyCFConfig(order=3, n_factors=4), graph)
    curve = tuple(plateau_coefficients(3, 1.5)[1:].tolist())
    same = GFCFConfig(coefficients=curve, user_exponent=0.5, degree_exponent=0.4, n_factors=4)
    for name in ("coefficients", "scale", "factors"):
        np.testing.assert_array_equal(getattr(cheby, name), getattr(gf_cf(same, graph), name))
