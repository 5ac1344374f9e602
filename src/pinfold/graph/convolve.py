"""PinSage's forward pass in numpy: layer by layer over the whole catalogue, each vector computed once.

The paper runs it as MapReduce jobs; here a layer is one projection of all items, one sparse product with the
neighborhoods, and one more projection, in blocks of rows. Beside inputs and outputs, memory is one (I, M) table and
what a block needs.
"""

from collections.abc import Iterator

import numpy as np

from pinfold.arrays import Floats, Halves, Ints, Longs, unit
from pinfold.graph.convolved import Convolution, Network
from pinfold.graph.neighborhoods import Neighborhoods
from pinfold.kernels.maxima import maxima
from pinfold.kernels.products import multiply

BLOCK = 4096  # rows
LEAK = 0.2  # of attention's LeakyReLU


def embed_all(network: Network, content: Floats, neighborhoods: Neighborhoods) -> tuple[Floats, tuple[Floats, ...]]:
    """Vectors (I, D) of all items, and the inputs (I, D_k) of every convolution."""
    inputs = [content]
    for layer in network.convolutions:
        sent = send(layer, inputs[-1])
        out = np.empty((len(content), layer.both.shape[1]), np.float32)
        for start in range(0, len(content), BLOCK):
            rows = slice(start, start + BLOCK)
            part = Neighborhoods(neighborhoods.ids[rows], neighborhoods.weights[rows])
            out[rows] = convolve(layer, network.pooling, inputs[-1][rows], sent, part)
        inputs.append(out)
    return finish(network, inputs[-1]), tuple(inputs[: max(len(network.convolutions), 1)])


def embed_new(
    network: Network, inputs: tuple[Floats | Halves, ...], content: Floats, neighborhoods: Neighborhoods
) -> tuple[Floats, tuple[Floats, ...]]:
    """Vectors (N, D) of items that came later, and their own inputs (N, D_k), from the old items' inputs.

    Equal to what `embed_all` gives on the grown graph as long as the old items' neighborhoods are the same there. Only
    the neighbors are projected, so one item takes milliseconds.
    """
    own = [content]
    for layer, table in zip(network.convolutions, inputs, strict=False):
        near, local = _named(neighborhoods)
        gathered = np.asarray(table[near], np.float32)  # they may be kept in half precision
        own.append(convolve(layer, network.pooling, own[-1], send(layer, gathered), local))
    return finish(network, own[-1]), tuple(own[: max(len(network.convolutions), 1)])


def send(layer: Convolution, table: Floats) -> Floats:
    """What items (n, D) send to their neighbors: ReLU(h Q + q). Shape (n, M)."""
    out = np.empty((len(table), len(layer.neighbor_bias)), np.float32)
    for start in range(0, len(table), BLOCK):
        _affine(table[start : start + BLOCK], layer.neighbor, layer.neighbor_bias, out[start : start + BLOCK])
    return out


def convolve(layer: Convolution, pooling: str, own: Floats, sent: Floats, neighborhoods: Neighborhoods) -> Floats:
    """One layer for items with vectors (n, D) whose neighborhoods name rows of `sent`. Shape (n, D')."""
    gathered = pool(layer, pooling, own, sent, neighborhoods)
    d = own.shape[1]
    made = own @ layer.both[:d]
    made += gathered @ layer.both[d:]
    made += layer.bias
    np.maximum(made, 0, out=made)
    return unit(made)


def pool(layer: Convolution, pooling: str, own: Floats, sent: Floats, neighborhoods: Neighborhoods) -> Floats:
    """What each item (n, M) makes of its neighbors' messages; zeros without neighbors."""
    there = neighborhoods.ids >= 0
    ptr = np.concatenate([[0], np.cumsum(there.sum(axis=1))]).astype(np.int64)
    ids, weights = neighborhoods.ids[there], neighborhoods.weights[there]
    match pooling:
        case "max":
            return maxima(ptr, ids, sent)[0]
        case "mean":
            weights = np.repeat(1 / np.maximum(np.diff(ptr), 1), np.diff(ptr)).astype(np.float32)
        case "attention":
            weights = _attention(layer, own, sent, ptr, ids)
    return multiply(ptr, ids, weights, sent)


def finish(network: Network, vectors: Floats) -> Floats:
    """The head, and length 1 where the network has it."""
    head = network.head
    if head is None:
        return unit(vectors) if network.unit else vectors
    out = np.empty((len(vectors), head.second.shape[1]), np.float32)
    for rows in _blocks(len(vectors)):
        hidden = np.empty((len(vectors[rows]), len(head.bias)), np.float32)
        _affine(vectors[rows], head.first, head.bias, hidden)
        made = hidden @ head.second
        out[rows] = unit(made) if network.unit else made
    return out


def _affine(table: Floats, weights: Floats, bias: Floats, out: Floats) -> None:
    np.matmul(table, weights, out=out)
    out += bias
    np.maximum(out, 0, out=out)


def _attention(layer: Convolution, own: Floats, sent: Floats, ptr: Longs, ids: Ints) -> Floats:
    """Softmax weights (E,) of each row's neighbors."""
    d = own.shape[1]
    degrees = np.diff(ptr)
    logits = np.repeat(own @ layer.attention[:d], degrees) + (sent @ layer.attention[d:])[ids]
    logits = np.where(logits > 0, logits, LEAK * logits)
    filled = degrees > 0
    starts = ptr[:-1][filled]
    logits -= np.repeat(np.maximum.reduceat(logits, starts), degrees[filled]) if len(starts) else 0
    raised = np.exp(logits)
    sums = np.repeat(np.add.reduceat(raised, starts), degrees[filled]) if len(starts) else raised
    return np.asarray(raised / sums, np.float32)


def _named(neighborhoods: Neighborhoods) -> tuple[Ints, Neighborhoods]:
    """The items that are neighbors at all, and the neighborhoods by their places."""
    near, place = np.unique(neighborhoods.ids[neighborhoods.ids >= 0], return_inverse=True)
    ids = np.full(neighborhoods.ids.shape, -1, np.int32)
    ids[neighborhoods.ids >= 0] = place
    return near, Neighborhoods(ids, neighborhoods.weights)


def _blocks(n: int) -> Iterator[slice]:
    return (slice(start, start + BLOCK) for start in range(0, n, BLOCK))
