"""PinSage's forward pass in numpy against loops over items and neighbors."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pinfold.arrays import Doubles, Floats, unit
from pinfold.graph.convolve import LEAK, convolve, embed_all, embed_new, finish, pool, send
from pinfold.graph.convolved import Convolution, Head, Network, PoolingName
from pinfold.graph.neighborhoods import Neighborhoods

POOLINGS: tuple[PoolingName, ...] = ("importance", "mean", "max", "attention")
every_pooling = pytest.mark.parametrize("pooling", POOLINGS)
N, WIDTH, MESSAGE, DIM = 11, 3, 4, 5


def normal(*shape: int, seed: int = 0) -> Floats:
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype(np.float32)


def layer(width: int = WIDTH, *, attention: bool = True, seed: int = 0) -> Convolution:
    return Convolution(
        normal(width, MESSAGE, seed=seed),
        normal(MESSAGE, seed=seed),
        normal(width + MESSAGE, DIM, seed=seed),
        normal(DIM, seed=seed + 1),
        normal(width + MESSAGE, seed=seed) if attention else np.zeros(0, np.float32),
    )


def network(pooling: PoolingName, n_layers: int, *, head: bool = True, unit: bool = True) -> Network:
    layers = tuple(layer(WIDTH if k == 0 else DIM, seed=k) for k in range(n_layers))
    width = DIM if n_layers else WIDTH
    made = Head(normal(width, 6), normal(6), normal(6, 2)) if head else None
    return Network(layers, made, pooling, unit)


@pytest.fixture(scope="module")
def near() -> Neighborhoods:
    """0 to 4 neighbors of each; items 0, 3 and the last have none."""
    rng = np.random.default_rng(5)
    ids, weights = np.full((N, 4), -1, np.int32), np.zeros((N, 4), np.float32)
    for item in range(N):
        n = 0 if item in (0, 3, N - 1) else int(rng.integers(1, 5))
        ids[item, :n] = rng.permutation(np.delete(np.arange(N), item))[:n]
        raw = rng.random(n)
        weights[item, :n] = raw / raw.sum() if n else 0
    return Neighborhoods(ids, weights)


def relu(values: NDArray[Any]) -> Doubles:
    return np.asarray(np.maximum(values, 0), np.float64)


def pooled(one: Convolution, pooling: str, own: Doubles, sent: Doubles, ids: list[int], weights: Doubles) -> Doubles:
    """What one item makes of its neighbors' messages."""
    if not ids:
        return np.zeros(sent.shape[1])
    messages = np.array([sent[v] for v in ids])
    if pooling == "max":
        return np.asarray(messages.max(axis=0))
    if pooling == "mean":
        weights = np.full(len(ids), 1 / len(ids))
    if pooling == "attention":
        logits = np.array([own @ one.attention[: len(own)] + m @ one.attention[len(own) :] for m in messages])
        raised = np.exp(np.where(logits > 0, logits, LEAK * logits))
        weights = raised / raised.sum()
    return np.asarray(sum(w * m for w, m in zip(weights, messages, strict=True)))


def twin(whole: Network, content: Floats, near: Neighborhoods) -> tuple[list[Doubles], Doubles]:
    """Inputs of every layer and the vectors, one item at a time. PinSage, algorithm 1."""
    hidden: Doubles = content.astype(np.float64)
    inputs = [hidden]
    for one in whole.convolutions:
        sent = relu(hidden @ one.neighbor + one.neighbor_bias)
        rows = []
        for item in range(len(content)):
            ids = [v for v in near.ids[item].tolist() if v >= 0]
            weights = near.weights[item, : len(ids)].astype(np.float64)
            gathered = pooled(one, whole.pooling, hidden[item], sent, ids, weights)
            made = relu(np.concatenate([hidden[item], gathered]) @ one.both + one.bias)
            rows.append(made / max(float(np.linalg.norm(made)), 1e-30))
        hidden = np.array(rows, np.float64)
        inputs.append(hidden)
    if whole.head is not None:
        hidden = relu(hidden @ whole.head.first + whole.head.bias) @ whole.head.second
    if whole.unit:
        hidden = hidden / np.maximum(np.linalg.norm(hidden, axis=1, keepdims=True), 1e-30)
    return inputs, hidden


