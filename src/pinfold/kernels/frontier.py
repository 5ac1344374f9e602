"""What a mini-batch of a graph network reaches: nodes, and the small graph between them."""

import numpy as np
from numba import njit

from pinfold.arrays import Floats, Ints, Longs


def reach(ids: Ints, nodes: Ints, place: Ints) -> Ints:
    """The nodes and all their neighbors: `nodes` first and in their order, then each other one as it is met.

    Args:
        ids: (I, T) neighbors of every node, -1 where there are fewer.
        nodes: (n,) distinct.
        place: (I,) -1 everywhere; afterwards the place of each reached node. Whoever made it has to clear it.

    Returns:
        (m,) nodes, m >= n.
    """
    out = np.empty(min(len(ids), len(nodes) * (ids.shape[1] + 1)), np.int32)
    return out[: _reach(ids, nodes, place, out)]


def localize(ids: Ints, weights: Floats, nodes: Ints, place: Ints, dropped: Longs) -> tuple[Longs, Longs, Floats]:
    """The neighborhoods of some nodes, named by place.

    Args:
        ids: (I, T), weights: (I, T) neighborhoods, -1 and 0 where there are fewer.
        nodes: (n,) whose neighborhoods.
        place: (I,) from `reach`.
        dropped: sorted keys node * I + neighbor of edges to be left out; the node's other weights are scaled to keep
            their sum.

    Returns:
        ptr (n + 1,), places (E,), weights (E,).
    """
    ptr = np.zeros(len(nodes) + 1, np.int64)
    out_ids = np.empty(len(nodes) * ids.shape[1], np.int64)
    out_weights = np.empty(len(out_ids), np.float32)
    n = _localize(ids, weights, nodes, place, dropped, ptr, out_ids, out_weights)
    return ptr, out_ids[:n], out_weights[:n]


def transpose(ptr: Longs, ids: Longs, weights: Floats, n_columns: int) -> tuple[Longs, Longs, Floats]:
    """The transpose of a CSR, by counting; columns of a row come out ascending."""
    new_ptr = np.zeros(n_columns + 1, np.int64)
    new_ids, new_weights = np.empty(len(ids), np.int64), np.empty(len(ids), np.float32)
    _transpose(ptr, ids, weights, new_ptr, new_ids, new_weights)
    return new_ptr, new_ids, new_weights


@njit(nogil=True, cache=True)
def _reach(ids: Ints, nodes: Ints, place: Ints, out: Ints) -> int:
    n = 0
    for node in nodes:
        place[node] = n
        out[n] = node
        n += 1
    for node in nodes:
        for neighbor in ids[node]:
            if neighbor < 0:
                break
            if place[neighbor] < 0:
                place[neighbor] = n
                out[n] = neighbor
                n += 1
    return n


@njit(nogil=True, cache=True)
def _localize(
    ids: Ints, weights: Floats, nodes: Ints, place: Ints, dropped: Longs,
    ptr: Longs, out_ids: Longs, out_weights: Floats,
) -> int:  # fmt: skip
    n = 0
    for row in range(len(nodes)):
        node = np.int64(nodes[row])
        begin = n
        before = after = np.float32(0)
        for column in range(ids.shape[1]):
            neighbor = ids[node, column]
            if neighbor < 0:
                break
            before += weights[node, column]
            if len(dropped) and _among(dropped, node * len(ids) + neighbor):
                continue
            after += weights[node, column]
            out_ids[n], out_weights[n] = place[neighbor], weights[node, column]
            n += 1
        if after < before and after > 0:
            for entry in range(begin, n):
                out_weights[entry] *= before / after
        ptr[row + 1] = n
    return n


@njit(nogil=True, cache=True)
def _among(keys: Longs, key: int) -> bool:
    low, high = 0, len(keys)
    while low < high:
        middle = (low + high) // 2
        if keys[middle] < key:
            low = middle + 1
        else:
            high = middle
    return low < len(keys) and keys[low] == key


@njit(nogil=True, cache=True)
def _transpose(ptr: Longs, ids: Longs, weights: Floats, new_ptr: Longs, new_ids: Longs, new_weights: Floats) -> None:
    for column in ids:
        new_ptr[column + 1] += 1
    for column in range(len(new_ptr) - 1):
        new_ptr[column + 1] += new_ptr[column]
    at = new_ptr[:-1].copy()
    for row in range(len(ptr) - 1):
        for entry in range(ptr[row], ptr[row + 1]):
            column = ids[entry]
            new_ids[at[column]], new_weights[at[column]] = row, weights[entry]
            at[column] += 1
