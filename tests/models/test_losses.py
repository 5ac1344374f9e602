"""Losses on numbers worked by hand, and on the lecture's example of what a binary loss gets wrong."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from pinfold.models.losses import (
    BilateralSoftmaxConfig,
    BinaryConfig,
    BPRConfig,
    CosineContrastiveConfig,
    LossConfig,
    MaxMarginConfig,
    Scores,
    SoftmaxConfig,
    bilateral_softmax,
    binary,
    bpr,
    cosine_contrastive,
    losses,
    max_margin,
    mean_over_users,
    sampled_softmax,
    total,
    weighted_mean,
)

CONFIGS: list[LossConfig] = [
    BinaryConfig(),
    BPRConfig(),
    MaxMarginConfig(margin=0.5),
    SoftmaxConfig(temperature=0.7),
    SoftmaxConfig(temperature=0.7, log_q=True),
    BilateralSoftmaxConfig(temperature=0.7, positive_temperature=1.3),
    CosineContrastiveConfig(margin=0.1, negative_weight=3.0),
]
every_loss = pytest.mark.parametrize(
    "config", CONFIGS, ids=lambda c: f"{c.name}{'-log-q' * getattr(c, 'log_q', False)}"
)
OWNER = torch.tensor([0, 0, 1, 2, 2, 2])

# CS224W 2025, lecture "Recommender systems". Rows are users, columns items, the diagonal is edges.
LECTURE = torch.tensor([[1.0, 0.0], [2.0, 4.0]], dtype=torch.float64)


def edges_and_others(scores: Tensor) -> Scores:
    """Of a 2 x 2 matrix whose diagonal is edges: positives (2,) and negatives (2, 1)."""
    return Scores(scores.diagonal(), torch.stack([scores[0, 1], scores[1, 0]])[:, None])


def test_lecture_by_hand() -> None:
    scores = edges_and_others(LECTURE)
    # u0 has log(1 + e^-1) + log(1 + e^0), which is 0.313262 + 0.693147 = 1.006409;
    # u1 has log(1 + e^-4) + log(1 + e^2), which is 0.018150 + 2.126928 = 2.145078.
    assert binary(scores).tolist() == pytest.approx([1.006409, 2.145078], abs=1e-6)
    # u0 is log(1 + e^(0 - 1)) = 0.313262 and u1 is log(1 + e^(2 - 4)) = 0.126928
    assert bpr(scores).tolist() == pytest.approx([0.313262, 0.126928], abs=1e-6)


def test_lecture_ranking_is_perfect_and_yet_binary_loss_falls_by_a_shift_nobody_sees() -> None:
    """u1's negative (u1, v0) = 2 stands above u0's positive (u0, v0) = 1, in another user's list."""
    assert LECTURE.argmax(dim=1).tolist() == [0, 1]  # recall@1 is 1 for both users
    assert LECTURE[1, 0] > LECTURE[0, 0]
    values = []
    for shift in (0.0, 0.5, 1.0, 2.0, 3.0):  # log(1 + e^(c - 4)) + log(1 + e^(2 - c)) is smallest at c = 3
        shifted = LECTURE - torch.tensor([[0.0], [shift]])
        assert shifted.argmax(dim=1).tolist() == [0, 1]
        values.append(binary(edges_and_others(shifted)).mean().item())
    assert all(later < earlier - 1e-3 for earlier, later in pairwise(values))


def test_binary_pushes_most_at_the_negative_of_the_generous_user() -> None:
    scores = LECTURE.clone().requires_grad_()
    binary(edges_and_others(scores)).sum().backward()  # type: ignore[no-untyped-call]
    # d/dx: edges -s(-x), others s(x): -s(-1) = -0.268941, s(0) = 0.5, s(2) = 0.880797, -s(-4) = -0.017986
    assert scores.grad is not None
    assert scores.grad.flatten().tolist() == pytest.approx([-0.268941, 0.5, 0.880797, -0.017986], abs=1e-6)


