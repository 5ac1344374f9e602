"""Importance neighborhoods: worked cases, fresh items, rank windows, tables on disk."""

from pathlib import Path

import numpy as np
import pytest

from pinfold.arrays import Ints
from pinfold.artifacts import open_folder, writing
from pinfold.errors import ArtifactError
from pinfold.graph.bipartite import BipartiteGraph, read_graph, write_graph
from pinfold.graph.csr import Csr, from_pairs
from pinfold.graph.neighborhood_files import build_neighborhoods
from pinfold.graph.neighborhoods import (
    NeighborhoodConfig,
    Neighborhoods,
    fresh_neighborhoods,
    neighborhood_blocks,
    neighborhoods,
    rank_window,
    read_neighborhoods,
    refreshed,
    write_neighborhoods,
)

METHODS = ("walks", "push", "uniform")
SMALL = NeighborhoodConfig(size=5, steps=60)


def graph_of(
    pairs: list[tuple[int, int]], n_users: int, n_items: int, weights: list[float] | None = None
) -> BipartiteGraph:
    users, items = (np.array(column, np.int32) for column in zip(*pairs, strict=True))
    values = np.array(weights or [1.0] * len(pairs), np.float32)
    user_items = from_pairs(users, items, values, (n_users, n_items))
    return BipartiteGraph(user_items, user_items.transpose())


# Items 0, 1 and 2 share user 0; item 3 is alone with user 1; item 4 is nobody's; 5 and 6 are an island (user 2).
ODD = graph_of([(0, 0), (0, 1), (0, 2), (1, 3), (2, 5), (2, 6)], 3, 7)


def assert_same(found: Neighborhoods, expected: Neighborhoods) -> None:
    np.testing.assert_array_equal(found.ids, expected.ids)
    np.testing.assert_array_equal(found.weights, expected.weights)


@pytest.mark.parametrize("method", METHODS)
def test_odd_items(method: str) -> None:
    config = NeighborhoodConfig(method=method, size=10, steps=400)  # type: ignore[arg-type]
    found = neighborhoods(ODD, config, 0)
    reached = [set(row[row >= 0].tolist()) for row in found.ids]
    assert reached == [{1, 2}, {0, 2}, {0, 1}, set(), set(), {6}, {5}]  # T of 10 is more than there are items
    assert (found.ids[:, 2:] == -1).all()
    assert (found.weights[found.ids < 0] == 0).all()
    np.testing.assert_allclose(found.weights.sum(axis=1), [1, 1, 1, 0, 0, 1, 1], rtol=1e-6)
    assert found.ids.dtype == np.int32
    assert found.weights.dtype == np.float32


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("weighted", [False, True])
def test_a_row_is_the_same_whatever_is_asked_beside_it(
    graph: BipartiteGraph, monkeypatch: pytest.MonkeyPatch, method: str, weighted: bool
) -> None:
    config = NeighborhoodConfig(method=method, size=5, steps=60, weighted=weighted)  # type: ignore[arg-type]
    whole = neighborhoods(graph, config, 3)
    rows = np.array([39, 0, 7, 7], np.int32)
    assert_same(neighborhoods(graph, config, 3, rows), Neighborhoods(whole.ids[rows], whole.weights[rows]))
    blocks = list(neighborhood_blocks(graph, config, 3, block=7))
    assert len(blocks) == 6
    assert_same(Neighborhoods(*(np.concatenate([getattr(b, n) for b in blocks]) for n in ("ids", "weights"))), whole)
    monkeypatch.setattr("pinfold.kernels.parallel.SMALL", 1)
    monkeypatch.setattr("pinfold.kernels.parallel.n_threads", lambda: 3)
    assert_same(neighborhoods(graph, config, 3), whole)
    if method != "push":
        assert (neighborhoods(graph, config, 4).ids != whole.ids).any()


