"""Dataset: events, ids and attributes as one value, and the folder that keeps them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pinfold.artifacts import Folder, open_folder, writing
from pinfold.data.interactions import Interactions
from pinfold.data.tables import Table, read_table, write_table
from pinfold.data.vocab import Vocab
from pinfold.errors import ArtifactError

KIND = "dataset"


@dataclass(frozen=True, slots=True)
class Dataset:
    """Everything known about who took what. A user is whoever collects: a person, a basket, a package."""

    interactions: Interactions
    users: Vocab
    items: Vocab
    user_table: Table
    item_table: Table
    source: Mapping[str, Any] = field(default_factory=dict)  # where it came from, what was done to it

    def __post_init__(self) -> None:
        events = self.interactions
        for noun, n, vocab, table in (
            ("users", events.n_users, self.users, self.user_table),
            ("items", events.n_items, self.items, self.item_table),
        ):
            if not n == len(vocab) == table.n_rows:
                raise ValueError(f"{n} {noun} in events, {len(vocab)} ids, {table.n_rows} table rows: must be equal")


def save_dataset(dataset: Dataset, path: Path, *, replace: bool = False) -> None:
    """Write the dataset as a folder.

    Raises:
        ArtifactError: the folder exists, or the file system refuses.
    """
    events = dataset.interactions
    with writing(path, KIND, replace=replace) as folder:
        folder.array("users.npy", events.users)
        folder.array("items.npy", events.items)
        folder.array("weights.npy", events.weights)
        folder.array("times.npy", events.times)
        write_table(folder.path("users.parquet"), dataset.users, dataset.user_table)
        write_table(folder.path("items.parquet"), dataset.items, dataset.item_table)
        folder.json("source.json", dataset.source)


def load_dataset(path: Path) -> Dataset:
    """The dataset in a folder, its event columns memory-mapped.

    Raises:
        ArtifactError: names the file that is missing or damaged.
    """
    folder = open_folder(path, KIND)
    users, user_table = read_table(folder.file("users.parquet"), "user")
    items, item_table = read_table(folder.file("items.parquet"), "item")
    try:
        events = map_events(folder, len(users), len(items))
        return Dataset(events, users, items, user_table, item_table, folder.json("source.json"))
    except ValueError as error:
        raise ArtifactError(f"{path}: its files do not fit together: {error}") from error


def map_events(folder: Folder, n_users: int, n_items: int) -> Interactions:
    """The events of a data set folder, memory-mapped.

    Raises:
        ArtifactError: an array is missing or damaged.
        ValueError: rows that do not fit the numbers of users and items.
    """
    return Interactions(
        users=folder.array("users.npy", np.int32, -1),
        items=folder.array("items.npy", np.int32, -1),
        weights=folder.array("weights.npy", np.float32, -1),
        times=folder.array("times.npy", np.int64, -1),
        n_users=n_users,
        n_items=n_items,
    )
