"""Loss and gradient of an objective against loops in double precision, and the length of item vectors."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from pinfold.arrays import Embeddings, with_length
from pinfold.data.interactions import Interactions
from pinfold.graph.bipartite import BipartiteGraph, build_graph
from pinfold.models.losses import (
    BilateralSoftmaxConfig,
    BinaryConfig,
    BPRConfig,
    CosineContrastiveConfig,
    LossConfig,
    SoftmaxConfig,
)
from pinfold.models.mf import MF, MFConfig
from pinfold.models.pairwise import LEAST_ROWS, ObjectiveConfig, Pairwise, distinct, product
from pinfold.sampling.pairs import PairBatch, SamplingConfig

SOFTMAX = SoftmaxConfig(temperature=0.5, log_q=True)
PAPER = ObjectiveConfig(loss=BPRConfig(), score="inner", l2=1e-4, length_exponent=1.0)
EDGES = SamplingConfig(batch_by="edges", batch_size=40, n_negatives=3, shared=False)
USERS = replace(EDGES, batch_by="users", batch_size=11)


def pairwise(graph: BipartiteGraph, objective: ObjectiveConfig) -> tuple[MF, Pairwise]:
    encoder = MF(MFConfig(dim=4, init_std=1.0), graph, seed=0)
    return encoder, Pairwise(encoder, objective, graph)


def softplus(x: Tensor) -> Tensor:
    return torch.log1p(torch.exp(x))


def edge_loss(config: LossConfig, high: Tensor, lows: Tensor, draws: Tensor) -> Tensor:
    """One edge, from the formula; taken negatives are left out, but the mean is over all places."""
    n = len(draws)
    match config:
        case BPRConfig():
            return softplus(lows - high).sum() / n
        case BinaryConfig():
            return softplus(-high) + softplus(lows).sum() / n
        case SoftmaxConfig():
            others = (torch.exp(lows / config.temperature) / torch.exp(draws[: len(lows)])).sum()
            best = torch.exp(high / config.temperature)
            return -torch.log(best / (best + others))
        case CosineContrastiveConfig():
            return 1 - high + config.negative_weight * torch.relu(lows - config.margin).sum() / n
        case _:
            raise AssertionError


def twin(graph: BipartiteGraph, objective: ObjectiveConfig, batch: PairBatch, users: Tensor, items: Tensor) -> Tensor:
    """Row by row and edge by edge."""

    def score(user: int, item: int) -> Tensor:
        product = users[user] @ items[item]
        return product / (users[user].norm() * items[item].norm()) if objective.score == "cosine" else product

    values: list[Tensor] = []
    of_user: dict[int, list[Tensor]] = {}
    squares = items[torch.from_numpy(batch.negatives.ravel()).long()].square().sum()
    owner = np.arange(len(batch.users)) if batch.owner is None else batch.owner
    for row, user in enumerate(batch.users.tolist()):
        names = (batch.negatives if batch.negatives.ndim == 1 else batch.negatives[row]).tolist()
        log_draws = batch.log_draws if batch.log_draws.ndim == 1 else batch.log_draws[row]
        keep = [
            k for k, item in enumerate(names) if batch.negatives.ndim == 2 or item not in graph.user_items.row(user)
        ]
        lows = torch.stack([score(user, names[k]) for k in keep])
        draws = torch.from_numpy(log_draws).double()
        draws = torch.cat([draws[keep], draws[: len(names) - len(keep)]])  # so that the length says how many there are
        if objective.hardest:
            lows = lows.sort(descending=True).values[: objective.hardest]
            draws = torch.zeros(min(objective.hardest, len(names)))
        taken = batch.positives[owner == row].tolist()
        squares = squares + len(taken) * users[user].square().sum() + items[taken].square().sum()
        highs = torch.stack([score(user, item) for item in taken])
        if isinstance(objective.loss, BilateralSoftmaxConfig):
            t, p = objective.loss.temperature, objective.loss.positive_temperature
            values.append(torch.log(torch.exp(lows / t).sum()) - p / t * torch.log(torch.exp(highs / p).mean()))
            continue
        found = [edge_loss(objective.loss, high, lows, draws) for high in highs]
        values += found
        of_user.setdefault(user, []).extend(found)
    means = [torch.stack(found).mean() for found in of_user.values()] if objective.per_user and of_user else values
    return torch.stack(means).mean() + objective.l2 * squares / 2 / len(batch.positives)


every_objective = pytest.mark.parametrize(
    "objective",
    [
        ObjectiveConfig(),
        replace(PAPER, sampling=EDGES),
        replace(PAPER, sampling=USERS),
        replace(PAPER, sampling=EDGES, per_user=True, l2=0.3),
        replace(PAPER, sampling=USERS, per_user=True, loss=BinaryConfig()),
        replace(PAPER, sampling=EDGES, loss=BinaryConfig(), score="cosine"),
        replace(PAPER, sampling=replace(EDGES, negatives="popularity"), loss=SOFTMAX),
        replace(PAPER, sampling=replace(USERS, negatives="popularity"), loss=SOFTMAX, score="cosine"),
        replace(PAPER, sampling=replace(EDGES, shared=True, n_negatives=15), loss=BPRConfig()),
        replace(PAPER, sampling=replace(EDGES, shared=True, n_negatives=15), loss=BinaryConfig(), per_user=True),
        replace(PAPER, sampling=replace(USERS, shared=True, n_negatives=15), loss=SOFTMAX),
        replace(PAPER, sampling=replace(USERS, shared=True, n_negatives=15), loss=SOFTMAX, hardest=4),
        replace(PAPER, sampling=replace(EDGES, negatives="in-batch", n_negatives=30), loss=SOFTMAX, score="cosine"),
        replace(PAPER, sampling=replace(USERS, negatives="in-batch", n_negatives=30), loss=SOFTMAX, per_user=True),
        replace(PAPER, sampling=replace(EDGES, negatives="mixed", n_negatives=30), loss=SOFTMAX),
        replace(PAPER, sampling=replace(USERS, negatives="mixed", n_negatives=30), loss=CosineContrastiveConfig()),
        replace(PAPER, sampling=USERS, loss=BilateralSoftmaxConfig(temperature=0.5), score="cosine", l2=0.3),
        replace(PAPER, sampling=replace(USERS, shared=True, n_negatives=15), loss=BilateralSoftmaxConfig()),
        replace(PAPER, sampling=replace(EDGES, shared=True, n_negatives=15), loss=BilateralSoftmaxConfig()),
        replace(PAPER, sampling=EDGES, loss=CosineContrastiveConfig(), score="cosine"),
        replace(PAPER, sampling=replace(EDGES, n_negatives=9), hardest=2, per_user=True, score="cosine"),
        replace(PAPER, sampling=replace(EDGES, n_negatives=2), hardest=9),
    ],
    ids=lambda o: "-".join(
        [o.loss.name, o.sampling.batch_by, o.sampling.negatives, o.score]
        + ["shared"] * o.sampling.shared + ["per-user"] * o.per_user + ["hardest"] * bool(o.hardest)
    ),
)  # fmt: skip


@every_objective
def test_loss_and_gradient_against_loops(graph: BipartiteGraph, objective: ObjectiveConfig) -> None:
    encoder, model = pairwise(graph, objective)
    batch = next(model.batches(np.random.default_rng(0)))
    found = model.loss(batch)
    found.backward()  # type: ignore[no-untyped-call]
    users = encoder.users.detach().double().requires_grad_()
    items = encoder.items.detach().double().requires_grad_()
    expected = twin(graph, objective, batch, users, items)
    expected.backward()  # type: ignore[no-untyped-call]
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    for table, wanted in ((encoder.users, users), (encoder.items, items)):
        assert table.grad is not None
        assert wanted.grad is not None
        torch.testing.assert_close(table.grad.double(), wanted.grad, rtol=1e-3, atol=1e-5)


@every_objective
def test_shares_of_a_batch_add_up_to_its_loss_and_gradient(graph: BipartiteGraph, objective: ObjectiveConfig) -> None:
    objective = replace(objective, l2=0.3)
    encoder, model = pairwise(graph, objective)
    twin_encoder, twin_model = pairwise(graph, objective)
    batch = next(model.batches(np.random.default_rng(0)))
    whole = model.loss(batch)
    whole.backward()  # type: ignore[no-untyped-call]
    parts = [model.share(batch, rank, 3) for rank in range(3)]
    losses = [twin_model.loss(part) for part in parts if part is not None]
    for loss in losses:
        loss.backward()  # type: ignore[no-untyped-call]  # gradients add up on the tables
    assert len(losses) == 3
    assert sum(loss.item() for loss in losses) == pytest.approx(whole.item(), rel=1e-5)
    for table, other in ((encoder.users, twin_encoder.users), (encoder.items, twin_encoder.items)):
        assert table.grad is not None
        assert other.grad is not None
        torch.testing.assert_close(other.grad, table.grad, rtol=1e-3, atol=1e-6)


def test_a_user_whose_every_negative_is_taken_gives_a_finite_gradient() -> None:
    """In-batch negatives of one user's batch are all their own items."""
    events = Interactions.of(np.zeros(4, np.int32), np.arange(4, dtype=np.int32), 1, 6)
    sampling = SamplingConfig(batch_by="users", negatives="in-batch", n_negatives=4)
    for loss in (BPRConfig(), BinaryConfig(), SOFTMAX, BilateralSoftmaxConfig(), CosineContrastiveConfig()):
        encoder, model = pairwise(build_graph(events), ObjectiveConfig(loss=loss, sampling=sampling, score="cosine"))
        value = model.loss(next(model.batches(np.random.default_rng(0))))
        value.backward()  # type: ignore[no-untyped-call]
        assert torch.isfinite(value)
        for table in (encoder.users, encoder.items):
            assert table.grad is not None
            assert torch.isfinite(table.grad).all()


