"""GCN on the bipartite graph: with transforms and ReLU, or simplified to a single transform (SGC)."""

from itertools import pairwise
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import nn

from pinfold.arrays import Ints
from pinfold.config import options
from pinfold.graph.bipartite import BipartiteGraph
from pinfold.graph.learned import Layered
from pinfold.models.interface import Rows
from pinfold.models.layers import Dropout, Form, Transform, Transforms, first_tables, layer_rows, leave, xavier
from pinfold.models.pairwise import ObjectiveConfig
from pinfold.models.propagation import NORMALIZATIONS, Adjacency, on_device

FORM = Form(concatenated=False)


@options
class GCNConfig:
    """Kipf & Welling, ICLR 2017, with learned vectors in place of features."""

    name: Literal["gcn"] = "gcn"
    dim: Annotated[int, Field(ge=1, description="length D of the first vectors")] = 64
    layer_sizes: Annotated[
        tuple[Annotated[int, Field(ge=1)], ...],
        Field(min_length=1, max_length=10, description="lengths of the vectors that each layer makes"),
    ] = (64, 64)
    message_dropout: Annotated[
        float, Field(ge=0, lt=0.99, description="chance of each number that a layer makes to be dropped in a step")
    ] = 0.0
    init_std: Annotated[
        float | None, Field(gt=0, description="standard deviation of the first vectors; left out: Xavier's uniform")
    ] = None
    objective: Annotated[ObjectiveConfig, Field(description="what it is trained for")] = ObjectiveConfig()


@options
class SGCConfig:
    """Wu et al., ICML 2019, with learned vectors in place of features."""

    name: Literal["sgc"] = "sgc"
    dim: Annotated[int, Field(ge=1, description="length D of the vectors")] = 64
    n_layers: Annotated[int, Field(ge=1, le=10, description="propagation layers K")] = 2
    init_std: Annotated[
        float | None, Field(gt=0, description="standard deviation of the first vectors; left out: Xavier's uniform")
    ] = None
    objective: Annotated[ObjectiveConfig, Field(description="what it is trained for")] = ObjectiveConfig()


class GCN(nn.Module):
    """User and item tables E and transforms W; vectors are the last layer of A f(A E W_1) W_2, f ReLU.

    A has self-loops, (D + I)^-1/2 (adjacency + I) (D + I)^-1/2. As in Kipf & Welling eq. 9 the last layer has no ReLU:
    vectors may be negative.
    """

    def __init__(self, config: GCNConfig | SGCConfig, graph: BipartiteGraph, seed: int) -> None:
        """With an `SGCConfig` all layers but the last only propagate: A^K E W. SGC eq. 8."""
        super().__init__()
        self._graph, self._config = graph, config
        self._dropout = Dropout(config.message_dropout if isinstance(config, GCNConfig) else 0.0)
        self._adjacency: Adjacency | None = None
        self.users, self.items = first_tables(graph, config.dim, config.init_std, seed)
        generator = torch.Generator().manual_seed(seed + 1)
        sizes = (config.dim, *(config.layer_sizes if isinstance(config, GCNConfig) else (config.dim,)))
        self.weights = nn.ParameterList([xavier(a, b, generator) for a, b in pairwise(sizes)])

    def module(self) -> nn.Module:
        """Itself."""
        return self

    def rows(self, users: Ints, items: Ints) -> Rows:
        """Rows of the vectors, the last layer for these rows alone."""
        tables = (self.users, self.items)
        return layer_rows(tables, self._layers(), FORM, self._graph_on_device(), (users, items), self._dropout)

    def embed(self) -> Layered:
        """The vectors without dropout; a newcomer is propagated through the frozen layers from a vector of zeros.

        SGC is linear in the tables, but not in a history: with self-loops the layers have weights that depend on the
        history's length. So it leaves layers too, and no history vectors.
        """
        return leave((self.users, self.items), self._layers(), FORM, self._graph_on_device(), self._graph)

    def _layers(self) -> list[Transforms]:
        last = Transform(gathered=self.weights[-1])
        if isinstance(self._config, SGCConfig):
            before = [Transform()] * (self._config.n_layers - 1)
        else:
            before = [Transform(gathered=weights, slope=0.0) for weights in list(self.weights)[:-1]]
        return [(transform, transform) for transform in (*before, last)]

    def _graph_on_device(self) -> Adjacency:
        """The adjacency where the parameters are; made at the first call after a move."""
        self._adjacency = on_device(
            self._adjacency, self._graph, self.users.device, NORMALIZATIONS["symmetric"], self_loops=True
        )
        return self._adjacency
