"""What an update works with: large arrays in files that go away, and a clock for its stages."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from pinfold.arrays import Floats, Ints
from pinfold.progress import SILENT, Progress

LARGE = 1 << 28  # bytes from which an array is a mapped file: the kernel may let go of what is written
BLOCK = 1 << 14  # rows computed at once
COPIED = 1 << 16  # rows copied at once


@dataclass(frozen=True, slots=True)
class Scratch:
    """Where the work is done, and how long each stage took."""

    place: Path  # a folder that somebody else removes
    progress: Progress = SILENT
    seconds: dict[str, float] = field(default_factory=dict)

    def array(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """An array of any content.

        Raises:
            OSError: the file system refuses.
        """
        if np.prod(shape) * np.dtype(dtype).itemsize < LARGE:
            return np.empty(shape, dtype)
        number = len(list(self.place.glob("array*.npy")))
        path = self.place / f"array{number}.npy"
        return np.lib.format.open_memmap(path, mode="w+", dtype=np.dtype(dtype), shape=shape)

    def grown(self, old: NDArray[Any], n: int) -> NDArray[Any]:
        """The rows of `old`, and room for more: (n, ...)."""
        made = self.array((n, *old.shape[1:]), old.dtype)
        for start in range(0, len(old), COPIED):
            made[start : start + COPIED][: len(old) - start] = old[start : start + COPIED]
        return made

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Counts the seconds of a block, and tells that it goes on."""
        started = time.perf_counter()
        with self.progress.task(name):
            yield
        self.seconds[name] = round(self.seconds.get(name, 0) + time.perf_counter() - started, 3)


def blocks(rows: Ints, size: int = BLOCK) -> Iterator[Ints]:
    """The rows, `size` at a time."""
    return (rows[start : start + size] for start in range(0, len(rows), size))


def cosines(one: Floats, other: Floats) -> Floats:
    """The cosine of each row with the row beside it (n,); 1 where both are zero."""
    products = np.einsum("nd,nd->n", one, other)
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    alike = np.where((lengths == 0) & (one == other).all(axis=1), 1, products / np.maximum(lengths, 1e-30))
    return np.asarray(np.clip(alike, -1, 1), np.float32)
