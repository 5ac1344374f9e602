"""A batch of item pairs among processes: each takes some of the pairs, and of the graph what these need."""

from dataclasses import replace

import numpy as np

from pinfold.arrays import Floats, Ints, Longs
from pinfold.kernels.frontier import transpose
from pinfold.sampling.blocks import Block, Edges
from pinfold.sampling.item_batches import ItemBatch


def share_items(batch: ItemBatch, rank: int, size: int) -> ItemBatch | None:
    """Pairs rank, rank + size, rank + 2 size .. of the batch with their negatives; None where there are none.

    Shared negatives are every share's, and what was hidden from the graph for any pair of the batch stays hidden.
    """
    rows = np.arange(rank, len(batch.queries), size)
    if not len(rows):
        return None
    negatives = batch.negatives if batch.negatives.ndim == 1 else batch.negatives[rows]
    asking = batch.more[0] % size == rank
    parts = [batch.queries[rows], batch.positives[rows], negatives, batch.hard[rows], batch.more[1][asking]]
    seeds, place = np.unique(np.concatenate([part.ravel() for part in parts]), return_inverse=True)
    split = np.split(place.astype(np.int64), np.cumsum([part.size for part in parts])[:-1])
    queries, positives, others, hard, more = (new.reshape(part.shape) for new, part in zip(split, parts, strict=True))
    columns, blocks = restricted(np.arange(len(batch.nodes), dtype=np.int32), batch.blocks, seeds)
    own = batch.taken[0] % size == rank
    return replace(
        batch,
        nodes=batch.nodes[columns],
        blocks=blocks,
        queries=queries,
        positives=positives,
        negatives=others,
        hard=hard,
        taken=(batch.taken[0][own] // size, batch.taken[1][own]),
        weights=batch.weights[rows],
        more=(batch.more[0][asking] // size, more),
        n_whole=len(batch.queries),
        content=None if batch.content is None else batch.content[columns],
    )


def restricted(nodes: Ints, blocks: tuple[Block, ...], seeds: Longs) -> tuple[Ints, tuple[Block, ...]]:
    """The part of a computation graph that some of its last rows need.

    Args:
        nodes: (m,) columns of the first block.
        blocks: from first to last.
        seeds: (n,) distinct rows of the last block.

    Returns:
        Nodes and blocks in the same form, with the rows `seeds` in this order.
    """
    wanted, made = seeds.astype(np.int64), []
    for block in reversed(blocks):
        ptr, ids, weights = _rows(block.forward, wanted)
        reached = np.zeros(block.n_columns, np.bool_)
        reached[ids] = True
        reached[wanted] = False
        columns = np.concatenate([wanted, np.flatnonzero(reached)])
        place = np.full(block.n_columns, -1)
        place[columns] = np.arange(len(columns))
        forward = Edges(ptr, place[ids], weights)
        backward = Edges(*transpose(forward.ptr, forward.ids, forward.weights, len(columns)))
        made.append(Block(len(wanted), len(columns), forward, backward))
        wanted = columns
    return nodes[wanted], tuple(reversed(made))


def _rows(edges: Edges, rows: Longs) -> tuple[Longs, Longs, Floats]:
    """Pointers, columns and weights of some rows."""
    counts = np.diff(edges.ptr)[rows]
    ptr = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
    places = np.arange(ptr[-1]) + np.repeat(edges.ptr[rows] - ptr[:-1], counts)
    return ptr, edges.ids[places], edges.weights[places]
