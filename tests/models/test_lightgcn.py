"""LightGCN against dense matrices: loss, gradient, vectors, and the vectors of newcomers."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import softplus

from pinfold.data.interactions import Interactions
from pinfold.graph.bipartite import BipartiteGraph, build_graph
from pinfold.models.lightgcn import LightGCN, LightGCNConfig

N_USERS, N_ITEMS = 12, 9


@pytest.fixture(scope="module")
def small() -> BipartiteGraph:
    """12 users and 9 items; user 5 and item 4 have no edges."""
    taken = np.random.default_rng(1).random((N_USERS, N_ITEMS)) < 0.4
    taken[5], taken[:, 4] = False, False
    users, items = np.nonzero(taken)
    return build_graph(Interactions.of(users.astype(np.int32), items.astype(np.int32), N_USERS, N_ITEMS))


def dense(graph: BipartiteGraph) -> Tensor:
    """A as (U + I, U + I) doubles."""
    links = np.zeros((graph.n_users, graph.n_items))
    for user in range(graph.n_users):
        links[user, graph.user_items.row(user)] = 1
    of_users, of_items = links.sum(axis=1, keepdims=True), links.sum(axis=0)
    links /= np.sqrt(np.maximum(of_users * of_items, 1))
    top = np.hstack([np.zeros((graph.n_users,) * 2), links])
    return torch.from_numpy(np.vstack([top, np.hstack([links.T, np.zeros((graph.n_items,) * 2)])]))


def layers(graph: BipartiteGraph, own: Tensor, n_layers: int) -> list[Tensor]:
    """E, A E, ..., A^K E."""
    found = [own]
    for _ in range(n_layers):
        found.append(dense(graph) @ found[-1])
    return found


@pytest.mark.parametrize("n_layers", [1, 2, 3, 4])
@pytest.mark.parametrize("per_user", [False, True])
@pytest.mark.parametrize("n_negatives", [1, 3])
def test_loss_and_gradient_against_dense(
    small: BipartiteGraph, n_layers: int, per_user: bool, n_negatives: int
) -> None:
    config = LightGCNConfig(
        dim=4, n_layers=n_layers, per_user=per_user, n_negatives=n_negatives, batch_size=20, l2=0.1, init_std=1.0
    )
    model = LightGCN(config, small, seed=0)
    batch = next(model.batches(np.random.default_rng(0)))
    found = model.loss(batch)
    found.backward()  # type: ignore[no-untyped-call]

    own = torch.cat([model.users, model.items]).detach().double().requires_grad_()
    smooth = torch.stack(layers(small, own, n_layers)).mean(dim=0)
    users = torch.from_numpy(batch.users).long()
    positives = torch.from_numpy(batch.positives).long() + N_USERS
    negatives = torch.from_numpy(batch.negatives).long() + N_USERS
    margins = (smooth[users] * smooth[positives]).sum(1, keepdim=True) - (
        smooth[users][:, None] * smooth[negatives]
    ).sum(2)
    losses = softplus(-margins).mean(dim=1)
    by_user = [losses[users == user].mean() for user in np.unique(batch.users)]
    mean = torch.stack(by_user).mean() if per_user else losses.mean()
    squares = own[users].square().sum() + own[positives].square().sum() + own[negatives].square().sum()
    expected = mean + 0.1 * squares / 2 / 20
    expected.backward()  # type: ignore[no-untyped-call]

    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    assert model.users.grad is not None
    assert model.items.grad is not None
    assert own.grad is not None
    torch.testing.assert_close(torch.cat([model.users.grad, model.items.grad]).double(), own.grad, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("n_layers", [1, 3])
def test_vectors_against_dense(small: BipartiteGraph, n_layers: int) -> None:
    model = LightGCN(LightGCNConfig(dim=4, n_layers=n_layers), small, seed=0)
    own = torch.cat([model.users, model.items]).detach().double()
    expected = torch.stack(layers(small, own, n_layers)).mean(dim=0).numpy()
    vectors = model.embed()
    np.testing.assert_allclose(vectors.users, expected[:N_USERS], rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(vectors.items, expected[N_USERS:], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("n_layers", [1, 3])
def test_newcomer_with_a_known_history_gets_what_was_propagated(small: BipartiteGraph, n_layers: int) -> None:
    """sum_{k >= 1} alpha_k (A^k E)_u of the user with that history, times sqrt(|h|), which changes no ranking."""
    model = LightGCN(LightGCNConfig(dim=4, n_layers=n_layers), small, seed=0)
    own = torch.cat([model.users, model.items]).detach().double()
    reached = torch.stack(layers(small, own, n_layers)[1:]).sum(dim=0).numpy() / (n_layers + 1)
    history = model.embed().history
    for user in range(N_USERS):
        taken = small.user_items.row(user)
        found = history[taken].sum(axis=0) / np.sqrt(max(len(taken), 1))
        np.testing.assert_allclose(found, reached[user], rtol=1e-4, atol=1e-6)


def test_untouched_rows_of_the_tables_still_learn_from_their_neighbors(small: BipartiteGraph) -> None:
    model = LightGCN(LightGCNConfig(dim=4, batch_size=1), small, seed=0)
    batch = next(model.batches(np.random.default_rng(0)))
    model.loss(batch).backward()  # type: ignore[no-untyped-call]
    assert model.users.grad is not None
    assert int(model.users.grad.abs().sum(dim=1).gt(0).sum()) > 1


def test_embed_twice_is_the_same_and_its_own(small: BipartiteGraph) -> None:
    model = LightGCN(LightGCNConfig(dim=4), small, seed=0)
    first, second = model.embed(), model.embed()
    np.testing.assert_array_equal(first.users, second.users)
    np.testing.assert_array_equal(first.history, second.history)
    assert first.history.flags.c_contiguous
