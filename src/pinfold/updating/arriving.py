"""What came since: events and attributes read as an import reads them, in the rows of the artifact they come to."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from pinfold.arrays import Ints
from pinfold.data.attributes import load_attributes
from pinfold.data.columns import Column
from pinfold.data.dataset import Dataset, load_dataset
from pinfold.data.interactions import Interactions
from pinfold.data.readers import ImportConfig, Progress, Sources, check_config, import_files
from pinfold.data.sql import workspace
from pinfold.data.tables import Table, read_table
from pinfold.data.vocab import Vocab
from pinfold.embedding.artifact import Artifact
from pinfold.errors import ConfigError, DataError, did_you_mean

NOBODY = np.zeros(0, np.int32)


@dataclass(frozen=True, slots=True)
class Arriving:
    """The files of an update; tables are as for an import."""

    events: Sequence[Path] = ()
    user_table: Path | None = None
    item_table: Path | None = None

    def __post_init__(self) -> None:
        if not self.events and self.item_table is None and self.user_table is None:
            raise ConfigError("nothing to update from: name files with events, or give --item-table or --user-table")


@dataclass(frozen=True, slots=True)
class Told:
    """What a table said of things: their rows, new ones among them, and the columns that it has."""

    rows: Ints  # (n,) rising
    columns: frozenset[str]
    left_out: tuple[str, ...] = ()  # columns that the artifact does not know
    # beside `rows`: vectors that training read from a file of their own, so that no table has their column
    vectors: Mapping[str, Column] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Arrived:
    """An artifact's users and items with those that came behind them, and the events that came, in their rows."""

    events: Interactions
    users: Vocab
    items: Vocab
    user_table: Table
    item_table: Table
    of_users: Told
    of_items: Told
    counts: dict[str, Any]  # of the import


def read_arrived(artifact: Artifact, arriving: Arriving, config: ImportConfig, place: Path, say: Progress) -> Arrived:
    """Read the files; whatever the artifact does not know gets the rows behind its last, in the order of ids.

    Users without events are left out; items are not: their attributes suffice.

    Args:
        artifact: what it comes to.
        arriving: the files.
        config: how events are read.
        place: a folder to work in.
        say: is told the name of each stage.

    Raises:
        DataError: a file or a row is not what it should be, or a table lacks a column that features are made from.
        ConfigError: options that contradict each other.
    """
    check_config(config)
    dataset = _dataset(arriving, config, place, say)
    user_ids, users_said = _attributes("user", arriving.user_table, config.user, config, place)
    item_ids, items_said = _attributes("item", arriving.item_table, config.item, config, place)
    _check_columns(artifact, items_said, arriving.item_table)
    events = dataset.interactions
    users = _longer(artifact.users, dataset.users.all.tolist(), "user")
    items = _longer(artifact.items, [*dataset.items.all.tolist(), *item_ids], "item")
    mapped = replace(
        events,
        users=_rows(users, dataset.users.all)[events.users],
        items=_rows(items, dataset.items.all)[events.items],
        n_users=len(users),
        n_items=len(items),
    )
    needed = artifact.encoders.columns if artifact.encoders is not None else ()
    user_table, of_users = _told(artifact.user_table, users, user_ids, users_said)
    item_table, of_items = _told(artifact.item_table, items, item_ids, items_said, needed)
    return Arrived(mapped, users, items, user_table, item_table, of_users, of_items, dict(dataset.source))


def _dataset(arriving: Arriving, config: ImportConfig, place: Path, say: Progress) -> Dataset:
    """The events as a data set of their own; its source holds the counts of the import."""
    if not arriving.events:
        none = Interactions.of(NOBODY, NOBODY, 0, 0)
        return Dataset(none, Vocab([], "user"), Vocab([], "item"), Table({}, 0), Table({}, 0), {"rows": 0})
    report = import_files(Sources(arriving.events), place / "arrived", config, progress=say)
    counts = {name: getattr(report, name) for name in ("rows", "kept", "rejected", "light", "merged")}
    return replace(load_dataset(place / "arrived"), source=counts)


