"""The exact index: every item is scored."""

import numpy as np

from pinfold.arrays import Floats, Ints, Longs, TopK
from pinfold.graph.csr import Csr
from pinfold.kernels.topk import top_k

BLOCK_BYTES = 64 << 20  # scores held at once


class ExactIndex:
    """Inner products with all item vectors, in blocks of queries."""

    def __init__(self, items: Floats) -> None:
        """`items`: (I, D)."""
        self._items = items

    def search(self, queries: Floats, k: int, exclude: Csr | None = None) -> TopK:
        """The K best items of each query (B, D); equal scores go to the lower row.

        Moves 4 I (D + 1) bytes a query and multiplies I D times; the blocks keep memory at BLOCK_BYTES.

        Raises:
            ValueError: queries or exclude of another shape, k below 1.
        """
        if queries.ndim != 2 or queries.shape[1] != self._items.shape[1]:
            raise ValueError(f"queries must have shape (B, {self._items.shape[1]}), got {queries.shape}")
        check_asked(len(queries), len(self._items), k, exclude)
        ids = np.empty((len(queries), k), np.int32)
        scores = np.empty((len(queries), k), np.float32)
        size = block_rows(len(self._items))
        for start in range(0, len(queries), size):
            rows = slice(start, start + size)
            block = queries[rows] @ self._items.T
            found = top_k(block, *excluded(exclude, start, len(block)), k)
            ids[rows], scores[rows] = found.ids, found.scores
        return TopK(ids, scores)


def check_asked(n_queries: int, n_items: int, k: int, exclude: Csr | None) -> None:
    """Raise ValueError unless k is positive and `exclude` is (B, I): the kernel would write outside the scores."""
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    if exclude is not None and (exclude.n_rows, exclude.n_columns) != (n_queries, n_items):
        raise ValueError(
            f"exclude must have shape ({n_queries}, {n_items}), got ({exclude.n_rows}, {exclude.n_columns})"
        )


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
