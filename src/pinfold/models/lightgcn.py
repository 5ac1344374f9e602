"""LightGCN: matrix factorization whose vectors are smoothed over the graph."""

from collections.abc import Iterator
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import embedding

from pinfold.arrays import Embeddings, Ints
from pinfold.config import options
from pinfold.graph.bipartite import BipartiteGraph
from pinfold.models.losses import LossName, mean_over_users
from pinfold.models.mf import half_square, init_tables, pair_losses
from pinfold.models.propagation import Adjacency, SmoothRows
from pinfold.sampling.pairs import PairBatch, n_batches, pair_batches


@options
class LightGCNConfig:
    """He et al., SIGIR 2020. Defaults are the authors' PyTorch code's."""

    name: Literal["lightgcn"] = "lightgcn"
    dim: Annotated[int, Field(ge=1, description="length D of the vectors")] = 64
    n_layers: Annotated[int, Field(ge=1, le=10, description="propagation layers K")] = 3
    loss: Annotated[LossName, Field(description="what is minimized: see models/losses.py")] = "bpr"
    per_user: Annotated[bool, Field(description="mean over users of their mean loss, not over edges")] = False
    n_negatives: Annotated[int, Field(ge=1, description="negatives drawn for each edge")] = 1
    batch_size: Annotated[int, Field(ge=1, description="edges in a step")] = 2048
    l2: Annotated[float, Field(ge=0, description="weight of half the squared length of the batch's own vectors")] = 1e-4
    init_std: Annotated[float, Field(gt=0, description="standard deviation of the first vectors")] = 0.1


class LightGCN(nn.Module):
    """User and item tables E; scores come from sum_k A^k E / (K + 1), k = 0..K."""

    def __init__(self, config: LightGCNConfig, graph: BipartiteGraph, seed: int) -> None:
        super().__init__()
        self._config = config
        self._graph = graph
        self._alphas = (1 / (config.n_layers + 1),) * (config.n_layers + 1)
        self._adjacency: Adjacency | None = None
        self.users, self.items = init_tables(graph, config.dim, config.init_std, seed)

    def module(self) -> nn.Module:
        """Itself."""
        return self

    def n_batches(self) -> int:
        """Steps in an epoch."""
        return n_batches(self._graph, self._config.batch_size)

    def batches(self, rng: np.random.Generator) -> Iterator[PairBatch]:
        """Every edge once, with uniform negatives."""
        return pair_batches(self._graph, self._config.batch_size, self._config.n_negatives, rng)

    def loss(self, batch: PairBatch) -> Tensor:
        """The chosen loss of the smoothed vectors plus L2 on the own ones. LightGCN eq. 15."""
        user_rows, user_place = _distinct(batch.users)
        item_rows, item_place = _distinct(np.concatenate([batch.positives[:, None], batch.negatives], axis=1))
        place = torch.from_numpy(user_place).to(self.users.device)
        places = torch.from_numpy(item_place).to(self.users.device)  # (B, 1 + N)
        users, items, own_users, own_items = SmoothRows.apply(  # type: ignore[no-untyped-call]
            self.users, self.items, self._graph_on_device(), self._alphas, (user_rows, item_rows)
        )
        smooth = embedding(places, items)  # (B, 1 + N, D)
        losses = pair_losses(self._config.loss, embedding(place, users), smooth[:, 0], smooth[:, 1:])
        mean = mean_over_users(losses, place) if self._config.per_user else losses.mean()
        return mean + self._config.l2 * half_square(embedding(place, own_users), embedding(places, own_items))

    def embed(self) -> Embeddings:
        """The smoothed tables; a newcomer is propagated through the frozen items, with no vector of their own.

        A new user with items h gets sum_{k<K} alpha_{k+1} sum_{i in h} E_i^(k) / sqrt(|h| d_i); `history` holds the
        summands without 1 / sqrt(|h|), which changes no ranking.
        """
        adjacency = self._graph_on_device()
        with torch.no_grad():
            layer: tuple[Tensor, Tensor] = (self.users, self.items)
            smooth = [self._alphas[0] * table for table in layer]
            history = torch.zeros_like(self.items)
            for alpha in self._alphas[1:]:
                history.add_(layer[1], alpha=alpha)
                layer = adjacency.layer(*layer)
                for total, table in zip(smooth, layer, strict=True):
                    total.add_(table, alpha=alpha)
        scale = 1 / np.sqrt(np.maximum(self._graph.item_counts(), 1))
        users, items = (table.cpu().numpy() for table in smooth)
        return Embeddings(users, items, (history.cpu().numpy() * scale[:, None]).astype(np.float32))

    def _graph_on_device(self) -> Adjacency:
        """The adjacency where the parameters are; made at the first call after a move."""
        if self._adjacency is None or self._adjacency.device != self.users.device:
            self._adjacency = Adjacency(self._graph, self.users.device)
        return self._adjacency


def _distinct(rows: Ints) -> tuple[Ints, Ints]:
    """The distinct rows, ascending, and where each of `rows` (any shape) stands among them."""
    distinct, place = np.unique(rows, return_inverse=True)
    return distinct, place.reshape(rows.shape).astype(np.int32)
