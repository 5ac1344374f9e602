"""The two-tastes world and its graph: data with a known answer."""

import pytest

from pinfold.data.dataset import Dataset
from pinfold.data.synthetic import two_tastes
from pinfold.graph.bipartite import BipartiteGraph, build_graph


@pytest.fixture(scope="session")
def world() -> Dataset:
    """60 users and 40 items; even users take even items, odd users odd ones, 8 each."""
    return two_tastes()


@pytest.fixture(scope="session")
def graph(world: Dataset) -> BipartiteGraph:
    """Everything that happened in the world."""
    return build_graph(world.interactions)
