"""The two-tastes world: data with a known answer, for tests and for a first look.

Even users like even items, odd users like odd items, and nobody crosses over. A model that has understood this
recommends only items of the user's own taste; popularity gets half of them right, by chance.
"""

import numpy as np

from pinfold.data.dataset import Dataset
from pinfold.data.interactions import Interactions
from pinfold.data.tables import Table
from pinfold.data.vocab import Vocab


def two_tastes(n_users: int = 60, n_items: int = 40, n_each: int = 8, seed: int = 0) -> Dataset:
    """A dataset in which user u takes `n_each` random items i with i % 2 == u % 2, one second apart."""
    rng = np.random.default_rng(seed)
    tastes = [np.arange(taste, n_items, 2) for taste in (0, 1)]
    taken = [np.sort(rng.choice(tastes[user % 2], n_each, replace=False)) for user in range(n_users)]
    events = Interactions(
        users=np.repeat(np.arange(n_users), n_each).astype(np.int32),
        items=np.concatenate(taken).astype(np.int32),
        weights=np.ones(n_users * n_each, np.float32),
        times=rng.permutation(n_users * n_each).astype(np.int64),
        n_users=n_users,
        n_items=n_items,
    )
    users = Vocab([f"user{row}" for row in range(n_users)], "user")
    items = Vocab([f"item{row}" for row in range(n_items)], "item")
    titles = np.array([f"{'even' if row % 2 == 0 else 'odd'} thing {row}" for row in range(n_items)], dtype=object)
    return Dataset(events, users, items, Table({}, n_users), Table({"title": titles}, n_items), {"name": "two tastes"})