def test_walks_stay_within_a_taste(graph: BipartiteGraph) -> None:
    found = neighborhoods(graph, NeighborhoodConfig(size=19), 0)
    assert ((found.ids % 2) == (np.arange(40) % 2)[:, None]).all()


def test_uniform_neighbors_are_distinct_and_weigh_the_same(graph: BipartiteGraph) -> None:
    found = neighborhoods(graph, NeighborhoodConfig(method="uniform", size=4, steps=200), 0)
    assert (found.weights == 0.25).all()
    assert all(len(set(row.tolist())) == 4 for row in found.ids)
    one_step = (graph.item_users.to_scipy() @ graph.user_items.to_scipy()).toarray() > 0
    assert np.take_along_axis(one_step, found.ids.astype(np.int64), axis=1).all()


def test_weights_of_edges_lead_the_walk() -> None:
    pairs = [(0, 0), (0, 1), (1, 0), (1, 2)]
    even, heavy = graph_of(pairs, 2, 3), graph_of(pairs, 2, 3, [9.0, 1.0, 1.0, 9.0])
    config = NeighborhoodConfig(size=2, steps=20_000, restart=1.0)
    assert neighborhoods(even, config, 0).weights[0] == pytest.approx([0.5, 0.5], abs=0.02)
    by_weight = NeighborhoodConfig(size=2, steps=20_000, restart=1.0, weighted=True)
    found = neighborhoods(heavy, by_weight, 0)  # .9 x .1 to item 1, .1 x .9 to item 2
    assert found.weights[0] == pytest.approx([0.5, 0.5], abs=0.04)
    assert_same(neighborhoods(heavy, config, 0), neighborhoods(even, config, 0))
    lonely = graph_of([(0, 0), (0, 1), (0, 2)], 1, 3, [1.0, 3.0, 1.0])
    assert neighborhoods(lonely, by_weight, 0).ids[0, 0] == 1
    assert neighborhoods(lonely, by_weight, 0).weights[0, 0] == pytest.approx(0.75, abs=0.02)


def test_walks_by_weight_refuse_weights_that_are_not_positive() -> None:
    zero = graph_of([(0, 0), (0, 1)], 1, 2, [0.0, 1.0])
    with pytest.raises(ValueError, match="above 0"):
        neighborhoods(zero, NeighborhoodConfig(weighted=True), 0)


@pytest.mark.parametrize("rows", [[-1], [40], [0, 99]])
def test_rows_out_of_range_are_refused(graph: BipartiteGraph, rows: list[int]) -> None:
    with pytest.raises(ValueError, match=r"\[0, 40\)"):
        neighborhoods(graph, SMALL, 0, np.array(rows, np.int32))
    assert neighborhoods(graph, SMALL, 0, np.empty(0, np.int32)).ids.shape == (0, 5)


def collections(rows: list[list[int]], n_users: int) -> Csr:
    ids = np.array([user for row in rows for user in row], np.int32)
    return Csr(np.cumsum([0, *map(len, rows)]).astype(np.int64), ids, np.ones(len(ids), np.float32), n_users)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("weighted", [False, True])
def test_fresh_items(method: str, weighted: bool) -> None:
    config = NeighborhoodConfig(method=method, size=4, steps=300, weighted=weighted)  # type: ignore[arg-type]
    found = fresh_neighborhoods(ODD, config, 0, collections([[0], [], [1], [1, 2]], 3))
    reached = [set(row[row >= 0].tolist()) for row in found.ids]
    assert reached == [{0, 1, 2}, set(), {3}, {3, 5, 6}]
    np.testing.assert_allclose(found.weights.sum(axis=1), [1, 0, 1, 1], rtol=1e-6)
    alone = fresh_neighborhoods(ODD, config, 0, collections([[1, 2]], 3))
    assert_same(alone, Neighborhoods(found.ids[3:], found.weights[3:]))


