"""Bytes that one LightGCN step of Pinfold must move, part by part, and the seconds they take at measured bandwidths.

Letters: R = U + I rows, D dimensions, nnz = 2 E entries of the symmetric matrix, b distinct rows of the batch, m the
entries of these rows, K layers; floats of 4 bytes, indices and offsets of 8. As models/propagation.py does it:

| part | times | streamed: read or written once, in order | gathered: rows of a table |
|---|---|---|---|
| a full layer | K - 1 forward, K backward | nnz (8 + 4) indices and weights, 8 R offsets, 4 R D result | 4 nnz D |
| the last layer, the batch's rows | 1 forward | m (8 + 4), 8 b, 4 b D result | 4 m D |
| the batch's rows of every layer | | 2 (K + 1) 4 b D, taken forward and added backward | |
| Adam | 1 | 7 times 4 R D: the gradient read, parameters and two moments read and written | |

The three limits differ in what a gathered row costs. `lower`: each table comes from memory once a layer, and all
further rows from a cache that costs nothing. `cached`: all rows come from the cache at its measured bandwidth, the
streams from memory. `upper`: every row comes from memory, as with tables far larger than the cache; a machine
whose cache holds the tables beats it. Left out, because a better program need not move them: zeroing, the copies of
the batch's entries, temporaries of the loss.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from pinfold.arrays import Ints
from pinfold.graph.bipartite import BipartiteGraph

FLOAT, INDEX = 4, 8  # bytes


@dataclass(frozen=True, slots=True)
class Moved:
    """Bytes of one part of a step."""

    part: str
    streamed: int
    gathered: int  # every row of every entry
    gathered_once: int  # every row of the table that is used, once


def step_traffic(graph: BipartiteGraph, users: Ints, items: Ints, dim: int, n_layers: int) -> list[Moved]:
    """The parts of a step whose batch holds these users (any shape) and items (positives and negatives)."""
    users, items = np.unique(users), np.unique(items)
    rows, nnz = graph.n_users + graph.n_items, 2 * graph.n_edges
    batch_rows = len(users) + len(items)
    batch_nnz = int(graph.user_items.degrees()[users].sum() + graph.item_users.degrees()[items].sum())
    table, row = FLOAT * rows * dim, FLOAT * dim
    full = 2 * n_layers - 1
    last = batch_nnz * row
    return [
        Moved(
            f"{full} full layers",
            full * (nnz * (INDEX + FLOAT) + INDEX * rows + table),
            full * nnz * row,
            full * table,
        ),
        Moved(
            "last layer, batch rows",
            batch_nnz * (INDEX + FLOAT) + INDEX * batch_rows + batch_rows * row,
            last,
            min(last, table),
        ),
        Moved("batch rows of every layer", 2 * (n_layers + 1) * batch_rows * row, 0, 0),
        Moved("adam", 7 * table, 0, 0),
    ]


def limits(parts: list[Moved], memory: float, cache: float) -> dict[str, Any]:
    """Seconds of each limit, given bytes a second from memory and from a cache that holds the tables."""
    streamed = sum(part.streamed for part in parts)
    gathered = sum(part.gathered for part in parts)
    once = sum(part.gathered_once for part in parts)
    return {
        "lower": (streamed + once) / memory,
        "cached": streamed / memory + gathered / cache,
        "upper": (streamed + gathered) / memory,
    }
