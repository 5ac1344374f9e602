"""Matrix factorization: rows of its tables, and newcomers against least squares."""

import numpy as np
import pytest
import torch

from pinfold.arrays import Floats
from pinfold.graph.bipartite import BipartiteGraph
from pinfold.models.mf import MF, RIDGE, MFConfig, init_tables, ridge_history


def test_rows_are_rows_of_the_tables(graph: BipartiteGraph) -> None:
    model = MF(MFConfig(dim=4), graph, seed=0)
    users, items = np.array([3, 0], np.int32), np.array([7], np.int32)
    rows = model.rows(users, items)
    assert torch.equal(rows.users, model.users[[3, 0]])
    assert torch.equal(rows.items, model.items[[7]])
    assert torch.equal(rows.own_users, rows.users)
    assert torch.equal(rows.own_items, rows.items)
    rows.users.sum().backward()  # type: ignore[no-untyped-call]
    assert model.users.grad is not None
    assert model.users.grad.sum(dim=1).nonzero().flatten().tolist() == [0, 3]


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