def test_a_fresh_item_walks_as_if_it_were_the_next_row(graph: BipartiteGraph) -> None:
    """An item whose collections hold nothing else walks alone in both; with other items, only its own visits differ."""
    taken = graph.item_users.row(6)
    fresh = fresh_neighborhoods(graph, NeighborhoodConfig(size=40, steps=50_000), 0, collections([taken.tolist()], 60))
    old = neighborhoods(graph, NeighborhoodConfig(size=40, steps=50_000), 0, np.array([6], np.int32))
    shares = np.zeros((2, 40))
    for row, one in enumerate((fresh, old)):
        shares[row, one.ids[0][one.ids[0] >= 0]] = one.weights[0][one.ids[0] >= 0]
    shares[0, 6] = 0  # its twin in the graph
    np.testing.assert_allclose(shares[0] / shares[0].sum(), shares[1], atol=0.005)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_users_without_items_lead_a_fresh_item_nowhere(method: str, weighted: bool) -> None:
    """Somebody who came after training may have it; a walk that took that edge would read foreign memory."""
    graph = graph_of([(1, 0), (1, 1), (1, 2)], 4, 3)  # users 0, 2 and 3 have nothing
    config = NeighborhoodConfig(method=method, size=4, steps=50, weighted=weighted)  # type: ignore[arg-type]
    with_them = fresh_neighborhoods(graph, config, 0, collections([[0, 1, 2, 3], [0, 3], [3]], 4))
    alone = fresh_neighborhoods(graph, config, 0, collections([[1]], 4))
    np.testing.assert_array_equal(with_them.ids[0], alone.ids[0])
    np.testing.assert_array_equal(with_them.weights[0], alone.weights[0])
    assert (with_them.ids[1:] == -1).all()
    assert not with_them.weights[1:].any()


def test_fresh_items_of_other_users_are_refused(graph: BipartiteGraph) -> None:
    with pytest.raises(ValueError, match="60"):
        fresh_neighborhoods(graph, SMALL, 0, collections([[0]], 59))


def ranks(graph: BipartiteGraph) -> Ints:
    """All items that each item reaches, the nearest first."""
    return neighborhoods(graph, NeighborhoodConfig(method="push", size=40, epsilon=1e-9), 0).ids


@pytest.mark.parametrize("method", ["walks", "push"])
def test_rank_window(graph: BipartiteGraph, method: str) -> None:
    config = NeighborhoodConfig(method=method, epsilon=1e-9, steps=100_000)  # type: ignore[arg-type]
    order = ranks(graph)
    drawn = rank_window(graph, 4, 12, 6, config, 5)
    assert drawn.shape == (40, 6)
    inside = [len(set(drawn[item].tolist()) & set(order[item, 4:12].tolist())) for item in range(40)]
    assert all(len(set(row.tolist())) == 6 for row in drawn)
    assert np.mean(inside) == 6 if method == "push" else np.mean(inside) > 4.5
    np.testing.assert_array_equal(rank_window(graph, 4, 12, 6, config, 5), drawn)
    assert (rank_window(graph, 4, 12, 6, config, 6) != drawn).any()
    some = np.array([20, 3], np.int32)
    np.testing.assert_array_equal(rank_window(graph, 4, 12, 6, config, 5, some), drawn[some])


def test_rank_window_is_even() -> None:
    star = graph_of([(0, item) for item in range(30)], 1, 30)  # 29 equal neighbors each: ranks by row
    config = NeighborhoodConfig(method="push")
    counts = np.zeros(30)
    for seed in range(600):
        counts[rank_window(star, 10, 20, 4, config, seed, np.zeros(1, np.int32))[0]] += 1
    assert set(np.flatnonzero(counts).tolist()) == set(range(11, 21))  # row 0 asks, so ranks start at row 1
    np.testing.assert_allclose(counts[11:21], 240, atol=60)


