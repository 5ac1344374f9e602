"""The shelf: every model by its name. To add one, see CONTRIBUTING.md."""

from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from pinfold.arrays import Embeddings, Floats
from pinfold.config import options
from pinfold.errors import ConfigError
from pinfold.features.encoders import indicators
from pinfold.graph.bipartite import BipartiteGraph
from pinfold.graph.convolved import Convolved
from pinfold.graph.csr import Csr
from pinfold.graph.grow import grow
from pinfold.graph.learned import Blend, DenseSimilarity, GraphFilter, ItemSimilarity, Layered, Learned
from pinfold.models.chebycf import ChebyCFConfig, chebycf
from pinfold.models.content_knn import ContentKNNConfig, content_knn, extend_content_knn
from pinfold.models.ease import EASEConfig, ease, extend_ease
from pinfold.models.fold_in import extend_layers, extend_vectors
from pinfold.models.gcn import GCN, GCNConfig, SGCConfig
from pinfold.models.gf_cf import GFCFConfig, extend_filter, gf_cf
from pinfold.models.interface import NOTHING, Context, Trainable
from pinfold.models.item_knn import ItemKNNConfig, extend_item_knn, item_knn
from pinfold.models.lightgcn import LightGCN, LightGCNConfig
from pinfold.models.mf import MF, MFConfig
from pinfold.models.ngcf import NGCF, NGCFConfig
from pinfold.models.pairwise import Pairwise
from pinfold.models.pinsage import PinSage, PinSageConfig
from pinfold.models.popularity import PopularityConfig, popularity
from pinfold.models.rp3beta import RP3betaConfig, extend_rp3beta, rp3beta
from pinfold.models.slim import SLIMConfig, extend_slim, slim
from pinfold.models.walk import WalkConfig, extend_walk, walk

ComputedConfig = (
    PopularityConfig
    | ItemKNNConfig
    | RP3betaConfig
    | WalkConfig
    | EASEConfig
    | SLIMConfig
    | GFCFConfig
    | ChebyCFConfig
    | ContentKNNConfig
)
TrainedConfig = MFConfig | LightGCNConfig | NGCFConfig | GCNConfig | SGCConfig | PinSageConfig
MemberConfig = Annotated[ComputedConfig | TrainedConfig, Field(discriminator="name")]


@options
class BlendConfig:
    """Models that err differently: the sum of their standardized scores errs less than each of them.

    Every member learns as it would alone; trained ones share the options of `train`.
    """

    name: Literal["blend"] = "blend"
    members: Annotated[
        tuple[MemberConfig, ...], Field(min_length=2, max_length=8, description="the models, each with its options")
    ] = (SLIMConfig(), GFCFConfig())
    weights: Annotated[
        tuple[Annotated[float, Field(gt=0)], ...],
        Field(description="of the members' scores, each with mean 0 and deviation 1 for every user; none given: all 1"),
    ] = ()


ModelConfig = Annotated[
    ComputedConfig | TrainedConfig | BlendConfig,
    Field(discriminator="name", description="which model, and its options"),
]


def member_weights(config: BlendConfig) -> Floats:
    """One weight for each member (M,).

    Raises:
        ConfigError: another number of weights than members.
    """
    n = len(config.members)
    if config.weights and len(config.weights) != n:
        raise ConfigError(
            f"model.weights has {len(config.weights)} numbers for {n} members; give one for each, or none"
        )
    return np.array(config.weights or (1.0,) * n, np.float32)


def needs_content(config: ModelConfig) -> bool:
    """Whether the model learns from features of the items."""
    if isinstance(config, BlendConfig):
        return any(map(needs_content, config.members))
    return isinstance(config, ContentKNNConfig | PinSageConfig)


def needs_pairs(config: ModelConfig) -> bool:
    """Whether the model learns from pairs of the user's own."""
    if isinstance(config, BlendConfig):
        return any(map(needs_pairs, config.members))
    return isinstance(config, PinSageConfig) and config.pairs.source == "file"


