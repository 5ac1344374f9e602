"""Items that came after training. That they equal inference on the grown graph: tests/models/test_pinsage.py."""

from dataclasses import replace

import numpy as np
import pytest

from pinfold.arrays import Embeddings, Floats, unit
from pinfold.graph.bipartite import BipartiteGraph
from pinfold.graph.convolve import embed_all
from pinfold.graph.convolved import Convolution, Convolved, Growth, Head, Network
from pinfold.graph.csr import Csr, from_pairs
from pinfold.graph.grow import fresh_vectors, grow
from pinfold.graph.interests import Interests, InterestsConfig, make_users
from pinfold.graph.neighborhoods import NeighborhoodConfig, neighborhoods, walk_tables

F, DIM = 4, 6
NEAR = NeighborhoodConfig(size=6, steps=80)
MEAN = InterestsConfig()


def normal(*shape: int, seed: int = 0) -> Floats:
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype(np.float32)


def learned(
    graph: BipartiteGraph,
    *,
    users: InterestsConfig = MEAN,
    n_layers: int = 2,
    n_ids: int = 0,
    user_features: int = 0,
) -> Convolved:
    """A network with random weights."""
    growth = Growth(NEAR, 3, 2.0, 0.5, n_ids)
    of_users = normal(graph.n_users, user_features)
    first = growth.first_input(normal(graph.n_items, F), graph.item_users, of_users)
    first[:, first.shape[1] - n_ids :] = normal(graph.n_items, n_ids)
    layers, width = [], first.shape[1]
    for k in range(n_layers):
        both, bias = normal(width + 3, DIM, seed=k), normal(DIM, seed=k)
        layers.append(Convolution(normal(width, 3, seed=k), normal(3, seed=k), both, bias, np.zeros(0, np.float32)))
        width = DIM
    network = Network(tuple(layers), Head(normal(width, DIM), normal(DIM), normal(DIM, DIM)), "importance", unit=False)
    items, inputs = embed_all(network, first, neighborhoods(graph, NEAR, 3))
    return Convolved(make_users(items, graph.user_items, None, users), network, inputs, growth, of_users)


def takers(rows: list[list[int]], n_users: int = 60) -> Csr:
    """Who has each new item."""
    items = np.repeat(np.arange(len(rows)), [len(row) for row in rows]).astype(np.int32)
    users = np.array([user for row in rows for user in row], np.int32)
    return from_pairs(items, users, np.ones(len(users), np.float32), (len(rows), n_users))


SEVERAL = takers([[0, 4, 8], [], [1], [3, 5, 7, 9]])


@pytest.mark.parametrize("n_layers", [0, 1, 2])
def test_several_new_items_are_what_each_alone_would_be(graph: BipartiteGraph, n_layers: int) -> None:
    model, features = learned(graph, n_layers=n_layers), normal(4, F, seed=8)
    found, inputs = fresh_vectors(model, graph, features, SEVERAL)
    assert found.shape == (4, DIM)
    assert [len(part) for part in inputs] == [4] * max(n_layers, 1)
    for k in range(4):
        alone, own = fresh_vectors(model, graph, features[k : k + 1], SEVERAL.take(np.array([k], np.int32)))
        np.testing.assert_allclose(alone[0], found[k], atol=1e-5)
        for one, other in zip(own, inputs, strict=True):
            np.testing.assert_allclose(one[0], other[k], atol=1e-5)
    tables = walk_tables(graph, NEAR)
    np.testing.assert_array_equal(fresh_vectors(model, graph, features, SEVERAL, tables)[0], found)


def test_weights_of_takers_do_not_count_unless_walks_go_by_them(graph: BipartiteGraph) -> None:
    model, features = learned(graph), normal(4, F, seed=8)
    heavy = Csr(SEVERAL.ptr, SEVERAL.ids, SEVERAL.weights * 7, SEVERAL.n_columns)
    light, same = (fresh_vectors(model, graph, features, given)[0] for given in (SEVERAL, heavy))
    np.testing.assert_array_equal(light, same)


