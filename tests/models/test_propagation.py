"""Propagation against dense matrices: sum_k alpha_k A^k E and its gradient."""

import numpy as np
import pytest
import torch
from torch import Tensor

from pinfold.arrays import Ints
from pinfold.data.interactions import Interactions
from pinfold.graph.bipartite import BipartiteGraph, build_graph
from pinfold.graph.csr import Csr
from pinfold.models.propagation import NORMALIZATIONS, Adjacency, Exponents, NormalizationName, SmoothRows

CPU = torch.device("cpu")
N_USERS, N_ITEMS, DIM = 7, 5, 3


def small_graph(seed: int = 0) -> BipartiteGraph:
    """7 users and 5 items with random edges; user 3 and item 2 have none."""
    rng = np.random.default_rng(seed)
    taken = rng.random((N_USERS, N_ITEMS)) < 0.5
    taken[3], taken[:, 2] = False, False
    users, items = np.nonzero(taken)
    return build_graph(Interactions.of(users.astype(np.int32), items.astype(np.int32), N_USERS, N_ITEMS))


def dense(graph: BipartiteGraph, left: float = 0.5, right: float = 0.5) -> Tensor:
    """A = D^-left (0 R; R' 0) D^-right as (U + I, U + I) doubles; rows of isolated nodes are zero."""
    full = np.zeros((graph.n_users + graph.n_items,) * 2)
    for user in range(graph.n_users):
        full[user, graph.n_users + graph.user_items.row(user)] = 1
    full += full.T
    degrees = full.sum(axis=1)
    degrees[degrees == 0] = 1  # their entries are zero
    return torch.from_numpy(degrees[:, None] ** -left * full * degrees**-right)


