"""GF-CF: a low-pass filter over the item graph, computed in closed form."""

from typing import Annotated, Literal

import numpy as np
from numpy.polynomial import Polynomial
from pydantic import Field
from scipy import sparse
from scipy.sparse.linalg import svds

from pinfold.arrays import Floats
from pinfold.config import options
from pinfold.graph.bipartite import BipartiteGraph
from pinfold.graph.csr import from_scipy
from pinfold.graph.learned import GraphFilter


@options
class GFCFConfig:
    """Shen et al., CIKM 2021; defaults chosen on the validation parts of two data sets (docs/experiments.md).

    The paper's filter is order 1, degree_exponent 0.5, n_factors 256, ideal 0.3.
    """

    name: Literal["gf-cf"] = "gf-cf"
    order: Annotated[
        int, Field(ge=1, le=8, description="n of the filter 1 - (1 - x)^n over G's eigenvalues; 1 is linear")
    ] = 2
    degree_exponent: Annotated[
        float, Field(ge=0, le=1, description="how much popular items count less in a history and more in the answer")
    ] = 0.3
    n_factors: Annotated[
        int, Field(ge=0, description="leading singular vectors of the ideal low-pass part; 512 take a minute")
    ] = 0
    ideal: Annotated[float, Field(ge=0, description="weight of the ideal low-pass part")] = 0.2


def gf_cf(config: GFCFConfig, graph: BipartiteGraph) -> GraphFilter:
    """The filter of the graph. Memory: two sparse matrices and (I, n_factors) floats, never items x items.

    P = D_u^-1/2 R D_i^-1/2, so G = P'P has eigenvalues in [0, 1] and 1 - (1 - x)^n keeps the large ones. The degree
    exponent is ChebyCF's normalization (Kim et al., SIGIR 2025).
    """
    rated = graph.user_items.to_scipy().sign().astype(np.float64)
    users = np.maximum(graph.user_items.degrees(), 1.0)
    items = np.maximum(graph.item_counts(), 1.0)
    normalized = sparse.csr_array(sparse.diags_array(users**-0.5) @ rated @ sparse.diags_array(items**-0.5))
    forth = from_scipy(normalized)
    coefficients = -(Polynomial([1, -1]) ** config.order).coef[1:]  # of x, x^2, ... in 1 - (1 - x)^n
    return GraphFilter(
        forth,
        forth.transpose(),
        coefficients.astype(np.float32),
        (items**config.degree_exponent).astype(np.float32),
        _factors(normalized, config.n_factors) * np.float32(np.sqrt(config.ideal)),
    )


def _factors(normalized: sparse.csr_array, n_factors: int) -> Floats:
    """The leading right singular vectors. Shape (I, at most n_factors)."""
    n = min(n_factors, min(normalized.shape) - 1)
    if n < 1:
        return np.zeros((normalized.shape[1], 0), np.float32)
    start = np.random.default_rng(0).random(min(normalized.shape))  # else ARPACK starts at random
    _, _, right = svds(normalized.astype(np.float32), k=n, v0=start.astype(np.float32))
    return np.ascontiguousarray(right[::-1].T, np.float32)
