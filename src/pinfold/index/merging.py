"""Answers of several indexes, each of some of the rows, as one."""

from collections.abc import Sequence

import numpy as np

from pinfold.arrays import Floats, TopK, unit
from pinfold.graph.csr import Csr
from pinfold.index.exact import ExactIndex, nothing

BLOCK = 1 << 16  # rows that are scored at once


def merged(parts: Sequence[TopK], k: int) -> TopK:
    """The k best of what was found in each part (B, K_p), rows under their global numbers; of equal ones the lower."""
    if not parts:
        raise ValueError("there must be an answer of at least one part")
    ids, scores = (np.concatenate([getattr(part, name) for part in parts], axis=1) for name in ("ids", "scores"))
    best, width = nothing(len(ids), k), min(k, ids.shape[1])
    order, lines = np.lexsort((ids, -scores), axis=1)[:, :width], np.arange(len(ids))[:, None]
    best.ids[:, :width], best.scores[:, :width] = ids[lines, order], scores[lines, order]
    return best


def shifted(found: TopK, first: int) -> TopK:
    """What was found among the rows from `first` on, under their global numbers."""
    return TopK(np.where(found.ids >= 0, found.ids + first, -1).astype(np.int32), found.scores)


def columns(exclude: Csr, start: int, stop: int) -> Csr:
    """The columns [start, stop) of a Csr (B, I) as one of their own (B, stop - start)."""
    kept = exclude.only((exclude.ids >= start) & (exclude.ids < stop))
    return Csr(kept.ptr, (kept.ids - start).astype(np.int32), kept.weights, stop - start)


def search_rows(items: Floats, queries: Floats, k: int, exclude: Csr | None = None, *, of_directions: bool) -> TopK:
    """What an `ExactIndex` of `items` (I, D) finds, or of them at length 1: every one is scored, a block at a time.

    The items may be mapped: each is read once, whatever the number of queries (B, D), and no copy of them is made.
    """
    found = nothing(len(queries), k)
    for start in range(0, len(items), BLOCK):
        block = np.asarray(items[start : start + BLOCK], np.float32)
        part = None if exclude is None else columns(exclude, start, start + len(block))
        best = ExactIndex(unit(block) if of_directions else block).search(queries, k, part)
        found = merged([found, shifted(best, start)], k)
    return found