def tables(seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(N_USERS, DIM, generator=generator), torch.randn(N_ITEMS, DIM, generator=generator)


def smooth_dense(
    graph: BipartiteGraph, own: Tensor, alphas: tuple[float, ...] | Tensor, exponents: Exponents = (0.5, 0.5)
) -> Tensor:
    """The polynomial, power by power."""
    matrix, power = dense(graph, *exponents), torch.eye(len(own), dtype=torch.float64)
    total = torch.zeros_like(own)
    for alpha in alphas:
        total = total + alpha * power @ own
        power = matrix @ power
    return total


def test_one_layer_by_hand() -> None:
    # u0 - i0, u0 - i1, u1 - i1: degrees u0 2, u1 1, i0 1, i1 2.
    events = Interactions.of(np.array([0, 0, 1], np.int32), np.array([0, 1, 1], np.int32), 2, 2)
    users, items = Adjacency(build_graph(events), CPU).layer(
        torch.tensor([[1.0], [10.0]]), torch.tensor([[2.0], [3.0]])
    )
    root = 2**0.5
    assert users.flatten().tolist() == pytest.approx([2 / root + 3 / 2, 3 / root])
    assert items.flatten().tolist() == pytest.approx([1 / root, 1 / 2 + 10 / root])


@pytest.mark.parametrize("seed", range(3))
def test_layer_against_dense(seed: int) -> None:
    graph = small_graph(seed)
    users, items = tables(seed)
    expected = dense(graph) @ torch.cat([users, items]).double()
    found = torch.cat(Adjacency(graph, CPU).layer(users, items))
    torch.testing.assert_close(found.double(), expected, rtol=1e-6, atol=1e-6)
    assert found[3].eq(0).all()
    assert found[N_USERS + 2].eq(0).all()


def test_weights_of_edges_do_not_count() -> None:
    graph = small_graph()
    heavy = graph.user_items
    heavy = Csr(heavy.ptr, heavy.ids, heavy.weights * 5, heavy.n_columns)
    users, items = tables()
    for found, expected in zip(
        Adjacency(BipartiteGraph(heavy, heavy.transpose()), CPU).layer(users, items),
        Adjacency(graph, CPU).layer(users, items),
        strict=True,
    ):
        assert torch.equal(found, expected)


def test_layer_rows_are_rows_of_the_layer() -> None:
    graph = small_graph()
    adjacency, vectors = Adjacency(graph, CPU), tables()
    rows = (np.array([6, 0, 3], np.int32), np.array([2, 4], np.int32))
    for part, whole, chosen in zip(adjacency.layer_rows(vectors, rows), adjacency.layer(*vectors), rows, strict=True):
        assert torch.equal(part, whole[torch.from_numpy(chosen).long()])


ROWS: list[tuple[Ints, Ints]] = [
    (np.arange(N_USERS, dtype=np.int32), np.arange(N_ITEMS, dtype=np.int32)),
    (np.array([5, 1, 3], np.int32), np.array([4, 2, 0], np.int32)),  # in any order; 3 and 2 are isolated
    (np.array([0], np.int32), np.array([1], np.int32)),
]


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("alphas", [(0.5, 0.5), (0.2, 0.3, 0.5), (0.25,) * 4, (0.0, 0.1, 0.0, 0.4, 0.5), (1.0,)])
def test_smooth_rows_and_gradients_against_dense(rows: tuple[Ints, Ints], alphas: tuple[float, ...]) -> None:
    graph = small_graph()
    users, items = (table.requires_grad_() for table in tables())
    outputs = SmoothRows.apply(users, items, torch.tensor(alphas), Adjacency(graph, CPU), rows)  # type: ignore[no-untyped-call]

    own = torch.cat([users, items]).detach().double().requires_grad_()
    smooth = smooth_dense(graph, own, alphas)
    user_rows, item_rows = torch.from_numpy(rows[0]).long(), torch.from_numpy(rows[1]).long() + N_USERS
    expected = (smooth[user_rows], smooth[item_rows], own[user_rows], own[item_rows])
    for found, wanted in zip(outputs, expected, strict=True):
        torch.testing.assert_close(found.double(), wanted, rtol=1e-5, atol=1e-6)

    # a scalar that depends on all four outputs, not linearly
    generator = torch.Generator().manual_seed(1)
    mix = [torch.randn(part.shape, generator=generator) for part in outputs]
    sum((part.square() * m).sum() for part, m in zip(outputs, mix, strict=True)).backward()
    sum((part.square() * m).sum() for part, m in zip(expected, mix, strict=True)).backward()  # type: ignore[union-attr]
    assert users.grad is not None
    assert items.grad is not None
    assert own.grad is not None
    torch.testing.assert_close(torch.cat([users.grad, items.grad]).double(), own.grad, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("output", range(4))
def test_each_output_alone_has_its_gradient(output: int) -> None:
    """A loss may leave outputs unused, as one without L2 does."""
    graph = small_graph()
    users, items = (table.requires_grad_() for table in tables())
    alphas, rows = (0.3, 0.3, 0.4), ROWS[1]
    SmoothRows.apply(users, items, torch.tensor(alphas), Adjacency(graph, CPU), rows)[output].sum().backward()  # type: ignore[no-untyped-call]
    own = torch.cat([users, items]).detach().double().requires_grad_()
    source = (smooth_dense(graph, own, alphas), own)[output // 2]
    source[torch.from_numpy(rows[output % 2]).long() + N_USERS * (output % 2)].sum().backward()  # type: ignore[no-untyped-call]
    assert users.grad is not None
    assert items.grad is not None
    assert own.grad is not None
    torch.testing.assert_close(torch.cat([users.grad, items.grad]).double(), own.grad, rtol=1e-5, atol=1e-6)


def test_tables_are_not_changed() -> None:
    users, items = tables()
    before = users.clone(), items.clone()
    SmoothRows.apply(users, items, torch.full((4,), 0.25), Adjacency(small_graph(), CPU), ROWS[0])  # type: ignore[no-untyped-call]
    assert torch.equal(users, before[0])
    assert torch.equal(items, before[1])


every_normalization = pytest.mark.parametrize("name", list(NORMALIZATIONS))


@every_normalization
def test_each_normalization_by_hand(name: NormalizationName) -> None:
    """Of the edge u0 - i1, u0 has degree 3 and i1 degree 2."""
    events = Interactions.of(np.array([0, 0, 0, 1], np.int32), np.array([0, 1, 2, 1], np.int32), 2, 3)
    adjacency = Adjacency(build_graph(events), CPU, NORMALIZATIONS[name])
    of_users, _ = adjacency.layer(torch.zeros(2, 1), torch.tensor([[0.0], [1.0], [0.0]]))
    _, of_items = adjacency.layer(torch.tensor([[1.0], [0.0]]), torch.zeros(3, 1))
    root = 6**0.5
    forth, back = {
        "symmetric": (1 / root, 1 / root),
        "left": (1 / 3**0.5, 1 / 2**0.5),
        "right": (1 / 2**0.5, 1 / 3**0.5),
        "l1": (1 / 6, 1 / 6),
        "l1-left": (1 / 3, 1 / 2),
        "l1-right": (1 / 2, 1 / 3),
        "none": (1.0, 1.0),
    }[name]
    assert of_users[0].item() == pytest.approx(forth)
    assert of_items[1].item() == pytest.approx(back)


@every_normalization
def test_transposed_is_the_transpose(name: NormalizationName) -> None:
    graph = small_graph()
    adjacency, (users, items) = Adjacency(graph, CPU, NORMALIZATIONS[name]), tables()
    expected = dense(graph, *NORMALIZATIONS[name]).T @ torch.cat([users, items]).double()
    found = torch.cat(adjacency.transposed.layer(users, items))
    torch.testing.assert_close(found.double(), expected, rtol=1e-6, atol=1e-6)
    assert adjacency.transposed.transposed is adjacency
    rows = (np.array([6, 0, 3], np.int32), np.array([2, 4], np.int32))
    whole = torch.split(found, [N_USERS, N_ITEMS])
    for part, all_rows, chosen in zip(adjacency.transposed.layer_rows((users, items), rows), whole, rows, strict=True):
        assert torch.equal(part, all_rows[torch.from_numpy(chosen).long()])


@every_normalization
@pytest.mark.parametrize("rows", ROWS[:2])
@pytest.mark.parametrize("n_layers", [1, 3])
def test_forward_and_backward_of_each_normalization_and_of_the_alphas(
    name: NormalizationName, rows: tuple[Ints, Ints], n_layers: int
) -> None:
    graph, exponents = small_graph(), NORMALIZATIONS[name]
    users, items = (table.requires_grad_() for table in tables())
    alphas = torch.tensor([0.4, -0.3, 0.6, 0.2])[: n_layers + 1].requires_grad_()
    outputs = SmoothRows.apply(users, items, alphas, Adjacency(graph, CPU, exponents), rows)  # type: ignore[no-untyped-call]

    own = torch.cat([users, items]).detach().double().requires_grad_()
    weights = alphas.detach().double().requires_grad_()
    smooth = smooth_dense(graph, own, weights, exponents)
    user_rows, item_rows = torch.from_numpy(rows[0]).long(), torch.from_numpy(rows[1]).long() + N_USERS
    expected = (smooth[user_rows], smooth[item_rows], own[user_rows], own[item_rows])
    for found, wanted in zip(outputs, expected, strict=True):
        torch.testing.assert_close(found.double(), wanted, rtol=1e-5, atol=1e-5)
    sum((part.square() * (k + 1)).sum() for k, part in enumerate(outputs)).backward()
    sum((part.square() * (k + 1)).sum() for k, part in enumerate(expected)).backward()  # type: ignore[union-attr]
    assert users.grad is not None
    assert items.grad is not None
    assert own.grad is not None
    torch.testing.assert_close(torch.cat([users.grad, items.grad]).double(), own.grad, rtol=1e-4, atol=1e-4)
    assert alphas.grad is not None
    assert weights.grad is not None
    torch.testing.assert_close(alphas.grad.double(), weights.grad, rtol=1e-4, atol=1e-4)


def test_alphas_that_are_not_learned_get_no_gradient() -> None:
    users, items = (table.requires_grad_() for table in tables())
    alphas = torch.full((3,), 1 / 3)
    SmoothRows.apply(users, items, alphas, Adjacency(small_graph(), CPU), ROWS[0])[0].sum().backward()  # type: ignore[no-untyped-call]
    assert alphas.grad is None
