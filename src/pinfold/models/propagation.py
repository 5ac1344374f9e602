"""LightGCN's propagation: weighted sums over neighbors, layer by layer, forward and backward.

One layer multiplies by the symmetric matrix A = D^-1/2 (0 R; R' 0) D^-1/2. On a CPU the fastest exact product we
know is `embedding_bag` with per-sample weights (docs/experiments.md), and because A is symmetric the backward
pass is the same product. A training step needs the result only for the rows of its batch, so the last layer is
computed for these rows alone.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from pinfold.arrays import Ints
from pinfold.graph.bipartite import BipartiteGraph
from pinfold.graph.csr import Csr

Pair = tuple[Tensor, Tensor]  # one tensor for users, one for items


class Adjacency:
    """Both directions of A as tensors on a device."""

    def __init__(self, graph: BipartiteGraph, device: torch.device) -> None:
        self.device = device
        self._sides = (_normalized(graph.user_items), _normalized(graph.item_users))
        self._bags = tuple(_Bags.of(side, device) for side in self._sides)

    def layer(self, users: Tensor, items: Tensor) -> Pair:
        """A times (users (U, D), items (I, D)). LightGCN eq. 3 (He et al., SIGIR 2020)."""
        return self._bags[0].sum(items), self._bags[1].sum(users)

    def layer_rows(self, vectors: Pair, rows: tuple[Ints, Ints]) -> Pair:
        """The given user rows (b,) and item rows (c,) of A times (users, items): (b, D) and (c, D)."""
        user_rows, item_rows = (
            _Bags.of(side.take(part), self.device) for side, part in zip(self._sides, rows, strict=True)
        )
        return user_rows.sum(vectors[1]), item_rows.sum(vectors[0])


@dataclass(frozen=True, slots=True)
class _Bags:
    """A sparse matrix as `embedding_bag` wants it."""

    ptr: Tensor
    ids: Tensor
    weights: Tensor

    @staticmethod
    def of(csr: Csr, device: torch.device) -> "_Bags":
        # 64-bit indices: a fifth faster with two threads than 32-bit ones, though they are more bytes
        ids = torch.from_numpy(csr.ids.astype(np.int64))
        return _Bags(torch.from_numpy(csr.ptr).to(device), ids.to(device), torch.from_numpy(csr.weights).to(device))

    def sum(self, table: Tensor) -> Tensor:
        """The matrix times `table`."""
        return embedding_bag(
            self.ids, table, self.ptr, mode="sum", per_sample_weights=self.weights, include_last_offset=True
        )


def _normalized(csr: Csr) -> Csr:
    """The same entries with weights 1 / sqrt(degree of row * degree of column)."""
    rows = np.repeat(csr.degrees(), csr.degrees())
    columns = np.bincount(csr.ids, minlength=csr.n_columns)[csr.ids]
    weights = (1 / np.sqrt(rows * columns.astype(np.float64))).astype(np.float32)
    return Csr(np.array(csr.ptr), np.array(csr.ids), weights, csr.n_columns)


class SmoothRows(torch.autograd.Function):
    """Rows of sum_k alpha_k A^k E for k = 0..K, and the same rows of E itself.

    Apply to (users (U, D), items (I, D), adjacency, alphas, (user rows (b,), item rows (c,))), the rows distinct.
    Returns smoothed users (b, D), smoothed items (c, D), own users (b, D), own items (c, D).
    """

    @staticmethod
    def forward(
        ctx: Any, users: Tensor, items: Tensor, adjacency: Adjacency, alphas: tuple[float, ...], rows: tuple[Ints, Ints]
    ) -> tuple[Tensor, ...]:
        """K - 1 full layers and one for the rows."""
        where = tuple(torch.from_numpy(part).to(adjacency.device).long() for part in rows)
        ctx.adjacency, ctx.alphas, ctx.where = adjacency, alphas, where
        ctx.sizes = (len(users), len(items))
        vectors = (users, items)
        own = [table.index_select(0, part) for table, part in zip(vectors, where, strict=True)]
        smooth = [alphas[0] * part for part in own]
        for k in range(1, len(alphas)):
            if k == len(alphas) - 1:
                reached = adjacency.layer_rows(vectors, rows)
            else:
                vectors = adjacency.layer(*vectors)
                reached = (vectors[0].index_select(0, where[0]), vectors[1].index_select(0, where[1]))
            for total, part in zip(smooth, reached, strict=True):
                total.add_(part, alpha=alphas[k])
        return *smooth, *own

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """sum_k alpha_k A^k G by Horner's rule, G zero but for the rows; then the rows' own gradient."""
        smooth, own = gradients[:2], gradients[2:]
        totals = [g.new_zeros(size, g.shape[1]) for g, size in zip(smooth, ctx.sizes, strict=True)]
        for k in range(len(ctx.alphas) - 1, 0, -1):
            for side in (0, 1):
                _add_rows(totals[side], ctx.where[side], ctx.alphas[k] * smooth[side])
            totals = list(ctx.adjacency.layer(*totals))
        for side in (0, 1):
            _add_rows(totals[side], ctx.where[side], torch.add(own[side], smooth[side], alpha=ctx.alphas[0]))
        return *totals, None, None, None


def _add_rows(table: Tensor, rows: Tensor, values: Tensor) -> None:
    """Add `values` to distinct rows of `table`; half the time of index_add_, which minds repeated rows."""
    table.index_copy_(0, rows, table.index_select(0, rows).add_(values))
