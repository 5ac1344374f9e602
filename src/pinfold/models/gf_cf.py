"""GF-CF: a low-pass filter over the item graph, computed in closed form."""

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
from pydantic import Field
from scipy import sparse

from pinfold.arrays import Doubles
from pinfold.config import options
from pinfold.graph.bipartite import BipartiteGraph
from pinfold.graph.csr import Csr, from_scipy
from pinfold.graph.learned import GraphFilter
from pinfold.models.spectrum import largest_singular_value, leading_vectors


@options
class GFCFConfig:
    """Shen et al., CIKM 2021, with a choice of filter; defaults come from validation parts (docs/experiments.md).

    The paper's filter is coefficients [1], user_exponent 0.5, degree_exponent 0.5, n_factors 256, ideal 0.3.
    """

    name: Literal["gf-cf"] = "gf-cf"
    coefficients: Annotated[
        tuple[float, ...],
        Field(
            min_length=1,
            max_length=8,
            description="c_1, c_2, ... of the filter c_1 x + c_2 x^2 + ... over G's eigenvalues x in [0, 1]; [1] is "
            "linear, [3, -3, 1] is 1 - (1 - x)^3",
        ),
    ] = (3.0, -3.0, 1.0)
    user_exponent: Annotated[
        float, Field(ge=0, le=1, description="how much less each item of a long history tells; 0.5 is the usual one")
    ] = 0.3
    degree_exponent: Annotated[
        float, Field(ge=0, le=1, description="how much popular items count less in a history and more in the answer")
    ] = 0.3
    n_factors: Annotated[int, Field(ge=0, description="leading singular vectors of the ideal low-pass part")] = 0
    ideal: Annotated[float, Field(ge=0, description="weight of the ideal low-pass part")] = 0.2


def gf_cf(config: GFCFConfig, graph: BipartiteGraph) -> GraphFilter:
    """The filter of the graph. Memory: two sparse matrices and (I, n_factors) floats, never items x items."""
    normalized = normalize(graph, config.user_exponent)
    return graph_filter(graph, normalized, config.coefficients, config.degree_exponent, config.n_factors, config.ideal)


def normalize(graph: BipartiteGraph, user_exponent: float) -> sparse.csr_array:
    """P = D_u^-a R D_i^-1/2 / s (U, I), with s such that the largest eigenvalue of G = P'P is 1.

    R has ones where there are edges, D the degrees, a is `user_exponent`; at 1/2, as in the paper, s is 1.
    """
    rated = graph.user_items.to_scipy().sign().astype(np.float64)
    users = np.maximum(graph.user_items.degrees(), 1.0)
    items = np.maximum(graph.item_counts(), 1.0)
    scaled = sparse.csr_array(sparse.diags_array(users**-user_exponent) @ rated @ sparse.diags_array(items**-0.5))
    largest = 1.0 if user_exponent == 0.5 else largest_singular_value(scaled)
    return sparse.csr_array(scaled / max(largest, 1e-30))


def graph_filter(
    graph: BipartiteGraph,
    normalized: sparse.csr_array,
    coefficients: Sequence[float],
    degree_exponent: float,
    n_factors: int,
    ideal: float,
) -> GraphFilter:
    """A polynomial of G plus `ideal` times the projection on its leading eigenvectors, between powers of the degrees.

    The degree exponent is ChebyCF's normalization (Kim et al., SIGIR 2025).
    """
    forth = from_scipy(normalized)
    items = np.maximum(graph.item_counts(), 1.0)
    return GraphFilter(
        forth,
        forth.transpose(),
        np.asarray(coefficients, np.float32),
        (items**degree_exponent).astype(np.float32),
        leading_vectors(normalized, n_factors if ideal else 0) * np.float32(np.sqrt(ideal)),
    )


def extend_filter(
    learned: GraphFilter, graph: BipartiteGraph, takers: Csr, user_exponent: float, degree_exponent: float
) -> GraphFilter:
    """The filter with N more items, taken by `takers` (N, U), as new columns p of P, with users' new degrees.

    A new item's row of V is its projection p'P V / s^2, with s the singular values: exact where p lies in the leading
    ones' space. The scale of P stays, so G's largest eigenvalue is a little above 1.
    """
    forth = learned.normalized
    degrees = graph.user_items.degrees()
    size = _size(forth, graph, np.maximum(degrees, 1.0) ** -user_exponent)
    users = np.maximum(degrees + np.bincount(takers.ids, minlength=graph.n_users), 1.0) ** -user_exponent / size
    items = np.maximum(takers.degrees(), 1.0)
    rated = takers.to_scipy().sign().astype(np.float64)
    new = sparse.diags_array(items**-0.5) @ rated @ sparse.diags_array(users)
    whole = from_scipy(sparse.vstack([learned.transposed.to_scipy(), new.astype(np.float32)], format="csr"))
    image = forth.to_scipy() @ learned.factors  # P V
    values = (image**2).sum(axis=0) / np.maximum((learned.factors**2).sum(axis=0), np.float32(1e-30))
    projected = new @ image / np.maximum(values, np.float32(1e-12))
    return GraphFilter(
        whole.transpose(),
        whole,
        learned.coefficients,
        np.concatenate([learned.scale, (items**degree_exponent).astype(np.float32)]),
        np.vstack([learned.factors, projected.astype(np.float32)]),
    )


def _size(normalized: Csr, graph: BipartiteGraph, users: Doubles) -> float:
    """The s of `normalize`, from the first edge."""
    if not len(normalized.ids):
        return 1.0
    user, item = int(np.argmax(normalized.ptr > 0)) - 1, int(normalized.ids[0])
    return float(users[user] * graph.item_counts()[item] ** -0.5 / normalized.weights[0])
