"""RP3beta: random walks from an item to its users and on to their other items, with popular ends held back."""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field
from scipy import sparse

from pinfold.config import options
from pinfold.graph.bipartite import BipartiteGraph
from pinfold.graph.csr import Csr, from_scipy
from pinfold.graph.learned import ItemSimilarity
from pinfold.models.fold_in import grow, with_takers

BLOCK = 1024  # items whose walks are held at once


@options
class RP3betaConfig:
    """Paudel et al., TiiS 2017: three-step walks user, item, user, item, ranked with less regard to popularity."""

    name: Literal["rp3beta"] = "rp3beta"
    n_neighbors: Annotated[int, Field(ge=1, description="heaviest other items kept for each item")] = 100
    alpha: Annotated[
        float, Field(ge=0, description="power of the transition probabilities; below 1 busy users and items count more")
    ] = 0.8
    beta: Annotated[
        float, Field(ge=0, description="power of the popularity by which a score is divided; 0 does not, 1 wholly")
    ] = 0.4


def rp3beta(config: RP3betaConfig, graph: BipartiteGraph) -> ItemSimilarity:
    """The `n_neighbors` likeliest ends of walks from each item, in blocks of bounded memory.

    w(j, i) = sum over the users u of both of (1 / d_j)^alpha (1 / d_u)^alpha / d_i^beta, d being degrees. The walk's
    first step, from the user to an item of theirs, is the same for all items and left out: no ranking needs it.
    Repeats and event weights do not count.
    """
    starts, ends = _steps(config, graph.item_users.to_scipy().sign())
    blocks = []
    for start in range(0, graph.n_items, BLOCK):
        block = _walks(starts, ends, slice(start, min(start + BLOCK, graph.n_items)))
        blocks.append(block.keep_largest(config.n_neighbors).to_scipy())
    return ItemSimilarity(from_scipy(sparse.vstack(blocks, format="csr")))


def extend_rp3beta(
    config: RP3betaConfig, learned: ItemSimilarity, graph: BipartiteGraph, takers: Csr
) -> ItemSimilarity:
    """The weights with N more items, taken by `takers` (N, U): as if computed afresh, but that no old weight changes.

    A walk from an old item ends at a new one if that is likelier than the least likely of the ends it has.
    """
    starts, ends = _steps(config, with_takers(graph, takers))
    new = _walks(starts, ends, slice(graph.n_items, starts.shape[0]))
    to_new = starts[: graph.n_items] @ ends[:, graph.n_items :]
    return ItemSimilarity(grow(learned.weights, to_new, new.keep_largest(config.n_neighbors), config.n_neighbors))


def _steps(config: RP3betaConfig, item_users: sparse.csr_array) -> tuple[sparse.csr_array, sparse.csr_array]:
    """The weights of the steps from items to users (I, U) and back (U, I)."""
    users = np.maximum(np.bincount(item_users.indices, minlength=item_users.shape[1]), 1.0)
    items = np.maximum(np.diff(item_users.indptr), 1.0)
    starts = sparse.csr_array(sparse.diags_array(items**-config.alpha) @ item_users)
    ends = sparse.diags_array(users**-config.alpha) @ item_users.T @ sparse.diags_array(items**-config.beta)
    return starts, sparse.csr_array(ends)


def _walks(starts: sparse.csr_array, ends: sparse.csr_array, rows: slice) -> Csr:
    """From the items in `rows` to all others. Shape (B, I)."""
    walks = (starts[rows] @ ends).tocoo()
    row, column = walks.coords
    others = row + rows.start != column
    return from_scipy(sparse.coo_array((walks.data[others], (row[others], column[others])), shape=walks.shape))
