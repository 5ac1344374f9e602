"""LightGCN: matrix factorization whose vectors are smoothed over the graph."""

from itertools import pairwise
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from pinfold.arrays import Embeddings, Floats, Ints, Takers
from pinfold.config import options
from pinfold.errors import ConfigError
from pinfold.graph.bipartite import BipartiteGraph
from pinfold.graph.csr import Csr
from pinfold.models.interface import Rows
from pinfold.models.mf import init_tables
from pinfold.models.pairwise import ObjectiveConfig
from pinfold.models.propagation import NORMALIZATIONS, Adjacency, NormalizationName, SmoothRows, on_device


@options
class LightGCNConfig:
    """He et al., SIGIR 2020.

    The paper's own recipe has 3 layers and BPR on inner products: runs/lightgcn-bpr-gowalla.toml. The defaults, two
    layers and a softmax on cosines, learn faster on the data sets that we tried (docs/experiments.md).
    """

    name: Literal["lightgcn"] = "lightgcn"
    dim: Annotated[int, Field(ge=1, description="length D of the vectors")] = 64
    n_layers: Annotated[int, Field(ge=1, le=10, description="propagation layers K")] = 2
    layer_weights: Annotated[
        Literal["uniform", "last", "learned"] | tuple[float, ...],
        Field(description="alpha_0 .. alpha_K: all 1 / (K + 1); the last layer alone; learned from uniform; or a list"),
    ] = "uniform"
    normalization: Annotated[
        NormalizationName,
        Field(description="what an edge weighs by its ends' degrees; left: the end that gathers (LightGCN table 5)"),
    ] = "symmetric"
    init_std: Annotated[float, Field(gt=0, description="standard deviation of the first vectors")] = 0.1
    objective: Annotated[ObjectiveConfig, Field(description="what it is trained for")] = ObjectiveConfig()


class LightGCN(nn.Module):
    """User and item tables E; scores come from sum_k alpha_k A^k E, k = 0..K."""

    def __init__(self, config: LightGCNConfig, graph: BipartiteGraph, seed: int) -> None:
        super().__init__()
        self._graph = graph
        self._exponents = NORMALIZATIONS[config.normalization]
        self._adjacency: Adjacency | None = None
        self.users, self.items = init_tables(graph, config.dim, config.init_std, seed)
        weights = torch.tensor(layer_weights(config), dtype=torch.float32)  # (K + 1,)
        if config.layer_weights == "learned":
            self.alphas = nn.Parameter(weights)
        else:
            self.register_buffer("alphas", weights, persistent=False)

    def module(self) -> nn.Module:
        """Itself."""
        return self

    def rows(self, users: Ints, items: Ints) -> Rows:
        """Smoothed rows, the last layer for these rows alone."""
        made = SmoothRows.apply(self.users, self.items, self.alphas, self._graph_on_device(), (users, items))  # type: ignore[no-untyped-call]
        return Rows(*made)

    def embed(self) -> Embeddings:
        """The smoothed tables; a newcomer is propagated through the frozen items, with no vector of their own.

        A new user with items h gets sum_{k<K} alpha_{k+1} sum_{i in h} w(h, i) E_i^(k); `history` holds the summands
        without the part of the weight w that depends on |h| alone. A new item gets its vector from users in the same
        way. Its layers k >= 1 make its history vector: who takes it gathers E_i^(k) = sum_u w(i, u) E_u^(k-1).
        """
        adjacency = self._graph_on_device()
        alphas = [*self.alphas.detach(), self.alphas.new_zeros(())]
        with torch.no_grad():
            layer: tuple[Tensor, Tensor] = (self.users, self.items)
            smooth = [alphas[0] * table for table in layer]
            history, of_items = torch.zeros_like(self.items), torch.zeros_like(self.users)
            of_history = torch.zeros_like(self.users)
            for alpha, following in pairwise(alphas[1:]):
                history.add_(alpha * layer[1])
                of_items.add_(alpha * layer[0])
                of_history.add_(following * layer[0])
                layer = adjacency.layer(*layer)
                for total, table in zip(smooth, layer, strict=True):
                    total.add_(alpha * table)
        left, right = self._exponents
        users, items = (table.cpu().numpy() for table in smooth)
        sent = [_sent(table, self._graph.user_items, right) for table in (of_items, of_history)]
        takers = Takers(sent[0], sent[1], item_exponent=left, history_exponent=left + right)
        return Embeddings(users, items, _sent(history, self._graph.item_users, right), left, takers)

    def _graph_on_device(self) -> Adjacency:
        """The adjacency where the parameters are; made at the first call after a move."""
        self._adjacency = on_device(self._adjacency, self._graph, self.users.device, self._exponents)
        return self._adjacency


def _sent(table: Tensor, neighbors: Csr, exponent: float) -> Floats:
    """The vectors (n, D), times the part of the edges' weight that the sender's degree decides."""
    scale = np.maximum(neighbors.degrees(), 1) ** -exponent
    return (table.cpu().numpy() * scale[:, None]).astype(np.float32)


def layer_weights(config: LightGCNConfig) -> tuple[float, ...]:
    """alpha_0 .. alpha_K; of learned ones, where they start.

    Raises:
        ConfigError: a list of another length than n_layers + 1.
    """
    n = config.n_layers + 1
    match config.layer_weights:
        case "uniform" | "learned":
            return (1 / n,) * n
        case "last":
            return (0.0,) * config.n_layers + (1.0,)
        case given:
            if len(given) != n:
                raise ConfigError(
                    f"model.layer_weights has {len(given)} numbers, expected {n}: one for the own vectors and one for "
                    f"each of n_layers = {config.n_layers}"
                )
            return given
