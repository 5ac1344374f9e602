"""Losses on numbers worked by hand, and on the lecture's example of what a binary loss gets wrong."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from pinfold.models.losses import LOSSES, binary, bpr, mean_over_users

# CS224W 2025, lecture "Recommender systems". Rows are users, columns items, the diagonal is edges.
LECTURE = torch.tensor([[1.0, 0.0], [2.0, 4.0]], dtype=torch.float64)


def edges_and_others(scores: Tensor) -> tuple[Tensor, Tensor]:
    """Of a 2 x 2 matrix whose diagonal is edges: positives (2,) and negatives (2, 1)."""
    return scores.diagonal(), torch.stack([scores[0, 1], scores[1, 0]])[:, None]


def test_lecture_by_hand() -> None:
    positive, negative = edges_and_others(LECTURE)
    # u0 has log(1 + e^-1) + log(1 + e^0), which is 0.313262 + 0.693147 = 1.006409;
    # u1 has log(1 + e^-4) + log(1 + e^2), which is 0.018150 + 2.126928 = 2.145078.
    assert binary(positive, negative).tolist() == pytest.approx([1.006409, 2.145078], abs=1e-6)
    # u0 is log(1 + e^(0 - 1)) = 0.313262 and u1 is log(1 + e^(2 - 4)) = 0.126928
    assert bpr(positive, negative).tolist() == pytest.approx([0.313262, 0.126928], abs=1e-6)


def test_lecture_ranking_is_perfect_and_yet_binary_loss_falls_by_a_shift_nobody_sees() -> None:
    """u1's negative (u1, v0) = 2 stands above u0's positive (u0, v0) = 1, in another user's list."""
    assert LECTURE.argmax(dim=1).tolist() == [0, 1]  # recall@1 is 1 for both users
    assert LECTURE[1, 0] > LECTURE[0, 0]
    losses = []
    for shift in (0.0, 0.5, 1.0, 2.0, 3.0):  # log(1 + e^(c - 4)) + log(1 + e^(2 - c)) is smallest at c = 3
        shifted = LECTURE - torch.tensor([[0.0], [shift]])
        assert shifted.argmax(dim=1).tolist() == [0, 1]
        losses.append(binary(*edges_and_others(shifted)).mean().item())
    assert all(later < earlier - 1e-3 for earlier, later in pairwise(losses))


def test_binary_pushes_most_at_the_negative_of_the_generous_user() -> None:
    scores = LECTURE.clone().requires_grad_()
    binary(*edges_and_others(scores)).sum().backward()  # type: ignore[no-untyped-call]
    # d/dx: edges -s(-x), others s(x): -s(-1) = -0.268941, s(0) = 0.5, s(2) = 0.880797, -s(-4) = -0.017986
    assert scores.grad is not None
    assert scores.grad.flatten().tolist() == pytest.approx([-0.268941, 0.5, 0.880797, -0.017986], abs=1e-6)


def test_bpr_sees_no_shift_of_a_user_and_vanishes_with_the_margin() -> None:
    reference = bpr(*edges_and_others(LECTURE))
    for shifts in ([[3.0], [-7.0]], [[-100.0], [100.0]]):
        torch.testing.assert_close(bpr(*edges_and_others(LECTURE + torch.tensor(shifts))), reference)
    # Margins are 1 and 2. Times 30: log(1 + e^-30) < 1e-13; the binary loss grows to log(1 + e^60) = 60.
    assert bpr(*edges_and_others(30 * LECTURE)).max() < 1e-12
    assert binary(*edges_and_others(30 * LECTURE))[1] == pytest.approx(60)


def test_several_negatives_by_hand() -> None:
    positive = torch.tensor([1.0], dtype=torch.float64)
    negative = torch.tensor([[1.0, 0.0, 3.0]], dtype=torch.float64)
    # bpr: (log 2 + log(1 + e^-1) + log(1 + e^2)) / 3 = (0.693147 + 0.313262 + 2.126928) / 3
    assert bpr(positive, negative).item() == pytest.approx(3.133337 / 3, abs=1e-6)
    # binary: log(1 + e^-1) + (log(1 + e) + log 2 + log(1 + e^3)) / 3
    #       = 0.313262 + (1.313262 + 0.693147 + 3.048587) / 3
    assert binary(positive, negative).item() == pytest.approx(0.313262 + 5.054996 / 3, abs=1e-6)


def test_large_scores_stay_finite() -> None:
    for loss in LOSSES.values():
        value = loss(torch.tensor([-1e30, 1e30]), torch.tensor([[1e30], [-1e30]]))
        assert torch.isfinite(value).all()
        assert value[1] == 0


@pytest.mark.parametrize("name", list(LOSSES))
def test_gradients(name: str) -> None:
    generator = torch.Generator().manual_seed(0)
    positive = torch.randn(5, dtype=torch.float64, generator=generator, requires_grad=True)
    negative = torch.randn(5, 3, dtype=torch.float64, generator=generator, requires_grad=True)
    assert torch.autograd.gradcheck({str(k): f for k, f in LOSSES.items()}[name], (positive, negative))


def test_mean_over_users_against_a_loop() -> None:
    rng = np.random.default_rng(0)
    users = rng.integers(0, 8, 40) * 3
    losses = rng.normal(size=40)
    expected = np.mean([np.mean(losses[users == user]) for user in np.unique(users)])
    found = mean_over_users(torch.from_numpy(losses), torch.from_numpy(users))
    assert found.item() == pytest.approx(expected, abs=1e-12)
    assert expected != pytest.approx(losses.mean(), abs=1e-3)  # active users count for more there


def test_mean_over_users_gradient() -> None:
    losses = torch.randn(6, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    users = torch.tensor([4, 0, 4, 4, 1, 0])
    assert torch.autograd.gradcheck(lambda values: mean_over_users(values, users), (losses,))
    mean_over_users(losses, users).backward()  # type: ignore[no-untyped-call]
    assert losses.grad is not None
    # three users, 1/3 each; user 4 has three losses, user 0 two, user 1 one
    assert (losses.grad * 18).tolist() == pytest.approx([2, 3, 2, 2, 6, 3])


@pytest.mark.parametrize("name", list(LOSSES))
def test_threads_do_not_change_a_bit(name: str) -> None:
    """Torch computes exp by SIMD or one by one, with other last bits, and threads move the border between the two."""
    loss = {str(k): f for k, f in LOSSES.items()}[name]
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(5003, 8, generator=generator)
    found = []
    before = torch.get_num_threads()
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            positive = scores[:, 0].clone().requires_grad_()
            negative = scores[:, 1:].clone().requires_grad_()
            value = loss(positive, negative)
            value.mean().backward()  # type: ignore[no-untyped-call]
            found.append((value.detach(), positive.grad, negative.grad))
    finally:
        torch.set_num_threads(before)
    for other in found[1:]:
        for first, second in zip(found[0], other, strict=True):
            assert first is not None
            assert second is not None
            assert torch.equal(first, second)
