"""Indexes of faiss behind our interface: exclusions, masks and exact scores, on any number of threads of the caller."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import faiss
import numpy as np

from pinfold.arrays import Bools, Floats, Ints, Longs, TopK, check_array, unit
from pinfold.graph.csr import Csr
from pinfold.index.exact import ExactIndex, check_asked, held, nothing, renamed
from pinfold.kernels.counts import count_allowed

AGAIN = 4  # results of an 8-bit index for each that is asked for: they are scored again with the vectors themselves
DEEPER = 4  # times the effort, for queries whose nearest items are excluded
MORE = 64  # results beyond 2 k that are asked for at first, in place of the excluded ones
FEW = 20_000  # allowed rows up to which all of them are scored (benchmarks/README.md)
BUDGET = 30_000  # allowed rows that a filtered search looks at, at least
PART = 4  # or one in so many of those that are allowed, whichever is more
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

    @property
    def centers(self) -> Floats:
        """What queries of an ivf choose lists by (L, D)."""
        return self._centers

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
        """The K best items of each query (B, D) among those looked at; of equal ones found the lower row is first.

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
        found = nothing(len(queries), k)
        rows = np.arange(len(queries) if n_items else 0, dtype=np.int32)
        for fetch, deeper, mask in self._tries(k, most, allowed):
            if not len(rows):
                break
            everybody = len(rows) == len(queries)
            part = exclude if everybody or exclude is None else exclude.take(rows)
            fetch = min(fetch, n_items)
            best, again = self._best(queries[rows], k, fetch, part, self._near(mask, deeper))
            if deeper > 1 or self.shape.kind == "flat":
                again = best.ids[:, -1] < 0
            if everybody and not again.any():
                return best
            found.ids[rows], found.scores[rows] = best.ids, best.scores
            rows = rows[again]
        return found

    def _tries(self, k: int, most: int, allowed: Bools | None) -> Iterator[tuple[int, int, Bools | None]]:
        """How many are asked for, how many times the effort, and what may come, until k are found."""
        if allowed is not None and self._scans(allowed):
            yield k + most, DEEPER, allowed
            return
        yield k + min(most, k + MORE), 1, allowed
        whole = np.ones(len(self), np.bool_) if allowed is None else allowed
        # a graph gets little better by more effort: its second try looks at every item
        yield k + most, DEEPER, whole if self.shape.kind == "hnsw" else allowed
        yield k + most, DEEPER, whole  # a mask has so many lists looked at that there are k in them

    def _best(self, queries: Floats, k: int, fetch: int, exclude: Csr | None, near: Near) -> tuple[TopK, Bools]:
        """The k best of `fetch` that are not excluded, and whose answers may be better with more effort.

        Those are who got fewer than k, and whose k-th stands at twice its rank, for which no effort was chosen.
        """
        n = min(AGAIN * fetch, len(self._vectors)) if self.shape.bits == 8 else fetch
        ids, scores = near(queries, n)
        if self.shape.bits == 8:
            scores = self._scored(queries, ids)
        gone = ids < 0 if exclude is None else (ids < 0) | held(exclude, ids)
        left = np.where(gone, -np.inf, scores)
        order, lines = np.lexsort((ids, -left), axis=1)[:, :k], np.arange(len(ids))[:, None]
        found, width = nothing(len(ids), k), order.shape[1]
        found.scores[:, :width] = left[lines, order]
        found.ids[:, :width] = np.where(gone[lines, order], -1, ids[lines, order])
        again = found.ids[:, -1] < 0
        if exclude is not None:
            again |= (gone & (scores > found.scores[:, -1:])).sum(axis=1) >= k
        return found, again

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

    def _near(self, allowed: Bools | None, deeper: int) -> Near:
        """What finds the nearest of all, or of what is allowed, with so many times the effort."""
        effort = self.shape.effort * deeper
        if allowed is None:
            return lambda queries, n: self._anywhere(queries, n, effort)
        n_allowed = int(np.count_nonzero(allowed))
        if self._lists is None or self._scans(allowed):
            return lambda queries, n: self._exact(queries, n, allowed)
        counts = count_allowed(self._lists, allowed, len(self._centers))
        chosen = faiss.IDSelectorBitmap(np.packbits(allowed, bitorder="little"))
        least = min(max(BUDGET, n_allowed // PART), n_allowed)
        return lambda queries, n: self._in_lists(queries, n, (effort, max(least, n)), chosen, counts)

    def _scans(self, allowed: Bools) -> bool:
        """Whether every item of a mask is scored, so that nothing better can be found."""
        return self._lists is None or int(np.count_nonzero(allowed)) <= FEW

    def _anywhere(self, queries: Floats, n: int, effort: int) -> tuple[Longs, Floats]:
        """The n nearest, as faiss finds them."""
        settings = None
        if self.shape.kind == "ivf":
            settings = faiss.SearchParametersIVF(nprobe=min(effort, self.n_lists))
        elif self.shape.kind == "hnsw":
            settings = faiss.SearchParametersHNSW(efSearch=max(effort, n))
        faiss.omp_set_num_threads(1)  # of this thread; who has many queries is parallel outside
        scores, ids = self._index.search(np.ascontiguousarray(queries), n, params=settings)
        return ids, scores

    def _exact(self, queries: Floats, n: int, allowed: Bools) -> tuple[Longs, Floats]:
        """The n best of what is allowed, every one scored."""
        rows = np.flatnonzero(allowed)
        found = renamed(ExactIndex(self._of(rows)).search(queries, n), rows)
        return found.ids.astype(np.int64), found.scores

    def _in_lists(
        self, queries: Floats, n: int, least: tuple[int, int], chosen: Any, counts: Longs
    ) -> tuple[Longs, Floats]:  # fmt: skip
        """The n best of what is chosen, in the nearest lists that hold any.

        `least`: so many lists, and so many chosen rows in them. Where a mask goes with the clusters, as categories do,
        the lists that a search without it looks at may hold none.
        """
        products = queries @ self._centers.T  # (B, L)
        products[:, counts == 0] = -np.inf
        order = np.argsort(-products, axis=1, kind="stable")
        seen = np.cumsum(counts[order], axis=1)
        needed = np.maximum((seen < least[1]).sum(axis=1) + 1, least[0])
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
