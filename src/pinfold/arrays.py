"""Array types, the one shape check, and the two central array bundles: Embeddings and TopK.

Letters: U users, I items, E interactions (edges), B a batch, K results asked for, N negatives, D dimensions.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int32]  # rows of users or items
Longs = NDArray[np.int64]  # pointers into edges, times
Floats = NDArray[np.float32]  # weights, vectors, scores
Doubles = NDArray[np.float64]  # metrics
Bools = NDArray[np.bool_]
Strings = NDArray[np.object_]  # external ids, titles; None where missing
SPAN = 1 << 20  # rows of a long array that are looked at together
Halves = NDArray[np.float16]  # layers kept in half precision; everything is computed from them in single
BLOCK = 1 << 16  # vectors that are looked at together
MOST_HALF = float(np.finfo(np.float16).max)


def check_array(name: str, array: NDArray[np.generic], dtype: type[np.generic], *shape: int) -> None:
    """Raise unless `array` has this dtype and shape; -1 in the shape matches any length.

    Raises:
        TypeError: another dtype.
        ValueError: another shape.
    """
    if array.dtype != dtype:
        raise TypeError(f"{name} must have dtype {np.dtype(dtype)}, got {array.dtype}")
    fits = len(array.shape) == len(shape) and all(s in (-1, n) for s, n in zip(shape, array.shape, strict=True))
    if not fits:
        raise ValueError(f"{name} must have shape {shape} (-1: any), got {array.shape}")


def spans(n: int, step: int = SPAN) -> Iterator[slice]:
    """Slices of at most `step` rows that cover [0, n): what is made of a mapped array stays small."""
    return (slice(start, min(start + step, n)) for start in range(0, n, step))


def unit(vectors: Floats) -> Floats:
    """The rows at length 1; a row of zeros stays as it is."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, np.finfo(np.float32).tiny), np.float32)


def with_length(vectors: Floats, exponent: float) -> Floats:
    """The vectors (I, D) at the `exponent`-th power of their length."""
    scaled = np.empty(vectors.shape, np.float32)
    for span in spans(len(vectors), BLOCK):  # there may be many, and mapped: nothing is held but what comes out
        lengths = np.linalg.norm(vectors[span], axis=1, keepdims=True)
        powers = np.maximum(lengths, np.finfo(np.float32).tiny) ** np.float32(exponent - 1)
        np.multiply(vectors[span], powers, out=scaled[span])
    return scaled


def narrow(rows: NDArray[np.floating], dtype: np.dtype[Any] | type[np.generic]) -> NDArray[Any]:
    """The rows in float16 where `dtype` is that, else as they are; what half precision cannot hold is cut to its most.

    A cast alone would make it infinite, and what is computed from that NaN.
    """
    return np.clip(rows, -MOST_HALF, MOST_HALF).astype(np.float16) if dtype == np.float16 else rows


def all_finite(array: NDArray[np.floating]) -> bool:
    """Whether no number of it (n, ...) is NaN or infinite; read in blocks of rows, since it may be mapped."""
    return all(bool(np.isfinite(array[span]).all()) for span in spans(len(array), BLOCK))


@dataclass(frozen=True, slots=True)
class TopK:
    """The best items of each asked row, best first; ids -1 and scores -inf where there are fewer than K."""

    ids: Ints  # (B, K) item rows
    scores: Floats  # (B, K) not increasing along a row

    def __post_init__(self) -> None:
        check_array("ids", self.ids, np.int32, -1, -1)
        check_array("scores", self.scores, np.float32, *self.ids.shape)


@dataclass(frozen=True, slots=True)
class Takers:
    """How an item that came after training gets its rows: as sums over the n users who took it.

    Its vector is n^-item_exponent times the sum of `items[u]`, its history vector n^-history_exponent times the sum of
    `history[u]`. With a `mapping`, its vector v is replaced: (v / |v|, 1, log n) times the mapping is a direction x
    and the log of a length l, and the vector is x |x|^(3/4 - 1) l (see models/mapping.py).
    """

    items: Floats  # (U, D)
    history: Floats  # (U, D)
    item_exponent: float = 0.0
    history_exponent: float = 0.0
    mapping: Floats | None = None  # (D + 2, D + 1), of models trained on cosines

    def __post_init__(self) -> None:
        check_array("takers' items", self.items, np.float32, -1, -1)
        check_array("takers' history", self.history, np.float32, *self.items.shape)
        if self.mapping is not None:
            check_array("takers' mapping", self.mapping, np.float32, *(self.items.shape[1] + n for n in (2, 1)))


@dataclass(frozen=True, slots=True)
class Embeddings:
    """Vectors whose inner products are scores.

    A user who came after training and took h items gets h^-history_exponent times the sum of `history[i]` over them:
    for LightGCN that is one propagation through frozen items, for MF the ridge solution (see each model's `embed`);
    where cosines were learned, the mean of rows that are fitted to known users (models/mapping.py).
    """

    users: Floats  # (U, D)
    items: Floats  # (I, D)
    history: Floats  # (I, D)
    history_exponent: float = 0.0
    takers: Takers | None = None  # None: items cannot come after training

    def __post_init__(self) -> None:
        check_array("users", self.users, np.float32, -1, -1)
        check_array("items", self.items, np.float32, -1, self.users.shape[1])
        check_array("history", self.history, np.float32, *self.items.shape)
        if self.takers is not None:
            check_array("takers' items", self.takers.items, np.float32, *self.users.shape)
