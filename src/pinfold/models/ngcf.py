"""NGCF: propagation whose messages are transformed, and depend on how alike the two ends are."""

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

SLOPE = 0.2  # of LeakyReLU, as in the authors' code
LayerSizes = tuple[Annotated[int, Field(ge=1)], ...]


@options
class NGCFConfig:
    """Wang et al., SIGIR 2019. Defaults are the paper's."""

    name: Literal["ngcf"] = "ngcf"
    dim: Annotated[int, Field(ge=1, description="length D of the first vectors")] = 64
    layer_sizes: Annotated[
        LayerSizes, Field(min_length=1, max_length=10, description="lengths of the vectors that each layer makes")
    ] = (64, 64, 64)
    variant: Annotated[
        Literal["paper", "lecture"],
        Field(
            description="layers and vectors: the paper's; or those of the lecture CS224W, ReLU(W [own ; mean of "
            "neighbors]) and the last layer alone"
        ),
    ] = "paper"
    per_side: Annotated[bool, Field(description="users and items have transforms of their own")] = False
    bias: Annotated[bool, Field(description="transforms have a bias, as in the authors' code")] = False
    normalize_layers: Annotated[
        bool, Field(description="layers are put into the vectors at length 1, as in the authors' code")
    ] = False
    message_dropout: Annotated[
        float, Field(ge=0, lt=0.99, description="chance of each number that a layer makes to be dropped in a step")
    ] = 0.1
    node_dropout: Annotated[
        float, Field(ge=0, lt=0.99, description="chance of each node to send no messages in a step")
    ] = 0.0
    init_std: Annotated[
        float | None, Field(gt=0, description="standard deviation of the first vectors; left out: Xavier's uniform")
    ] = None
    objective: Annotated[ObjectiveConfig, Field(description="what it is trained for")] = ObjectiveConfig()


class NGCF(nn.Module):
    """User and item tables E and transforms W; E(k+1) = LeakyReLU((A + I) E(k) W1 + (A E(k) * E(k)) W2), eq. 7.

    A is LightGCN's. Vectors are the layers 0..L beside each other, eq. 9. The authors' code departs from the paper: A
    is the mean over neighbors and self, LeakyReLU is taken of the two terms apart, each has a bias, and layers are put
    in at length 1. `bias` and `normalize_layers` give the last two. Message dropout falls on the layer's sum, as in the
    code; node dropout silences nodes, as in the paper, drawn once a step and the same for all layers, where the code
    drops edges. The L2 term lies on the tables alone.
    """

    def __init__(self, config: NGCFConfig, graph: BipartiteGraph, seed: int) -> None:
        super().__init__()
        self._graph, self._config = graph, config
        self._lecture = config.variant == "lecture"
        self._form = Form(concatenated=not self._lecture, unit_layers=config.normalize_layers)
        self._dropout = Dropout(config.message_dropout, config.node_dropout)
        self._exponents = NORMALIZATIONS["l1-left" if self._lecture else "symmetric"]
        self._adjacency: Adjacency | None = None
        self.users, self.items = first_tables(graph, config.dim, config.init_std, seed)
        generator = torch.Generator().manual_seed(seed + 1)
        sizes = (config.dim, *config.layer_sizes)
        sides = 2 if config.per_side else 1
        shapes = [(a, b) for a, b in pairwise(sizes) for _ in range(sides)]
        # the lecture's W [own ; mean] as two blocks
        self.first = nn.ParameterList([xavier(a, b, generator) for a, b in shapes])
        self.second = nn.ParameterList([xavier(a, b, generator) for a, b in shapes])
        self.biases = nn.ParameterList([nn.Parameter(torch.zeros(b)) for _, b in shapes] if config.bias else [])

    def module(self) -> nn.Module:
        """Itself."""
        return self

    def rows(self, users: Ints, items: Ints) -> Rows:
        """Rows of the vectors with dropout, the last layer for these rows alone."""
        tables = (self.users, self.items)
        return layer_rows(
            tables, self._layers(), self._form, self._graph_on_device(), (users, items), self._dropout
        )  # fmt: skip

    def embed(self) -> Layered:
        """The vectors without dropout; a newcomer is propagated through the frozen layers from a vector of zeros."""
        return leave((self.users, self.items), self._layers(), self._form, self._graph_on_device(), self._graph)

    def _layers(self) -> list[Transforms]:
        made = [self._transform(number) for number in range(len(self.first))]
        if not self._config.per_side:
            return [(transform, transform) for transform in made]
        return list(zip(made[::2], made[1::2], strict=True))

    def _transform(self, number: int) -> Transform:
        first, second = self.first[number], self.second[number]
        bias = self.biases[number] if self._config.bias else None
        if self._lecture:
            return Transform(own=first, gathered=second, bias=bias, slope=0.0)
        return Transform(own=first, gathered=first, product=second, bias=bias, slope=SLOPE)

    def _graph_on_device(self) -> Adjacency:
        """The adjacency where the parameters are; made at the first call after a move."""
        self._adjacency = on_device(self._adjacency, self._graph, self.users.device, self._exponents)
        return self._adjacency
