"""Walks cut into segments against the walks themselves."""

import numpy as np
import pytest

from pinfold.graph.bipartite import BipartiteGraph
from pinfold.graph.neighborhoods import NeighborhoodConfig, walk_tables
from pinfold.kernels.segments import cut_walks, going_on, grouped, hop
from pinfold.kernels.walks import Sources, walk_visits


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("restart", [0.0, 0.3, 1.0])
def test_segments_visit_what_the_walk_visits(graph: BipartiteGraph, restart: float, weighted: bool) -> None:
    tables = walk_tables(graph, NeighborhoodConfig(weighted=weighted))
    rows = np.arange(graph.n_items, dtype=np.int32)
    ptr, steps, seed, chance = tables.items.ptr, 50, 7, int(restart * 2.0**32)
    sources = Sources(ptr[:-1], ptr[1:], tables.items, False, rows, rows.astype(np.int64))
    expected = walk_visits(tables.items, tables.users, sources, steps, restart, seed)
    found = np.full_like(expected, -1)
    at, own, numbers = cut_walks(tables.items, 0, rows, steps, chance, seed)
    while len(at):
        items = hop(tables.users, 0, at, own, numbers, seed, 1)
        assert (found[own, numbers] == -1).all()
        found[own, numbers] = items
        on = going_on(own, numbers, steps, chance, seed)
        items, own, numbers = items[on], own[on], numbers[on] + np.int32(1)
        at = hop(tables.items, 0, items, own, numbers, seed, 0)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("size", [1, 2, 7, 40])
@pytest.mark.parametrize("threads", [1, 3])
def test_walkers_by_owner(monkeypatch: pytest.MonkeyPatch, size: int, threads: int) -> None:
    monkeypatch.setattr("pinfold.kernels.parallel.n_threads", lambda: threads)
    rng, n = np.random.default_rng(0), 23
    rows, one = (rng.integers(0, n, 1000).astype(np.int32) for _ in range(2))
    other, kept = np.arange(1000, dtype=np.int32), rng.random(1000) < 0.7
    bounds = np.array([n * rank // size for rank in range(size + 1)])
    *columns, ends = grouped(rows, bounds, kept, one, other)
    for rank in range(size):
        inside = kept & (rows >= n * rank // size) & (rows < n * (rank + 1) // size)
        for column, found in zip((rows, one, other), columns, strict=True):
            np.testing.assert_array_equal(found[ends[rank] : ends[rank + 1]], column[inside])
