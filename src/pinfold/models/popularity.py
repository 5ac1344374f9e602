"""Popularity: every user gets the items that most users took. The floor for every other model."""

from typing import Literal

import numpy as np

from pinfold.arrays import Embeddings, Takers
from pinfold.config import options
from pinfold.graph.bipartite import BipartiteGraph


@options
class PopularityConfig:
    """Popularity has no options."""

    name: Literal["popularity"] = "popularity"


def popularity(_config: PopularityConfig, graph: BipartiteGraph) -> Embeddings:
    """One dimension: 1 for every user, whoever they are, and the number of users for every item."""
    counts = graph.item_counts().astype(np.float32)[:, None]
    ones = np.ones((graph.n_users, 1), np.float32)
    return Embeddings(ones, counts, np.ones_like(counts), 1.0, Takers(ones, ones, history_exponent=1.0))
