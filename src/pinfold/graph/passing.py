"""How somebody or something new passes through the frozen layers of a graph network."""

from collections.abc import Sequence

import numpy as np

from pinfold.arrays import Floats, Longs, unit
from pinfold.graph.csr import Csr
from pinfold.graph.learned import Layer, Layered
from pinfold.kernels.products import multiply


def pass_layers(
    learned: Layered, layers: Sequence[Layer], neighbors: Csr, degrees: Longs | None = None
) -> list[Floats]:
    """Layers 0..L (B, D_k) of nodes with these neighbors, each counted once; the formula is `Layered`'s.

    Moves 4 D bytes for each neighbor and layer.

    Args:
        learned: how layers are passed.
        layers: its `layers` for new users, its `takers` for new items.
        neighbors: (B, I) histories of new users, or (B, U) takers of new items.
        degrees: (B,) to be used instead of the numbers of neighbors.
    """
    loops = 1 if learned.self_loops else 0
    counts = neighbors.degrees() if degrees is None else degrees
    sizes = np.maximum(counts + loops, 1).astype(np.float32)[:, None]
    once = np.ones(len(neighbors.ids), np.float32)
    own = np.zeros((neighbors.n_rows, layers[0].items.shape[1]), np.float32)
    found = [own]
    for layer in layers:
        gathered = multiply(neighbors.ptr, neighbors.ids, once, layer.items) * sizes**-learned.exponent
        if loops:
            gathered += sizes ** (-2 * learned.exponent) * own
        made = own @ layer.weights[0] + gathered @ layer.weights[1] + (own * gathered) @ layer.weights[2] + layer.bias
        own = np.where(made > 0, made, layer.slope * made).astype(np.float32)
        found.append(own)
    return found


def joined(learned: Layered, found: Sequence[Floats]) -> Floats:
    """The vectors (B, D) that layers 0..L make."""
    layers = [found[0], *(unit(layer) if learned.unit_layers else layer for layer in found[1:])]
    return np.concatenate(layers, axis=1) if learned.concatenated else layers[-1]
