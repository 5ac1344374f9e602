"""Indexes of faiss behind our interface: exclusions, masks and exact scores, on any number of threads of the caller."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import faiss
import numpy as np

from pinfold.arrays import Bools, Floats, Ints, Longs, TopK, check_array, unit
from pinfold.graph.csr import Csr
from pinfold.index.exact import ExactIndex, check_asked, dropped, held, renamed
from pinfold.kernels.counts import count_allowed

AGAIN = 4  # results of an 8-bit index for each that is asked for: they are scored again with the vectors themselves
MORE = 64  # results beyond 2 k that are asked for at first, in place of the excluded ones
BUDGET = 30_000  # allowed rows that a filtered search looks at, at least (benchmarks/README.md)
RESCORED = 1 << 24  # numbers gathered at once to score again, 64 MiB
Near = Callable[[Floats, int], tuple[Longs, Floats]]  # queries (B, D) and n to rows (B, n), -1 where fewer, and scores


@dataclass(frozen=True, slots=True)
class Shape:
    """What an index of faiss is, beside its vectors."""

    kind: Literal["flat", "ivf", "hnsw"]
    bits: int  # of each stored number: 8 or 32
    effort: int  # lists searched for a query, or candidates kept; 1 for flat
    unit: bool  # it holds the vectors at length 1


class FaissIndex:
    """Finds the highest inner products with stored vectors. Immutable, so any number of threads may search."""

    def __init__(self, index: Any, vectors: Floats, shape: Shape, lists: Ints | None = None) -> None:
        """An index of the rows of `vectors` (I, D).

        Args:
            index: of faiss, with the same rows.
            vectors: may be memory-mapped; they need not be of length 1 where `shape.unit` says that the index's are.
            shape: what `index` is.
            lists: (I,) the list that each row stands in; of an ivf.
        """
        self.shape = shape
        self._index, self._vectors, self._lists = index, vectors, lists
        if shape.kind == "ivf":
            self._centers: Floats = index.quantizer.reconstruct_n(0, index.nlist)  # (L, D)

    def __len__(self) -> int:
        return len(self._vectors)

    @property
    def n_lists(self) -> int:
        """L, the lists of an ivf; else 0."""
        return len(self._centers) if self.shape.kind == "ivf" else 0

    def with_effort(self, effort: int) -> "FaissIndex":
        """The same index, looking at so many lists or candidates for a query."""
        return FaissIndex(self._index, self._vectors, replace(self.shape, effort=effort), self._lists)

    def write(self, path: Path) -> None:
        """Write what faiss holds as a file.

        Raises:
            OSError: the file system refuses.
        """
        try:
            faiss.write_index(self._index, str(path))
        except RuntimeError as error:  # of faiss, whatever it was
            raise OSError(f"{path.name}: cannot be written: {error}") from error

    def search(self, queries: Floats, k: int, exclude: Csr | None = None, allowed: Bools | None = None) -> TopK:
        """The K best items of each query (B, D) among those that are looked at; of equal ones the lower row is first.

        K rows come back wherever so many are allowed and not excluded.

        Raises:
            TypeError: `allowed` is not of bools, or queries are not float32.
            ValueError: queries, exclude or allowed of another shape, queries that are not finite, k below 1.
        """
        n_items, dim = self._vectors.shape
        check_array("queries", queries, np.float32, -1, dim)
        check_asked(len(queries), n_items, k, exclude, allowed)
        if not np.isfinite(queries).all():  # faiss would answer all the same
            raise ValueError("queries must be finite")
        most = 0 if exclude is None or not len(queries) else int(exclude.degrees().max())
        tries = [(k + min(most, k + MORE), allowed), (k + most, allowed)]
        if allowed is None and self.shape.kind != "flat":  # so many lists that there are k in them, or every item
            tries.append((k + most, np.ones(n_items, np.bool_)))
        found = TopK(np.full((len(queries), k), -1, np.int32), np.full((len(queries), k), -np.inf, np.float32))
        rows = np.arange(len(queries) if n_items else 0, dtype=np.int32)
        for fetch, mask in tries:
            if not len(rows):
                break
            part = None if exclude is None else exclude.take(rows)
            kept = self._kept(queries[rows], k, min(fetch, n_items), part, self._near(mask))
            found.ids[rows], found.scores[rows] = kept.ids, kept.scores
            rows = rows[kept.ids[:, -1] < 0]  # who excludes much is asked for again
        return found

    def _kept(self, queries: Floats, k: int, fetch: int, exclude: Csr | None, near: Near) -> TopK:
        """The k best of `fetch` results that are not excluded."""
        n = min(AGAIN * fetch, len(self._vectors)) if self.shape.bits == 8 else fetch
        ids, scores = near(queries, n)
        if self.shape.bits == 8:
            scores = self._scored(queries, ids)
        gone = ids < 0 if exclude is None else (ids < 0) | held(exclude, ids)
        scores[gone] = -np.inf
        order = np.lexsort((ids, -scores), axis=1)
        best = TopK(np.take_along_axis(ids, order, axis=1).astype(np.int32), np.take_along_axis(scores, order, axis=1))
        return dropped(best, np.take_along_axis(gone, order, axis=1), k)

    def _scored(self, queries: Floats, ids: Longs) -> Floats:
        """The products of queries (B, D) with the vectors of `ids` (B, N); anything beside -1."""
        scores = np.empty(ids.shape, np.float32)
        size = max(1, RESCORED // max(1, ids.shape[1] * queries.shape[1]))
        for start in range(0, len(ids), size):
            part = slice(start, start + size)
            vectors = self._of(np.maximum(ids[part], 0).ravel()).reshape(*ids[part].shape, -1)
            np.einsum("bd,bnd->bn", queries[part], vectors, out=scores[part])
        return scores

    def _of(self, rows: Longs) -> Floats:
        """The vectors of these rows, as the index has them."""
        vectors = self._vectors[rows]
        return unit(vectors) if self.shape.unit else vectors

    def _near(self, allowed: Bools | None) -> Near:
        """What finds the nearest of all, or of what is allowed."""
        if allowed is None:
            return self._anywhere
        if self._lists is None:
            return lambda queries, n: self._exact(queries, n, allowed)
        counts = count_allowed(self._lists, allowed, len(self._centers))
        chosen = faiss.IDSelectorBitmap(np.packbits(allowed, bitorder="little"))
        return lambda queries, n: self._in_lists(queries, n, chosen, counts)

    def _anywhere(self, queries: Floats, n: int) -> tuple[Longs, Floats]:
        """The n nearest, as faiss finds them."""
        settings = None
        if self.shape.kind == "ivf":
            settings = faiss.SearchParametersIVF(nprobe=self.shape.effort)
        elif self.shape.kind == "hnsw":
            settings = faiss.SearchParametersHNSW(efSearch=max(self.shape.effort, n))
        faiss.omp_set_num_threads(1)  # of this thread; who has many queries is parallel outside
        scores, ids = self._index.search(np.ascontiguousarray(queries), n, params=settings)
        return ids, scores

    def _exact(self, queries: Floats, n: int, allowed: Bools) -> tuple[Longs, Floats]:
        """The n best of what is allowed, every one scored."""
        rows = np.flatnonzero(allowed)
        found = renamed(ExactIndex(self._of(rows)).search(queries, n), rows)
        return found.ids.astype(np.int64), found.scores

    def _in_lists(self, queries: Floats, n: int, chosen: Any, counts: Longs) -> tuple[Longs, Floats]:
        """The n best of what is chosen, in the nearest lists that hold any.

        As many lists as a search without a mask looks at, and as hold BUDGET chosen rows: where a mask goes with the
        clusters, as categories do, the nearest lists alone may hold none. Few chosen rows are all looked at.
        """
        products = queries @ self._centers.T  # (B, L)
        products[:, counts == 0] = -np.inf
        order = np.argsort(-products, axis=1, kind="stable")
        seen = np.cumsum(counts[order], axis=1)
        needed = np.maximum((seen < max(BUDGET, n)).sum(axis=1) + 1, self.shape.effort)
        width = max(1, min(int(needed.max()), int(np.count_nonzero(counts))))
        keys = np.ascontiguousarray(order[:, :width])
        keys[np.arange(width) >= needed[:, None]] = -1
        near = np.ascontiguousarray(np.take_along_axis(products, order[:, :width], axis=1))
        asked = np.ascontiguousarray(queries)
        ids, scores = np.empty((len(queries), n), np.int64), np.empty((len(queries), n), np.float32)
        settings = faiss.SearchParametersIVF(nprobe=width, sel=chosen)
        faiss.omp_set_num_threads(1)
        pointers = (faiss.swig_ptr(array) for array in (keys, near, scores, ids))
        self._index.search_preassigned_c(len(asked), faiss.swig_ptr(asked), n, *pointers, False, settings)
        return ids, scores
