"""Compressed sparse rows: for every row its columns, sorted, with weights."""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from pinfold.arrays import Bools, Floats, Ints, Longs, check_array, spans
from pinfold.kernels.edges import sum_repeats
from pinfold.kernels.rows import keep_largest, take_rows


@dataclass(frozen=True, slots=True)
class Csr:
    """A sparse (R, C) matrix; row r has the columns `ids[ptr[r]:ptr[r + 1]]`, sorted and distinct.

    The arrays may be memory-mapped and are never changed.

    Raises:
        TypeError: an array of another dtype.
        ValueError: pointers that do not fit, columns that are out of range, unsorted or repeated.
    """

    ptr: Longs  # (R + 1,)
    ids: Ints  # (E,) columns
    weights: Floats  # (E,)
    n_columns: int

    def __post_init__(self) -> None:
        check_array("ptr", self.ptr, np.int64, -1)
        check_array("ids", self.ids, np.int32, -1)
        check_array("weights", self.weights, np.float32, len(self.ids))
        if not len(self.ptr) or self.ptr[0] != 0 or self.ptr[-1] != len(self.ids) or _falls(self.ptr):
            raise ValueError(f"ptr must rise from 0 to {len(self.ids)}")
        if len(self.ids) and not (self.ids.min() >= 0 and self.ids.max() < self.n_columns):
            raise ValueError(f"ids must lie in [0, {self.n_columns})")
        if not _sorted_in_rows(self.ptr, self.ids):
            raise ValueError("ids must be sorted and distinct within each row")

    @property
    def n_rows(self) -> int:
        """R, the number of rows."""
        return len(self.ptr) - 1

    def degrees(self) -> Longs:
        """Number of entries of each row. Shape (R,)."""
        return np.diff(self.ptr)

    def row(self, row: int) -> Ints:
        """The columns of one row."""
        return self.ids[self.ptr[row] : self.ptr[row + 1]]

    def take(self, rows: Ints) -> "Csr":
        """The given rows, in the given order, as a Csr of their own.

        Raises:
            ValueError: a row out of range, for which the kernel would read foreign memory.
        """
        if len(rows) and not (rows.min() >= 0 and rows.max() < self.n_rows):
            raise ValueError(f"rows must lie in [0, {self.n_rows}), found {rows.min()} to {rows.max()}")
        return Csr(*take_rows(self.ptr, self.ids, self.weights, rows), self.n_columns)

    def only(self, kept: Bools) -> "Csr":
        """The entries for which `kept` (E,) is true; no row or column goes."""
        before = np.concatenate([np.zeros(1, np.int64), np.cumsum(kept, dtype=np.int64)])
        return Csr(before[self.ptr], self.ids[kept], self.weights[kept], self.n_columns)

    def keep_largest(self, k: int) -> "Csr":
        """At most `k` entries of each row, the heaviest; of equal weights the lower column stays."""
        if k < 0:
            raise ValueError(f"k must not be negative, got {k}")
        return Csr(*keep_largest(self.ptr, self.ids, self.weights, k), self.n_columns)

    def transpose(self) -> "Csr":
        """The (C, R) matrix."""
        return from_scipy(self.to_scipy().T)

    def to_scipy(self) -> sparse.csr_array:
        """The same matrix for scipy, sharing ids and weights."""
        # scipy wants ids and pointers of one type, and would rather copy all ids than narrow the pointers
        ptr = self.ptr.astype(np.int32) if len(self.ids) <= np.iinfo(np.int32).max else self.ptr
        return sparse.csr_array((self.weights, self.ids, ptr), shape=(self.n_rows, self.n_columns), copy=False)


def _falls(ptr: Longs) -> bool:
    """Whether a pointer is below the one before it."""
    return any((np.diff(ptr[span.start : span.stop + 1]) < 0).any() for span in spans(len(ptr)))


def _sorted_in_rows(ptr: Longs, ids: Ints) -> bool:
    """Whether ids rise within each row. A span at a time: the arrays may be mapped and larger than memory."""
    ptr, ids = np.asarray(ptr), np.asarray(ids)  # searching a subclass would cost more than the rest
    for span in spans(len(ids)):
        falls = np.diff(ids[span.start : span.stop + 1]) <= 0  # the last one is against the first of the next span
        first, last = np.searchsorted(ptr, [span.start + 1, span.start + len(falls) + 1])
        for starts in spans(last - first):
            falls[ptr[first:last][starts] - 1 - span.start] = False  # a row may begin below the end of the one before
        if falls.any():
            return False
    return True


def from_scipy(matrix: sparse.sparray) -> Csr:
    """Any scipy sparse matrix as Csr; repeated entries are summed."""
    csr = sparse.csr_array(matrix, copy=True)  # summing works in place, and the matrix is the caller's
    csr.sum_duplicates()
    ptr, ids = csr.indptr.astype(np.int64, copy=False), csr.indices.astype(np.int32, copy=False)
    return Csr(ptr, ids, csr.data.astype(np.float32, copy=False), int(csr.shape[1]))


def from_pairs(rows: Ints, columns: Ints, weights: Floats, shape: tuple[int, int]) -> Csr:
    """A Csr from parallel (E,) columns in any order.

    Weights of a repeated pair are summed one after another, in the order in which they come, in float32.
    """
    csr = from_scipy(sparse.coo_array((weights, (rows, columns)), shape=shape))
    if len(csr.ids) == len(rows):
        return csr
    # scipy leaves open in which order it sums; graph.building, which reads edges in another order, has to agree
    keys = rows.astype(np.int64) << 32 | columns
    order = np.argsort(keys, kind="stable")
    keys, sums = keys[order], np.asarray(weights, np.float32)[order]
    return Csr(csr.ptr, csr.ids, sums[: sum_repeats(keys, sums)], csr.n_columns)
