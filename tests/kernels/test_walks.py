"""Walks against a twin that walks one at a time in plain Python: the same items, bit by bit; counts against numpy."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import chisquare

from pinfold.arrays import Floats, Ints, Longs
from pinfold.kernels.visits import count_visits, keep_most, new_tally, walk_once, walk_top, walk_window
from pinfold.kernels.walks import WIDTH, Sources, Table, running_sums, walk_visits

N_USERS, N_ITEMS = 50, 400
MASK = 2**64 - 1


def edges(seed: int = 0) -> tuple[Longs, Ints, Floats, Longs, Ints, Floats]:
    """Both directions of random edges; items 0 to 9 have no users, item 10 has one that took nothing else."""
    rng = np.random.default_rng(seed)
    taken = rng.random((N_USERS, N_ITEMS)) < rng.random(N_USERS)[:, None] * 0.2
    taken[:, :11], taken[0] = False, False
    taken[0, 10] = True
    weights = np.where(taken, rng.integers(1, 9, taken.shape), 0).astype(np.float32)
    found = []
    for matrix in (weights.T, weights):
        rows, columns = np.nonzero(matrix)
        ptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(matrix)))]).astype(np.int64)
        found += [ptr, columns.astype(np.int32), matrix[rows, columns]]
    return tuple(found)  # type: ignore[return-value]


def table(ptr: Longs, ids: Ints, weights: Floats, *, weighted: bool) -> Table:
    if not weighted:
        return Table(ptr, ids, np.empty(0, np.float32), np.empty(0))
    return Table(ptr, ids, weights, running_sums(ptr, weights))


def world(*, weighted: bool = False, fresh: bool = False) -> tuple[Table, Table, Sources]:
    parts = edges()
    items, users = table(*parts[:3], weighted=weighted), table(*parts[3:], weighted=weighted)
    if not fresh:
        rows = np.arange(N_ITEMS)
        return items, users, Sources(items.ptr[:-1], items.ptr[1:], items, False, rows.astype(np.int32), rows)
    ptr = np.array([0, 3, 3, 4, 9])
    own = table(
        ptr, np.array([1, 7, 30, 0, 2, 3, 5, 20, 49], np.int32), np.arange(1, 10, dtype=np.float32), weighted=weighted
    )
    return items, users, Sources(ptr[:-1], ptr[1:], own, True, np.full(4, -1, np.int32), np.full(4, N_ITEMS))


def only(sources: Sources, row: int) -> Sources:
    """One of the sources."""
    at = slice(row, row + 1)
    alone = sources._replace(begins=sources.begins[at], ends=sources.ends[at])
    return alone._replace(selves=sources.selves[at], streams=sources.streams[at])


def mix(x: int) -> int:
    x = (x + 0x9E3779B97F4A7C15) & MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


def edge(sides: Table, begin: int, end: int, draw: int) -> int:
    if not len(sides.sums):
        return begin + ((draw >> 32) * (end - begin) >> 32)
    target = (draw >> 11) * 2.0**-53 * sides.sums[end - 1]
    return begin + int(np.searchsorted(sides.sums[begin:end], target, side="right"))


def twin(items: Table, users: Table, sources: Sources, row: int, steps: int, restart: float, seed: int) -> list[int]:
    """One source's walk, step by step."""
    home = (sources.table, int(sources.begins[row]), int(sources.ends[row]))
    key, place, visits = mix(seed ^ mix(int(sources.streams[row]))), home, []
    for step in range(steps):
        draws = [mix((key + (2 * step + n) * 0x9E3779B97F4A7C15) & MASK) for n in (0, 1)]
        user = int(place[0].ids[edge(*place, draws[0])])
        item = int(users.ids[edge(users, int(users.ptr[user]), int(users.ptr[user + 1]), draws[1])])
        visits.append(item)
        again = (draws[1] & 0xFFFFFFFF) < int(restart * 2**32)
        place = home if again else (items, int(items.ptr[item]), int(items.ptr[item + 1]))
    return visits


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize("restart", [0.0, 0.5, 1.0])
def test_bit_by_bit_as_the_twin(weighted: bool, fresh: bool, restart: float) -> None:
    items, users, sources = world(weighted=weighted, fresh=fresh)
    found = walk_visits(items, users, sources, 30, restart, 5)
    for row in range(0, len(found), 1 if fresh else 13):
        empty = sources.begins[row] == sources.ends[row]
        expected = [-1] * 30 if empty else twin(items, users, sources, row, 30, restart, 5)
        assert found[row].tolist() == expected


@pytest.mark.parametrize("width", [1, 7, WIDTH, 1000])
def test_neither_width_nor_threads_change_a_walk(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    items, users, sources = world()
    expected = walk_visits(items, users, sources, 20, 0.3, 1)
    monkeypatch.setattr("pinfold.kernels.parallel.n_threads", lambda: 3)
    np.testing.assert_array_equal(walk_visits(items, users, sources, 20, 0.3, 1, width), expected)
    assert (walk_visits(items, users, sources, 20, 0.3, 2) != expected).any()


@pytest.mark.parametrize("weighted", [False, True])
def test_chances_of_a_step(weighted: bool) -> None:
    items, users, sources = world(weighted=weighted)
    row = int(np.argmax(np.diff(items.ptr)))
    one = only(sources, row)
    counts = np.bincount(walk_visits(items, users, one, 60_000, 1.0, 3)[0], minlength=N_ITEMS)
    parts = edges()
    dense = [np.zeros((len(ptr) - 1, n)) for ptr, n in ((parts[0], N_USERS), (parts[3], N_ITEMS))]
    for matrix, (ptr, ids, weights) in zip(dense, (parts[:3], parts[3:]), strict=True):
        for line, (a, b) in enumerate(pairwise(ptr)):
            matrix[line, ids[a:b]] = weights[a:b] if weighted else 1
    to_users, to_items = (matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1) for matrix in dense)
    chances = (to_users[row] @ to_items) * 60_000
    assert counts[chances == 0].sum() == 0
    often = chances > 5
    rest = chances[~often].sum()
    expected = np.append(chances[often], rest) if rest > 0 else chances[often]
    seen = np.append(counts[often], counts[~often].sum()) if rest > 0 else counts[often]
    assert chisquare(seen, expected).pvalue > 1e-3


