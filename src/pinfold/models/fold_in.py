"""Items that came after training, from who took them: what the models' `extend_*` functions share.

They add N rows at the end and change no old number. What they add uses the old users and items as they are.
"""

from dataclasses import replace

import numpy as np
from scipy import sparse

from pinfold.arrays import Embeddings, Floats, with_length
from pinfold.errors import ConfigError
from pinfold.graph.bipartite import BipartiteGraph
from pinfold.graph.csr import Csr, from_scipy
from pinfold.graph.learned import Layered
from pinfold.graph.passing import joined, pass_layers
from pinfold.models.mapping import mapped, sums

STORED_WITHOUT = "this model was stored without what new items are made from; train it again"


def extend_vectors(learned: Embeddings, takers: Csr, length_exponent: float = 1.0) -> Embeddings:
    """N more items, whose rows are sums over who took them (N, U), each counted once; `Takers` has the formula.

    An item's vector gets the length that answers use (see ObjectiveConfig); a mapping gives it. Without takers it is
    zero.

    Raises:
        ConfigError: the model was stored without what this needs.
    """
    if learned.takers is None:
        raise ConfigError(STORED_WITHOUT)
    once = takers.to_scipy().sign()
    counts = np.maximum(takers.degrees(), 1).astype(np.float32)[:, None]
    history = (once @ learned.takers.history * counts**-learned.takers.history_exponent).astype(np.float32)
    items = _answering(sums(learned.takers, takers), takers, learned.takers.mapping, length_exponent)
    return replace(learned, items=np.vstack([learned.items, items]), history=np.vstack([learned.history, history]))


def _answering(gathered: Floats, takers: Csr, mapping: Floats | None, length_exponent: float) -> Floats:
    """The vectors (N, D) that answers use, from those gathered over takers."""
    if mapping is not None:
        return mapped(gathered, takers.degrees(), mapping)
    return gathered if length_exponent == 1 else with_length(gathered, length_exponent)


def with_takers(graph: BipartiteGraph, takers: Csr) -> sparse.csr_array:
    """Who took the old items, and below them the new ones, each once. Shape (I + N, U)."""
    return sparse.vstack([graph.item_users.to_scipy(), takers.to_scipy()], format="csr").sign()


def grow(kept: Csr, right: sparse.sparray, below: Csr, k: int) -> Csr:
    """The matrix `kept` (I, I), whose rows hold their k largest entries, with N more columns and rows.

    Args:
        kept: stays as it is.
        right: (I, N) for the old rows; of these, only what is larger than the least that a full row holds.
        below: (N, I + N) the new rows.
        k: entries of a full row. A row may have more afterwards.
    """
    least = np.full(kept.n_rows, -np.inf, np.float32)
    full = kept.degrees() >= max(k, 1)
    if full.any():
        filled = kept.degrees() > 0
        smallest = np.full(kept.n_rows, -np.inf, np.float32)
        smallest[filled] = np.minimum.reduceat(kept.weights, kept.ptr[:-1][filled])
        least[full] = smallest[full]
    entries = sparse.coo_array(right)
    row, column = entries.coords
    enough = entries.data > least[row]
    shape = (kept.n_rows, below.n_rows)
    beside = sparse.coo_array((entries.data[enough], (row[enough], column[enough])), shape=shape)
    above = sparse.hstack([kept.to_scipy(), beside.astype(np.float32)])
    return from_scipy(sparse.vstack([above, below.to_scipy()], format="csr"))


def extend_layers(learned: Layered, takers: Csr, length_exponent: float = 1.0) -> Layered:
    """N more items, which start from zero and gather from who took them (N, U); `Layered` has the formula.

    An item's vector gets the length that answers use (see ObjectiveConfig); a mapping gives it.

    Raises:
        ConfigError: the model was stored without what this needs.
    """
    if not learned.takers:
        raise ConfigError(STORED_WITHOUT)
    found = pass_layers(learned, learned.takers, takers)
    counts = np.maximum(takers.degrees() + (1 if learned.self_loops else 0), 1).astype(np.float32)[:, None]
    layers = tuple(
        replace(layer, items=np.vstack([layer.items, before * counts**-learned.sent_exponent]))
        for layer, before in zip(learned.layers, found[:-1], strict=True)
    )
    items = _answering(joined(learned, found), takers, learned.mapping, length_exponent)
    return replace(learned, items=np.vstack([learned.items, items]), layers=layers)