@every_pooling
def test_pooling_against_loops(pooling: str, near: Neighborhoods) -> None:
    one, own, sent = layer(), normal(N, WIDTH), normal(N, MESSAGE)
    found = pool(one, pooling, own, sent, near)
    assert found.dtype == np.float32
    for item in range(N):
        ids = [v for v in near.ids[item].tolist() if v >= 0]
        weights = near.weights[item, : len(ids)].astype(np.float64)
        expected = pooled(one, pooling, own[item].astype(np.float64), sent.astype(np.float64), ids, weights)
        np.testing.assert_allclose(found[item], expected, rtol=1e-4, atol=1e-6)


@every_pooling
def test_nobody_has_neighbors(pooling: str) -> None:
    near = Neighborhoods(np.full((2, 3), -1, np.int32), np.zeros((2, 3), np.float32))
    assert not pool(layer(), pooling, normal(2, WIDTH), normal(5, MESSAGE), near).any()
    none = Neighborhoods(near.ids[:0], near.weights[:0])
    assert pool(layer(), pooling, normal(0, WIDTH), normal(5, MESSAGE), none).shape == (0, MESSAGE)


def test_attention_of_large_numbers_does_not_overflow(near: Neighborhoods) -> None:
    found = pool(layer(), "attention", 1e4 * normal(N, WIDTH), 1e4 * normal(N, MESSAGE), near)
    assert np.isfinite(found).all()


@every_pooling
@pytest.mark.parametrize("n_layers", [0, 1, 2, 3])
@pytest.mark.parametrize("block", [1, 4, 11, 4096])
def test_the_whole_catalogue_in_blocks_of_any_size(
    pooling: PoolingName, n_layers: int, block: int, near: Neighborhoods, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pinfold.graph.convolve.BLOCK", block)
    whole, content = network(pooling, n_layers), normal(N, WIDTH)
    inputs, expected = twin(whole, content, near)
    found, kept = embed_all(whole, content, near)
    assert len(kept) == max(n_layers, 1)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    for one, other in zip(kept, inputs, strict=False):
        np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.parametrize("head", [True, False])
@pytest.mark.parametrize("of_length_one", [True, False])
def test_head_and_length(head: bool, of_length_one: bool, near: Neighborhoods) -> None:
    whole, content = network("importance", 1, head=head, unit=of_length_one), normal(N, WIDTH)
    found, (_, *more) = embed_all(whole, content, near)
    assert more == []
    np.testing.assert_allclose(found, twin(whole, content, near)[1], atol=1e-5)
    if of_length_one:  # but for zeros
        lengths = np.linalg.norm(found, axis=1)
        np.testing.assert_allclose(lengths[lengths > 0], 1, atol=1e-5)
    bare = replace(whole, convolutions=(), head=None)
    assert finish(bare, content).tolist() == (unit(content) if of_length_one else content).tolist()


@every_pooling
@pytest.mark.parametrize("n_layers", [0, 1, 2, 3])
def test_new_items_get_what_the_whole_catalogue_gives(pooling: PoolingName, n_layers: int, near: Neighborhoods) -> None:
    """Nobody's neighbors are the new ones, so the old items' inputs are what they were."""
    whole, content = network(pooling, n_layers), normal(N, WIDTH)
    _, inputs = embed_all(whole, content, near)
    ids = np.array([[7, 1, -1, -1], [-1, -1, -1, -1], [2, 0, 10, 1]], np.int32)
    weights = np.array([[0.9, 0.1, 0, 0], [0, 0, 0, 0], [0.4, 0.3, 0.2, 0.1]], np.float32)
    new = Neighborhoods(ids, weights)
    features = normal(3, WIDTH, seed=9)
    found, own = embed_new(whole, inputs, features, new)
    both = Neighborhoods(np.vstack([near.ids, ids]), np.vstack([near.weights, weights]))
    expected, grown = embed_all(whole, np.vstack([content, features]), both)
    np.testing.assert_allclose(found, expected[N:], atol=1e-6)
    assert len(own) == len(grown)
    for one, other in zip(own, grown, strict=True):
        np.testing.assert_allclose(one, other[N:], atol=1e-6)
    one_by_one = [embed_new(whole, inputs, features[k : k + 1], Neighborhoods(ids[k : k + 1], weights[k : k + 1]))[0]
                  for k in range(3)]  # fmt: skip
    np.testing.assert_allclose(np.vstack(one_by_one), found, atol=1e-6)


def test_an_item_whose_numbers_are_all_cut_off_stays_at_zero() -> None:
    one = replace(layer(), bias=np.full(DIM, -100, np.float32))
    near = Neighborhoods(np.array([[1], [0]], np.int32), np.ones((2, 1), np.float32))
    made = convolve(one, "mean", normal(2, WIDTH), send(one, normal(2, WIDTH)), near)
    assert not made.any()
