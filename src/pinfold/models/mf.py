"""Matrix factorization: one vector for each user and item, trained so that inner products rank edges first."""

from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field
from torch import nn
from torch.nn.functional import embedding

from pinfold.arrays import Embeddings, Floats, Ints, Takers
from pinfold.config import options
from pinfold.graph.bipartite import BipartiteGraph
from pinfold.models.interface import Rows
from pinfold.models.pairwise import ObjectiveConfig

# From 1 to 10 serves newcomers nearly alike (bundled data, validation part, recall@20: 0.51 to 0.53, 0.48 with l2' = 1)
RIDGE = 3.0

# New items from the sums of their users' vectors. With n^-1/2 a new item stands in as many lists as after retraining
# with another seed, within half; with n^-.3 in fewer, n^-.75 in a third (bundled data, benchmarks/fold_in.py)
TAKER_EXPONENT = 0.5
TAKER_RIDGE = 0.01  # .001 to .1 give the same


@options
class MFConfig:
    """Rendle et al., UAI 2009, with any loss."""

    name: Literal["mf"] = "mf"
    dim: Annotated[int, Field(ge=1, description="length D of the vectors")] = 64
    init_std: Annotated[float, Field(gt=0, description="standard deviation of the first vectors")] = 0.1
    objective: Annotated[ObjectiveConfig, Field(description="what it is trained for")] = ObjectiveConfig()


class MF(nn.Module):
    """User and item tables."""

    def __init__(self, config: MFConfig, graph: BipartiteGraph, seed: int) -> None:
        super().__init__()
        self._graph = graph
        self.users, self.items = init_tables(graph, config.dim, config.init_std, seed)

    def module(self) -> nn.Module:
        """Itself."""
        return self

    def rows(self, users: Ints, items: Ints) -> Rows:
        """Rows of the tables."""
        of_users = embedding(torch.from_numpy(users).to(self.users.device), self.users)
        of_items = embedding(torch.from_numpy(items).to(self.items.device), self.items)
        return Rows(of_users, of_items, of_users, of_items)

    def embed(self) -> Embeddings:
        """The tables; a newcomer's vector is the ridge solution min_x |V x - h|^2 + l2' |x|^2, linear in h.

        l2' is RIDGE times the mean of V'V's diagonal, so that it has the vectors' own scale. New items compete with old
        ones, so their vectors need the length that training gives, and a ridge solution of ones and zeros is far too
        short. See `taker_vectors`; the history row of a new vector v is v (V'V + l2' I)^-1, as for old ones.
        """
        # copies, else the vectors would change when training goes on
        users = self.users.detach().cpu().numpy().copy()
        items = self.items.detach().cpu().numpy().copy()
        l2 = RIDGE * float(np.square(items).sum()) / items.shape[1]
        of_items = taker_vectors(users, items, self._graph)
        takers = Takers(of_items, ridge_history(items, l2, of_items), TAKER_EXPONENT, TAKER_EXPONENT)
        return Embeddings(users, items, ridge_history(items, l2), takers=takers)


def init_tables(graph: BipartiteGraph, dim: int, std: float, seed: int) -> tuple[nn.Parameter, nn.Parameter]:
    """Normal (U, D) and (I, D) tables, the same for the same seed."""
    generator = torch.Generator().manual_seed(seed)
    tables = [torch.randn(n, dim, generator=generator) * std for n in (graph.n_users, graph.n_items)]
    return nn.Parameter(tables[0]), nn.Parameter(tables[1])


def ridge_history(items: Floats, l2: float, rows: Floats | None = None) -> Floats:
    """(I, D) rows V (V'V + l2 I)^-1, whose sum over a history h solves min_x |V x - h|^2 + l2 |x|^2.

    With `rows` (n, D) these take the place of the first V.
    """
    square = items.astype(np.float64).T @ items + l2 * np.eye(items.shape[1])
    return np.ascontiguousarray(np.linalg.solve(square, (items if rows is None else rows).T).T, np.float32)


def taker_vectors(users: Floats, items: Floats, graph: BipartiteGraph) -> Floats:
    """(U, D) rows U M, where M (D, D) turns what is known of old items into their trained vectors, as well as it can.

    M solves min |S M - V|^2 + l2 |M|^2, S the sums of takers' vectors times n^-TAKER_EXPONENT, l2 TAKER_RIDGE times the
    mean of S'S's diagonal.
    """
    counts = graph.item_counts()
    sums = (graph.item_users.to_scipy().sign() @ users).astype(np.float64)
    sums *= np.maximum(counts, 1)[:, None] ** -TAKER_EXPONENT  # untaken items are rows of zeros, and weigh nothing
    square = sums.T @ sums
    l2 = TAKER_RIDGE * float(np.trace(square)) / len(square)
    mapping = np.linalg.solve(square + max(l2, 1e-12) * np.eye(len(square)), sums.T @ items)
    return (users @ mapping).astype(np.float32)