@pytest.mark.parametrize("size", [1, 5, 600])
def test_most_visited_against_numpy(size: int) -> None:
    items, users, sources = world()
    visits = walk_visits(items, users, sources, 120, 0.5, 9)
    ids, weights = walk_top(items, users, sources, 120, 0.5, 9, size)
    for row, line in enumerate(visits):
        reached, counts = np.unique(line[(line != row) & (line >= 0)], return_counts=True)
        order = np.lexsort((reached, -counts))[:size]
        expected = np.full(size, -1)
        expected[: len(order)] = reached[order]
        np.testing.assert_array_equal(ids[row], expected)
        shares = np.zeros(size)
        shares[: len(order)] = counts[order] / max(counts[order].sum(), 1)
        np.testing.assert_allclose(weights[row], shares, rtol=1e-6)
    assert (ids[:11] == -1).all()  # without users, and one whose user took nothing else


def test_single_steps_in_the_order_drawn() -> None:
    items, users, sources = world()
    visits = walk_visits(items, users, sources, 80, 1.0, 4)
    ids, weights = walk_once(items, users, sources, 80, 4, 12)
    for row, line in enumerate(visits):
        expected = [item for item in dict.fromkeys(line.tolist()) if item not in (row, -1)][:12]
        assert ids[row].tolist() == expected + [-1] * (12 - len(expected))
        np.testing.assert_allclose(weights[row, : len(expected)], 1 / max(len(expected), 1), rtol=1e-6)
        assert (weights[row, len(expected) :] == 0).all()


def test_windows_by_visits() -> None:
    items, users, sources = world()
    ids, _ = walk_top(items, users, sources, 4000, 0.5, 2, N_ITEMS)
    window = walk_window(items, users, sources, 4000, 0.5, 2, (3, 6, 3))
    visits = walk_visits(items, users, sources, 4000, 0.5, 2)
    deep = np.flatnonzero(ids[:, 5] >= 0)
    assert len(deep) > 300
    for row in deep:
        counts = np.bincount(visits[row], minlength=N_ITEMS)
        least, most = counts[ids[row, 5]], counts[ids[row, 3]]  # equal counts stand in random order
        assert ((counts[window[row]] >= least) & (counts[window[row]] <= most)).all()
        assert len(set(window[row].tolist())) == 3
    assert (window[:11] == -1).all()


def test_equal_counts_in_a_window_do_not_go_by_row() -> None:
    ptr, ids = np.array([0, 41]), np.arange(41, dtype=np.int32)
    users = Table(ptr, ids, np.empty(0, np.float32), np.empty(0))
    items = Table(np.arange(42), np.zeros(41, np.int32), np.empty(0, np.float32), np.empty(0))
    rows = np.arange(41)
    sources = Sources(items.ptr[:-1], items.ptr[1:], items, False, rows.astype(np.int32), rows)
    drawn = walk_window(items, users, sources, 40, 1.0, 0, (10, 20, 10))
    assert 15 < drawn[drawn >= 0].mean() < 25


@pytest.mark.parametrize("n_items", [1, 2, 2048, 2049, 2**22 + 1, 2**31 - 1])
@pytest.mark.parametrize("steps", [1, 500])
def test_counts_of_any_ids(n_items: int, steps: int) -> None:
    rng = np.random.default_rng(n_items)
    tally = new_tally(steps, n_items)
    for spread in (n_items, min(n_items, 40)):
        visits = (n_items - 1 - rng.integers(0, spread, steps)).astype(np.int32)
        own = int(visits[0])
        n = count_visits(visits, own, tally)
        reached, counts = np.unique(visits[visits != own], return_counts=True)
        np.testing.assert_array_equal(tally.reached[:n], reached)
        np.testing.assert_array_equal(tally.counts[:n], counts)
        ids, weights = np.full(9, -1, np.int32), np.zeros(9, np.float32)
        assert keep_most(tally, n, ids, weights) == min(n, 9)
        order = np.lexsort((reached, -counts))[:9]
        np.testing.assert_array_equal(ids[: len(order)], reached[order])
        np.testing.assert_array_equal(weights[: len(order)], counts[order])


def test_very_long_walks() -> None:
    """More steps than a thread keeps of several walks."""
    items, users, sources = world(fresh=True)
    ids, weights = walk_top(items, users, sources, 2**22 + 5, 0.5, 0, 3)
    assert (ids[[0, 3]] >= 0).all()
    np.testing.assert_allclose(weights.sum(axis=1), [1, 0, 1, 1], rtol=1e-6)


def test_running_sums() -> None:
    ptr, ids, weights, *_ = edges()
    sums = running_sums(ptr, weights)
    for a, b in pairwise(ptr):
        np.testing.assert_allclose(sums[a:b], np.cumsum(weights[a:b]))
    assert len(ids) == len(sums)
