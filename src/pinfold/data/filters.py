"""The k-core filter: keep users and items with enough events, until all that are left have enough."""

import numpy as np

from pinfold.arrays import Bools
from pinfold.data.dataset import Dataset
from pinfold.data.interactions import Interactions
from pinfold.data.tables import Table
from pinfold.data.vocab import Vocab


def k_core(events: Interactions, min_user: int, min_item: int) -> tuple[Bools, Bools]:
    """Masks (U,) and (I,) of the largest set in which users have `min_user` events and items `min_item`."""
    kept = np.ones(len(events), np.bool_)
    while True:
        users = np.bincount(events.users[kept], minlength=events.n_users) >= min_user
        items = np.bincount(events.items[kept], minlength=events.n_items) >= min_item
        still = kept & users[events.users] & items[events.items]
        if still.sum() == kept.sum():
            return users, items
        kept = still


def filter_dataset(dataset: Dataset, min_user: int, min_item: int) -> Dataset:
    """The dataset cut down to its k-core, rows numbered afresh."""
    events = dataset.interactions
    users, items = k_core(events, min_user, min_item)
    if users.all() and items.all():
        return dataset
    kept = events.take(users[events.users] & items[events.items])
    new_users = (np.cumsum(users) - 1).astype(np.int32)
    new_items = (np.cumsum(items) - 1).astype(np.int32)
    renumbered = Interactions(
        new_users[kept.users], new_items[kept.items], kept.weights, kept.times, int(users.sum()), int(items.sum())
    )
    return Dataset(
        renumbered,
        Vocab(dataset.users.all[users], "user"),
        Vocab(dataset.items.all[items], "item"),
        _cut(dataset.user_table, users),
        _cut(dataset.item_table, items),
        {**dataset.source, "k_core": {"min_user": min_user, "min_item": min_item}},
    )


def _cut(table: Table, kept: Bools) -> Table:
    return Table({name: column[kept] for name, column in table.columns.items()}, int(kept.sum()))
