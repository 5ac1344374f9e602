"""SLIM: each item is regressed on the items near it; a neighbor that another one makes superfluous gets no weight."""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field
from scipy import sparse

from pinfold.config import options
from pinfold.graph.bipartite import BipartiteGraph
from pinfold.graph.csr import Csr, from_pairs, from_scipy
from pinfold.graph.learned import ItemSimilarity
from pinfold.kernels.descent import regress
from pinfold.models.fold_in import with_takers
from pinfold.models.item_knn import ItemKNNConfig, item_knn, similarities


@options
class SLIMConfig:
    """Ning and Karypis, ICDM 2011: a non-negative elastic net an item, here over its nearest items (their fsSLIM)."""

    name: Literal["slim"] = "slim"
    n_candidates: Annotated[
        int, Field(ge=1, description="most similar items (by cosine) that may get a weight; time rises with its square")
    ] = 100
    l1: Annotated[float, Field(ge=0, description="users that a neighbor must share with the item to get a weight")] = (
        0.5
    )
    l2: Annotated[
        float, Field(ge=0, description="how much weights shrink: added to the number of users of each candidate")
    ] = 30.0


def slim(config: SLIMConfig, graph: BipartiteGraph) -> ItemSimilarity:
    """The weights w(j, i) of the candidates j in the regression of item i; repeats and event weights do not count.

    Memory: item-kNN's, then 12 bytes for each candidate of each item and one Gram matrix a thread.
    """
    nearest = item_knn(ItemKNNConfig(n_neighbors=config.n_candidates, shrinkage=0), graph).weights.transpose()
    users = graph.item_users
    weights = regress(users.ptr, users.ids, graph.n_users, nearest.ptr, nearest.ids, config.l1, config.l2)
    kept = weights > 0
    items = np.repeat(np.arange(graph.n_items, dtype=np.int32), nearest.degrees())
    return ItemSimilarity(from_pairs(nearest.ids[kept], items[kept], weights[kept], (graph.n_items, graph.n_items)))


def extend_slim(config: SLIMConfig, learned: ItemSimilarity, graph: BipartiteGraph, takers: Csr) -> ItemSimilarity:
    """The weights with N more items, taken by `takers` (N, U).

    What others say about a new item is its own regression, as if computed afresh. What it says about an old one is the
    coordinate's minimum while the other weights stay: max(0, x_new'(x_i - X w_i) - l1) / (n_new + l2).
    """
    n_old, n_new = graph.n_items, takers.n_rows
    item_users = with_takers(graph, takers)
    near = similarities(item_users, item_users.T.tocsr(), slice(n_old, n_old + n_new), 0).keep_largest(
        config.n_candidates
    )
    every = from_scipy(item_users)
    ptr = np.concatenate([np.zeros(n_old, np.int64), near.ptr])  # old items have no candidates
    weights = regress(every.ptr, every.ids, graph.n_users, ptr, near.ids, config.l1, config.l2)
    shared = item_users[n_old:] @ item_users[:n_old].T  # (N, I)
    unexplained = sparse.coo_array(shared - shared @ learned.weights.to_scipy())
    row, column = unexplained.coords
    speaks = (takers.degrees()[row] + config.l2).astype(np.float32)
    said = (np.maximum(unexplained.data - np.float32(config.l1), 0) / speaks).astype(np.float32)
    old = sparse.coo_array(learned.weights.to_scipy())
    of_new = n_old + np.repeat(np.arange(n_new), near.degrees())
    every_weight = np.concatenate([old.data, weights, said])
    kept = every_weight != 0
    rows = np.concatenate([old.coords[0], near.ids, n_old + row])[kept].astype(np.int32)
    columns = np.concatenate([old.coords[1], of_new, column])[kept].astype(np.int32)
    return ItemSimilarity(from_pairs(rows, columns, every_weight[kept], (n_old + n_new, n_old + n_new)))
