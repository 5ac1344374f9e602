"""LightGCN's propagation: weighted sums over neighbors, layer by layer, forward and backward.

One layer multiplies by A = (0 B; C 0), with B = D_u^-l R D_i^-r and C = D_i^-l R' D_u^-r. On a CPU the fastest exact
product we know is `embedding_bag` with per-sample weights (docs/experiments.md). The backward pass multiplies by A',
which is A with l and r exchanged, so A itself for the symmetric normalization. A training step needs the result only
for the rows of its batch, so the last layer is computed for these rows alone.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from pinfold.arrays import Ints
from pinfold.graph.bipartite import BipartiteGraph
from pinfold.graph.csr import Csr

Pair = tuple[Tensor, Tensor]  # one tensor for users, one for items
Exponents = tuple[float, float]  # l of the gathering node's degree, r of its neighbor's
NormalizationName = Literal["symmetric", "left", "right", "l1", "l1-left", "l1-right", "none"]

# LightGCN table 5: an edge weighs d_gathering^-l d_neighbor^-r
NORMALIZATIONS: dict[NormalizationName, Exponents] = {
    "symmetric": (0.5, 0.5),
    "left": (0.5, 0.0),
    "right": (0.0, 0.5),
    "l1": (1.0, 1.0),
    "l1-left": (1.0, 0.0),
    "l1-right": (0.0, 1.0),
    "none": (0.0, 0.0),
}


class Adjacency:
    """Both directions of A as tensors on a device, and A'.

    With `self_loops` every node is its own neighbor too: degrees are one higher, and A has a diagonal.
    """

    def __init__(
        self,
        graph: BipartiteGraph,
        device: torch.device,
        exponents: Exponents = (0.5, 0.5),
        *,
        self_loops: bool = False,
    ) -> None:
        self.device = device
        self.exponents = exponents
        self.self_loops = self_loops
        both = (graph.user_items, graph.item_users)
        self._sides = tuple(_normalized(side, exponents, int(self_loops)) for side in both)
        self._loops = tuple(_loops(side, exponents, device) for side in both) if self_loops else None
        self._bags = tuple(_Bags.of(side, device) for side in self._sides)
        left, right = exponents
        self.transposed: Adjacency = self if left == right else Adjacency._back(graph, self)

    @staticmethod
    def _back(graph: BipartiteGraph, forth: "Adjacency") -> "Adjacency":
        """A', whose own transpose is `forth`."""
        back = Adjacency.__new__(Adjacency)
        back.device, back.exponents = forth.device, forth.exponents[::-1]
        back.self_loops, back._loops = forth.self_loops, forth._loops
        loops = int(back.self_loops)
        back._sides = tuple(_normalized(side, back.exponents, loops) for side in (graph.user_items, graph.item_users))
        back._bags = tuple(_Bags.of(side, back.device) for side in back._sides)
        back.transposed = forth
        return back

    def layer(self, users: Tensor, items: Tensor) -> Pair:
        """A times (users (U, D), items (I, D)). LightGCN eq. 3 (He et al., SIGIR 2020)."""
        gathered = self._bags[0].sum(items), self._bags[1].sum(users)
        if self._loops is not None:
            for total, loop, own in zip(gathered, self._loops, (users, items), strict=True):
                total.addcmul_(loop, own)
        return gathered

    def layer_rows(self, vectors: Pair, rows: tuple[Ints, Ints]) -> Pair:
        """The given user rows (b,) and item rows (c,) of A times (users, items): (b, D) and (c, D)."""
        user_rows, item_rows = (
            _Bags.of(side.take(part), self.device) for side, part in zip(self._sides, rows, strict=True)
        )
        gathered = user_rows.sum(vectors[1]), item_rows.sum(vectors[0])
        if self._loops is not None:
            for total, loop, own, part in zip(gathered, self._loops, vectors, rows, strict=True):
                where = torch.from_numpy(part).to(self.device)
                total.addcmul_(loop.index_select(0, where), own.index_select(0, where))
        return gathered


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


