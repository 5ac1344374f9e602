"""How an item makes one message of its neighbors' messages: PinSage's gamma."""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import embedding_bag, leaky_relu

from pinfold.graph.convolve import LEAK
from pinfold.kernels.maxima import maxima, shared_among_maxima
from pinfold.sampling.blocks import Block, Edges


def tensors(edges: Edges, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Pointers, columns and weights on a device."""
    return tuple(torch.from_numpy(part).to(device) for part in (edges.ptr, edges.ids, edges.weights))  # type: ignore[return-value]


class WeightedSum(torch.autograd.Function):
    """The block's matrix (R, C) times messages (C, M). Apply to (messages, block)."""

    @staticmethod
    def forward(ctx: Any, messages: Tensor, block: Block) -> Tensor:
        """Moves 4 M bytes an edge."""
        ctx.block = block
        return _sum(block.forward, messages)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """The transposed matrix times the gradient: no scattered writes, so any number of threads gives the same."""
        return _sum(ctx.block.backward, gradients[0]), None


class SegmentMax(torch.autograd.Function):
    """The maximum (R, M) of consecutive rows of (E, M), 0 where there are none. Apply to (values, lengths).

    torch.segment_reduce's own gradient gives all of a negative gradient to each of several equal maxima (2.13), and
    items with the same content are equal.
    """

    @staticmethod
    def forward(ctx: Any, values: Tensor, lengths: Tensor) -> Tensor:
        """Values are not negative."""
        found: Tensor = torch.segment_reduce(values, "max", lengths=lengths, initial=0)
        ctx.save_for_backward(values, lengths, found)
        return found

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """Shared evenly among equal maxima."""
        values, lengths, found = ctx.saved_tensors
        owner = torch.repeat_interleave(torch.arange(len(found), device=values.device), lengths)
        tied = (values == found[owner]).to(values)
        counts = torch.segment_reduce(tied, "sum", lengths=lengths, initial=0)
        return tied * (gradients[0] / counts.clamp_min(1))[owner], None


class Largest(torch.autograd.Function):
    """The same of the block's rows (R, M) of messages (C, M), on the processor: nothing is gathered that lasts.

    Apply to (messages, block). 24 times as fast as `SegmentMax` (docs/experiments.md).
    """

    @staticmethod
    def forward(ctx: Any, messages: Tensor, block: Block) -> Tensor:
        """Moves 4 M bytes an edge."""
        ptr, ids = block.forward.ptr, block.forward.ids
        found, counts = maxima(ptr, ids, messages.detach().contiguous().numpy())
        ctx.block, ctx.counts = block, counts
        made = torch.from_numpy(found)
        ctx.save_for_backward(messages, made)
        return made

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """Shared evenly among equal maxima. Moves 8 M bytes an edge."""
        messages, found = (one.detach().contiguous().numpy() for one in ctx.saved_tensors)
        each = gradients[0].detach().numpy() / np.maximum(ctx.counts, np.float32(1))
        edges = ctx.block.backward
        return torch.from_numpy(shared_among_maxima(edges.ptr, edges.ids, messages, found, each)), None


def largest(messages: Tensor, block: Block) -> Tensor:
    """The element-wise maximum over neighbors (R, M); messages are not negative, and no neighbors give zeros."""
    if messages.device.type == "cpu":
        return Largest.apply(messages, block)  # type: ignore[no-any-return, no-untyped-call]
    ptr, ids, _ = tensors(block.forward, messages.device)
    found: Tensor = SegmentMax.apply(messages[ids], ptr.diff())  # type: ignore[no-untyped-call]
    return found


def attended(own: Tensor, messages: Tensor, attention: Tensor, block: Block) -> Tensor:
    """The mean over neighbors (R, M), weighted by a softmax of LeakyReLU(own . a_u + message . a_v)."""
    ptr, ids, _ = tensors(block.forward, messages.device)
    lengths = ptr.diff()
    d = own.shape[1]
    owner = torch.repeat_interleave(torch.arange(len(own), device=own.device), lengths)
    logits = leaky_relu((own @ attention[:d])[owner] + (messages @ attention[d:])[ids], LEAK)
    top = torch.segment_reduce(logits.detach(), "max", lengths=lengths, initial=0)
    raised = torch.exp(logits - top[owner])
    sums = torch.segment_reduce(raised, "sum", lengths=lengths, initial=0)
    weights = raised / sums[owner]
    pooled: Tensor = torch.segment_reduce(messages[ids] * weights[:, None], "sum", lengths=lengths, initial=0)
    return pooled


def _sum(edges: Edges, table: Tensor) -> Tensor:
    ptr, ids, weights = tensors(edges, table.device)
    return embedding_bag(ids, table, ptr, mode="sum", per_sample_weights=weights, include_last_offset=True)