def test_bpr_sees_no_shift_of_a_user_and_vanishes_with_the_margin() -> None:
    reference = bpr(edges_and_others(LECTURE))
    for shifts in ([[3.0], [-7.0]], [[-100.0], [100.0]]):
        torch.testing.assert_close(bpr(edges_and_others(LECTURE + torch.tensor(shifts))), reference)
    # Margins are 1 and 2. Times 30: log(1 + e^-30) < 1e-13; the binary loss grows to log(1 + e^60) = 60.
    assert bpr(edges_and_others(30 * LECTURE)).max() < 1e-12
    assert binary(edges_and_others(30 * LECTURE))[1] == pytest.approx(60)


def test_several_negatives_by_hand() -> None:
    positive = torch.tensor([1.0], dtype=torch.float64)
    negative = torch.tensor([[1.0, 0.0, 3.0]], dtype=torch.float64)
    # bpr: (log 2 + log(1 + e^-1) + log(1 + e^2)) / 3 = (0.693147 + 0.313262 + 2.126928) / 3
    assert bpr(Scores(positive, negative)).item() == pytest.approx(3.133337 / 3, abs=1e-6)
    # binary: log(1 + e^-1) + (log(1 + e) + log 2 + log(1 + e^3)) / 3
    #       = 0.313262 + (1.313262 + 0.693147 + 3.048587) / 3
    assert binary(Scores(positive, negative)).item() == pytest.approx(0.313262 + 5.054996 / 3, abs=1e-6)


def doubles(*values: object) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_max_margin_by_hand() -> None:
    # margin 1: (max(0, 1 - 2 + 1.5) + max(0, 1 - 2 - 1)) / 2 = 0.25, and (max(0, 1 + 1) + max(0, 1 - 3)) / 2 = 1
    assert max_margin(Scores(doubles(2, 0), doubles([1.5, -1], [1, -3])), 1).tolist() == pytest.approx([0.25, 1])


def test_sampled_softmax_by_hand() -> None:
    # t = 2: -log(e^1 / (e^1 + e^0 + e^0.5)) = -1 + log(2.718282 + 1 + 1.648721)
    scores = Scores(doubles(2), doubles([0, 1]))
    assert sampled_softmax(scores, 2).item() == pytest.approx(0.680270, abs=1e-5)
    assert sampled_softmax(scores, 2).item() == pytest.approx(-1 + math.log(math.e + 1 + math.exp(0.5)))
    # drawn 0.5 and 4 times: e^1 + 1 / 0.5 + e^0.5 / 4
    corrected = sampled_softmax(replace(scores, log_draws=doubles(math.log(0.5), math.log(4))), 2, log_q=True)
    assert corrected.item() == pytest.approx(-1 + math.log(math.e + 2 + math.exp(0.5) / 4))
    ignored = sampled_softmax(replace(scores, log_draws=doubles(math.log(0.5), math.log(4))), 2)
    assert ignored.item() == sampled_softmax(scores, 2).item()


def test_log_q_makes_a_sample_stand_for_all() -> None:
    """Each draw weighs 1 / (how often it was expected): the mean of the sampled sum is the sum over all items."""
    rng = np.random.default_rng(0)
    chances = np.array([0.6, 0.3, 0.1])
    drawn = rng.choice(3, (100_000, 4), p=chances)
    values = torch.exp(torch.tensor([0.0, 1.0, 2.0]))[torch.from_numpy(drawn)]
    weights = torch.from_numpy(1 / (4 * chances))[torch.from_numpy(drawn)]
    assert (values * weights).sum(dim=1).mean().item() == pytest.approx(1 + math.e + math.e**2, rel=0.01)


