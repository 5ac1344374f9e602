"""Arrays and CSR written to npy files piece by piece, their lengths known only at the end."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from pinfold.arrays import Floats, Longs
from pinfold.artifacts import FolderWriter

ROWS = 1 << 20  # pointers that are in memory at once


class ArrayStream:
    """One npy file, for a `with` block. Its bytes are those that `np.save` writes of the whole array."""

    def __init__(self, path: Path, dtype: type[np.generic], *rest: int) -> None:
        """The array will have the shape (rows appended, *rest)."""
        self._path, self._dtype, self._rest = path, np.dtype(dtype), rest
        self.length = 0

    def __enter__(self) -> Self:
        self._file = self._path.open("wb")
        self._write_header()
        return self

    def append(self, rows: NDArray[Any]) -> None:
        """Add some rows (any, *rest)."""
        self._file.write(np.ascontiguousarray(rows, dtype=self._dtype).data)
        self.length += len(rows)

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        with self._file:
            if error is None:
                self._file.seek(0)
                self._write_header()  # numpy pads the header so that a longer length fits without moving the data

    def _write_header(self) -> None:
        shape = (self.length, *self._rest)
        npy_format.write_array_header_1_0(
            self._file, {"descr": self._dtype.str, "fortran_order": False, "shape": shape}
        )


class CsrStream:
    """The files of `bipartite.write_csr`, for a `with` block that appends the edges in order.

    An edge is a key, row << bits | column, which rises from edge to edge.
    """

    def __init__(self, folder: FolderWriter, name: str, shape: tuple[int, int]) -> None:
        self.bits = column_bits(shape)
        self._n_rows = shape[0]
        self._ptr = ArrayStream(folder.path(f"{name}_ptr.npy"), np.int64)
        self._ids = ArrayStream(folder.path(f"{name}_ids.npy"), np.int32)
        self._weights = ArrayStream(folder.path(f"{name}_weights.npy"), np.float32)
        folder.array(f"{name}_columns.npy", np.array([shape[1]], np.int64))
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for stream in (self._ptr, self._ids, self._weights):
                stack.enter_context(stream)
            self._stack = stack.pop_all()
        return self

    def append(self, keys: Longs, weights: Floats) -> None:
        """Add edges with keys (any,) above all that were added."""
        if not len(keys):
            return
        self._begin_rows(int(keys[-1] >> self.bits) + 1, keys)
        self._ids.append((keys & ((1 << self.bits) - 1)).astype(np.int32))
        self._weights.append(weights)

    def _begin_rows(self, stop: int, keys: Longs) -> None:
        """Write where the rows before `stop` begin, as far as it is not written."""
        for start in range(self._ptr.length, stop, ROWS):
            rows = np.arange(start, min(start + ROWS, stop), dtype=np.int64)
            self._ptr.append(np.searchsorted(keys, rows << self.bits) + self._ids.length)

    def __exit__(self, *error: Any) -> None:
        try:
            if error[0] is None:
                self._begin_rows(self._n_rows + 1, np.empty(0, np.int64))
        finally:
            self._stack.__exit__(*error)


def column_bits(shape: tuple[int, int]) -> int:
    """Bits that hold every column."""
    return max(shape[1] - 1, 1).bit_length()
