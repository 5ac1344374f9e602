"""The shelf: every model by its name. To add one, see CONTRIBUTING.md."""

from typing import Annotated, Any

from pydantic import Field

from pinfold.graph.bipartite import BipartiteGraph
from pinfold.graph.learned import Learned
from pinfold.models.interface import Trainable
from pinfold.models.item_knn import ItemKNNConfig, item_knn
from pinfold.models.lightgcn import LightGCN, LightGCNConfig
from pinfold.models.mf import MF, MFConfig
from pinfold.models.popularity import PopularityConfig, popularity

ModelConfig = Annotated[
    PopularityConfig | ItemKNNConfig | MFConfig | LightGCNConfig,
    Field(discriminator="name", description="which model, and its options"),
]


def build(config: ModelConfig, graph: BipartiteGraph, seed: int) -> Trainable[Any] | Learned:
    """A model ready to be trained, or what a model that needs no training has computed."""
    match config:
        case PopularityConfig():
            return popularity(config, graph)
        case ItemKNNConfig():
            return item_knn(config, graph)
        case MFConfig():
            return MF(config, graph, seed)
        case LightGCNConfig():
            return LightGCN(config, graph, seed)
