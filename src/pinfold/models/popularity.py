"""Popularity: every user gets the items that most users took. The floor for every other model."""

from typing import Literal

import numpy as np

from pinfold.arrays import Embeddings
from pinfold.config import options
from pinfold.graph.bipartite import BipartiteGraph


@options
class PopularityConfig:
    """Popularity has no options."""

    name: Literal["popularity"] = "popularity"


def popularity(_config: PopularityConfig, graph: BipartiteGraph) -> Embeddings:
    """One dimension: 1 for every user, the number of users for every item."""
    counts = graph.item_counts().astype(np.float32)[:, None]
    return Embeddings(np.ones((graph.n_users, 1), np.float32), counts, np.ones_like(counts))