def test_rank_window_of_few_items_shrinks_and_leaves_out_the_nearest() -> None:
    star = graph_of([(0, item) for item in range(7)], 1, 7)  # 6 neighbors each
    config = NeighborhoodConfig(method="push")
    drawn = rank_window(star, 20, 50, 5, config, 0)[0]  # ranks [6 * 20 / 50, 6) = [3, 6): rows 4, 5 and 6
    assert sorted(drawn[:3].tolist()) == [4, 5, 6]
    assert drawn[3:].tolist() == [-1, -1]
    assert (rank_window(ODD, 2, 5, 3, config, 0)[[3, 4, 5]] == -1).all()  # none, none, and one that is the nearest
    assert rank_window(ODD, 0, 5, 3, config, 0)[5].tolist() == [6, -1, -1]


@pytest.mark.parametrize(("first", "last"), [(-1, 3), (3, 3), (4, 2)])
def test_rank_window_out_of_order_is_refused(graph: BipartiteGraph, first: int, last: int) -> None:
    with pytest.raises(ValueError, match="first < last"):
        rank_window(graph, first, last, 1, SMALL, 0)


def test_refreshed_rows(graph: BipartiteGraph) -> None:
    table = neighborhoods(graph, SMALL, 0)
    rows = np.array([5, 2], np.int32)
    found = refreshed(table, graph, SMALL, 1, rows)
    other = neighborhoods(graph, SMALL, 1)
    kept = np.setdiff1d(np.arange(40), rows)
    assert_same(
        Neighborhoods(found.ids[rows], found.weights[rows]), Neighborhoods(other.ids[rows], other.weights[rows])
    )
    assert_same(
        Neighborhoods(found.ids[kept], found.weights[kept]), Neighborhoods(table.ids[kept], table.weights[kept])
    )
    fewer = Neighborhoods(table.ids[:38], table.weights[:38])
    grown = refreshed(fewer, graph, SMALL, 1, np.empty(0, np.int32))
    np.testing.assert_array_equal(grown.ids[38:], other.ids[38:])
    with pytest.raises(ValueError, match="T = 6"):
        refreshed(table, graph, NeighborhoodConfig(size=6), 0, rows)
    with pytest.raises(ValueError, match="only come"):
        refreshed(table, ODD, SMALL, 0, rows)


def test_a_table_on_disk(graph: BipartiteGraph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("neighborhoods", "neighborhood_files"):
        monkeypatch.setattr(f"pinfold.graph.{module}.BLOCK", 16)
    built = build_neighborhoods(tmp_path / "table", graph, SMALL, 0)
    table = neighborhoods(graph, SMALL, 0)
    assert_same(built, table)
    assert isinstance(built.ids, np.memmap)
    with pytest.raises(ArtifactError, match="exists"):
        build_neighborhoods(tmp_path / "table", graph, SMALL, 0)
    with writing(tmp_path / "mine", "run") as folder:
        write_neighborhoods(folder, table, "old_")
        write_graph(folder, graph)
    opened = open_folder(tmp_path / "mine")
    assert_same(read_neighborhoods(opened, "old_"), table)
    mapped = read_graph(opened)
    assert_same(neighborhoods(mapped, SMALL, 0), table)  # a memory-mapped graph
    rows = np.array([1], np.int32)
    assert_same(refreshed(built, mapped, SMALL, 0, rows), table)


@pytest.mark.parametrize(
    ("ids", "weights"), [([[7]], [[1.0]]), ([[-2]], [[0.0]]), ([[0]], [[np.nan]]), ([[-1]], [[0.5]])]
)
def test_forged_tables_are_refused(tmp_path: Path, ids: list[list[int]], weights: list[list[float]]) -> None:
    with writing(tmp_path / "forged", "run") as folder:
        folder.array("neighbor_ids.npy", np.array(ids, np.int32))
        folder.array("neighbor_weights.npy", np.array(weights, np.float32))
    with pytest.raises(ArtifactError, match="neighbor_"):
        read_neighborhoods(open_folder(tmp_path / "forged"))
