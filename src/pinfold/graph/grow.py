"""Items that came after PinSage's training: features, and perhaps a first few collections, become vectors. No torch."""

from dataclasses import replace

import numpy as np

from pinfold.arrays import Embeddings, Floats, Halves, narrow, unit
from pinfold.graph.bipartite import BipartiteGraph
from pinfold.graph.convolve import embed_new
from pinfold.graph.convolved import Convolved
from pinfold.graph.csr import Csr
from pinfold.graph.neighborhoods import Tables, fresh_neighborhoods


def fresh_vectors(
    learned: Convolved, graph: BipartiteGraph, features: Floats, collections: Csr, tables: Tables | None = None
) -> tuple[Floats, tuple[Floats, ...]]:
    """Vectors (N, D) of new items and their layers' inputs (N, D_k).

    They are those that inference on the grown graph gives as far as the old items' neighborhoods stay what they are.

    Args:
        learned: the trained network.
        graph: what it was trained on.
        features: (N, F) as the encoders of training make them.
        collections: (N, U) the users who have the new items; rows may be empty.
        tables: `walk_tables` of the graph, for those who ask often.

    Raises:
        ValueError: features of another length, or collections of another number of users.
    """
    if collections.n_columns != graph.n_users:
        raise ValueError(f"collections has {collections.n_columns} users, the graph {graph.n_users}: must be equal")
    growth = learned.growth
    content = growth.first_input(features, collections, learned.users)
    if content.shape[1] != learned.inputs[0].shape[1]:
        expected = learned.inputs[0].shape[1] - growth.n_ids - 1 - learned.users.shape[1]
        raise ValueError(f"features must have {expected} columns, as in training, got {features.shape[1]}")
    near = fresh_neighborhoods(graph, growth.neighborhood, growth.seed, collections, tables)
    return embed_new(learned.network, learned.inputs, content, near)


def grow(learned: Convolved, graph: BipartiteGraph, features: Floats, collections: Csr) -> Convolved:
    """The same with N more items at the end, as `fresh_vectors` makes them; no old number changes."""
    items, inputs = fresh_vectors(learned, graph, features, collections)
    joined = zip(learned.inputs, inputs, strict=True)
    kept: tuple[Floats | Halves, ...] = tuple(np.concatenate([old, narrow(new, old.dtype)]) for old, new in joined)
    learned = replace(learned, neighborhoods=None)  # those of fresh items are not of the graph
    vectors, grown = learned.vectors, np.concatenate([learned.vectors.items, items])
    if isinstance(vectors, Embeddings):
        return replace(learned, vectors=replace(vectors, items=grown, history=unit(grown)), inputs=kept)
    return replace(learned, vectors=replace(vectors, items=grown), inputs=kept)
