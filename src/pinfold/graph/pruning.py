"""Degree pruning: popular items keep a part of their edges, those that say most about them (Pixie, section 3.3.2)."""

import numpy as np

from pinfold.arrays import Floats, Longs, unit
from pinfold.graph.bipartite import BipartiteGraph
from pinfold.graph.csr import Csr
from pinfold.kernels.rows import mark_best

BLOCK = 2**16  # edges whose content is compared at once


def prune(
    graph: BipartiteGraph, exponent: float, vectors: Floats | None = None, *, users: bool = False
) -> BipartiteGraph:
    """The graph in which an item of d users keeps ceil(d^exponent) of them; no row goes.

    Kept are the users whose items are most like the item: the greatest cosine between the item's vector and the mean
    of the user's unit vectors. Without vectors, the most specific users: those with the fewest items. Of equal ones
    the lower row stays. An item keeps at least one user; a user may lose all items.

    Args:
        graph: who took what.
        exponent: in (0, 1]; 1 gives the graph itself.
        vectors: (I, D) content of the items; a user without any has cosine 0.
        users: then prune the users' side in the same way: a user of d items keeps ceil(d^exponent) of them, those
            nearest to their mean or the least popular. Degrees are those of the pruned graph.

    Raises:
        ValueError: an exponent outside (0, 1], or vectors of another number of items.

    Eksombatchai et al., WWW 2018, section 3.3.2: exponent 0.91, LDA topics as vectors. OmniSage (KDD 2025): 0.86.
    """
    if not 0 < exponent <= 1:
        raise ValueError(f"exponent must lie in (0, 1], got {exponent}")
    if vectors is not None and len(vectors) != graph.n_items:
        raise ValueError(f"vectors has {len(vectors)} rows, the graph {graph.n_items} items: must be equal")
    if exponent == 1:
        return graph
    kept = _pruned(graph.item_users, graph.user_items, exponent, vectors, of_users=False)
    pruned = BipartiteGraph(kept.transpose(), kept)
    if not users:
        return pruned
    kept = _pruned(pruned.user_items, pruned.item_users, exponent, vectors, of_users=True)
    return BipartiteGraph(kept, kept.transpose())


def _pruned(edges: Csr, others: Csr, exponent: float, vectors: Floats | None, *, of_users: bool) -> Csr:
    """Each row's best edges: by likeness where there are vectors, else those to the least busy columns."""
    if vectors is None:
        goodness: Floats = -others.degrees().astype(np.float32)[edges.ids]
    else:
        goodness = _cosines(edges, edges if of_users else others, vectors, of_users=of_users)
    return edges.only(mark_best(edges.ptr, goodness, targets(edges.degrees(), exponent)))


def targets(degrees: Longs, exponent: float) -> Longs:
    """How many edges are kept of so many: ceil(d^exponent). Shape (R,)."""
    # A little less before rounding up, or d^1 and exact powers may come out one too many.
    return np.ceil(degrees.astype(np.float64) ** exponent - 1e-9).astype(np.int64) * (degrees > 0)


def _cosines(edges: Csr, user_items: Csr, vectors: Floats, *, of_users: bool) -> Floats:
    """Cosines between items and the means of what users took, edge by edge. Shape (E,)."""
    units = unit(np.asarray(vectors, np.float32))
    even = Csr(user_items.ptr, user_items.ids, np.ones(len(user_items.ids), np.float32), user_items.n_columns)
    means = unit(np.asarray(even.to_scipy() @ units, np.float32))
    sides = (means, units) if of_users else (units, means)
    found = np.empty(len(edges.ids), np.float32)
    for start in range(0, len(found), BLOCK):
        places = np.arange(start, min(start + BLOCK, len(found)))
        rows = np.searchsorted(edges.ptr, places, side="right") - 1
        found[places] = np.einsum("ed,ed->e", sides[0][rows], sides[1][edges.ids[places]])
    return found
