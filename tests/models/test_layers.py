"""Layers that transform: NGCF, GCN and SGC against dense matrices in double precision, dropout, determinism."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import leaky_relu, normalize

from pinfold.data.interactions import Interactions
from pinfold.graph.bipartite import BipartiteGraph, build_graph
from pinfold.index.layered import propagate
from pinfold.models.gcn import GCN, GCNConfig, SGCConfig
from pinfold.models.layers import Dropout, kept
from pinfold.models.ngcf import NGCF, NGCFConfig

N_USERS, N_ITEMS = 12, 9
STILL = {"message_dropout": 0.0, "dim": 4, "layer_sizes": (5, 3, 4), "init_std": 1.0}
MODELS: dict[str, NGCFConfig | GCNConfig | SGCConfig] = {
    "ngcf": NGCFConfig(**STILL),  # type: ignore[arg-type]
    "ngcf-code": NGCFConfig(**STILL, bias=True, normalize_layers=True),  # type: ignore[arg-type]
    "ngcf-sides": NGCFConfig(**STILL, per_side=True),  # type: ignore[arg-type]
    "lecture": NGCFConfig(**STILL, variant="lecture"),  # type: ignore[arg-type]
    "lecture-sides": NGCFConfig(**STILL, variant="lecture", per_side=True, bias=True),  # type: ignore[arg-type]
    "gcn": GCNConfig(dim=4, layer_sizes=(5, 3), init_std=1.0),
    "sgc": SGCConfig(dim=4, n_layers=3, init_std=1.0),
}
every_model = pytest.mark.parametrize("config", MODELS.values(), ids=MODELS.keys())


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    """Tests leave the number of threads as they found it."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def small() -> BipartiteGraph:
    """12 users and 9 items; user 5 and item 4 have no edges."""
    taken = np.random.default_rng(1).random((N_USERS, N_ITEMS)) < 0.4
    taken[5], taken[:, 4] = False, False
    users, items = np.nonzero(taken)
    return build_graph(Interactions.of(users.astype(np.int32), items.astype(np.int32), N_USERS, N_ITEMS))


def encoder(config: NGCFConfig | GCNConfig | SGCConfig, graph: BipartiteGraph) -> NGCF | GCN:
    model = NGCF(config, graph, 0) if isinstance(config, NGCFConfig) else GCN(config, graph, 0)
    with torch.no_grad():  # biases start at zero, where a mistake would not show
        for name, parameter in model.named_parameters():
            if name.startswith("biases"):
                parameter.normal_(generator=torch.Generator().manual_seed(1))
    return model


def links(graph: BipartiteGraph) -> Tensor:
    """The adjacency matrix as (U + I, U + I) doubles."""
    found = torch.zeros(N_USERS + N_ITEMS, N_USERS + N_ITEMS, dtype=torch.float64)
    for user in range(graph.n_users):
        for item in graph.user_items.row(user):
            found[user, N_USERS + item] = found[N_USERS + item, user] = 1
    return found


