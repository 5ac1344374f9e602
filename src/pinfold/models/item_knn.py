"""Item-kNN: items taken by the same users are alike. The strongest simple baseline on many data sets."""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field
from scipy import sparse

from pinfold.config import options
from pinfold.graph.bipartite import BipartiteGraph
from pinfold.graph.csr import Csr, from_scipy
from pinfold.graph.learned import ItemSimilarity
from pinfold.models.fold_in import grow, with_takers

BLOCK = 1024  # items whose similarities are held at once


@options
class ItemKNNConfig:
    """Cosine similarity between the sets of users who took two items."""

    name: Literal["item-knn"] = "item-knn"
    n_neighbors: Annotated[int, Field(ge=1, description="most similar items kept for each item")] = 100
    shrinkage: Annotated[
        float, Field(ge=0, description="added to the cosine's denominator; distrusts items with few users")
    ] = 10.0


def item_knn(config: ItemKNNConfig, graph: BipartiteGraph) -> ItemSimilarity:
    """The `n_neighbors` nearest items of each item, computed in blocks of bounded memory.

    w(j, i) = n_ij / (sqrt(n_i n_j) + shrinkage), with n_ij users who took both; repeats and weights do not count.
    Sarwar et al., WWW 2001; the shrinkage is Bell and Koren's (ICDM 2007).
    """
    item_users = graph.item_users.to_scipy().sign()
    user_items = item_users.T.tocsr()
    blocks = []
    for start in range(0, graph.n_items, BLOCK):
        rows = slice(start, min(start + BLOCK, graph.n_items))
        block = similarities(item_users, user_items, rows, config.shrinkage)
        blocks.append(block.keep_largest(config.n_neighbors).to_scipy())
    nearest = sparse.vstack(blocks, format="csr")  # row i: the items j that speak for i
    return ItemSimilarity(from_scipy(nearest.T))


def extend_item_knn(
    config: ItemKNNConfig, learned: ItemSimilarity, graph: BipartiteGraph, takers: Csr
) -> ItemSimilarity:
    """The weights with N more items, taken by `takers` (N, U): as if computed afresh, but that no old weight gives way.

    A new item is among the nearest of an old one if it is nearer than the farthest of these.
    """
    item_users = with_takers(graph, takers)
    rows = slice(graph.n_items, item_users.shape[0])
    near = similarities(item_users, item_users.T.tocsr(), rows, config.shrinkage)
    to_old = near.to_scipy()[:, : graph.n_items].T
    nearest = learned.weights.transpose()
    return ItemSimilarity(grow(nearest, to_old, near.keep_largest(config.n_neighbors), config.n_neighbors).transpose())


def similarities(item_users: sparse.csr_array, user_items: sparse.csr_array, rows: slice, shrinkage: float) -> Csr:
    """Of the items in `rows` with all others, from who took them, (I, U) and (U, I) ones. Shape (B, I)."""
    counts = np.diff(item_users.indptr).astype(np.int64)
    shared = (item_users[rows] @ user_items).tocoo()
    row, column = shared.coords
    # in doubles and from one root, so that equal similarities come out equal and their order is the items'
    similarity = (shared.data / (np.sqrt(counts[rows][row] * counts[column]) + shrinkage)).astype(np.float32)
    others = row + rows.start != column
    return from_scipy(sparse.coo_array((similarity[others], (row[others], column[others])), shape=shared.shape))
