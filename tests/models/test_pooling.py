"""Pooling: gradients where several neighbors are the largest."""

import pytest
import torch
from torch import Tensor

from pinfold.models.pooling import SegmentMax


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
