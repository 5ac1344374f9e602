"""Matrix factorization: loss and gradient against plain torch, newcomers against least squares."""

import numpy as np
import pytest
import torch
from torch.nn.functional import logsigmoid

from pinfold.arrays import Floats
from pinfold.graph.bipartite import BipartiteGraph
from pinfold.models.losses import mean_over_users
from pinfold.models.mf import MF, RIDGE, MFConfig, half_square, init_tables, pair_losses, ridge_history
from pinfold.sampling.pairs import PairBatch


def first_batch(model: MF) -> PairBatch:
    return next(model.batches(np.random.default_rng(0)))


@pytest.mark.parametrize("loss", ["bpr", "binary"])
@pytest.mark.parametrize("per_user", [False, True])
def test_loss_and_gradient_against_plain_torch(graph: BipartiteGraph, loss: str, per_user: bool) -> None:
    config = MFConfig(dim=4, loss=loss, per_user=per_user, n_negatives=3, batch_size=50, l2=0.3)  # type: ignore[arg-type]
    model = MF(config, graph, seed=0)
    batch = first_batch(model)
    found = model.loss(batch)
    found.backward()  # type: ignore[no-untyped-call]

    users = model.users.detach().double().requires_grad_()
    items = model.items.detach().double().requires_grad_()
    losses, squares = [], []
    for user, positive, negatives in zip(batch.users, batch.positives, batch.negatives, strict=True):
        high, lows = users[user] @ items[positive], items[negatives] @ users[user]
        if loss == "bpr":
            losses.append(-logsigmoid(high - lows).mean())
        else:
            losses.append(-logsigmoid(high) - logsigmoid(-lows).mean())
        squares.append(users[user].square().sum() + items[positive].square().sum() + items[negatives].square().sum())
    values = torch.stack(losses)
    mean = mean_over_users(values, torch.from_numpy(batch.users)) if per_user else values.mean()
    expected = mean + 0.3 * torch.stack(squares).sum() / 2 / 50
    expected.backward()  # type: ignore[no-untyped-call]

    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    assert model.users.grad is not None
    assert model.items.grad is not None
    assert users.grad is not None
    assert items.grad is not None
    torch.testing.assert_close(model.users.grad.double(), users.grad, rtol=1e-4, atol=1e-7)
    torch.testing.assert_close(model.items.grad.double(), items.grad, rtol=1e-4, atol=1e-7)


def test_pair_losses_pair_each_user_with_its_own_items() -> None:
    # u0 = 1, u1 = 10; positives 1 and 2; negatives (0, 1) and (2, 3): margins (1, 0) and (0, -10)
    found = pair_losses(
        "bpr",
        torch.tensor([[1.0], [10.0]]),
        torch.tensor([[1.0], [2.0]]),
        torch.tensor([[[0.0], [1.0]], [[2.0], [3.0]]]),
    )
    # (log(1 + e^-1) + log 2) / 2 = 0.503205; (log 2 + log(1 + e^10)) / 2 = (0.693147 + 10.000045) / 2
    assert found.tolist() == pytest.approx([0.503205, 5.346596], abs=1e-5)


def test_half_square_by_hand() -> None:
    # (1 + 4 + 9 + 16) / (2 * 2) and, with a (2, 1, 2) block of ones, (30 + 4) / 4
    table = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert half_square(table).item() == 7.5
    assert half_square(table, torch.ones(2, 1, 2)).item() == 8.5


def test_first_tables(graph: BipartiteGraph) -> None:
    users, items = init_tables(graph, 64, 0.1, seed=5)
    assert (users.shape, items.shape) == ((graph.n_users, 64), (graph.n_items, 64))
    assert users.std().item() == pytest.approx(0.1, rel=0.05)
    assert abs(users.mean().item()) < 0.01
    again, other = init_tables(graph, 64, 0.1, seed=5), init_tables(graph, 64, 0.1, seed=6)
    assert torch.equal(again[0], users)
    assert torch.equal(again[1], items)
    assert not torch.equal(other[0], users)
    assert not torch.equal(items, users[: graph.n_items])  # not the same numbers twice


def random_items() -> Floats:
    return np.random.default_rng(0).normal(size=(30, 6)).astype(np.float32)


@pytest.mark.parametrize("l2", [1.0, 0.01])
def test_ridge_history_against_least_squares(l2: float) -> None:
    items = random_items()
    history = ridge_history(items, l2)
    for taken in ([3], [0, 7, 29], list(range(30))):
        wish = np.zeros(30)
        wish[taken] = 1
        # min |V x - h|^2 + l2 |x|^2 is plain least squares with the rows sqrt(l2) I below V
        tall = np.vstack([items, np.sqrt(l2) * np.eye(6)])
        expected = np.linalg.lstsq(tall, np.append(wish, np.zeros(6)))[0]
        np.testing.assert_allclose(history[taken].sum(axis=0), expected, rtol=1e-4, atol=1e-5)


def test_ridge_history_is_laid_out_by_rows() -> None:
    """Else scipy copies the whole table at every question about a newcomer."""
    assert ridge_history(random_items(), 1.0).flags.c_contiguous


def test_embed(graph: BipartiteGraph) -> None:
    model = MF(MFConfig(dim=8), graph, seed=0)
    vectors = model.embed()
    np.testing.assert_array_equal(vectors.users, model.users.detach().numpy())
    np.testing.assert_array_equal(vectors.items, model.items.detach().numpy())
    l2 = RIDGE * np.trace(vectors.items.T @ vectors.items) / 8
    np.testing.assert_allclose(vectors.history, ridge_history(vectors.items, l2), rtol=1e-5)


def test_batches_per_epoch(graph: BipartiteGraph) -> None:
    model = MF(MFConfig(batch_size=100), graph, seed=0)  # 480 edges
    assert model.n_batches() == 5
    assert len(list(model.batches(np.random.default_rng(0)))) == 5