def expected(config: NGCFConfig | GCNConfig | SGCConfig, graph: BipartiteGraph, parts: dict[str, Tensor]) -> Tensor:
    """The vectors (U + I, D) by the papers' matrix forms; `parts` are the parameters as doubles."""
    own = torch.cat([parts["users"], parts["items"]])
    adjacency = links(graph)
    if not isinstance(config, NGCFConfig):
        looped = adjacency + torch.eye(len(adjacency))
        half = looped.sum(1) ** -0.5
        hat = half[:, None] * looped * half
        if isinstance(config, SGCConfig):
            power: Tensor = torch.linalg.matrix_power(hat, config.n_layers)
            return power @ own @ parts["weights.0"]
        return hat @ torch.relu(hat @ own @ parts["weights.0"]) @ parts["weights.1"]
    degrees = adjacency.sum(1).clamp_min(1)
    found = [own]
    for k in range(3):
        sides = []
        for side, rows in enumerate((slice(0, N_USERS), slice(N_USERS, None))):
            place = 2 * k + side if config.per_side else k
            first, second = parts[f"first.{place}"], parts[f"second.{place}"]
            bias = parts[f"biases.{place}"] if config.bias else 0
            own = found[-1]
            if config.variant == "lecture":
                both = torch.cat([own, adjacency / degrees[:, None] @ own], dim=1)
                sides.append(torch.relu(both @ torch.cat([first, second]) + bias)[rows])
            else:
                laplacian = adjacency / (degrees[:, None] * degrees).sqrt()
                messages = (laplacian + torch.eye(len(own))) @ own @ first + ((laplacian @ own) * own) @ second
                sides.append(leaky_relu(messages + bias, 0.2)[rows])
        found.append(torch.cat(sides))
    if config.variant == "lecture":
        return found[-1]
    return torch.cat([found[0], *(normalize(x, dim=1) if config.normalize_layers else x for x in found[1:])], dim=1)


def doubles(model: NGCF | GCN) -> dict[str, Tensor]:
    return {name: p.detach().double().requires_grad_() for name, p in model.named_parameters()}