def test_bilateral_softmax_of_several_positives_by_its_formula() -> None:
    positive, negative = doubles(0.5, -0.2, 0.9, 0.1, 0.4, 0.3), doubles([0.1, 0.2], [0.3, -0.6], [0.0, 0.7])
    t, p = 0.3, 0.8
    expected = []
    for row in range(3):
        of_row = [positive[e].item() for e in range(6) if OWNER[e] == row]
        high = p * math.log(sum(math.exp(s / p) for s in of_row) / len(of_row))
        low = t * math.log(sum(math.exp(s.item() / t) for s in negative[row]))
        expected.append((low - high) / t)
    assert bilateral_softmax(Scores(positive, negative, OWNER), t, p).tolist() == pytest.approx(expected)
    # one positive a row: no temperature of its own matters
    alone = Scores(positive[:3], negative)
    assert bilateral_softmax(alone, t, p).tolist() == pytest.approx(bilateral_softmax(alone, t, 5.0).tolist())


def test_cosine_contrastive_by_hand() -> None:
    # (1 - 0.8) + 10 * (max(0, 0.5 - 0.4) + max(0, 0.1 - 0.4)) / 2 = 0.7
    assert cosine_contrastive(Scores(doubles(0.8), doubles([0.5, 0.1])), 0.4, 10).item() == pytest.approx(0.7)


@pytest.mark.parametrize("config", [c for c in CONFIGS if c.name != "bsl"], ids=lambda c: c.name)
def test_edges_of_a_row_share_its_negatives(config: LossConfig) -> None:
    generator = torch.Generator().manual_seed(0)
    positive, negative = torch.randn(6, generator=generator), torch.randn(3, 4, generator=generator)
    draws = torch.randn(3, 4, generator=generator)
    pooled = losses(config, Scores(positive, negative, OWNER, draws))
    torch.testing.assert_close(pooled, losses(config, Scores(positive, negative[OWNER], None, draws[OWNER])))
    assert pooled.shape == (6,)


@every_loss
def test_large_scores_stay_finite(config: LossConfig) -> None:
    positive = torch.tensor([-1e6, 1e6]).requires_grad_()
    negative = torch.tensor([[1e6, 1e6], [-1e6, -1e6]]).requires_grad_()
    values = losses(config, Scores(positive, negative, None, torch.zeros(2)))
    values.sum().backward()  # type: ignore[no-untyped-call]
    assert torch.isfinite(values).all()
    assert values[0] > values[1]
    for part in (positive, negative):
        assert part.grad is not None
        assert torch.isfinite(part.grad).all()


@every_loss
def test_gradients(config: LossConfig) -> None:
    generator = torch.Generator().manual_seed(0)
    positive = torch.randn(6, dtype=torch.float64, generator=generator, requires_grad=True)
    negative = torch.randn(3, 4, dtype=torch.float64, generator=generator, requires_grad=True)
    draws = torch.randn(4, dtype=torch.float64, generator=generator)
    assert torch.autograd.gradcheck(lambda p, n: losses(config, Scores(p, n, OWNER, draws)), (positive, negative))
    assert torch.autograd.gradcheck(
        lambda p, n: losses(config, Scores(p, n, None, draws)), (positive[:3].detach().requires_grad_(), negative)
    )


@every_loss
def test_a_taken_negative_weighs_nothing(config: LossConfig) -> None:
    """Row 0 has one, row 1 none, and row 2 nothing else."""
    inf = torch.inf
    positive = doubles(0.5, -0.2, 0.9).requires_grad_()
    negative = doubles([0.4, -inf, 0.1], [0.3, 0.6, 0.2], [-inf, -inf, -inf]).requires_grad_()
    draws = doubles(0.1, 0.2, 0.3)
    values = losses(config, Scores(positive, negative, None, draws))
    low = doubles([0.4, -1e6, 0.1], [0.3, 0.6, 0.2], [-1e6, -1e6, -1e6])
    assert values[:2].tolist() == pytest.approx(losses(config, Scores(positive, low, None, draws))[:2].tolist())
    values.sum().backward()  # type: ignore[no-untyped-call]
    assert torch.isfinite(values).all()
    assert positive.grad is not None
    assert torch.isfinite(positive.grad).all()
    assert negative.grad is not None
    assert negative.grad[0, 1] == 0
    assert negative.grad[2].tolist() == [0, 0, 0]
    assert torch.isfinite(negative.grad).all()