def test_batches_of_an_epoch(graph: BipartiteGraph) -> None:
    for sampling, n in ((replace(EDGES, batch_size=100), 5), (replace(USERS, batch_size=25), 3)):
        _, model = pairwise(graph, ObjectiveConfig(sampling=sampling))  # 480 edges of 60 users
        assert model.n_batches() == len(list(model.batches(np.random.default_rng(0)))) == n


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0, 2.0])
def test_length_exponent_is_of_items_alone(graph: BipartiteGraph, exponent: float) -> None:
    encoder, model = pairwise(graph, ObjectiveConfig(length_exponent=exponent))
    plain, vectors = encoder.embed(), model.embed()
    assert isinstance(vectors, Embeddings)
    np.testing.assert_array_equal(vectors.users, plain.users)
    whole = pairwise(graph, ObjectiveConfig(length_exponent=1.0))[1].embed()
    assert isinstance(whole, Embeddings)
    np.testing.assert_allclose(vectors.history, whole.history, rtol=1e-4, atol=1e-5)
    lengths = np.linalg.norm(plain.items, axis=1)
    np.testing.assert_allclose(np.linalg.norm(vectors.items, axis=1), lengths**exponent, rtol=1e-5)
    np.testing.assert_allclose(vectors.items / (lengths**exponent)[:, None], plain.items / lengths[:, None], rtol=1e-5)
    assert vectors.items.dtype == np.float32
    assert vectors.items.flags.c_contiguous


