"""Graphs built on disk: the files of the way in memory, byte for byte, from any edges and in any memory."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinfold.artifacts import open_folder, writing
from pinfold.data.interactions import NO_TIME, Interactions
from pinfold.errors import ArtifactError
from pinfold.graph.bipartite import build_graph, read_csr, write_csr, write_graph
from pinfold.graph.building import EDGE, Edges, build_graph_files, load_graph, write_sorted_csr
from pinfold.graph.csr import Csr, from_pairs
from pinfold.progress import Silent

ROOM = 1 << 24  # bytes


def edges_of(n: int, n_rows: int, n_columns: int, seed: int = 0) -> Edges:
    """Edges with many repeats wherever there is little room, and weights whose sums depend on their order."""
    rng = np.random.default_rng(seed)
    rows, columns = rng.integers(0, max(n_rows, 1), n), rng.integers(0, max(n_columns, 1), n)
    return rows.astype(np.int32), columns.astype(np.int32), (rng.random(n) + 0.1).astype(np.float32)


def in_blocks(edges: Edges, size: int) -> Iterator[Edges]:
    rows, columns, weights = edges
    for start in range(0, len(rows), size):
        yield rows[start : start + size], columns[start : start + size], weights[start : start + size]


def sums(path: Path) -> dict[str, str]:
    """The SHA-256 of every file."""
    return {one.name: hashlib.sha256(one.read_bytes()).hexdigest() for one in path.iterdir()}


def assert_built(
    place: Path, edges: Edges, shape: tuple[int, int], memory: int = ROOM, size: int = 100, first_row: int = 0
) -> None:
    """The files are those of the way in memory, and nothing else is left."""
    with writing(place / "one", "thing") as folder:
        write_csr(folder, "x", from_pairs(*edges, shape))
    given = (edges[0] + np.int32(first_row), *edges[1:])
    with writing(place / "two", "thing") as folder:
        write_sorted_csr(folder, "x", in_blocks(given, size), shape, place / "work", memory, first_row)
    assert sums(place / "two") == sums(place / "one")
    assert list((place / "work").iterdir()) == []
    read_csr(open_folder(place / "two"), "x")


@pytest.mark.parametrize("memory", [ROOM, 300 * EDGE, 40 * EDGE])
@pytest.mark.parametrize(
    ("n", "shape"),
    [
        (0, (0, 0)),
        (0, (3, 4)),
        (1, (1, 1)),
        (1, (300, 500)),  # all rows but one are empty
        (700, (50, 70)),  # many repeats
        (700, (20_000, 30_000)),  # few
        (700, (1, 1000)),  # one row, with more edges than fit
        (700, (1000, 1)),
        (700, (1, 1)),  # one pair, repeated more often than fits
        (700, (2, 2**31 - 1)),
    ],
)
def test_the_same_bytes(tmp_path: Path, n: int, shape: tuple[int, int], memory: int) -> None:
    assert_built(tmp_path, edges_of(n, *shape), shape, memory)


@pytest.mark.parametrize("memory", [1, EDGE, 2 * EDGE])
def test_next_to_no_memory(tmp_path: Path, memory: int) -> None:
    assert_built(tmp_path, edges_of(60, 9, 9), (9, 9), memory)


@settings(max_examples=20, deadline=None)
@given(st.data())
def test_any_edges(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    shape = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 40))
    edges = edges_of(data.draw(st.integers(0, 80)), *shape, data.draw(st.integers(0, 99)))
    memory, size = data.draw(st.integers(1, 30 * EDGE)), data.draw(st.integers(1, 50))
    assert_built(tmp_path_factory.mktemp("any"), edges, shape, memory, size, data.draw(st.integers(0, 99)))


def test_all_rows_in_one_bucket(tmp_path: Path) -> None:
    rows, columns, weights = edges_of(900, 3, 5000)
    assert_built(tmp_path, (rows + np.int32(70_000), columns, weights), (90_000, 5000), 100 * EDGE)


def test_weights_that_are_all_alike(tmp_path: Path) -> None:
    rows, columns, _ = edges_of(900, 30, 500)
    assert_built(tmp_path, (rows, columns, np.full(900, 0.1, np.float32)), (30, 500), 200 * EDGE)


def test_more_rows_than_pointers_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pinfold.graph.streams.ROWS", 7)
    assert_built(tmp_path, edges_of(50, 400, 20), (400, 20))


def test_repeats_are_summed_in_the_order_in_which_they_come(tmp_path: Path) -> None:
    """1e8 + 1 is 1e8 in float32, so the order shows; scipy's own differs in rows of more than 16 entries."""
    weights = np.tile(np.array([1e8, 1, -1e8, 3], np.float32), 50)
    columns = np.repeat(np.arange(50, dtype=np.int32), 4)
    shuffled = np.random.default_rng(0).permutation(200)
    edges = (np.zeros(200, np.int32), columns[shuffled], weights[shuffled])
    expected = np.zeros(50, np.float32)
    for column, weight in zip(edges[1], edges[2], strict=True):
        expected[column] += weight
    assert from_pairs(*edges, (1, 50)).weights.tolist() == expected.tolist()
    assert len(set(expected.tolist())) > 1
    assert_built(tmp_path, edges, (1, 50), 20 * EDGE)


