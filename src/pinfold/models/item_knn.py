"""Item-kNN: items taken by the same users are alike. The strongest simple baseline on many data sets."""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field
from scipy import sparse

from pinfold.config import options
from pinfold.graph.bipartite import BipartiteGraph
from pinfold.graph.csr import from_scipy
from pinfold.graph.learned import ItemSimilarity

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
    item_users = graph.item_users.to_scipy().astype(np.float32)
    item_users.data = np.ones_like(item_users.data)
    user_items = item_users.T.tocsr()
    counts = graph.item_counts()
    blocks = []
    for start in range(0, graph.n_items, BLOCK):
        rows = slice(start, start + BLOCK)
        shared = (item_users[rows] @ user_items).tocoo()
        row, column = shared.coords
        # in doubles and from one root, so that equal similarities come out equal and their order is the items'
        similarity = (shared.data / (np.sqrt(counts[rows][row] * counts[column]) + config.shrinkage)).astype(np.float32)
        others = row + start != column
        block = sparse.coo_array((similarity[others], (row[others], column[others])), shape=shared.shape)
        blocks.append(from_scipy(block).keep_largest(config.n_neighbors).to_scipy())
    nearest = sparse.vstack(blocks, format="csr")  # row i: the items j that speak for i
    return ItemSimilarity(from_scipy(nearest.T))
