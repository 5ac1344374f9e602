"""Encoders of a whole table: fitted on the training rows, one block of the feature matrix for each column."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pinfold.arrays import Bools, Floats, Ints
from pinfold.data.tables import Table
from pinfold.errors import DataError, did_you_mean
from pinfold.features.categories import Categories, encode_categories, fit_categories
from pinfold.features.config import (
    CategoriesColumn,
    ColumnConfig,
    DateColumn,
    NumberColumn,
    TextColumn,
    VectorColumn,
)
from pinfold.features.dates import Dates, encode_dates, fit_dates
from pinfold.features.external import ExternalTexts, TextEncoder, encode_external, find_encoder, fit_external
from pinfold.features.numbers import Numbers, encode_numbers, fit_numbers
from pinfold.features.reduction import row_lengths
from pinfold.features.text import Texts, encode_texts, fit_texts
from pinfold.features.values import Encoded, Ids, Values, one_row
from pinfold.features.vectors import Vectors, encode_vectors, fit_vectors, read_vectors

Encoder = Texts | ExternalTexts | Categories | Numbers | Dates | Vectors


@dataclass(frozen=True, slots=True)
class Block:
    """One column's part of the features: scale times what its encoder says, then 1 where that is nothing.

    The scale makes the mean length of this part 1 over the training rows that have a value, so that no column is
    louder than another. The indicator is left out where every training row has a value: nothing could learn what it
    means.
    """

    encoder: Encoder
    scale: float
    indicator: bool

    @property
    def dim(self) -> int:
        """Columns of the feature matrix."""
        return self.encoder.dim + self.indicator


@dataclass(frozen=True, slots=True)
class Encoders:
    """What turns attributes into features: the columns in their order, and what was left out, and why."""

    columns: Mapping[str, Block]
    left_out: tuple[str, ...] = ()  # columns of the table that are no features
    notes: tuple[str, ...] = ()  # for people

    @property
    def dim(self) -> int:
        """F, the length of a row of features."""
        return sum(block.dim for block in self.columns.values())


def blocks(encoders: Encoders) -> dict[str, slice]:
    """Which columns of the feature matrix come from which attribute."""
    ends = np.cumsum([block.dim for block in encoders.columns.values()]).tolist()
    return {
        name: slice(end - block.dim, end) for (name, block), end in zip(encoders.columns.items(), ends, strict=True)
    }


def indicators(encoders: Encoders) -> Bools:
    """Which columns of the feature matrix say that a value is missing. Shape (F,).

    Two things of which nothing is known are not alike for that: similarities by cosine leave these columns out.
    """
    found = np.zeros(encoders.dim, np.bool_)
    for name, place in blocks(encoders).items():
        found[place.stop - 1] = encoders.columns[name].indicator
    return found


def encode(encoders: Encoders, table: Table, ids: Ids | None = None) -> Floats:
    """The features of every row of the table. Shape (n, F).

    What was not seen in training (words, categories) counts nothing; a row without any attribute is zeros and
    indicators.

    Raises:
        DataError: the table lacks a column, or a value is not what its column holds; names column and row.
    """
    features = np.empty((table.n_rows, encoders.dim), np.float32)
    for name, place in blocks(encoders).items():
        block = encoders.columns[name]
        path = block.encoder.path if isinstance(block.encoder, Vectors) else None
        values = values_of(name, path, table, ids)
        features[:, place] = _features(block, _encoded(block.encoder, values))
    return features


def encode_row(encoders: Encoders, attributes: Mapping[str, Any]) -> Floats:
    """The features of one thing, given its attributes by name. Shape (F,). Absent ones are missing.

    Raises:
        DataError: an attribute that the training table did not have, or a value that is not what its column holds.
    """
    known = {*encoders.columns, *encoders.left_out, "id"}
    for name in attributes:
        if name not in known:
            columns = ", ".join(encoders.columns)
            raise DataError(
                f"no attribute {name!r}{did_you_mean(name, encoders.columns)} (known: {columns}); leave it out"
            )
    features = np.zeros(encoders.dim, np.float32)
    for name, place in blocks(encoders).items():
        block = encoders.columns[name]
        features[place] = _features(block, _encoded(block.encoder, one_row(attributes, name)))[0]
    return features


def fit_block(
    config: ColumnConfig, values: Values, rows: Ints, dim: int, seed: int, passed: Sequence[TextEncoder] = ()
) -> tuple[Block, Floats] | str:
    """The block of one column, fitted on `rows`, and the features of all its rows (n, D); or why there is none.

    Raises:
        ConfigError: no such text encoder.
        DataError: a value is not what its column holds.
    """
    encoder = _fitted(config, values.take(rows), dim, seed, passed)
    if isinstance(encoder, str):
        return encoder
    encoded = _encoded(encoder, values)
    known = encoded.known[rows]
    if not known.any():
        return "no training row has a value"
    length = float(row_lengths(encoded.matrix)[rows][known].mean())
    block = Block(encoder, 1 / length if length > 0 else 1.0, not known.all())
    return block, _features(block, encoded)


def values_of(name: str, path: str | None, table: Table, ids: Ids | None) -> Values:
    """The column of this name in the table, or in the npy file at `path`.

    Raises:
        DataError: there is none.
    """
    if path is not None:
        return Values(name, read_vectors(path, table.n_rows), ids)
    if name not in table.columns:
        near = did_you_mean(name, table.columns)
        raise DataError(f"no column {name!r}{near} (the table has: {', '.join(table.columns) or 'none'})")
    return Values(name, table.columns[name], ids)


def _features(block: Block, encoded: Encoded) -> Floats:
    matrix = encoded.matrix
    matrix *= np.float32(block.scale)  # in place: nobody else has it, and a second copy may be gigabytes
    return np.concatenate([matrix, ~encoded.known[:, None]], axis=1, dtype=np.float32) if block.indicator else matrix


def _fitted(config: ColumnConfig, values: Values, dim: int, seed: int, passed: Sequence[TextEncoder]) -> Encoder | str:
    match config:
        case TextColumn():
            if config.encoder != "tfidf":
                return fit_external(find_encoder(config.encoder, passed))
            return fit_texts(config, values, dim, seed)
        case CategoriesColumn():
            return fit_categories(config, values, dim, seed)
        case NumberColumn():
            return fit_numbers(config, values)
        case DateColumn():
            return fit_dates(values)
        case VectorColumn():
            return fit_vectors(config, values, seed)


def _encoded(encoder: Encoder, values: Values) -> Encoded:
    match encoder:
        case Texts():
            return encode_texts(encoder, values)
        case ExternalTexts():
            return encode_external(encoder, values)
        case Categories():
            return encode_categories(encoder, values)
        case Numbers():
            return encode_numbers(encoder, values)
        case Dates():
            return encode_dates(encoder, values)
        case Vectors():
            return encode_vectors(encoder, values)