def _attributes(
    noun: str, path: Path | None, column: str, config: ImportConfig, place: Path
) -> tuple[list[str], Table | None]:
    """Ids and attributes of a table, events or not."""
    if path is None:
        return [], None
    with workspace(config.limits, place) as connection:
        load_attributes(connection, noun, path, column)
        kept = place / f"{noun}s.parquet"
        query = f"SELECT * FROM {noun}_attributes WHERE id IS NOT NULL ORDER BY id"
        connection.execute(f"COPY ({query}) TO $path (FORMAT parquet)", {"path": str(kept)})
    vocab, table = read_table(kept, noun)
    return vocab.all.tolist(), table


def _check_columns(artifact: Artifact, said: Table | None, path: Path | None) -> None:
    """Raise where the features need a column that the table lacks: a typing error would make all items alike."""
    if said is None or artifact.encoders is None:
        return
    for name, block in artifact.encoders.columns.items():
        if name not in said.columns and getattr(block.encoder, "path", None) is None:
            near = did_you_mean(name, said.columns)
            raise DataError(
                f"{path}: no column {name!r}{near}, from which this model makes features (found: "
                f"{', '.join(said.columns) or 'none'}); leave a value empty where it is not known"
            )


def _longer(old: Vocab, names: list[str], noun: str) -> Vocab:
    """The vocabulary with those of the names that it lacks at its end, sorted."""
    new = sorted({name for name in names if name not in old})  # by code points, which is the order of UTF-8's bytes
    if not new:
        return old
    return Vocab(np.concatenate([old.all, np.array(new, dtype=object)]), noun)


def _rows(vocab: Vocab, names: Any) -> Ints:
    return vocab.rows(names.tolist())


def _told(
    old: Table, vocab: Vocab, ids: list[str], said: Table | None, needed: Collection[str] = ()
) -> tuple[Table, Told]:
    """The attributes of all; where the table speaks of something, its values take the place of the older ones."""
    n = len(vocab)
    if said is None:
        return Table({name: joined(column, n, NOBODY, None) for name, column in old.columns.items()}, n), Told(
            NOBODY, frozenset()
        )
    rows = np.array([vocab.row_or(name, -1) for name in ids], np.int32)
    known = np.flatnonzero(rows >= 0)  # of users only those with events have a row
    known = known[np.argsort(rows[known])]
    columns = {
        name: joined(column, n, rows[known], said.columns[name][known] if name in said.columns else None)
        for name, column in old.columns.items()
    }
    vectors = {name: said.columns[name][known] for name in said.columns if name in needed and name not in old.columns}
    left_out = tuple(name for name in said.columns if name not in old.columns and name not in vectors)
    return Table(columns, n), Told(rows[known], frozenset(said.columns) - {*left_out}, left_out, vectors)


def joined(old: Column, n: int, rows: Ints, values: Column | None) -> Column:
    """A column with n rows, `values` (b,) at `rows`; missing where nothing is known.

    A matrix (I, D) stays one, a missing row of it is NaN; numbers stay numbers where none is missing.
    """
    covered = values is not None and np.isin(np.arange(len(old), n), rows).all()
    if old.ndim == 2 and values is not None and values.dtype == object:
        values = _matrix(values, old.shape[1])
    if old.ndim == 2 and (values is None or values.shape[1:] == old.shape[1:]):
        made: Column = np.full((n, old.shape[1]), np.nan, old.dtype)
        made[: len(old)] = old
        made[rows] = made[rows] if values is None else values
        return made
    numbers = old.dtype != object and old.ndim == 1
    if numbers and (len(old) == n and values is None):
        return old
    if numbers and values is not None and covered and values.dtype != object and values.ndim == 1:
        made = np.empty(n, np.result_type(old, values))
        made[: len(old)], made[rows] = old, values
        return made
    made = np.empty(n, object)
    made[: len(old)] = _objects(old)
    if values is not None:
        made[rows] = _objects(values)
    return made


def _matrix(values: Column, width: int) -> Column:
    """Lists of numbers as a matrix (b, D), NaN where one is missing; as they are where one has another length."""
    if any(value is not None and len(value) != width for value in values):
        return values
    missing = [np.nan] * width
    return np.array([missing if value is None else value for value in values], np.float32).reshape(-1, width)


def _objects(column: Column) -> Column:
    """Python objects (n,)."""
    if column.dtype == object:
        return column
    made = np.empty(len(column), object)
    for row, value in enumerate(column.tolist()):  # an assignment of the whole would make a matrix of lists
        made[row] = value
    return made