def _normalized(csr: Csr, exponents: Exponents, loops: int = 0) -> Csr:
    """The same entries with weights degree of row^-l * degree of column^-r, degrees counting so many loops."""
    left, right = exponents
    rows = np.repeat(csr.degrees() + loops, csr.degrees()).astype(np.float64)
    columns = (np.bincount(csr.ids, minlength=csr.n_columns) + loops)[csr.ids].astype(np.float64)
    # one root of one product where it can be, so that both directions have the same bits
    weights = (rows * columns) ** -left if left == right else rows**-left * columns**-right
    return Csr(np.array(csr.ptr), np.array(csr.ids), weights.astype(np.float32), csr.n_columns)


def _loops(csr: Csr, exponents: Exponents, device: torch.device) -> Tensor:
    """The diagonal of A for the rows' side. Shape (R, 1)."""
    weights = (csr.degrees() + 1.0) ** -sum(exponents)
    return torch.from_numpy(weights.astype(np.float32))[:, None].to(device)


def on_device(
    found: Adjacency | None,
    graph: BipartiteGraph,
    device: torch.device,
    exponents: Exponents,
    *,
    self_loops: bool = False,
) -> Adjacency:
    """`found` if it is on this device, else a new one there."""
    if found is not None and found.device == device:
        return found
    return Adjacency(graph, device, exponents, self_loops=self_loops)


class SmoothRows(torch.autograd.Function):
    """Rows of sum_k alpha_k A^k E for k = 0..K, and the same rows of E itself.

    Apply to (users (U, D), items (I, D), alphas (K + 1,), adjacency, (user rows (b,), item rows (c,))), rows distinct.
    Returns smoothed users (b, D), smoothed items (c, D), own users (b, D), own items (c, D).
    """

    @staticmethod
    def forward(
        ctx: Any, users: Tensor, items: Tensor, alphas: Tensor, adjacency: Adjacency, rows: tuple[Ints, Ints]
    ) -> tuple[Tensor, ...]:
        """K - 1 full layers and one for the rows."""
        where = tuple(torch.from_numpy(part).to(adjacency.device).long() for part in rows)
        ctx.adjacency, ctx.alphas, ctx.where = adjacency, alphas.tolist(), where
        ctx.sizes = (len(users), len(items))
        vectors = (users, items)
        own = [table.index_select(0, part) for table, part in zip(vectors, where, strict=True)]
        smooth = [ctx.alphas[0] * part for part in own]
        layers = [own]
        for k, alpha in enumerate(ctx.alphas[1:], 1):
            if k == len(alphas) - 1:
                reached = adjacency.layer_rows(vectors, rows)
            else:
                vectors = adjacency.layer(*vectors)
                reached = (vectors[0].index_select(0, where[0]), vectors[1].index_select(0, where[1]))
            for total, part in zip(smooth, reached, strict=True):
                total.add_(part, alpha=alpha)
            layers.append(list(reached))
        if alphas.requires_grad:
            ctx.save_for_backward(*(torch.cat(layer) for layer in layers))
        return *smooth, *own

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """sum_k alpha_k A'^k G by Horner's rule, G zero but for the rows; then the rows' own gradient."""
        smooth, own = gradients[:2], gradients[2:]
        totals = [g.new_zeros(size, g.shape[1]) for g, size in zip(smooth, ctx.sizes, strict=True)]
        for k in range(len(ctx.alphas) - 1, 0, -1):
            for side in (0, 1):
                _add_rows(totals[side], ctx.where[side], ctx.alphas[k] * smooth[side])
            totals = list(ctx.adjacency.transposed.layer(*totals))
        for side in (0, 1):
            _add_rows(totals[side], ctx.where[side], torch.add(own[side], smooth[side], alpha=ctx.alphas[0]))
        of_alphas = None
        if ctx.needs_input_grad[2]:
            both = torch.cat(smooth)
            of_alphas = torch.stack([(layer * both).sum(dim=1).sum() for layer in ctx.saved_tensors])
        return *totals, of_alphas, None, None


def _add_rows(table: Tensor, rows: Tensor, values: Tensor) -> None:
    """Add `values` to distinct rows of `table`; half the time of index_add_, which minds repeated rows."""
    table.index_copy_(0, rows, table.index_select(0, rows).add_(values))