@pytest.mark.parametrize(
    ("row", "column", "message"),
    [
        (6, 0, r"rows must lie in \[2, 6\), found 6 to 6"),
        (1, 0, r"rows must lie in \[2, 6\), found 1 to 1"),
        (2, 3, r"columns must lie in \[0, 3\), found 3 to 3"),
        (2, -1, r"columns must lie in \[0, 3\), found -1 to -1"),
    ],
)
def test_edges_that_lie_outside_are_refused(tmp_path: Path, row: int, column: int, message: str) -> None:
    good = (np.array([2], np.int32), np.array([0], np.int32), np.ones(1, np.float32))
    bad = (np.array([row], np.int32), np.array([column], np.int32), np.ones(1, np.float32))
    with pytest.raises(ValueError, match=message), writing(tmp_path / "out", "thing") as folder:
        write_sorted_csr(folder, "x", [good, bad], (4, 3), tmp_path / "work", ROOM, 2)
    assert [one.name for one in tmp_path.rglob("*")] == ["work"]


def events_of(n: int, n_users: int, n_items: int) -> Interactions:
    users, items, weights = edges_of(n, n_users, n_items)
    return Interactions(users, items, weights, np.full(n, NO_TIME, np.int64), n_users, n_items)


def distinct(events: Interactions) -> Interactions:
    """As an import writes them: in order, no pair twice."""
    keys = events.users.astype(np.int64) << 32 | events.items
    return events.take(np.unique(keys, return_index=True)[1])


class Counted(Silent):
    """How many steps it was told of, and of how many."""

    def __init__(self) -> None:
        self.done = 0
        self.total: int | None = 0

    def task(self, name: str, total: int | None = None) -> Any:
        self.total = total
        return super().task(name, total)

    def advance(self, steps: int = 1, note: str = "") -> None:  # noqa: ARG002
        self.done += steps


@pytest.mark.parametrize(
    "events",
    [
        events_of(0, 2, 0),
        events_of(1, 1, 1),
        events_of(3000, 90, 70),
        distinct(events_of(3000, 90, 70)),
        distinct(events_of(300, 1000, 2000)),  # users without items, items without users
    ],
    ids=["none", "one", "mixed", "in order", "lone"],
)
@pytest.mark.parametrize("memory", [ROOM, 50 * EDGE])
def test_both_sides(tmp_path: Path, events: Interactions, memory: int) -> None:
    counted = Counted()
    built = build_graph_files(tmp_path / "graph", events, memory, counted)
    with writing(tmp_path / "expected", "graph") as folder:
        write_graph(folder, build_graph(events))
    assert sums(tmp_path / "graph") == sums(tmp_path / "expected")
    assert counted.done == counted.total == 4 * len(events)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["expected", "graph"]
    assert isinstance(built.user_items.ids, np.memmap)
    assert load_graph(tmp_path / "graph").n_edges == built.n_edges


def test_events_in_order_are_not_sorted_for_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sorted_sides = []

    def watched(folder: Any, name: str, *args: Any, **options: Any) -> None:
        sorted_sides.append(name)
        write_sorted_csr(folder, name, *args, **options)

    monkeypatch.setattr("pinfold.graph.building.write_sorted_csr", watched)
    events = distinct(events_of(500, 30, 40))
    build_graph_files(tmp_path / "in_order", events, 20 * EDGE)
    assert sorted_sides == ["item_users"]
    last_twice = events.take(np.append(np.arange(len(events)), len(events) - 1))
    for name, others in (("turned", events.take(np.arange(len(events))[::-1])), ("repeated", last_twice)):
        sorted_sides.clear()
        build_graph_files(tmp_path / name, others, 20 * EDGE)
        assert sorted_sides == ["user_items", "item_users"]


def test_what_stands_there_is_kept(tmp_path: Path) -> None:
    build_graph_files(tmp_path / "graph", events_of(10, 3, 4), ROOM)
    before = sums(tmp_path / "graph")
    with pytest.raises(ArtifactError, match="exists already"):
        build_graph_files(tmp_path / "graph", events_of(20, 3, 4), ROOM)
    assert sums(tmp_path / "graph") == before
    build_graph_files(tmp_path / "graph", events_of(20, 3, 4), ROOM, replace=True)
    assert sums(tmp_path / "graph") != before


def test_a_work_folder_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(ArtifactError, match=r"file: edges cannot be put there for sorting: .*make room"),
        writing(tmp_path / "out", "thing") as folder,
    ):
        write_sorted_csr(folder, "x", [edges_of(3, 2, 2)], (2, 2), tmp_path / "file", ROOM)
    assert not (tmp_path / "out").exists()


def test_a_csr_is_checked_across_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where one span ends and the next begins nothing is overlooked, and rows may begin anywhere."""
    rows, columns, weights = edges_of(300, 40, 60)
    good = from_pairs(rows, columns, weights, (40, 60))
    monkeypatch.setattr("pinfold.arrays.spans.__defaults__", (7,))
    Csr(good.ptr, good.ids, good.weights, 60)
    inner = np.setdiff1d(np.arange(1, len(good.ids)), good.ptr)
    for place in inner.tolist():
        ids = good.ids.copy()
        ids[place] = ids[place - 1]
        with pytest.raises(ValueError, match="ids must be sorted and distinct"):
            Csr(good.ptr, ids, good.weights, 60)
    for place in range(1, 40):
        ptr = good.ptr.copy()
        ptr[place] = ptr[place - 1] - 1
        with pytest.raises(ValueError, match="ptr must rise"):
            Csr(ptr, good.ids, good.weights, 60)
