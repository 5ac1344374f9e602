"""Edge columns written to npy files piece by piece, their length known only at the end."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

# users, items, weights, times, as Interactions has them
DTYPES: tuple[type[np.generic], ...] = (np.int32, np.int32, np.float32, np.int64)


class NpyStream:
    """Npy files of one length: users, items, weights, times, or others."""

    def __init__(self, *paths: Path, dtypes: Sequence[type[np.generic]] = DTYPES) -> None:
        self._paths, self._dtypes = paths, dtypes
        self._files: list[BinaryIO] = []
        self._stack = ExitStack()
        self.length = 0

    def __enter__(self) -> Self:
        for path, dtype in zip(self._paths, self._dtypes, strict=True):
            file = self._stack.enter_context(path.open("wb"))
            self._files.append(file)
            self._write_header(file, dtype)
        return self

    def append(self, *columns: NDArray[Any]) -> None:
        """Add one piece of every column."""
        for file, column, dtype in zip(self._files, columns, self._dtypes, strict=True):
            file.write(np.ascontiguousarray(column, dtype=dtype).tobytes())
        self.length += len(columns[0])

    def __exit__(self, *_: object) -> None:
        # numpy pads the header so that a longer length fits without moving the data
        with self._stack:  # closes the files even where the disk is full
            for file, dtype in zip(self._files, self._dtypes, strict=True):
                file.seek(0)
                self._write_header(file, dtype)

    def _write_header(self, file: BinaryIO, dtype: type[np.generic]) -> None:
        shape = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": (self.length,)}
        npy_format.write_array_header_1_0(file, shape)