def compute(config: ComputedConfig, graph: BipartiteGraph, context: Context = NOTHING, seed: int = 0) -> Learned:
    """What a model that needs no training makes of the graph, and of content where it needs that.

    Raises:
        ConfigError: it needs content, and there is none.
    """
    match config:
        case PopularityConfig():
            return popularity(config, graph)
        case ItemKNNConfig():
            return item_knn(config, graph)
        case RP3betaConfig():
            return rp3beta(config, graph)
        case WalkConfig():
            return walk(config, graph, seed)
        case ContentKNNConfig():
            encoders = context.item_encoders()
            missing = indicators(encoders) if encoders is not None else None
            return content_knn(config, graph, context.item_content(config.name), missing)
        case EASEConfig():
            return ease(config, graph)
        case SLIMConfig():
            return slim(config, graph)
        case GFCFConfig():
            return gf_cf(config, graph)
        case ChebyCFConfig():
            return chebycf(config, graph)


def build(config: TrainedConfig, graph: BipartiteGraph, seed: int, context: Context = NOTHING) -> Trainable[Any]:
    """A model ready to be trained; its first vectors come from `seed`.

    Raises:
        ConfigError: it needs content, times or pairs, and there are none.
    """
    match config:
        case PinSageConfig():
            return PinSage(config, graph, seed, context)
        case MFConfig():
            return Pairwise(MF(config, graph, seed), config.objective, graph)
        case LightGCNConfig():
            return Pairwise(LightGCN(config, graph, seed), config.objective, graph)
        case NGCFConfig():
            return Pairwise(NGCF(config, graph, seed), config.objective, graph)
        case GCNConfig() | SGCConfig():
            return Pairwise(GCN(config, graph, seed), config.objective, graph)


def extend(
    config: ModelConfig, learned: Learned, graph: BipartiteGraph, takers: Csr, features: Floats | None = None
) -> Learned:
    """What the model learned from the graph, and N more items at the end, taken by `takers` (N, U); no training.

    Rows I .. I + N - 1 are new; no old number changes. Models that learn from content need the new items' features
    (N, F), as the encoders of training make them.

    Raises:
        ValueError: model, graph and takers do not belong together.
        ConfigError: the model cannot take new items.
    """
    if takers.n_columns != graph.n_users:
        raise ValueError(f"takers must have {graph.n_users} columns, a user each, got {takers.n_columns}")
    match config, learned:
        case BlendConfig(), Blend():
            pairs = zip(config.members, learned.members, strict=True)
            return Blend(tuple(extend(one, what, graph, takers, features) for one, what in pairs), learned.weights)
        case ((PinSageConfig() | ContentKNNConfig()), (Convolved() | Embeddings())):
            return _extend_by_content(config, learned, graph, takers, features)
        case PopularityConfig(), Embeddings():
            return extend_vectors(learned, takers)
        case ((MFConfig() | LightGCNConfig()), Embeddings()):
            return extend_vectors(learned, takers, config.objective.length_exponent)
        case ((NGCFConfig() | GCNConfig() | SGCConfig()), Layered()):
            return extend_layers(learned, takers, config.objective.length_exponent)
        case (EASEConfig(), DenseSimilarity()):
            return extend_ease(config, learned, graph, takers)
        case ((ItemKNNConfig() | RP3betaConfig() | WalkConfig() | SLIMConfig()), ItemSimilarity()):
            return _extend_similarity(config, learned, graph, takers)
        case ((GFCFConfig() | ChebyCFConfig()), GraphFilter()):
            return extend_filter(learned, graph, takers, config.user_exponent, config.degree_exponent)
    raise ValueError(f"model {config.name!r} does not learn {type(learned).__name__}")


def _extend_by_content(
    config: PinSageConfig | ContentKNNConfig, learned: Convolved | Embeddings, graph: BipartiteGraph, takers: Csr,
    features: Floats | None,
) -> Learned:  # fmt: skip
    if features is None:
        raise ConfigError(f"model {config.name!r} needs the features of new items")
    if isinstance(learned, Convolved):
        return grow(learned, graph, features, takers)
    return extend_content_knn(learned, features)


def _extend_similarity(
    config: ItemKNNConfig | RP3betaConfig | WalkConfig | SLIMConfig,
    learned: ItemSimilarity,
    graph: BipartiteGraph,
    takers: Csr,
) -> ItemSimilarity:
    match config:
        case ItemKNNConfig():
            return extend_item_knn(config, learned, graph, takers)
        case RP3betaConfig():
            return extend_rp3beta(config, learned, graph, takers)
        case WalkConfig():
            return extend_walk(config, learned, graph, takers)
        case SLIMConfig():
            return extend_slim(config, learned, graph, takers)
