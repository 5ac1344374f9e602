"""The computation graph of a mini-batch. PinSage, algorithm 2 (Ying et al., KDD 2018), with its re-indexing."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pinfold.arrays import Floats, Ints, Longs
from pinfold.graph.neighborhoods import Neighborhoods
from pinfold.kernels.frontier import localize, reach, transpose

NOTHING = np.zeros(0, np.int64)


@dataclass(frozen=True, slots=True)
class Edges:
    """A sparse (R, C) matrix in the form that `embedding_bag` wants."""

    ptr: Longs  # (R + 1,)
    ids: Longs  # (E,)
    weights: Floats  # (E,)


@dataclass(frozen=True, slots=True)
class Block:
    """One convolution: the R nodes that get a vector gather from C nodes, of which the first R are they themselves."""

    n_rows: int
    n_columns: int
    forward: Edges  # (R, C)
    backward: Edges  # (C, R) its transpose, for the gradient


def blocks(
    neighborhoods: Neighborhoods, seeds: Ints, n_layers: int, pairs: Sequence[Ints] = ()
) -> tuple[Ints, tuple[Block, ...]]:
    """The nodes whose inputs are needed, and the convolutions from first to last.

    Args:
        neighborhoods: of all items.
        seeds: (n,) distinct items that need a vector.
        n_layers: K.
        pairs: rows (b,) of items on one and the other side. In the last convolution no item of a pair gathers from
            the other: the edge to be learned must not be what brings its ends together.

    Returns:
        Nodes (m,), `seeds` first, and K blocks.
    """
    place = np.full(len(neighborhoods.ids), -1, np.int32)
    levels = [seeds.astype(np.int32)]
    made: list[Block] = []
    for k in range(n_layers):
        place[levels[-1]] = -1
        levels.append(reach(neighborhoods.ids, levels[-1], place))
        dropped = _keys(pairs, len(place)) if pairs and k == 0 else NOTHING
        forward = localize(neighborhoods.ids, neighborhoods.weights, levels[-2], place, dropped)
        sizes = len(levels[-2]), len(levels[-1])
        made.append(Block(*sizes, Edges(*forward), Edges(*transpose(*forward, sizes[1]))))
    return levels[-1], tuple(reversed(made))


def _keys(pairs: Sequence[Ints], n_items: int) -> Longs:
    one, other = (part.astype(np.int64) for part in pairs)
    return np.unique(np.concatenate([one * n_items + other, other * n_items + one]))
