"""Newcomers who pass through frozen layers."""

from dataclasses import replace

import numpy as np
import pytest

from pinfold.arrays import Floats
from pinfold.errors import ConfigError
from pinfold.graph.csr import Csr, from_pairs
from pinfold.graph.learned import Layer, Layered
from pinfold.index.layered import propagate
from pinfold.index.recommender import recommender


def floats(*values: float | list[float]) -> Floats:
    return np.array(values, np.float32)


def layer(items: Floats, slope: float = 1.0) -> Layer:
    """What is gathered, as it is."""
    return Layer(items, np.stack([0 * np.eye(2), np.eye(2), 0 * np.eye(2)]).astype(np.float32), floats(0, 0), slope)


@pytest.fixture
def learned() -> Layered:
    """Three items in two dimensions, one layer."""
    items = floats([1, 0], [0, 1], [-1, -1])
    return Layered(floats([1, 0]), items, (layer(items),), 0.5, self_loops=False, concatenated=False, unit_layers=False)


def histories(*rows: tuple[int, ...]) -> Csr:
    users = np.repeat(np.arange(len(rows)), [len(row) for row in rows]).astype(np.int32)
    items = np.array([item for row in rows for item in row], np.int32)
    return from_pairs(users, items, np.ones(len(items), np.float32), (len(rows), 3))


def test_gathers_by_hand(learned: Layered) -> None:
    found = propagate(learned, histories((0,), (0, 1), ()))
    np.testing.assert_allclose(found, floats([1, 0], [2**-0.5, 2**-0.5], [0, 0]), rtol=1e-6)


def test_layers_by_hand() -> None:
    """x1 = relu(s1 + b), x2 = 2 x1 + 3 s2 + 4 x1 s2 with s1 = (1, -3) and s2 = (1, 1) for a history of one item."""
    eye = np.eye(2)
    first = Layer(floats([1, -3]), np.stack([eye, eye, eye]).astype(np.float32), floats(1, 1), 0.0)
    second = Layer(floats([1, 1]), np.stack([2 * eye, 3 * eye, 4 * eye]).astype(np.float32), floats(0, 0), 1.0)
    one = from_pairs(np.zeros(1, np.int32), np.zeros(1, np.int32), np.ones(1, np.float32), (1, 1))
    for concatenated, expected in ((False, floats([15, 3])), (True, floats([0, 0, 2, 0, 15, 3]))):
        vectors = np.zeros((1, expected.shape[1]), np.float32)
        layers = (first, second)
        made = Layered(vectors, vectors, layers, 0.5, self_loops=False, concatenated=concatenated, unit_layers=False)
        np.testing.assert_allclose(propagate(made, one), expected)


def test_nobody_gets_nothing_and_nobody_gets_what_they_have(learned: Layered) -> None:
    found = recommender(learned, histories((0,))).recommend_new(histories((), (0, 1)), 3)
    assert found.ids.tolist() == [[-1, -1, -1], [2, -1, -1]]


def test_known_users_and_similar_items(learned: Layered) -> None:
    asked = recommender(learned, histories((0,)))
    assert asked.recommend(np.zeros(1, np.int32), 2).ids.tolist() == [[1, 2]]
    assert asked.similar(np.zeros(1, np.int32), 2).ids.tolist() == [[1, 2]]


def test_explains_nothing_where_a_layer_is_not_linear(learned: Layered) -> None:
    bent = replace(learned, layers=(layer(learned.items, slope=0.2),))
    asked = recommender(bent, histories((0,)))
    with pytest.raises(ConfigError, match="no sum"):
        asked.explain(0, 1)
    with pytest.raises(ConfigError, match="no sum"):
        asked.explain_new(np.zeros(1, np.int32), 1)


def test_refuses_layers_that_do_not_fit() -> None:
    items = floats([1, 0], [0, 1])
    with pytest.raises(ValueError, match="not as long"):
        Layered(items, items, (layer(items),), 0.5, self_loops=False, concatenated=True, unit_layers=False)
    with pytest.raises(ValueError, match="fit each other"):
        Layered(items, items, (layer(items[:1]),), 0.5, self_loops=False, concatenated=False, unit_layers=False)
    with pytest.raises(ValueError, match="fit each other"):
        Layered(items, items, (), 0.5, self_loops=False, concatenated=False, unit_layers=False)
