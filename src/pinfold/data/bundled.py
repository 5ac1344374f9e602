"""The data set inside the package: Debian's package graph. What it is and its terms: data/debian/README.md."""

from importlib.resources import as_file, files
from pathlib import Path

import duckdb

from pinfold.artifacts import open_folder
from pinfold.data.dataset import Dataset
from pinfold.data.interactions import Interactions
from pinfold.data.sql import parquet_table
from pinfold.data.tables import read_table
from pinfold.errors import ArtifactError

KIND = "bundled"


def debian() -> Dataset:
    """30,627 Debian packages (collections) and the 13,839 packages they ask for (items), 224,677 events.

    Users are packages, items are packages; ids are their names. Weights are 1, there are no times. Both tables
    have `description` and `section`; the items also have `tags`, a list of debtags or None. 172 items have no
    event.

    Raises:
        ArtifactError: a file of the installed package is missing or damaged.
    """
    with as_file(files("pinfold") / "data" / "debian") as path:
        try:
            return read_collections(path)
        except ArtifactError as error:
            raise ArtifactError(f"{error}; the bundled data comes with the package: reinstall pinfold") from error


def read_collections(path: Path) -> Dataset:
    """The dataset in a folder that `tools/make_debian.py` wrote.

    Raises:
        ArtifactError: names the file that is missing or damaged.
    """
    folder = open_folder(path, KIND)
    users, user_table = read_table(folder.file("collections.parquet"), "collection")
    items, item_table = read_table(folder.file("items.parquet"), "item")
    with duckdb.connect() as connection:
        found = connection.execute(f"SELECT collection, item FROM {parquet_table(folder.file('events.parquet'))}")
        events = found.fetchnumpy()
    interactions = Interactions.of(users.rows(events["collection"]), items.rows(events["item"]), len(users), len(items))
    return Dataset(interactions, users, items, user_table, item_table, folder.json("source.json"))
