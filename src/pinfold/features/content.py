"""Content: the features of all items and users, and the encoders that made them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pinfold.arrays import Floats, Ints, check_array
from pinfold.data.tables import Table
from pinfold.errors import ConfigError, DataError, did_you_mean
from pinfold.features.config import ColumnConfig, FeaturesConfig, VectorColumn
from pinfold.features.encoders import Block, Encoders, fit_block, values_of
from pinfold.features.external import TextEncoder
from pinfold.features.inference import infer
from pinfold.features.values import Ids

Side = Literal["items", "users"]


@dataclass(frozen=True, slots=True)
class Content:
    """What items and users are, as numbers. Users without attributes have rows of length 0."""

    items: Floats  # (I, F)
    users: Floats  # (U, F')
    item_encoders: Encoders
    user_encoders: Encoders | None  # None: users have no features

    def __post_init__(self) -> None:
        n_user_features = self.user_encoders.dim if self.user_encoders else 0
        check_array("items", self.items, np.float32, -1, self.item_encoders.dim)
        check_array("users", self.users, np.float32, -1, n_user_features)


def load_content(
    config: FeaturesConfig,
    item_table: Table,
    user_table: Table,
    known_items: Ints,
    known_users: Ints,
    *,
    seed: int = 0,
    item_ids: Ids | None = None,
    user_ids: Ids | None = None,
    text_encoders: Sequence[TextEncoder] = (),
) -> Content:
    """The features of both tables, fitted on the rows that training knows.

    Args:
        config: which columns are what; without any named, they are inferred.
        item_table: attributes of I items.
        user_table: attributes of U users.
        known_items: rows of items with training events; the encoders are fitted on these alone.
        known_users: rows of users with training events.
        seed: of the randomized SVD.
        item_ids: (I,) names for messages.
        user_ids: (U,) names for messages.
        text_encoders: encoders that the config names, beside the built-in ones.

    Raises:
        ConfigError: no such text encoder, or a named or ignored column is not there.
        DataError: no attribute of the items can be used, or a value is broken.
    """
    _check_ignored(config, item_table, user_table)
    item_encoders, items = fit_table(config, item_table, known_items, "items", seed, item_ids, text_encoders)
    if item_encoders.dim == 0:
        why = "".join(f"\n  {note}" for note in item_encoders.notes) or " (the table has none)"
        raise DataError(
            f"no attribute of the items can be used as a feature, and this model needs some: import with --item-table, "
            f"or name the columns in [features.items]; or train a model without features{why}"
        )
    user_encoders, users = fit_table(config, user_table, known_users, "users", seed, user_ids, text_encoders)
    return Content(items, users, item_encoders, user_encoders if user_encoders.dim else None)


def fit_table(
    config: FeaturesConfig,
    table: Table,
    rows: Ints,
    side: Side,
    seed: int = 0,
    ids: Ids | None = None,
    passed: Sequence[TextEncoder] = (),
) -> tuple[Encoders, Floats]:
    """Encoders of one table, fitted on `rows`, and the features of all its rows (n, F). F = 0 where nothing is usable.

    Raises:
        ConfigError: no such text encoder, or a named column is not there.
        DataError: a value is broken.
    """
    chosen, notes = choose(config, table, rows, side)
    columns: dict[str, Block] = {}
    parts: list[Floats] = []
    for name, column in chosen.items():
        values = values_of(name, column.path if isinstance(column, VectorColumn) else None, table, ids)
        found = fit_block(column, values, rows, config.dim, seed, passed)
        if isinstance(found, str):
            notes.append(f"column {name!r} is no feature: {found}")
            continue
        columns[name] = found[0]
        parts.append(found[1])
    left_out = tuple(name for name in table.columns if name not in columns)
    encoders = Encoders(columns, left_out, tuple(notes))
    return encoders, _joined(parts, table.n_rows)


def choose(config: FeaturesConfig, table: Table, rows: Ints, side: Side) -> tuple[dict[str, ColumnConfig], list[str]]:
    """What the columns of one side are, as told or as inferred from `rows`; and notes on those that are nothing.

    Raises:
        ConfigError: a named column is not there.
    """
    named = config.items if side == "items" else config.users
    for name, told in named.items():
        if name not in table.columns and not (isinstance(told, VectorColumn) and told.path):
            raise ConfigError(f"features.{side}.{name}: {_unknown(name, table.columns)}")
    if named:
        return dict(named), []
    chosen: dict[str, ColumnConfig] = {}
    notes: list[str] = []
    if side not in config.auto:
        return chosen, notes
    for name, column in table.columns.items():
        if name in config.ignore or f"{side}.{name}" in config.ignore:
            continue
        found = infer(column[rows])
        if isinstance(found, str):
            notes.append(f"column {name!r} is no feature: {found}")
        else:
            chosen[name] = found
    return chosen, notes


def _joined(parts: list[Floats], n_rows: int) -> Floats:
    """The parts side by side (n, F); each is let go when it has been copied, and the list is empty in the end."""
    features = np.empty((n_rows, sum(part.shape[1] for part in parts)), np.float32)
    start = 0
    while parts:
        part = parts.pop(0)
        features[:, start : start + part.shape[1]] = part
        start += part.shape[1]
    return features


def _check_ignored(config: FeaturesConfig, item_table: Table, user_table: Table) -> None:
    """Raise where a name does not exist: what should be left out would silently be in."""
    tables = {"items": item_table, "users": user_table}
    for entry in config.ignore:
        side, _, name = entry.partition(".")
        there = any(entry in table.columns for table in tables.values())
        if not there and not (side in tables and name in tables[side].columns):
            columns = [*item_table.columns, *(f"users.{name}" for name in user_table.columns)]
            raise ConfigError(f"features.ignore: {_unknown(entry, columns)}")


def _unknown(name: str, columns: Iterable[str]) -> str:
    columns = list(columns)
    return f"no column {name!r}{did_you_mean(name, columns)} (known: {', '.join(columns) or 'none'})"
