"""The computation graph of a mini-batch: its blocks say the same as the neighborhoods of all items."""

import numpy as np
import pytest

from pinfold.arrays import Doubles, Ints
from pinfold.graph.bipartite import BipartiteGraph
from pinfold.graph.neighborhoods import NeighborhoodConfig, Neighborhoods, neighborhoods
from pinfold.sampling.blocks import Block, Edges, blocks

SEEDS = np.array([7, 0, 31, 12], np.int32)


@pytest.fixture(scope="module")
def near(graph: BipartiteGraph) -> Neighborhoods:
    return neighborhoods(graph, NeighborhoodConfig(size=4, steps=60), 0)


def dense(edges: Edges, n_columns: int) -> Doubles:
    matrix = np.zeros((len(edges.ptr) - 1, n_columns))
    rows = np.repeat(np.arange(len(matrix)), np.diff(edges.ptr))
    np.add.at(matrix, (rows, edges.ids), edges.weights)
    return matrix


def whole(near: Neighborhoods) -> Doubles:
    """The neighborhoods as a matrix (I, I)."""
    matrix = np.zeros((len(near.ids), len(near.ids)))
    rows, places = np.nonzero(near.ids >= 0)
    matrix[rows, near.ids[rows, places]] = near.weights[rows, places]
    return matrix


def levels(nodes: Ints, made: tuple[Block, ...]) -> list[Ints]:
    """The nodes of each level, from all to the seeds: a level is the beginning of the one before."""
    return [nodes, *(nodes[: block.n_rows] for block in made)]


@pytest.mark.parametrize("n_layers", [0, 1, 2, 3])
def test_each_block_is_a_part_of_the_whole_matrix(near: Neighborhoods, n_layers: int) -> None:
    nodes, made = blocks(near, SEEDS, n_layers)
    assert len(made) == n_layers
    assert len(np.unique(nodes)) == len(nodes)
    np.testing.assert_array_equal(nodes[: len(SEEDS)], SEEDS)
    below = levels(nodes, made)
    assert len(below[-1]) == len(SEEDS)
    matrix = whole(near)
    for block, columns, rows in zip(made, below[:-1], below[1:], strict=True):
        assert (block.n_rows, block.n_columns) == (len(rows), len(columns))
        found = dense(block.forward, block.n_columns)
        np.testing.assert_allclose(found, matrix[np.ix_(rows, columns)])
        np.testing.assert_allclose(found.sum(axis=1), matrix[rows].sum(axis=1))  # no neighbor is missing
        np.testing.assert_array_equal(dense(block.backward, block.n_rows), found.T)


def test_a_pairs_ends_do_not_gather_from_each_other_in_the_last_block(near: Neighborhoods) -> None:
    one = SEEDS[:2]
    other = near.ids[one, 0]  # the nearest of both
    seeds = np.unique(np.concatenate([one, other])).astype(np.int32)
    nodes, made = blocks(near, seeds, 2, (one, other))
    open_nodes, open_made = blocks(near, seeds, 2)
    np.testing.assert_array_equal(nodes, open_nodes)
    guarded, plain = (dense(part[-1].forward, part[-1].n_columns) for part in (made, open_made))
    place = {item: at for at, item in enumerate(nodes.tolist())}
    hidden = np.zeros(guarded.shape, np.bool_)
    for q, i in zip(one.tolist(), other.tolist(), strict=True):
        hidden[place[q], place[i]] = hidden[place[i], place[q]] = True
    assert plain[hidden].any()
    assert not guarded[hidden].any()
    assert ((guarded > 0) == ((plain > 0) & ~hidden)).all()
    np.testing.assert_allclose(guarded.sum(axis=1), plain.sum(axis=1), rtol=1e-6)
    np.testing.assert_array_equal(dense(made[-1].backward, made[-1].n_rows), guarded.T)
    first, open_first = (dense(part[0].forward, part[0].n_columns) for part in (made, open_made))
    np.testing.assert_array_equal(first, open_first)


def test_an_item_without_neighbors_needs_only_itself() -> None:
    near = Neighborhoods(np.full((3, 2), -1, np.int32), np.zeros((3, 2), np.float32))
    nodes, made = blocks(near, np.array([2], np.int32), 2)
    assert nodes.tolist() == [2]
    for block in made:
        assert (block.n_rows, block.n_columns) == (1, 1)
        assert block.forward.ptr.tolist() == block.backward.ptr.tolist() == [0, 0]


def test_a_pairs_only_neighbor_is_hidden_too() -> None:
    near = Neighborhoods(np.array([[1], [0]], np.int32), np.ones((2, 1), np.float32))
    pair = np.array([0], np.int32), np.array([1], np.int32)
    _, (block,) = blocks(near, np.arange(2, dtype=np.int32), 1, pair)
    assert block.forward.ptr.tolist() == [0, 0, 0]
