"""Vectors that the user brings, of images or anything: checked, and reduced by truncated SVD where asked."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pinfold.arrays import Floats
from pinfold.data.columns import Column
from pinfold.errors import DataError
from pinfold.features.config import VectorColumn
from pinfold.features.reduction import principal, unit_rows
from pinfold.features.terms import MOST_ROWS
from pinfold.features.values import Encoded, Values, is_missing


@dataclass(frozen=True, slots=True)
class Vectors:
    """A column of vectors: their length, and what they are reduced by."""

    length: int
    components: Floats | None  # (length, D)
    normalize: bool
    path: str | None  # the npy that has them, for a table without this column

    @property
    def dim(self) -> int:
        """D, the length of a vector."""
        return self.length if self.components is None else self.components.shape[1]


def fit_vectors(config: VectorColumn, values: Values, seed: int) -> Vectors | str:
    """An encoder fitted on these values, or why there is none.

    Raises:
        DataError: a vector of another length, or with a number that is not finite.
    """
    column = values.column
    lengths = Counter(np.size(value) for value in column if not is_missing(value)) if column.ndim == 1 else None
    if not len(values) or (lengths is not None and not lengths):
        return "no row has a value"
    length = column.shape[1] if lengths is None else lengths.most_common(1)[0][0]
    if config.dim is None or length <= config.dim:
        return Vectors(length, None, config.normalize, config.path)
    seen = np.linspace(0, len(values) - 1, min(len(values), MOST_ROWS)).astype(np.int32)
    matrix = encode_vectors(Vectors(length, None, config.normalize, None), values.take(seen)).matrix
    return Vectors(length, principal(matrix, config.dim, seed), config.normalize, config.path)


def encode_vectors(encoder: Vectors, values: Values) -> Encoded:
    """Vectors (n, D), zeros where missing: None, an empty list, or a row of nothing but NaN.

    Raises:
        DataError: a vector of another length, or with a number that is not finite; names column and row.
    """
    matrix = _matrix(values, encoder.length)
    known = np.asarray(~np.isnan(matrix).all(axis=1))
    matrix[~known] = 0
    broken = np.flatnonzero(~np.isfinite(matrix).all(axis=1))
    if len(broken):
        raise DataError(f"{values.at(int(broken[0]))}: expected finite numbers, found NaN or inf among them")
    if encoder.normalize:
        matrix = unit_rows(matrix)
    return Encoded(matrix if encoder.components is None else matrix @ encoder.components, known)


def read_vectors(path: str, n_rows: int) -> Column:
    """The rows of an npy file, memory-mapped (n_rows, D).

    Raises:
        DataError: no npy file of numbers, or not one row for each row of the table.
    """
    try:
        array: NDArray[np.generic] = np.lib.format.open_memmap(Path(path), mode="r")  # refuses objects
    except Exception as error:  # numpy's header parser lets many kinds through
        raise DataError(f"{path}: not an npy array: {error}") from error
    if array.ndim != 2 or array.shape[0] != n_rows or array.dtype.kind not in "iuf":
        raise DataError(
            f"{path}: expected numbers of shape ({n_rows}, length), one row for each row of the table; found "
            f"{array.dtype} of shape {array.shape}"
        )
    return array


def _matrix(values: Values, length: int) -> Floats:
    """The vectors as one matrix (n, length), NaN where missing."""
    column = values.column
    if column.ndim == 2:
        if column.shape[1] != length:
            raise DataError(f"column {values.name!r}: expected vectors of length {length}, found {column.shape[1]}")
        with np.errstate(over="ignore"):  # infinity is found later
            return column.astype(np.float32)
    matrix = np.full((len(column), length), np.nan, np.float32)
    for row, value in enumerate(column):
        if is_missing(value):
            continue
        try:
            with np.errstate(over="ignore"):  # infinity is found later
                vector = np.asarray(value, np.float32)
        except (TypeError, ValueError, OverflowError):
            raise DataError(f"{values.at(row)}: expected a list of {length} numbers, found {str(value)[:60]}") from None
        if vector.shape != (length,):
            found = f"length {len(vector)}" if vector.ndim == 1 else f"shape {vector.shape}"
            raise DataError(f"{values.at(row)}: expected a vector of length {length}, found {found}")
        matrix[row] = vector
    return matrix
