"""Popularity: counts of distinct users, the same for everyone."""

import numpy as np

from pinfold.data.interactions import Interactions
from pinfold.graph.bipartite import build_graph
from pinfold.models.popularity import PopularityConfig, popularity


def test_counts_by_hand() -> None:
    users = np.array([0, 0, 0, 1, 2], np.int32)
    items = np.array([1, 1, 3, 1, 3], np.int32)  # user 0 took item 1 twice: one user all the same
    vectors = popularity(PopularityConfig(), build_graph(Interactions.of(users, items, 4, 5)))
    assert vectors.users.tolist() == [[1]] * 4
    assert vectors.items.tolist() == [[0], [2], [0], [2], [0]]
    assert vectors.history.tolist() == [[1]] * 5
