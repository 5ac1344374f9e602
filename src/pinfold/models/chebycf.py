"""ChebyCF: GF-CF with a filter that is flat in the middle of the spectrum, interpolated by a polynomial."""

from typing import Annotated, Literal

import numpy as np
from numpy.polynomial import Polynomial, chebyshev
from pydantic import Field

from pinfold.arrays import Doubles
from pinfold.config import options
from pinfold.graph.bipartite import BipartiteGraph
from pinfold.graph.learned import GraphFilter
from pinfold.models.gf_cf import graph_filter, normalize


@options
class ChebyCFConfig:
    """Kim et al., SIGIR 2025; the defaults are the paper's for Gowalla."""

    name: Literal["chebycf"] = "chebycf"
    order: Annotated[int, Field(ge=1, le=10, description="K, the degree of the interpolating polynomial")] = 8
    flatness: Annotated[
        float, Field(gt=0, le=50, description="phi: at 1 the filter is linear, a higher one is flatter in the middle")
    ] = 1.5
    user_exponent: Annotated[
        float, Field(ge=0, le=1, description="how much less each item of a long history tells; 0.5 is the paper's")
    ] = 0.5
    degree_exponent: Annotated[
        float, Field(ge=0, le=1, description="how much popular items count less in a history and more in the answer")
    ] = 0.4
    n_factors: Annotated[int, Field(ge=0, description="leading singular vectors of the ideal low-pass part")] = 512
    ideal: Annotated[float, Field(ge=0, description="weight of the ideal low-pass part")] = 0.2


def chebycf(config: ChebyCFConfig, graph: BipartiteGraph) -> GraphFilter:
    """The filter of the graph. Memory: two sparse matrices and (I, n_factors) floats, never items x items."""
    normalized = normalize(graph, config.user_exponent)
    coefficients = plateau_coefficients(config.order, config.flatness)[1:]  # a constant would only score own items
    return graph_filter(
        graph, normalized, coefficients.tolist(), config.degree_exponent, config.n_factors, config.ideal
    )


def plateau(t: Doubles, flatness: float) -> Doubles:
    """The paper's transfer function of t = 1 - 2x in [-1, 1]: 1 at t = -1, 1/2 in the middle, 0 at t = 1."""
    wanted: Doubles = 0.5 - 0.5 * np.sign(t) * np.abs(t) ** flatness
    return wanted


def plateau_coefficients(order: int, flatness: float) -> Doubles:
    """The plateau's interpolation as a polynomial of x, an eigenvalue of G: c_0, ..., c_K. Shape (order + 1,).

    The authors' code (chanwoo0806/ChebyCF, src/module.py) takes the K + 1 values at cos((K - k) pi / K), the ends of
    the interval among them, rounds to three digits, and sums them as if they stood at Chebyshev's nodes; so does this
    one, since the published numbers come from there. The result is a little steeper at both ends.
    """
    k = np.arange(order + 1)
    values = plateau(np.cos((order - k) / order * np.pi).round(3), flatness).round(3)
    nodes = np.cos((order + 0.5 - k) / (order + 1) * np.pi)
    weights = 2 / (order + 1) * chebyshev.chebvander(nodes, order).T @ values
    weights[0] /= 2
    coefficients = Polynomial(chebyshev.cheb2poly(weights))(Polynomial([1, -2])).coef
    return np.append(coefficients, np.zeros(order + 1 - len(coefficients)))
