"""Pooling: gradients where several neighbors are the largest."""

import numpy as np
import pytest
import torch
from torch import Tensor

from pinfold.graph.neighborhoods import Neighborhoods
from pinfold.models.pooling import SegmentMax, largest, tensors
from pinfold.sampling.blocks import blocks


def one_by_one(values: Tensor, lengths: list[int]) -> Tensor:
    parts = torch.split(values, lengths)
    return torch.stack([part.amax(dim=0) if len(part) else values.new_zeros(values.shape[1]) for part in parts])


@pytest.mark.parametrize("seed", range(5))
def test_equal_maxima_share_gradients_of_either_sign(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    lengths = [3, 0, 1, 5, 2]
    values = torch.randint(0, 3, (sum(lengths), 4), generator=generator).float()
    weights = torch.randn(len(lengths), 4, generator=generator)
    one, other = values.clone().requires_grad_(), values.clone().requires_grad_()
    found = SegmentMax.apply(one, torch.tensor(lengths))  # type: ignore[no-untyped-call]
    expected = one_by_one(other, lengths)
    assert torch.equal(found, expected)
    (found * weights).sum().backward()
    (expected * weights).sum().backward()  # type: ignore[no-untyped-call]
    assert one.grad is not None
    assert other.grad is not None
    torch.testing.assert_close(one.grad, other.grad)


@pytest.mark.parametrize("seed", range(5))
def test_the_kernel_agrees_with_the_gathered_form(seed: int) -> None:
    rng = np.random.default_rng(seed)
    items = Neighborhoods(rng.integers(-1, 40, (40, 6)).astype(np.int32), rng.random((40, 6)).astype(np.float32))
    items.weights[items.ids < 0] = 0
    _, (block,) = blocks(items, rng.permutation(40)[:15].astype(np.int32), 1)
    values = torch.from_numpy(rng.integers(0, 3, (block.n_columns, 5)).astype(np.float32))  # many equal ones
    weights = torch.from_numpy(rng.standard_normal((block.n_rows, 5)).astype(np.float32))
    one, other = values.clone().requires_grad_(), values.clone().requires_grad_()
    ptr, ids, _ = tensors(block.forward, values.device)
    found = largest(one, block)
    expected = SegmentMax.apply(other[ids], ptr.diff())  # type: ignore[no-untyped-call]
    assert torch.equal(found, expected)
    (found * weights).sum().backward()  # type: ignore[no-untyped-call]
    (expected * weights).sum().backward()
    assert one.grad is not None
    assert other.grad is not None
    torch.testing.assert_close(one.grad, other.grad)
