"""What mini-batches reach, against twins in plain Python and numpy."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pinfold.arrays import Doubles, Floats, Ints, Longs
from pinfold.kernels.frontier import localize, reach, transpose

QUICK = settings(max_examples=60, deadline=None)
NONE = np.zeros(0, np.int64)


@st.composite
def tables(draw: st.DrawFn) -> tuple[Ints, Floats, Ints]:
    """Neighborhoods of up to 12 items, -1 and 0 where there are fewer, and some distinct nodes."""
    n, size = draw(st.integers(1, 12)), draw(st.integers(1, 5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    ids, weights = np.full((n, size), -1, np.int32), np.zeros((n, size), np.float32)
    for item in range(n):
        others = rng.permutation(np.delete(np.arange(n), item))[: rng.integers(size + 1)]
        ids[item, : len(others)] = others
        weights[item, : len(others)] = rng.random(len(others)) + 0.01
    nodes = draw(st.lists(st.integers(0, n - 1), unique=True, max_size=n))
    return ids, weights, np.array(nodes, np.int32)


def reached(ids: Ints, nodes: Ints) -> tuple[list[int], dict[int, int]]:
    """The twin of `reach`: nodes in their order, others as they are met."""
    found = nodes.tolist()
    found += [neighbor for node in nodes for neighbor in ids[node].tolist() if neighbor >= 0]
    order = list(dict.fromkeys(found))
    return order, {node: place for place, node in enumerate(order)}


def dense(ptr: Longs, ids: Longs, weights: Floats, n_columns: int) -> Doubles:
    matrix = np.zeros((len(ptr) - 1, n_columns))
    for row in range(len(ptr) - 1):
        for entry in range(ptr[row], ptr[row + 1]):
            matrix[row, ids[entry]] += weights[entry]
    return matrix


@QUICK
@given(tables())
def test_reach(world: tuple[Ints, Floats, Ints]) -> None:
    ids, _, nodes = world
    place = np.full(len(ids), -1, np.int32)
    found = reach(ids, nodes, place)
    order, places = reached(ids, nodes)
    assert found.dtype == np.int32
    assert found.tolist() == order
    assert place.tolist() == [places.get(item, -1) for item in range(len(ids))]


@QUICK
@given(tables(), st.data())
def test_localize_without_what_is_dropped(world: tuple[Ints, Floats, Ints], data: st.DataObject) -> None:
    """The other weights of a node are scaled to the same sum; a node that loses all its neighbors has none."""
    ids, weights, nodes = world
    n = len(ids)
    edges = [(node, neighbor) for node in range(n) for neighbor in ids[node].tolist() if neighbor >= 0]
    lost = data.draw(st.sets(st.sampled_from(edges))) if edges else set()
    keys = np.array(sorted({node * n + neighbor for node, neighbor in lost} | {0}), np.int64)  # (0, 0) is no edge
    place = np.full(n, -1, np.int32)
    columns = reach(ids, nodes, place)
    ptr, places, shares = localize(ids, weights, nodes, place, keys)
    assert [part.dtype.name for part in (ptr, places, shares)] == ["int64", "int64", "float32"]
    assert ptr[0] == 0
    assert ptr[-1] == len(places) == len(shares)
    for row, node in enumerate(nodes.tolist()):
        here = slice(ptr[row], ptr[row + 1])
        pairs = [(neighbor, float(w)) for neighbor, w in zip(ids[node].tolist(), weights[node], strict=True)]
        pairs = [(neighbor, w) for neighbor, w in pairs if neighbor >= 0]
        kept = [(neighbor, w) for neighbor, w in pairs if (node, neighbor) not in lost]
        assert columns[places[here]].tolist() == [neighbor for neighbor, _ in kept]
        scale = sum(w for _, w in pairs) / max(sum(w for _, w in kept), 1e-9)
        np.testing.assert_allclose(shares[here], [w * scale for _, w in kept], rtol=1e-5)


def test_nothing_dropped_changes_no_bit() -> None:
    ids = np.array([[1, 2, -1], [0, -1, -1], [-1, -1, -1]], np.int32)
    weights = np.array([[0.3, 0.7, 0], [1, 0, 0], [0, 0, 0]], np.float32)
    nodes, place = np.array([2, 0], np.int32), np.full(3, -1, np.int32)
    assert reach(ids, nodes, place).tolist() == [2, 0, 1]
    ptr, places, shares = localize(ids, weights, nodes, place, NONE)
    assert ptr.tolist() == [0, 0, 2]
    assert places.tolist() == [2, 0]
    np.testing.assert_array_equal(shares, weights[0, :2])


def test_an_edge_is_dropped_in_its_direction_only_and_the_sum_stays() -> None:
    ids = np.array([[1, 2], [0, 2], [0, 1]], np.int32)
    weights = np.array([[0.25, 0.75], [0.5, 0.5], [0.9, 0.1]], np.float32)
    nodes, place = np.arange(3, dtype=np.int32), np.full(3, -1, np.int32)
    reach(ids, nodes, place)
    ptr, places, shares = localize(ids, weights, nodes, place, np.array([0 * 3 + 1, 1 * 3 + 0, 1 * 3 + 2], np.int64))
    assert ptr.tolist() == [0, 1, 1, 3]  # node 1 has lost both
    assert places.tolist() == [2, 0, 1]
    np.testing.assert_allclose(shares, [1, 0.9, 0.1])


def test_keys_of_many_items_do_not_overflow() -> None:
    """node * I + neighbor passes 2^31."""
    n = 60_000
    ids, weights = np.full((n, 2), -1, np.int32), np.zeros((n, 2), np.float32)
    ids[n - 1], weights[n - 1] = (7, n - 2), (0.5, 0.5)
    nodes, place = np.array([n - 1], np.int32), np.full(n, -1, np.int32)
    assert reach(ids, nodes, place).tolist() == [n - 1, 7, n - 2]
    _, places, shares = localize(ids, weights, nodes, place, np.array([(n - 1) * n + n - 2], np.int64))
    assert (places.tolist(), shares.tolist()) == ([1], [1])


@QUICK
@given(tables())
def test_transpose(world: tuple[Ints, Floats, Ints]) -> None:
    ids, weights, nodes = world
    place = np.full(len(ids), -1, np.int32)
    n_columns = len(reach(ids, nodes, place))
    forward = localize(ids, weights, nodes, place, NONE)
    back = transpose(*forward, n_columns)
    assert [part.dtype.name for part in back] == ["int64", "int64", "float32"]
    assert len(back[0]) == n_columns + 1
    np.testing.assert_array_equal(dense(*back, len(nodes)), dense(*forward, n_columns).T)
    for row in range(n_columns):
        assert (np.diff(back[1][back[0][row] : back[0][row + 1]]) > 0).all()
