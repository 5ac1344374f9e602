"""LightGCN against dense matrices: loss, gradient, vectors, and the vectors of newcomers."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import softplus

from pinfold.data.interactions import Interactions
from pinfold.errors import ConfigError
from pinfold.graph.bipartite import BipartiteGraph, build_graph
from pinfold.models.lightgcn import LightGCN, LightGCNConfig, layer_weights
from pinfold.models.losses import BPRConfig
from pinfold.models.pairwise import ObjectiveConfig, Pairwise
from pinfold.models.propagation import NORMALIZATIONS, NormalizationName
from pinfold.sampling.pairs import SamplingConfig

N_USERS, N_ITEMS = 12, 9
# What the authors train for, with a batch that fits the small graph.
ONE_NEGATIVE = SamplingConfig(batch_by="edges", batch_size=20, shared=False, n_negatives=1)
PAPER = ObjectiveConfig(loss=BPRConfig(), score="inner", l2=1e-4, length_exponent=1.0, sampling=ONE_NEGATIVE)


@pytest.fixture(scope="module")
def small() -> BipartiteGraph:
    """12 users and 9 items; user 5 and item 4 have no edges."""
    taken = np.random.default_rng(1).random((N_USERS, N_ITEMS)) < 0.4
    taken[5], taken[:, 4] = False, False
    users, items = np.nonzero(taken)
    return build_graph(Interactions.of(users.astype(np.int32), items.astype(np.int32), N_USERS, N_ITEMS))


def dense(graph: BipartiteGraph, normalization: NormalizationName = "symmetric") -> Tensor:
    """A as (U + I, U + I) doubles."""
    left, right = NORMALIZATIONS[normalization]
    links = np.zeros((graph.n_users, graph.n_items))
    for user in range(graph.n_users):
        links[user, graph.user_items.row(user)] = 1
    of_users = np.maximum(links.sum(axis=1, keepdims=True), 1)
    of_items = np.maximum(links.sum(axis=0), 1)
    forth = of_users**-left * links * of_items**-right
    back = (of_items**-left * links * of_users**-right).T
    top = np.hstack([np.zeros((graph.n_users,) * 2), forth])
    return torch.from_numpy(np.vstack([top, np.hstack([back, np.zeros((graph.n_items,) * 2)])]))


def layers(
    graph: BipartiteGraph, own: Tensor, n_layers: int, normalization: NormalizationName = "symmetric"
) -> list[Tensor]:
    """E, A E, ..., A^K E."""
    found = [own]
    for _ in range(n_layers):
        found.append(dense(graph, normalization) @ found[-1])
    return found


@pytest.mark.parametrize("n_layers", [1, 2, 3, 4])
@pytest.mark.parametrize("per_user", [False, True])
@pytest.mark.parametrize("n_negatives", [1, 3])
def test_loss_and_gradient_against_dense(
    small: BipartiteGraph, n_layers: int, per_user: bool, n_negatives: int
) -> None:
    objective = replace(PAPER, sampling=replace(ONE_NEGATIVE, n_negatives=n_negatives), per_user=per_user, l2=0.1)
    model = LightGCN(LightGCNConfig(dim=4, n_layers=n_layers, init_std=1.0), small, seed=0)
    learner = Pairwise(model, objective, small)
    batch = next(learner.batches(np.random.default_rng(0)))
    found = learner.loss(batch)
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


every_normalization = pytest.mark.parametrize("normalization", list(NORMALIZATIONS))
GIVEN = (0.1, 0.4, 0.2, 0.3)


@every_normalization
def test_vectors_of_each_normalization(small: BipartiteGraph, normalization: NormalizationName) -> None:
    config = LightGCNConfig(dim=4, n_layers=3, normalization=normalization, layer_weights=GIVEN)
    model = LightGCN(config, small, seed=0)
    own = torch.cat([model.users, model.items]).detach().double()
    powers = layers(small, own, 3, normalization)
    expected = sum(alpha * power for alpha, power in zip(GIVEN, powers, strict=True))
    assert isinstance(expected, Tensor)
    vectors = model.embed()
    np.testing.assert_allclose(vectors.users, expected[:N_USERS], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(vectors.items, expected[N_USERS:], rtol=1e-4, atol=1e-5)
    rows = model.rows(np.array([7, 5, 0], np.int32), np.array([4, 1], np.int32))
    np.testing.assert_allclose(rows.users.detach(), vectors.users[[7, 5, 0]], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(rows.items.detach(), vectors.items[[4, 1]], rtol=1e-4, atol=1e-5)
    assert torch.equal(rows.own_users, model.users[[7, 5, 0]])
    assert torch.equal(rows.own_items, model.items[[4, 1]])


@every_normalization
def test_newcomers_of_each_normalization(small: BipartiteGraph, normalization: NormalizationName) -> None:
    """What was propagated to the user with that history, up to |h|^-l, which changes no ranking."""
    config = LightGCNConfig(dim=4, n_layers=3, normalization=normalization, layer_weights=GIVEN)
    model = LightGCN(config, small, seed=0)
    own = torch.cat([model.users, model.items]).detach().double()
    powers = layers(small, own, 3, normalization)[1:]
    reached = sum(alpha * power for alpha, power in zip(GIVEN[1:], powers, strict=True))
    assert isinstance(reached, Tensor)
    history = model.embed().history
    for user in range(N_USERS):
        taken = small.user_items.row(user)
        found = history[taken].sum(axis=0) * max(len(taken), 1) ** -NORMALIZATIONS[normalization][0]
        np.testing.assert_allclose(found, reached[user], rtol=1e-3, atol=1e-5)


@every_normalization
def test_learned_layer_weights_have_the_gradient_of_the_dense_twin(
    small: BipartiteGraph, normalization: NormalizationName
) -> None:
    config = LightGCNConfig(dim=4, n_layers=3, layer_weights="learned", normalization=normalization, init_std=1.0)
    model = LightGCN(config, small, seed=0)
    learner = Pairwise(model, replace(PAPER, l2=0.1), small)
    batch = next(learner.batches(np.random.default_rng(0)))
    learner.loss(batch).backward()  # type: ignore[no-untyped-call]

    own = torch.cat([model.users, model.items]).detach().double().requires_grad_()
    alphas = torch.full((4,), 0.25, dtype=torch.float64, requires_grad=True)
    smooth = torch.einsum("k,knd->nd", alphas, torch.stack(layers(small, own, 3, normalization)))
    rows = [torch.from_numpy(part).long() for part in (batch.users, batch.positives, batch.negatives[:, 0])]
    rows = [rows[0], rows[1] + N_USERS, rows[2] + N_USERS]
    user, high, low = (smooth[part] for part in rows)
    squares = sum(own[part].square().sum() for part in rows)
    (softplus((user * (low - high)).sum(dim=1)).mean() + 0.1 * squares / 2 / 20).backward()  # type: ignore[no-untyped-call]
    assert model.alphas.grad is not None
    assert alphas.grad is not None
    torch.testing.assert_close(model.alphas.grad.double(), alphas.grad, rtol=1e-3, atol=1e-5)
    assert model.users.grad is not None
    assert own.grad is not None
    torch.testing.assert_close(model.users.grad.double(), own.grad[:N_USERS], rtol=1e-3, atol=1e-5)


def test_layer_weights() -> None:
    assert layer_weights(LightGCNConfig(n_layers=3)) == (0.25,) * 4
    assert layer_weights(LightGCNConfig(n_layers=3, layer_weights="learned")) == (0.25,) * 4
    assert layer_weights(LightGCNConfig(n_layers=2, layer_weights="last")) == (0, 0, 1)
    assert layer_weights(LightGCNConfig(n_layers=2, layer_weights=(0.5, 0, 2))) == (0.5, 0, 2)


@pytest.mark.parametrize("given", [(), (1.0,), (0.5, 0.5), (0.25,) * 4])
def test_layer_weights_of_a_wrong_length_are_refused(small: BipartiteGraph, given: tuple[float, ...]) -> None:
    with pytest.raises(
        ConfigError, match=rf"model\.layer_weights has {len(given)} numbers, expected 3: .*n_layers = 2"
    ):
        LightGCN(LightGCNConfig(n_layers=2, layer_weights=given), small, seed=0)


def test_only_learned_layer_weights_are_parameters(small: BipartiteGraph) -> None:
    fixed, learned = (
        LightGCN(LightGCNConfig(dim=4, layer_weights=weights), small, seed=0) for weights in ("uniform", "learned")
    )
    assert set(fixed.state_dict()) == {"users", "items"}
    assert set(learned.state_dict()) == {"users", "items", "alphas"}


def test_untouched_rows_of_the_tables_still_learn_from_their_neighbors(small: BipartiteGraph) -> None:
    model = LightGCN(LightGCNConfig(dim=4), small, seed=0)
    learner = Pairwise(model, replace(PAPER, sampling=replace(ONE_NEGATIVE, batch_size=1)), small)
    learner.loss(next(learner.batches(np.random.default_rng(0)))).backward()  # type: ignore[no-untyped-call]
    assert model.users.grad is not None
    assert int(model.users.grad.abs().sum(dim=1).gt(0).sum()) > 1


def test_embed_twice_is_the_same_and_its_own(small: BipartiteGraph) -> None:
    model = LightGCN(LightGCNConfig(dim=4), small, seed=0)
    first, second = model.embed(), model.embed()
    np.testing.assert_array_equal(first.users, second.users)
    np.testing.assert_array_equal(first.history, second.history)
    assert first.history.flags.c_contiguous
