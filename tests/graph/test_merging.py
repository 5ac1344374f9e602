"""Merging graphs: the merged one is the one that all events at once would have given."""

import numpy as np
import pytest

from pinfold.data.interactions import NO_TIME, Interactions
from pinfold.graph.bipartite import BipartiteGraph, build_graph
from pinfold.graph.csr import Csr
from pinfold.graph.merging import among, merge_csr, merge_graph, reach_of_new


def events(pairs: list[tuple[int, int, float]], n_users: int, n_items: int) -> Interactions:
    users, items, weights = (np.array(column) for column in zip(*pairs, strict=True))
    times = np.full(len(pairs), NO_TIME, np.int64)
    return Interactions(
        users.astype(np.int32), items.astype(np.int32), weights.astype(np.float32), times, n_users, n_items
    )


def drawn(n: int, n_users: int, n_items: int, seed: int) -> list[tuple[int, int, float]]:
    rng = np.random.default_rng(seed)
    return [(int(rng.integers(n_users)), int(rng.integers(n_items)), float(rng.integers(1, 9))) for _ in range(n)]


def assert_same(one: BipartiteGraph, other: BipartiteGraph) -> None:
    for mine, theirs in ((one.user_items, other.user_items), (one.item_users, other.item_users)):
        np.testing.assert_array_equal(mine.ptr, theirs.ptr)
        np.testing.assert_array_equal(mine.ids, theirs.ids)
        np.testing.assert_allclose(mine.weights, theirs.weights)
        assert mine.n_columns == theirs.n_columns


@pytest.mark.parametrize("seed", range(5))
def test_merged_is_what_all_events_at_once_give(seed: int) -> None:
    old, new = drawn(40, 9, 7, seed), drawn(30, 12, 11, seed + 100)
    merged = merge_graph(build_graph(events(old, 9, 7)), events(new, 12, 11))
    assert_same(merged.graph, build_graph(events(old + new, 12, 11)))
    there = {(u, i) for u, i, _ in old}
    fresh = {(u, i) for u, i, _ in new} - there
    found = np.repeat(np.arange(12), merged.fresh.degrees())
    assert set(zip(found.tolist(), merged.fresh.ids.tolist(), strict=True)) == fresh


def test_nothing_to_merge_only_makes_room() -> None:
    old = build_graph(events(drawn(20, 5, 5, 0), 5, 5))
    none = np.zeros(0, np.int32)
    merged = merge_graph(old, Interactions.of(none, none, 6, 8))
    np.testing.assert_array_equal(merged.graph.user_items.ids, old.user_items.ids)
    assert (merged.graph.n_users, merged.graph.n_items) == (6, 8)
    assert not reach_of_new(merged, weighted=False).any()


def test_what_is_larger_than_the_result_is_refused() -> None:
    csr = build_graph(events(drawn(5, 4, 4, 0), 4, 4)).user_items
    with pytest.raises(ValueError, match=r"fit into \(3, 4\)"):
        merge_csr(csr, csr, 3, 4)


@pytest.mark.parametrize(("weight", "column"), [(0, 1), (-1, 1), (-1, 2)])
def test_weights_that_could_vanish_are_refused(weight: float, column: int) -> None:
    """Also where as many entries come as vanish."""
    one = Csr(np.array([0, 2]), np.array([0, 1], np.int32), np.array([1, 1], np.float32), 3)
    other = Csr(one.ptr, np.array([0, column], np.int32), np.array([weight, 1], np.float32), 3)
    for pair in ((one, other), (other, one)):
        with pytest.raises(ValueError, match="zero"):
            merge_csr(*pair, 1, 3)


def test_among_nothing_is_nothing() -> None:
    some = build_graph(events([(0, 1, 1)], 2, 2)).user_items
    none = Csr(np.zeros(3, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32), 2)
    assert not among(some, none).any()
    assert among(none, some).shape == (0,)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_reach_is_the_chance_to_take_something_new(weighted: bool, seed: int) -> None:
    """Against the definition, item by item; and it bounds how far the step's distribution has moved."""
    old, new = drawn(40, 8, 7, seed), drawn(12, 9, 8, seed + 50)
    before, merged = build_graph(events(old, 9, 8)), merge_graph(build_graph(events(old, 8, 7)), events(new, 9, 8))
    reach = reach_of_new(merged, weighted=weighted)
    dense = [csr.to_scipy().toarray() for csr in (merged.graph.user_items, before.user_items)]
    after, past = dense if weighted else [(one > 0).astype(float) for one in dense]
    fresh = after - past
    for item in range(8):
        if not after[:, item].any():
            assert reach[item] == 0
            continue
        to_user = after[:, item] / after[:, item].sum()
        old_way = np.divide(past[:, item], after[:, item], out=np.zeros(9), where=after[:, item] > 0)
        share = fresh.sum(axis=1) / np.maximum(after.sum(axis=1), 1e-9)
        expected = (to_user * (1 - old_way + old_way * share)).sum()
        assert reach[item] == pytest.approx(expected, abs=1e-6)
        if past[:, item].any():
            step, was = one_step(after, item), one_step(past, item)
            assert np.abs(step - was).sum() / 2 <= reach[item] + 1e-6


def one_step(edges: np.ndarray, item: int) -> np.ndarray:
    to_user = edges[:, item] / edges[:, item].sum()
    found: np.ndarray = to_user @ (edges / np.maximum(edges.sum(axis=1, keepdims=True), 1e-9))
    return found
