"""Matrix factorization: one vector for each user and item, trained so that inner products rank edges first."""

from collections.abc import Iterator
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import embedding

from pinfold.arrays import Embeddings, Floats
from pinfold.config import options
from pinfold.graph.bipartite import BipartiteGraph
from pinfold.models.losses import LOSSES, LossName, mean_over_users
from pinfold.sampling.pairs import PairBatch, n_batches, pair_batches

# From 1 to 10 serves newcomers nearly alike (bundled data, validation part, recall@20: 0.51 to 0.53, 0.48 with l2' = 1)
RIDGE = 3.0


@options
class MFConfig:
    """Rendle et al., UAI 2009, with any pairwise loss."""

    name: Literal["mf"] = "mf"
    dim: Annotated[int, Field(ge=1, description="length D of the vectors")] = 64
    loss: Annotated[LossName, Field(description="what is minimized: see models/losses.py")] = "bpr"
    per_user: Annotated[bool, Field(description="mean over users of their mean loss, not over edges")] = False
    n_negatives: Annotated[int, Field(ge=1, description="negatives drawn for each edge")] = 1
    batch_size: Annotated[int, Field(ge=1, description="edges in a step")] = 2048
    l2: Annotated[float, Field(ge=0, description="weight of half the squared length of the vectors of a batch")] = 1e-4
    init_std: Annotated[float, Field(gt=0, description="standard deviation of the first vectors")] = 0.1


class MF(nn.Module):
    """User and item tables."""

    def __init__(self, config: MFConfig, graph: BipartiteGraph, seed: int) -> None:
        super().__init__()
        self._config = config
        self._graph = graph
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
        """The chosen loss plus L2 on the batch's vectors."""
        device = self.users.device
        rows = torch.from_numpy(batch.users).to(device)
        users = embedding(rows, self.users)  # (B, D)
        positives = embedding(torch.from_numpy(batch.positives).to(device), self.items)  # (B, D)
        negatives = embedding(torch.from_numpy(batch.negatives).to(device), self.items)  # (B, N, D)
        losses = pair_losses(self._config.loss, users, positives, negatives)
        mean = mean_over_users(losses, rows) if self._config.per_user else losses.mean()
        return mean + self._config.l2 * half_square(users, positives, negatives)

    def embed(self) -> Embeddings:
        """The tables; a newcomer's vector is the ridge solution min_x |V x - h|^2 + l2' |x|^2, linear in h.

        l2' is RIDGE times the mean of V'V's diagonal, so that it has the vectors' own scale.
        """
        # copies, else the vectors would change when training goes on
        users = self.users.detach().cpu().numpy().copy()
        items = self.items.detach().cpu().numpy().copy()
        return Embeddings(users, items, ridge_history(items, RIDGE * float(np.square(items).sum()) / items.shape[1]))


def init_tables(graph: BipartiteGraph, dim: int, std: float, seed: int) -> tuple[nn.Parameter, nn.Parameter]:
    """Normal (U, D) and (I, D) tables, the same for the same seed."""
    generator = torch.Generator().manual_seed(seed)
    tables = [torch.randn(n, dim, generator=generator) * std for n in (graph.n_users, graph.n_items)]
    return nn.Parameter(tables[0]), nn.Parameter(tables[1])


def pair_losses(name: LossName, users: Tensor, positives: Tensor, negatives: Tensor) -> Tensor:
    """The losses (B,) of users (B, D) with positives (B, D) and negatives (B, N, D)."""
    positive = (users * positives).sum(dim=1)
    negative = torch.einsum("bd,bnd->bn", users, negatives)
    return LOSSES[name](positive, negative)


def half_square(*vectors: Tensor) -> Tensor:
    """Half the squared length of all vectors, divided by the batch size. LightGCN eq. 15, as its authors code it."""
    # row sums first: a sum over all elements would depend on the number of threads
    lengths = [v.square().flatten(1).sum(dim=1).sum() for v in vectors]
    return torch.stack(lengths).sum() / (2 * len(vectors[0]))


def ridge_history(items: Floats, l2: float) -> Floats:
    """(I, D) rows V (V'V + l2 I)^-1, whose sum over a history h solves min_x |V x - h|^2 + l2 |x|^2."""
    square = items.astype(np.float64).T @ items + l2 * np.eye(items.shape[1])
    return np.ascontiguousarray(np.linalg.solve(square, items.T).T, np.float32)
