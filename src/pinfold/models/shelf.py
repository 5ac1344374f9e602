"""The shelf: every model by its name. To add one, see CONTRIBUTING.md."""

from typing import Annotated, Any

from pydantic import Field

from pinfold.graph.bipartite import BipartiteGraph
from pinfold.graph.learned import Learned
from pinfold.models.gf_cf import GFCFConfig, gf_cf
from pinfold.models.interface import Trainable
from pinfold.models.item_knn import ItemKNNConfig, item_knn
from pinfold.models.lightgcn import LightGCN, LightGCNConfig
from pinfold.models.mf import MF, MFConfig
from pinfold.models.popularity import PopularityConfig, popularity

ComputedConfig = PopularityConfig | ItemKNNConfig | GFCFConfig
TrainedConfig = MFConfig | LightGCNConfig
ModelConfig = Annotated[
    ComputedConfig | TrainedConfig, Field(discriminator="name", description="which model, and its options")
]


def compute(config: ComputedConfig, graph: BipartiteGraph) -> Learned:
    """What a model that needs no training makes of the graph."""
    match config:
        case PopularityConfig():
            return popularity(config, graph)
        case ItemKNNConfig():
            return item_knn(config, graph)
        case GFCFConfig():
            return gf_cf(config, graph)


def build(config: TrainedConfig, graph: BipartiteGraph, seed: int) -> Trainable[Any]:
    """A model ready to be trained; its first vectors come from `seed`."""
    match config:
        case MFConfig():
            return MF(config, graph, seed)
        case LightGCNConfig():
            return LightGCN(config, graph, seed)
