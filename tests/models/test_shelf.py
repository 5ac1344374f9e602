"""The shelf: every name leads to its model."""

import pytest

from pinfold.arrays import Embeddings
from pinfold.config import parse
from pinfold.errors import ConfigError
from pinfold.graph.bipartite import BipartiteGraph
from pinfold.graph.learned import ItemSimilarity
from pinfold.models.item_knn import ItemKNNConfig
from pinfold.models.lightgcn import LightGCN, LightGCNConfig
from pinfold.models.mf import MF, MFConfig
from pinfold.models.popularity import PopularityConfig
from pinfold.models.shelf import ComputedConfig, ModelConfig, TrainedConfig, build, compute


@pytest.mark.parametrize(("config", "made"), [(PopularityConfig(), Embeddings), (ItemKNNConfig(), ItemSimilarity)])
def test_compute(graph: BipartiteGraph, config: ComputedConfig, made: type) -> None:
    assert type(compute(config, graph)) is made


@pytest.mark.parametrize(("config", "made"), [(MFConfig(), MF), (LightGCNConfig(), LightGCN)])
def test_build(graph: BipartiteGraph, config: TrainedConfig, made: type) -> None:
    assert type(build(config, graph, seed=0)) is made


def test_names_in_a_run_file() -> None:
    found: object = parse({"name": "lightgcn", "n_layers": 2}, ModelConfig, "run.toml")  # type: ignore[arg-type]
    assert found == LightGCNConfig(n_layers=2)
    with pytest.raises(ConfigError, match="lightgnc"):
        parse({"name": "lightgnc"}, ModelConfig, "run.toml")  # type: ignore[arg-type]
