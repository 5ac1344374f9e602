"""Mini-batches of edges with negatives: what pairwise models learn from."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pinfold.arrays import Ints
from pinfold.graph.bipartite import BipartiteGraph
from pinfold.kernels.negatives import sample_negatives


@dataclass(frozen=True, slots=True)
class PairBatch:
    """Edges and, for each, items that its user did not take."""

    users: Ints  # (B,)
    positives: Ints  # (B,)
    negatives: Ints  # (B, N)


def pair_batches(
    graph: BipartiteGraph, batch_size: int, n_negatives: int, rng: np.random.Generator
) -> Iterator[PairBatch]:
    """Every edge once, in random order, `batch_size` at a time; the last batch may be smaller."""
    edges = graph.user_items
    edge_users = np.repeat(np.arange(edges.n_rows, dtype=np.int32), edges.degrees())
    order = rng.permutation(graph.n_edges)
    for start in range(0, graph.n_edges, batch_size):
        chosen = order[start : start + batch_size]
        users = edge_users[chosen]
        seed = int(rng.integers(2**63))
        negatives = sample_negatives(edges.ptr, edges.ids, users, graph.n_items, n_negatives, seed)
        yield PairBatch(users, edges.ids[chosen], negatives)


def n_batches(graph: BipartiteGraph, batch_size: int) -> int:
    """How many batches one pass over the edges takes."""
    return -(-graph.n_edges // batch_size)