@pytest.mark.parametrize("n_ids", [0, 3])
@pytest.mark.parametrize("user_features", [0, 2])
def test_features_of_another_length_are_refused(graph: BipartiteGraph, n_ids: int, user_features: int) -> None:
    model = learned(graph, n_ids=n_ids, user_features=user_features)
    for width in (F - 1, F + 1):
        with pytest.raises(ValueError, match=f"features must have {F} columns, as in training, got {width}"):
            fresh_vectors(model, graph, normal(4, width), SEVERAL)
    fresh_vectors(model, graph, normal(4, F), SEVERAL)


def test_takers_who_are_not_the_graphs_are_refused(graph: BipartiteGraph) -> None:
    with pytest.raises(ValueError, match="collections has 59 users, the graph 60"):
        fresh_vectors(learned(graph), graph, normal(1, F), takers([[0]], 59))


def test_growing_changes_nothing_old(graph: BipartiteGraph) -> None:
    model, features = learned(graph), normal(4, F, seed=8)
    grown = grow(model, graph, features, SEVERAL)
    vectors, before = grown.vectors, model.vectors
    assert isinstance(vectors, Embeddings)
    assert isinstance(before, Embeddings)
    np.testing.assert_array_equal(vectors.users, before.users)
    np.testing.assert_array_equal(vectors.items[:40], before.items)
    np.testing.assert_array_equal(vectors.history[:40], before.history)
    made, inputs = fresh_vectors(model, graph, features, SEVERAL)
    np.testing.assert_array_equal(vectors.items[40:], made)
    np.testing.assert_array_equal(vectors.history[40:], unit(made))  # users are means of directions
    for old, new, both in zip(model.inputs, inputs, grown.inputs, strict=True):
        np.testing.assert_array_equal(both, np.vstack([old, new]))
    assert (grown.network, grown.growth) == (model.network, model.growth)


@pytest.mark.parametrize("users", ["last", "medoids"])
def test_users_who_are_items_stay_those(graph: BipartiteGraph, users: str) -> None:
    model = learned(graph, users=InterestsConfig(users=users))  # type: ignore[arg-type]
    grown = grow(model, graph, normal(4, F, seed=8), SEVERAL).vectors
    assert isinstance(grown, Interests)
    assert isinstance(model.vectors, Interests)
    assert len(grown.items) == 44
    for name in ("ptr", "medoids", "importance"):
        np.testing.assert_array_equal(getattr(grown, name), getattr(model.vectors, name))


def test_layers_in_half_precision_stay_finite(graph: BipartiteGraph) -> None:
    model = learned(graph)
    model = replace(model, inputs=tuple(inputs.astype(np.float16) for inputs in model.inputs))
    grown = grow(model, graph, np.full((1, F), 1e6, np.float32), takers([[0, 1]]))
    assert grown.inputs[0].dtype == np.float16
    assert grown.inputs[0][-1, :F].tolist() == [65504] * F
    assert all(np.isfinite(inputs).all() for inputs in grown.inputs)


def test_no_new_item_is_no_change(graph: BipartiteGraph) -> None:
    model = learned(graph)
    grown = grow(model, graph, normal(0, F), takers([]))
    np.testing.assert_array_equal(grown.vectors.items, model.vectors.items)


def test_the_first_input_by_hand() -> None:
    """Features, the mean of the takers' features, and the logarithm of their number in deviations."""
    growth = Growth(NEAR, 0, 1.0, 0.5, 2)
    users = np.array([[1, 0], [3, 4], [5, 8]], np.float32)
    found = growth.first_input(np.array([[7], [9]], np.float32), takers([[0, 1], []], 3), users)
    expected = [[7, 2, 2, (np.log(3) - 1) / 0.5, 0, 0], [9, 0, 0, -2, 0, 0]]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    np.testing.assert_allclose(growth.nobody(2), [[0, 0, -2]])
    assert found.dtype == np.float32


def test_inputs_must_fit_the_layers(graph: BipartiteGraph) -> None:
    model = learned(graph)
    with pytest.raises(ValueError, match="1 inputs for 2 convolutions"):
        replace(model, inputs=model.inputs[:1])
    with pytest.raises(ValueError, match="inputs must have shape"):
        replace(model, inputs=(model.inputs[0][1:], model.inputs[1]))
    with pytest.raises(ValueError, match="layers do not fit each other"):
        replace(model.network, convolutions=model.network.convolutions[::-1])
