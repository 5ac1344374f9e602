"""Layers that transform what they propagate: what NGCF, GCN and SGC share.

A layer gathers s = A x over neighbors and makes y = f(x W_own + s W_gathered + (x * s) W_product + b) of it. What a
model leaves out costs nothing. A training step needs the result only for the rows of its batch, so the last layer is
computed for these rows alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, leaky_relu, normalize

from pinfold.arrays import Floats, Ints
from pinfold.graph.bipartite import BipartiteGraph
from pinfold.graph.learned import Layer, Layered
from pinfold.models.interface import Rows
from pinfold.models.mf import init_tables
from pinfold.models.propagation import Adjacency, Pair

BYTES_PER_LONG = 8


@dataclass(frozen=True, slots=True)
class Transform:
    """One side's part of a layer; matrices are (D, D'). Without any, the layer gives what it gathers."""

    own: Tensor | None = None
    gathered: Tensor | None = None
    product: Tensor | None = None
    bias: Tensor | None = None  # (D',)
    slope: float = 1.0  # of f for negative numbers: 1 f(z) = z, 0 ReLU, between them LeakyReLU

    def of(self, own: Tensor, gathered: Tensor, dropout: float = 0.0) -> Tensor:
        """The vectors (n, D') of nodes with these own (n, D) and gathered (n, D) ones."""
        if self.gathered is None:
            return gathered
        if self.own is self.gathered:  # one product for both
            z = (own + gathered) @ self.gathered
        else:
            z = gathered @ self.gathered
            if self.own is not None:
                z = z.addmm_(own, self.own)
        if self.product is not None:
            z = z.addmm_(own * gathered, self.product)
        if self.bias is not None:
            z = z.add_(self.bias)
        if dropout:  # before f, which gives the same as after it and keeps one tensor less
            z = z.mul_(kept(z.shape, dropout, z.device))
        return leaky_relu(z, self.slope, inplace=True) if self.slope != 1 else z


Transforms = tuple[Transform, Transform]  # of users, of items


@dataclass(frozen=True, slots=True)
class Form:
    """How layers become vectors."""

    concatenated: bool  # all layers 0..L beside each other; else the last one
    unit_layers: bool = False  # layers 1..L at length 1

    def of(self, layers: Sequence[Tensor]) -> Tensor:
        """The vectors (n, D) from layers (n, D_k)."""
        if not self.concatenated:
            return normalize(layers[-1], dim=1) if self.unit_layers else layers[-1]
        rest = [normalize(layer, dim=1) if self.unit_layers else layer for layer in layers[1:]]
        return torch.cat([layers[0], *rest], dim=1)


@dataclass(frozen=True, slots=True)
class Dropout:
    """Chances to be left out of a training step."""

    message: float = 0.0  # each number that a layer makes
    node: float = 0.0  # each node, with all that its neighbors would gather from it


def layer_rows(
    tables: Pair, layers: Sequence[Transforms], form: Form, adjacency: Adjacency, rows: tuple[Ints, Ints],
    dropout: Dropout,
) -> Rows:  # fmt: skip
    """The vectors of some distinct users (b,) and items (c,), to be differentiated."""
    where = tuple(torch.from_numpy(part).to(adjacency.device).long() for part in rows)
    nodes = tuple(kept((len(t), 1), dropout.node, t.device) for t in tables) if dropout.node else None
    vectors = tables
    found = [_select(vectors, where)]
    for k, transforms in enumerate(layers, 1):
        sources = vectors if nodes is None else (vectors[0] * nodes[0], vectors[1] * nodes[1])
        if k < len(layers):
            gathered = Multiply.apply(*sources, adjacency)  # type: ignore[no-untyped-call]
            vectors = _transformed(transforms, vectors, gathered, dropout.message)
            found.append(_select(vectors, where))
        else:
            gathered = MultiplyRows.apply(*sources, adjacency, rows, where)  # type: ignore[no-untyped-call]
            found.append(_transformed(transforms, found[-1], gathered, dropout.message))
    users, items = (form.of(side) for side in zip(*found, strict=True))
    return Rows(users, items, *found[0])


def all_layers(tables: Pair, layers: Sequence[Transforms], adjacency: Adjacency) -> list[Pair]:
    """Layers 0..L of all users and items, nothing dropped."""
    found = [tables]
    for transforms in layers:
        found.append(_transformed(transforms, found[-1], adjacency.layer(*found[-1]), 0.0))
    return found


def leave(
    tables: Pair, layers: Sequence[Transforms], form: Form, adjacency: Adjacency, graph: BipartiteGraph
) -> Layered:
    """Everybody's vectors, and what it takes to propagate a newcomer or a new item."""
    with torch.no_grad():
        found = all_layers(tables, layers, adjacency)
        users, items = (form.of(side).cpu().numpy() for side in zip(*found, strict=True))
        left, right = adjacency.exponents
        loops = 1 if adjacency.self_loops else 0
        steps: list[tuple[Layer, ...]] = []
        for gathers, (sends, neighbors) in enumerate(((1, graph.item_users), (0, graph.user_items))):
            scale = np.maximum(neighbors.degrees() + loops, 1)[:, None] ** -right
            steps.append(
                tuple(
                    _layer(transforms[gathers], (before[sends].cpu().numpy() * scale).astype(np.float32))
                    for before, transforms in zip(found[:-1], layers, strict=True)
                )
            )
    # copies, else vectors that no layer changed would change when training goes on
    return Layered(
        users.copy(), items.copy(), steps[0], left, adjacency.self_loops, form.concatenated, form.unit_layers, steps[1],
        right,
    )  # fmt: skip


def _layer(transform: Transform, sources: Floats) -> Layer:
    """A layer as arrays; matrices that it has not are zero."""
    dim = sources.shape[1]
    gathered = torch.eye(dim) if transform.gathered is None else transform.gathered
    zero = torch.zeros_like(gathered)
    bias = zero[0] if transform.bias is None else transform.bias
    parts = (transform.own, gathered, transform.product)
    weights = torch.stack([zero if part is None else part for part in parts])
    return Layer(sources, weights.cpu().numpy(), bias.cpu().numpy().copy(), transform.slope)


def _select(vectors: Pair, where: tuple[Tensor, ...]) -> Pair:
    return embedding(where[0], vectors[0]), embedding(where[1], vectors[1])


def _transformed(transforms: Transforms, own: Pair, gathered: Pair, dropout: float) -> Pair:
    users, items = transforms
    return users.of(own[0], gathered[0], dropout), items.of(own[1], gathered[1], dropout)


def kept(shape: Sequence[int], dropout: float, device: torch.device) -> Tensor:
    """Random zeros, and 1 / (1 - p) elsewhere; p is `dropout` to the nearest 1 / 256.

    From torch's generator, eight numbers a draw: a sixth of the time of `bernoulli_` on a CPU. The generator draws in
    one thread, so the number of threads changes nothing.
    """
    n = int(np.prod(shape))
    span = torch.iinfo(torch.int64)
    draws = torch.empty(-(-n // BYTES_PER_LONG), dtype=torch.int64, device=device).random_(span.min, None)
    level = round(dropout * 256)
    keep = draws.view(torch.uint8)[:n].view(*shape) >= level
    return keep.to(torch.float32).mul_(256 / (256 - level))


class Multiply(torch.autograd.Function):
    """A times (users (U, D), items (I, D)). Apply to (users, items, adjacency)."""

    @staticmethod
    def forward(ctx: Any, users: Tensor, items: Tensor, adjacency: Adjacency) -> Pair:
        """One full layer."""
        ctx.adjacency = adjacency
        return adjacency.layer(users, items)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """A' times the gradients."""
        return *ctx.adjacency.transposed.layer(*gradients), None


class MultiplyRows(torch.autograd.Function):
    """Rows of A times (users, items). Apply to (users, items, adjacency, rows, the same rows as tensors)."""

    @staticmethod
    def forward(
        ctx: Any, users: Tensor, items: Tensor, adjacency: Adjacency, rows: tuple[Ints, Ints], where: tuple[Tensor, ...]
    ) -> Pair:
        """One layer for the user rows (b,) and item rows (c,)."""
        ctx.adjacency, ctx.where, ctx.sizes = adjacency, where, (len(users), len(items))
        return adjacency.layer_rows((users, items), rows)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """A' times the gradients, which are zero but for the rows."""
        full = [
            part.new_zeros(size, part.shape[1]).index_copy_(0, where, part)
            for part, where, size in zip(gradients, ctx.where, ctx.sizes, strict=True)
        ]
        return *ctx.adjacency.transposed.layer(*full), None, None, None


def first_tables(graph: BipartiteGraph, dim: int, std: float | None, seed: int) -> tuple[nn.Parameter, nn.Parameter]:
    """Normal (U, D) and (I, D) tables of this standard deviation; without one, Xavier's uniform ones."""
    if std is not None:
        return init_tables(graph, dim, std, seed)
    generator = torch.Generator().manual_seed(seed)
    return xavier(graph.n_users, dim, generator), xavier(graph.n_items, dim, generator)


def xavier(rows: int, columns: int, generator: torch.Generator) -> nn.Parameter:
    """A (rows, columns) matrix, uniform within sqrt(6 / (rows + columns)). Glorot & Bengio, AISTATS 2010."""
    return nn.Parameter(nn.init.xavier_uniform_(torch.empty(rows, columns), generator=generator))
