"""The graph from both sides, and its folder."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pinfold.artifacts import open_folder, writing
from pinfold.data.interactions import NO_TIME, Interactions
from pinfold.errors import ArtifactError
from pinfold.graph.bipartite import BipartiteGraph, build_graph, read_csr, read_graph, write_csr, write_graph
from pinfold.graph.csr import Csr, from_pairs

# User 0 took item 1 twice and item 3, user 1 nothing, user 2 item 1; nobody took items 0 and 2.
EVENTS = Interactions(
    users=np.array([2, 0, 0, 0], np.int32),
    items=np.array([1, 3, 1, 1], np.int32),
    weights=np.array([1, 2, 4, 8], np.float32),
    times=np.full(4, NO_TIME, np.int64),
    n_users=3,
    n_items=4,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with writing(tmp_path / "out", "thing") as writer:
        write_graph(writer, build_graph(EVENTS))
    return tmp_path / "out"


def same(first: Csr, second: Csr) -> bool:
    return all(
        a.tolist() == b.tolist()
        for a, b in ((first.ptr, second.ptr), (first.ids, second.ids), (first.weights, second.weights))
    ) and (first.n_columns == second.n_columns)


def test_the_same_edges_from_both_sides() -> None:
    graph = build_graph(EVENTS)
    assert (graph.n_users, graph.n_items, graph.n_edges) == (3, 4, 3)
    assert [graph.user_items.row(user).tolist() for user in range(3)] == [[1, 3], [], [1]]
    assert [graph.item_users.row(item).tolist() for item in range(4)] == [[], [0, 2], [], [0]]
    assert graph.user_items.weights.tolist() == [12, 2, 1]
    assert graph.item_users.weights.tolist() == [12, 1, 2]
    assert graph.item_counts().tolist() == [0, 2, 0, 1]


def test_no_edges() -> None:
    nothing = np.zeros(0, np.int32)
    graph = build_graph(Interactions.of(nothing, nothing, 2, 0))
    assert (graph.n_users, graph.n_items, graph.n_edges) == (2, 0, 0)
    assert graph.item_counts().tolist() == []


def test_sides_that_do_not_fit_are_refused() -> None:
    graph = build_graph(EVENTS)
    smaller = build_graph(EVENTS.take(np.array([0])))
    with pytest.raises(ValueError, match=r"\(U, I, E\) = \(3, 4, 3\), item_users \(3, 4, 1\): must be equal"):
        BipartiteGraph(graph.user_items, smaller.item_users)
    with pytest.raises(ValueError, match="must be equal"):
        BipartiteGraph(graph.user_items, graph.user_items)


def test_a_written_graph_is_read(folder: Path) -> None:
    graph, found = build_graph(EVENTS), read_graph(open_folder(folder))
    assert same(found.user_items, graph.user_items)
    assert same(found.item_users, graph.item_users)
    assert isinstance(found.user_items.ids, np.memmap)
    assert found.user_items.take(np.array([2, 0], np.int32)).ids.tolist() == [1, 1, 3]


def test_a_csr_without_rows_is_read(tmp_path: Path) -> None:
    nothing = from_pairs(np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0, np.float32), (0, 5))
    with writing(tmp_path / "out", "thing") as writer:
        write_csr(writer, "x", nothing)
    assert same(read_csr(open_folder(tmp_path / "out"), "x"), nothing)


FILES = [f"{side}_{part}.npy" for side in ("user_items", "item_users") for part in ("ptr", "ids", "weights", "columns")]


def put(folder: Path, name: str, array: Any) -> None:
    """Another array under this name, and a manifest that fits it; None removes the file."""
    if array is None:
        (folder / name).unlink()
    else:
        np.save(folder / name, array)
    files = {
        path.name: {"bytes": path.stat().st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
        for path in folder.iterdir()
        if path.name != "manifest.json"
    }
    (folder / "manifest.json").write_text(json.dumps({"format": 1, "kind": "thing", "files": files}))


@pytest.mark.parametrize("name", FILES)
def test_a_graph_that_lacks_a_file_is_refused(folder: Path, name: str) -> None:
    put(folder, name, None)
    with pytest.raises(ArtifactError, match=f"out: has no {name}"):
        read_graph(open_folder(folder))


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("user_items_ptr.npy", np.array([0, 2, 2, 2]), r"user_items_\*\.npy do not fit together: ptr must rise"),
        ("user_items_ptr.npy", np.array([0, 3, 2, 3]), r"user_items_\*\.npy do not fit together: ptr must rise"),
        ("user_items_ptr.npy", np.array([0, 2, 3], np.int32), r"user_items_ptr\.npy must have dtype int64"),
        ("user_items_ptr.npy", np.array([0, 2, 3]), "its graph does not fit together"),
        ("user_items_ids.npy", np.array([3, 1, 1], np.int32), "do not fit together: ids must be sorted"),
        ("item_users_ids.npy", np.array([0, 9, 0], np.int32), r"item_users_\*\.npy do not fit together: ids must lie"),
        ("item_users_ids.npy", np.array([[0, 2, 0]], np.int32), r"item_users_ids\.npy must have shape"),
        ("user_items_weights.npy", np.ones(2, np.float32), "do not fit together: weights must have shape"),
        ("user_items_columns.npy", np.array([9]), "its graph does not fit together"),
        ("user_items_columns.npy", np.array([2]), "do not fit together: ids must lie"),
        ("user_items_columns.npy", np.array([4, 4]), r"user_items_columns\.npy must have shape"),
        ("user_items_columns.npy", np.array(4), r"user_items_columns\.npy must have shape"),
    ],
)
def test_files_that_are_no_graph_are_refused(folder: Path, name: str, array: Any, message: str) -> None:
    put(folder, name, array)
    with pytest.raises(ArtifactError, match=f"out.*: .*{message}"):
        read_graph(open_folder(folder))
