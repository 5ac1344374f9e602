"""Item-kNN against dense cosines."""

import numpy as np
import pytest

from pinfold.arrays import Doubles
from pinfold.data.interactions import Interactions
from pinfold.graph.bipartite import BipartiteGraph, build_graph
from pinfold.models.item_knn import ItemKNNConfig, item_knn


def random_graph(n_users: int = 40, n_items: int = 23) -> BipartiteGraph:
    """Some pairs twice; item 7 is nobody's."""
    rng = np.random.default_rng(0)
    taken = rng.random((n_users, n_items)) < rng.random(n_items) * 0.5
    taken[:, 7] = False
    users, items = (np.append(a, a[:20]).astype(np.int32) for a in np.nonzero(taken))
    return build_graph(Interactions.of(users, items, n_users, n_items))


def twin(graph: BipartiteGraph, n_neighbors: int, shrinkage: float) -> Doubles:
    """W[j, i] = n_ij / (sqrt(n_i n_j) + shrinkage) where j is among the best n of column i, ties to the lower j."""
    sets = [set(graph.item_users.row(item).tolist()) for item in range(graph.n_items)]
    weights = np.zeros((graph.n_items, graph.n_items))
    for i, own in enumerate(sets):
        near = []
        for j, other in enumerate(sets):
            if j != i and own & other:
                near.append((np.float32(len(own & other) / (np.sqrt(len(own) * len(other)) + shrinkage)), j))
        for weight, j in sorted(near, key=lambda pair: (-pair[0], pair[1]))[:n_neighbors]:
            weights[j, i] = weight
    return weights


@pytest.mark.parametrize("n_neighbors", [1, 4, 100])
@pytest.mark.parametrize("shrinkage", [0.0, 10.0])
@pytest.mark.parametrize("block", [1, 7, 1024])
def test_against_dense(monkeypatch: pytest.MonkeyPatch, n_neighbors: int, shrinkage: float, block: int) -> None:
    monkeypatch.setattr("pinfold.models.item_knn.BLOCK", block)
    graph = random_graph()
    found = item_knn(ItemKNNConfig(n_neighbors=n_neighbors, shrinkage=shrinkage), graph)
    expected = twin(graph, n_neighbors, shrinkage)
    np.testing.assert_allclose(found.weights.to_scipy().toarray(), expected, rtol=1e-6)
    assert len(found.weights.ids) == np.count_nonzero(expected)


def test_equal_similarities_go_to_the_lower_item() -> None:
    # Items 0, 1, 2, 3 are taken by the same two users: all similarities are 2 / 2 = 1.
    users, items = np.divmod(np.arange(8, dtype=np.int32), 4)
    graph = build_graph(Interactions.of(users.astype(np.int32), items.astype(np.int32), 2, 4))
    weights = item_knn(ItemKNNConfig(n_neighbors=2, shrinkage=0), graph).weights.to_scipy().toarray()
    assert weights.T.tolist() == [[0, 1, 1, 0], [1, 0, 1, 0], [1, 1, 0, 0], [1, 1, 0, 0]]


def test_nobody_shares_anything() -> None:
    users = np.arange(3, dtype=np.int32)
    found = item_knn(ItemKNNConfig(), build_graph(Interactions.of(users, users, 3, 3)))
    assert found.weights.n_rows == 3
    assert len(found.weights.ids) == 0