@every_model
def test_rows_and_gradients_against_dense(config: Any, small: BipartiteGraph) -> None:
    model = encoder(config, small)
    users, items = np.array([0, 3, 5, 11], np.int32), np.array([1, 2, 4, 8], np.int32)
    rows = model.rows(users, items)
    weights = torch.randn(rows.users.shape, generator=torch.Generator().manual_seed(2))
    ((rows.users * rows.items).sum() + (rows.users * weights).sum() + rows.own_items.square().sum()).backward()  # type: ignore[no-untyped-call]

    parts = doubles(model)
    vectors = expected(config, small, parts)
    of_users, of_items = vectors[torch.from_numpy(users).long()], vectors[torch.from_numpy(items).long() + N_USERS]
    own = parts["items"][torch.from_numpy(items).long()]
    ((of_users * of_items).sum() + (of_users * weights).sum() + own.square().sum()).backward()  # type: ignore[no-untyped-call]

    torch.testing.assert_close(rows.users.double(), of_users, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(rows.items.double(), of_items, rtol=1e-4, atol=1e-5)
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None
        torch.testing.assert_close(parameter.grad.double(), parts[name].grad, rtol=1e-3, atol=1e-4)


@every_model
def test_embeds_against_dense(config: Any, small: BipartiteGraph) -> None:
    model = encoder(config, small)
    vectors = expected(config, small, doubles(model)).detach().numpy()
    learned = model.embed()
    np.testing.assert_allclose(learned.users, vectors[:N_USERS], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(learned.items, vectors[N_USERS:], rtol=1e-4, atol=1e-5)


@every_model
def test_newcomer_gets_the_vector_of_a_user_without_an_own_one(config: Any, small: BipartiteGraph) -> None:
    for user in (0, 5, 7):
        model = encoder(config, small)
        with torch.no_grad():
            model.users[user] = 0
        learned = model.embed()
        found = propagate(learned, small.user_items.take(np.array([user], np.int32)))
        np.testing.assert_allclose(found[0], learned.users[user], rtol=1e-4, atol=1e-6)


def test_dropout_drops_as_often_as_asked_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    found = kept((1000, 1001), 0.1, torch.device("cpu"))
    assert found.shape == (1000, 1001)
    assert (found == 0).double().mean().item() == pytest.approx(26 / 256, abs=0.001)
    assert found.double().mean().item() == pytest.approx(1, abs=0.001)
    assert len(np.unique(found.numpy())) == 2
    assert (found == 0).double().mean(dim=0).std().item() == pytest.approx((0.1 * 0.9 / 1000) ** 0.5, rel=0.1)


@pytest.mark.parametrize("dropout", [Dropout(message=0.5), Dropout(node=0.5)])
def test_dropout_acts_in_training_and_not_in_embed(dropout: Dropout, small: BipartiteGraph) -> None:
    still = NGCF(NGCFConfig(message_dropout=0), small, 0)
    model = NGCF(NGCFConfig(message_dropout=dropout.message, node_dropout=dropout.node), small, 0)
    everyone = np.arange(N_USERS, dtype=np.int32), np.arange(N_ITEMS, dtype=np.int32)
    torch.manual_seed(0)
    first, second = model.rows(*everyone).users, model.rows(*everyone).users
    assert not torch.equal(first, second)
    np.testing.assert_array_equal(model.embed().users, still.embed().users)
    torch.testing.assert_close(still.rows(*everyone).users.detach(), torch.from_numpy(still.embed().users))


def test_dropped_messages_are_right_in_the_mean_of_a_linear_layer(small: BipartiteGraph) -> None:
    config = {"dim": 4, "layer_sizes": (4,), "init_std": 1.0}
    still = GCN(GCNConfig(**config), small, 0)  # type: ignore[arg-type]
    model = GCN(GCNConfig(**config, message_dropout=0.25), small, 0)  # type: ignore[arg-type]
    everyone = np.arange(N_USERS, dtype=np.int32), np.arange(N_ITEMS, dtype=np.int32)
    torch.manual_seed(0)
    with torch.no_grad():
        mean = torch.stack([model.rows(*everyone).users for _ in range(400)]).mean(dim=0)
        torch.testing.assert_close(mean, still.rows(*everyone).users, rtol=0, atol=0.25)


def test_silent_nodes_are_missed_by_their_neighbors_alone(small: BipartiteGraph) -> None:
    config = NGCFConfig(dim=4, layer_sizes=(4,), message_dropout=0, node_dropout=0.5, init_std=1.0)
    model = NGCF(config, small, 0)
    everyone = np.arange(N_USERS, dtype=np.int32), np.arange(N_ITEMS, dtype=np.int32)
    torch.manual_seed(0)
    found = model.rows(*everyone)
    torch.manual_seed(0)
    silent = [kept((n, 1), 0.5, torch.device("cpu")) for n in (N_USERS, N_ITEMS)]
    with torch.no_grad():
        own = torch.cat([model.users, model.items]).double()
    adjacency = links(small)
    degrees = adjacency.sum(1).clamp_min(1)
    gathered = adjacency / (degrees[:, None] * degrees).sqrt() @ (own * torch.cat(silent))
    first, second = model.first[0].detach().double(), model.second[0].detach().double()
    made = leaky_relu((own + gathered) @ first + (own * gathered) @ second, 0.2)
    torch.testing.assert_close(found.users.detach().double(), torch.cat([own, made], 1)[:N_USERS], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("config", [NGCFConfig(node_dropout=0.1), GCNConfig(message_dropout=0.1), SGCConfig()])
def test_same_seed_same_bits_on_any_number_of_threads(config: Any) -> None:
    rng = np.random.default_rng(0)
    users, items = rng.integers(0, 3000, 20_000), rng.integers(0, 2000, 20_000)
    graph = build_graph(Interactions.of(users.astype(np.int32), items.astype(np.int32), 3000, 2000))
    asked = np.arange(0, 3000, 7, dtype=np.int32), np.arange(0, 2000, 7, dtype=np.int32)
    found = []
    for n_threads in (1, 2, 3):
        torch.set_num_threads(n_threads)
        torch.manual_seed(0)
        model = NGCF(config, graph, 0) if isinstance(config, NGCFConfig) else GCN(config, graph, 0)
        rows = model.rows(*asked)
        (rows.users.square().sum(dim=1).sum() + rows.items.sum(dim=1).sum()).backward()  # type: ignore[no-untyped-call]
        gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
        found.append([rows.users.detach(), rows.items.detach(), *gradients])
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))