def test_a_vector_of_zeros_has_no_length_to_change() -> None:
    for exponent in (0.0, 0.5, 2.0):
        assert with_length(np.zeros((1, 3), np.float32), exponent).tolist() == [[0, 0, 0]]


def test_distinct() -> None:
    found, place = distinct(np.array([7, 3, 7, 5], np.int32))
    assert found.tolist() == [3, 5, 7]
    assert place.tolist() == [2, 0, 2, 1]
    assert (found.dtype.name, place.dtype.name) == ("int32", "int64")


@pytest.mark.parametrize("shape", [(1, 1), (7, 9001), (9001, 7), (300, 17), (LEAST_ROWS, LEAST_ROWS), (1201, 1003)])
def test_products_and_threads(shape: tuple[int, int]) -> None:
    """MKL shares a product among its threads, and a narrow share is computed by another kernel."""
    generator = torch.Generator().manual_seed(0)
    tables = [torch.randn(n, 64, generator=generator) for n in shape]
    weights = torch.randn(shape, generator=generator)
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            left, right = (table.clone().requires_grad_() for table in tables)
            made = product(left, right)
            made.backward(weights)  # type: ignore[no-untyped-call]
            assert left.grad is not None
            assert right.grad is not None
            found.append((made.detach(), left.grad, right.grad))
    finally:
        torch.set_num_threads(before)
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))
    torch.testing.assert_close(found[0][0], tables[0] @ tables[1].T, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found[0][1], weights @ tables[1], rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(found[0][2], weights.T @ tables[0], rtol=1e-4, atol=1e-3)
