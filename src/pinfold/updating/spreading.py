"""How a change goes through a network's layers: what it reaches is computed again, the rest stays as it is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pinfold.arrays import Bools, Floats, Ints
from pinfold.graph.convolve import convolve, finish, send
from pinfold.graph.convolved import Convolution, Convolved, Network
from pinfold.graph.neighborhoods import Neighborhoods
from pinfold.updating.scratch import Scratch, blocks

LARGEST_MOVE = 2.0  # of a vector turned around
Make = Callable[[Ints], Floats]


@dataclass(frozen=True, slots=True)
class Spread:
    """Layers and vectors after a change."""

    inputs: tuple[Floats, ...]  # as Convolved's, with rows for new items
    items: Floats  # (I', D)
    moved: Floats  # (I',) how far each item's vector has moved, in proportion to its length
    computed: tuple[int, ...]  # rows of each layer that were computed again; the content first, vectors last
    stopped: tuple[int, ...]  # rows of each layer that something reached, but no more than the tolerance


def spread(
    learned: Convolved, content: tuple[Ints, Make], near: Neighborhoods, fresh: Bools, owed: Floats, tolerance: float,
    scratch: Scratch,
) -> Spread:  # fmt: skip
    """The network's layers over a graph that has changed, computed where the change reaches.

    A row of a layer is computed again when its neighborhood was made afresh, or when its own input and those of its
    neighbors, weighted as the neighborhood weighs them, have moved by more than the tolerance (|new - old| / |old|;
    for max pooling the neighbor counts that moved most). What is less is not lost: `owed` adds it up from update to
    update. With a tolerance of 0 the result is what `graph.convolve.embed_all` gives for everything, to rounding.

    Args:
        learned: the old vectors and layers.
        content: rows whose first input has changed, rising, and what makes it.
        near: (I', T) the neighborhoods now.
        fresh: (I',) which of them were made afresh; those of new items all are.
        owed: (I', K) moves that earlier updates did not follow; changed in place.
        tolerance: see above.
        scratch: where large arrays go.
    """
    network, n = learned.network, len(near.ids)
    rows, make = content
    table, moved = renewed(learned.inputs[0], n, rows, make, scratch)
    inputs, computed, stopped = [table], [len(rows)], []
    for k, layer in enumerate(network.convolutions):
        due = moved + gathered(network.pooling, near, moved) + owed[:, k]
        chosen = fresh | (due > tolerance)
        owed[:, k] = np.where(chosen, 0, due)
        stopped.append(int(np.count_nonzero(owed[:, k])))
        rows = np.flatnonzero(chosen).astype(np.int32)
        make = _layer(layer, network, inputs[-1], near, rows, scratch)
        if k + 1 < len(network.convolutions):
            table, moved = renewed(learned.inputs[k + 1], n, rows, make, scratch)
            inputs.append(table)
        computed.append(len(rows))
    items, moved = renewed(learned.vectors.items, n, rows, _finished(network, make, table), scratch)
    return Spread(tuple(inputs), items, moved, tuple(computed), tuple(stopped))


def _finished(network: Network, make: Make, content: NDArray[Any]) -> Make:
    """What makes vectors from the last convolution; from the content where there is none."""
    if not network.convolutions:
        return lambda part: finish(network, _single(content[part]))
    return lambda part: finish(network, make(part))


def renewed(
    old: NDArray[Any], n: int, rows: Ints, make: Make, scratch: Scratch
) -> tuple[NDArray[Any], Floats]:  # fmt: skip
    """A table (n, D) with rows of `old` (I, D) made afresh, and how far each row has moved (n,); 1 for new ones."""
    table, moved = scratch.grown(old, n), np.zeros(n, np.float32)
    for part in blocks(rows):
        values = make(part).astype(table.dtype, copy=False)
        known = part < len(old)
        moved[part[known]] = moves(_single(old[part[known]]), _single(values[known]))
        moved[part[~known]] = 1
        table[part] = values
    return table, moved


def moves(old: Floats, new: Floats) -> Floats:
    """|new - old| / |old| of each row (n,), at most LARGEST_MOVE."""
    lengths = np.maximum(np.linalg.norm(old, axis=1), np.finfo(np.float32).tiny)
    with np.errstate(over="ignore"):
        return np.asarray(np.minimum(np.linalg.norm(new - old, axis=1) / lengths, LARGEST_MOVE), np.float32)


def gathered(pooling: str, near: Neighborhoods, moved: Floats) -> Floats:
    """How far what each item gathers can have moved, as a share (I',)."""
    found = np.zeros(len(near.ids), np.float32)
    if not moved.any():
        return found
    for start in range(0, len(found), 1 << 16):
        part = slice(start, start + (1 << 16))
        of_neighbors = np.where(near.ids[part] >= 0, moved[near.ids[part]], 0)
        if pooling == "max":
            found[part] = of_neighbors.max(axis=1)
        else:
            np.einsum("it,it->i", of_neighbors, near.weights[part], out=found[part])
    return found


def _layer(
    layer: Convolution, network: Network, table: NDArray[Any], near: Neighborhoods, rows: Ints, scratch: Scratch
) -> Make:
    """What makes rows of the layer's output. Only their neighbors' messages are computed, each once."""
    named = np.zeros(len(table), np.bool_)
    for part in blocks(rows):
        ids = near.ids[part]
        named[ids[ids >= 0]] = True
    senders = np.flatnonzero(named).astype(np.int32)
    place = np.full(len(table) + 1, -1, np.int32)  # the last stands for no neighbor
    place[senders] = np.arange(len(senders))
    sent = scratch.array((len(senders), len(layer.neighbor_bias)), np.float32)
    for start in range(0, len(senders), 1 << 14):
        block = slice(start, start + (1 << 14))
        sent[block] = send(layer, _single(table[senders[block]]))

    def make(part: Ints) -> Floats:
        local = Neighborhoods(place[near.ids[part]], np.asarray(near.weights[part]))
        return convolve(layer, network.pooling, _single(table[part]), sent, local)

    return make


def _single(values: NDArray[Any]) -> Floats:
    """In single precision; layers may be kept in half."""
    return np.asarray(values, np.float32)
