"""Forward push against dense power iteration, and walks of many steps against both; ranks against a sort."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import sparse

from pinfold.arrays import Doubles, Ints
from pinfold.graph.csr import from_scipy
from pinfold.kernels.push import push_top, push_window
from pinfold.kernels.ranks import draw_ranks, keep_best, select_best
from pinfold.kernels.visits import walk_top
from pinfold.kernels.walks import Sources, Table, running_sums

N_USERS, N_ITEMS = 30, 45


def matrix() -> Doubles:
    """Weights (U, I); items 0 and 1 have no users, item 2 is alone with user 0."""
    rng = np.random.default_rng(3)
    found = np.where(rng.random((N_USERS, N_ITEMS)) < 0.15, rng.integers(1, 6, (N_USERS, N_ITEMS)), 0)
    found[:, :3], found[0] = 0, 0
    found[0, 2] = 1
    return found.astype(np.float64)


def table(dense: Doubles, *, weighted: bool) -> Table:
    csr = from_scipy(sparse.csr_array(dense))
    if not weighted:
        return Table(csr.ptr, csr.ids, np.empty(0, np.float32), np.empty(0))
    return Table(csr.ptr, csr.ids, csr.weights, running_sums(csr.ptr, csr.weights))


def world(*, weighted: bool, fresh: bool = False) -> tuple[Table, Table, Sources]:
    items, users = table(matrix().T, weighted=weighted), table(matrix(), weighted=weighted)
    rows = np.arange(N_ITEMS)
    if fresh:  # the same sources, as if they were not in the graph
        return items, users, Sources(items.ptr[:-1], items.ptr[1:], items, True, np.full(N_ITEMS, -1, np.int32), rows)
    return items, users, Sources(items.ptr[:-1], items.ptr[1:], items, False, rows.astype(np.int32), rows)


def only(sources: Sources, row: int) -> Sources:
    """One of the sources."""
    at = slice(row, row + 1)
    alone = sources._replace(begins=sources.begins[at], ends=sources.ends[at])
    return alone._replace(selves=sources.selves[at], streams=sources.streams[at])


def twin(restart: float, *, weighted: bool, fresh: bool = False) -> Doubles:
    """Row i: the share of all steps of a walk from i that end at each item, without i itself unless fresh."""
    dense = matrix() if weighted else np.sign(matrix())
    to_users, to_items = (side / np.maximum(side.sum(axis=1, keepdims=True), 1e-9) for side in (dense.T, dense))
    step = to_users @ to_items
    arrived, shares = step, np.zeros((N_ITEMS, N_ITEMS))
    for _ in range(2000):
        shares += restart * arrived
        arrived = (1 - restart) * arrived @ step
    if not fresh:
        np.fill_diagonal(shares, 0)
    return shares


def spread(ids: Ints, weights: NDArray[np.generic]) -> Doubles:
    full = np.zeros((N_ITEMS, N_ITEMS))
    for row in range(N_ITEMS):
        there = ids[row] >= 0
        full[row, ids[row, there]] = weights[row, there]
    return full


def normalized(shares: Doubles) -> Doubles:
    return np.asarray(shares / np.maximum(shares.sum(axis=1, keepdims=True), 1e-300))


@pytest.mark.parametrize("restart", [0.05, 0.5, 1.0])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("fresh", [False, True])
def test_push_is_power_iteration(restart: float, weighted: bool, fresh: bool) -> None:
    items, users, sources = world(weighted=weighted, fresh=fresh)
    ids, weights = push_top(items, users, sources, restart, 1e-10, N_ITEMS)
    expected = twin(restart, weighted=weighted, fresh=fresh)
    np.testing.assert_allclose(spread(ids, weights), normalized(expected), atol=1e-6)
    assert (np.diff(weights, axis=1) <= 0).all()
    assert (ids[:2] == -1).all()
    assert fresh or (ids[2] == -1).all()


@pytest.mark.parametrize("weighted", [False, True])
def test_walks_converge_to_push(weighted: bool) -> None:
    items, users, sources = world(weighted=weighted)
    exact = spread(*push_top(items, users, sources, 0.4, 1e-10, N_ITEMS))
    gaps = []
    for steps in (1_000, 100_000):
        found = spread(*walk_top(items, users, sources, steps, 0.4, 0, N_ITEMS))
        gaps.append(np.abs(found - exact).sum(axis=1).mean())
    assert gaps[1] < 0.03
    assert gaps[1] < gaps[0] / 5  # by the root of the number of steps


@pytest.mark.parametrize("epsilon", [1e-2, 1e-3, 1e-5])
def test_error_is_bounded_by_epsilon(epsilon: float) -> None:
    """Shares before they are normalized lie between the exact ones less the bound, and the exact ones; so their sum."""
    items, users, sources = world(weighted=False)
    exact = twin(0.5, weighted=False)
    ids, weights = push_top(items, users, sources, 0.5, epsilon, N_ITEMS)
    found, degrees = spread(ids, weights), np.diff(items.ptr)
    for row in range(3, N_ITEMS):
        least = np.maximum(exact[row] - 2 * epsilon * degrees, 0)
        assert (found[row] <= exact[row] / max(least.sum(), 1e-12) + 1e-6).all()
        assert (found[row] >= least / exact[row].sum() - 1e-6).all()


def test_sources_do_not_leave_anything_behind() -> None:
    items, users, sources = world(weighted=False)
    whole = push_top(items, users, sources, 0.5, 1e-4, 20)
    for row in (3, 17, 44):
        alone = only(sources, row)
        for one, all_rows in zip(push_top(items, users, alone, 0.5, 1e-4, 20), whole, strict=True):
            np.testing.assert_array_equal(one[0], all_rows[row])


def test_windows_by_push() -> None:
    items, users, sources = world(weighted=False)
    ids, _ = push_top(items, users, sources, 0.5, 1e-9, N_ITEMS)
    drawn = push_window(items, users, sources, 0.5, 1e-9, 7, (2, 8, 6))
    for row in range(3, N_ITEMS):
        assert sorted(drawn[row].tolist()) == sorted(ids[row, 2:8].tolist())


@pytest.mark.parametrize("n", [0, 1, 2, 7, 300])
@pytest.mark.parametrize("k", [1, 5, 300, 400])
def test_best_and_selected_against_a_sort(n: int, k: int) -> None:
    rng = np.random.default_rng(n)
    values, ids = rng.integers(0, 9, 310).astype(np.float64), rng.permutation(310).astype(np.int32)
    order = np.lexsort((ids[:n], -values[:n]))
    best, best_ids = np.empty(k), np.empty(k, np.int32)
    assert keep_best(values, ids, n, best, best_ids) == min(n, k)
    np.testing.assert_array_equal(best_ids[: min(n, k)], ids[order[:k]])
    np.testing.assert_array_equal(best[: min(n, k)], values[order[:k]])
    assert (best_ids[n:] == -1).all()
    expected = set(ids[order[:k]].tolist())
    select_best(values, ids, 0, n, min(k, n))
    assert set(ids[: min(k, n)].tolist()) == expected


@pytest.mark.parametrize("kind", ["sorted", "reversed", "equal"])
def test_selection_of_ordered_values(kind: str) -> None:
    values = {"sorted": np.arange(500.0), "reversed": np.arange(500.0)[::-1].copy(), "equal": np.ones(500)}[kind]
    ids = np.arange(500, dtype=np.int32)
    order = np.lexsort((ids, -values))[:100]
    expected = set(ids[order].tolist())
    select_best(values, ids, 0, 500, 100)
    assert set(ids[:100].tolist()) == expected


def test_draws_from_ranks_shrink_where_there_are_few() -> None:
    out = np.empty(4, np.int32)
    for n, expected in ((10, {4, 5, 6, 7}), (8, {4, 5, 6, 7}), (5, {3, 4}), (2, {1}), (1, set()), (0, set())):
        values, ids = -np.arange(12.0), np.arange(12, dtype=np.int32)
        draw_ranks(values, ids, n, 4, 8, np.uint64(5), out)  # ranks from 4 n / 8, rounded up
        assert set(out[out >= 0].tolist()) == expected