def test_total() -> None:
    values = torch.randn(50_001, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert total(values).item() == pytest.approx(values.sum().item())
    assert total(values[:3]).item() == pytest.approx(values[:3].sum().item())


def test_mean_over_users_against_a_loop() -> None:
    rng = np.random.default_rng(0)
    users = rng.integers(0, 8, 40) * 3
    values = rng.normal(size=40)
    expected = np.mean([np.mean(values[users == user]) for user in np.unique(users)])
    found = mean_over_users(torch.from_numpy(values), torch.from_numpy(users))
    assert found.item() == pytest.approx(expected, abs=1e-12)
    assert expected != pytest.approx(values.mean(), abs=1e-3)  # active users count for more there


def test_mean_over_users_gradient() -> None:
    values = torch.randn(6, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    users = torch.tensor([4, 0, 4, 4, 1, 0])
    assert torch.autograd.gradcheck(lambda given: mean_over_users(given, users), (values,))
    mean_over_users(values, users).backward()  # type: ignore[no-untyped-call]
    assert values.grad is not None
    # three users, 1/3 each; user 4 has three losses, user 0 two, user 1 one
    assert (values.grad * 18).tolist() == pytest.approx([2, 3, 2, 2, 6, 3])


@every_loss
@pytest.mark.parametrize("owned", [False, True])
def test_threads_do_not_change_a_bit(config: LossConfig, owned: bool) -> None:
    """Torch computes exp by SIMD or one by one, with other last bits, and threads move the border between the two."""
    generator = torch.Generator().manual_seed(0)
    edges, rows = (40_009, 5003) if owned else (5003, 5003)
    high, low = torch.randn(edges, generator=generator), torch.randn(rows, 7, generator=generator)
    owner = torch.randint(rows, (edges,), generator=generator).sort().values if owned else None
    if owner is not None:
        owner[:rows] = torch.arange(rows)  # none without an edge
    found = []
    before = torch.get_num_threads()
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            positive, negative = high.clone().requires_grad_(), low.clone().requires_grad_()
            values = losses(config, Scores(positive, negative, owner, torch.linspace(-1, 1, 7)))
            total(values).backward()  # type: ignore[no-untyped-call]
            found.append((values.detach(), positive.grad, negative.grad))
    finally:
        torch.set_num_threads(before)
    for other in found[1:]:
        for first, second in zip(found[0], other, strict=True):
            assert first is not None
            assert second is not None
            assert torch.equal(first, second)


def test_weighted_mean_by_hand() -> None:
    values = doubles(1, 2, 6)
    assert weighted_mean(values).item() == 3
    assert weighted_mean(values, doubles(1.5, 1.5, 0)).item() == 1.5
    assert weighted_mean(values, doubles(0.5, 0, 2)).item() == pytest.approx(12.5 / 3)
    shares = [weighted_mean(values[part], doubles(0.5, 0, 2)[part], 3) for part in (slice(0, 2), slice(2, 3))]
    assert sum(share.item() for share in shares) == pytest.approx(12.5 / 3)
    assert weighted_mean(values[:2], whole=3).item() + weighted_mean(values[2:], whole=3).item() == 3


def test_weighted_mean_is_the_same_on_any_number_of_threads() -> None:
    generator = torch.Generator().manual_seed(0)
    values, weights = torch.randn(100_003, generator=generator), torch.rand(100_003, generator=generator)
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.append((weighted_mean(values, weights).item(), weighted_mean(values).item()))
    finally:
        torch.set_num_threads(before)
    assert found[0] == found[1] == found[2]
    assert found[0][1] == (total(values) / len(values)).item()  # what the losses had before there were weights
