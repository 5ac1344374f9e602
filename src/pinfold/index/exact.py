"""The exact index: every item is scored."""

import numpy as np

from pinfold.arrays import Bools, Floats, Ints, Longs, TopK, check_array
from pinfold.graph.csr import Csr
from pinfold.kernels.topk import top_k

BLOCK_BYTES = 64 << 20  # scores held at once


class ExactIndex:
    """Inner products with all item vectors, in blocks of queries."""

    def __init__(self, items: Floats) -> None:
        """`items`: (I, D)."""
        self._items = items

    def search(self, queries: Floats, k: int, exclude: Csr | None = None, allowed: Bools | None = None) -> TopK:
        """The K best items of each query (B, D); equal scores go to the lower row.

        Moves 4 I (D + 1) bytes a query and multiplies I D times; the blocks keep memory at BLOCK_BYTES. Where less
        than half is allowed, its vectors are gathered first and only they are scored.

        Raises:
            TypeError: `allowed` is not of bools.
            ValueError: queries, exclude or allowed of another shape, k below 1.
        """
        if queries.ndim != 2 or queries.shape[1] != self._items.shape[1]:
            raise ValueError(f"queries must have shape (B, {self._items.shape[1]}), got {queries.shape}")
        check_asked(len(queries), len(self._items), k, exclude, allowed)
        if allowed is not None and 2 * int(np.count_nonzero(allowed)) < len(self._items):
            few = np.flatnonzero(allowed)
            left = None if exclude is None else within(exclude, allowed, few)
            return renamed(ExactIndex(self._items[few]).search(queries, k, left), few)
        ids = np.empty((len(queries), k), np.int32)
        scores = np.empty((len(queries), k), np.float32)
        size = block_rows(len(self._items))
        for start in range(0, len(queries), size):
            rows = slice(start, start + size)
            block = queries[rows] @ self._items.T
            forbid(block, allowed)
            found = top_k(block, *excluded(exclude, start, len(block)), k)
            ids[rows], scores[rows] = found.ids, found.scores
        return TopK(ids, scores)


def check_asked(n_queries: int, n_items: int, k: int, exclude: Csr | None, allowed: Bools | None = None) -> None:
    """Raise unless k is positive, `exclude` is (B, I) and `allowed` (I,): the kernel would write outside the scores.

    Raises:
        TypeError: `allowed` is not of bools.
        ValueError: anything else.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    if exclude is not None and (exclude.n_rows, exclude.n_columns) != (n_queries, n_items):
        raise ValueError(
            f"exclude must have shape ({n_queries}, {n_items}), got ({exclude.n_rows}, {exclude.n_columns})"
        )

    if allowed is not None:
        check_array("allowed", allowed, np.bool_, n_items)


def forbid(scores: Floats, allowed: Bools | None) -> None:
    """Make the scores (B, I) of items that are not allowed (I,) -inf, in place."""
    if allowed is not None:
        np.copyto(scores, -np.inf, where=~allowed)


def within(exclude: Csr, allowed: Bools, rows: Longs) -> Csr:
    """The entries of `exclude` (B, I) on the allowed rows (n,), which rise, as places among these. Shape (B, n)."""
    kept = exclude.only(allowed[exclude.ids])
    places = np.searchsorted(rows, kept.ids).astype(np.int32)
    return Csr(kept.ptr, places, kept.weights, len(rows))


def renamed(found: TopK, rows: Longs) -> TopK:
    """What was found among these rows, under their own numbers."""
    if not len(rows):
        return found
    return TopK(np.where(found.ids >= 0, rows[found.ids], -1).astype(np.int32), found.scores)


def block_rows(n_items: int) -> int:
    """Queries whose scores fit into BLOCK_BYTES."""
    return max(1, BLOCK_BYTES // (4 * max(n_items, 1)))


def excluded(exclude: Csr | None, start: int, n: int) -> tuple[Longs, Ints]:
    """Pointers (n + 1,) and items of the rows start, start + 1, ... of `exclude`."""
    if exclude is None:
        return np.zeros(n + 1, np.int64), np.empty(0, np.int32)
    return exclude.ptr[start : start + n + 1], exclude.ids


def itself(items: Ints, n_items: int) -> Csr:
    """One row for each of these items, holding the item."""
    n = len(items)
    return Csr(np.arange(n + 1, dtype=np.int64), items.astype(np.int32), np.ones(n, np.float32), n_items)


def held(exclude: Csr, ids: Ints | Longs) -> Bools:
    """Which of `ids` (B, N) stand in their row of `exclude` (B, I); -1 does not."""
    n = exclude.n_columns
    owners = np.repeat(np.arange(exclude.n_rows), exclude.degrees())
    entries = np.append(owners * n + exclude.ids, exclude.n_rows * n)  # ascending; the last one is nothing's
    asked = np.arange(len(ids))[:, None] * n + ids
    return np.asarray((entries[np.searchsorted(entries, asked)] == asked) & (ids >= 0))


def nothing(n: int, k: int) -> TopK:
    """The answers (n, k) of an empty catalogue."""
    return TopK(np.full((n, k), -1, np.int32), np.full((n, k), -np.inf, np.float32))


def dropped(found: TopK, gone: Bools, k: int) -> TopK:
    """The first k results of each row that are not `gone` (B, N), N at least k. Shape (B, k)."""
    order, lines = np.argsort(gone, axis=1, kind="stable")[:, :k], np.arange(len(gone))[:, None]
    ids, scores, over = found.ids[lines, order], found.scores[lines, order], gone[lines, order]
    ids[over], scores[over] = -1, -np.inf
    return TopK(ids, scores)
