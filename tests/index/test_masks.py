"""Only what is allowed is found, by every recommender, and as much of it as there is."""

import numpy as np
import pytest

from pinfold.arrays import Bools, Embeddings, Floats, TopK
from pinfold.graph.bipartite import BipartiteGraph
from pinfold.graph.csr import from_pairs
from pinfold.graph.interests import InterestsConfig, make_interests
from pinfold.graph.learned import Blend, Layer, Layered, Learned
from pinfold.index.exact import ExactIndex, held
from pinfold.index.recommender import recommender
from pinfold.models.ease import EASEConfig
from pinfold.models.gf_cf import GFCFConfig
from pinfold.models.item_knn import ItemKNNConfig
from pinfold.models.shelf import ComputedConfig, compute

DIM = 4


def floats(*shape: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def learned(kind: str, graph: BipartiteGraph) -> Learned:
    users, items = floats(graph.n_users, DIM), floats(graph.n_items, DIM, seed=1)
    vectors = Embeddings(users, items, items)
    computed: dict[str, ComputedConfig] = {"sparse": ItemKNNConfig(), "dense": EASEConfig(), "filter": GFCFConfig()}
    if kind in computed:
        return compute(computed[kind], graph)
    if kind == "layered":
        layer = Layer(items, floats(3, DIM, DIM, seed=2), floats(DIM, seed=3), 1.0)
        return Layered(users, items, (layer,), 0.5, self_loops=False, concatenated=False, unit_layers=False)
    if kind == "interests":
        return make_interests(items, graph.user_items, None, InterestsConfig(users="medoids"))
    return Blend((vectors, compute(EASEConfig(), graph)), np.ones(2, np.float32)) if kind == "blend" else vectors


KINDS = ["vectors", "layered", "interests", "sparse", "dense", "filter", "blend"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.0, 0.2, 0.8])
def test_a_mask_leaves_what_the_whole_answer_has_of_it(kind: str, share: float, graph: BipartiteGraph) -> None:
    asked = recommender(learned(kind, graph), graph.user_items)
    allowed: Bools = np.random.default_rng(5).random(graph.n_items) < share
    users, items = np.arange(20, dtype=np.int32), np.arange(7, dtype=np.int32)
    histories, n = graph.user_items.take(users), graph.n_items
    pairs: list[tuple[TopK, TopK]] = [
        (asked.recommend(users, 5, allowed), asked.recommend(users, n)),
        (asked.recommend_new(histories, 5, allowed), asked.recommend_new(histories, n)),
        (asked.similar(items, 5, allowed), asked.similar(items, n)),
    ]
    for masked, whole in pairs:
        for row, (ids, scores) in enumerate(zip(whole.ids, whole.scores, strict=True)):
            left = np.flatnonzero((ids >= 0) & allowed[ids])[:5]
            np.testing.assert_array_equal(masked.ids[row, : len(left)], ids[left])
            np.testing.assert_allclose(masked.scores[row, : len(left)], scores[left], rtol=1e-5, atol=1e-6)
            assert (masked.ids[row, len(left) :] == -1).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_mask_of_another_length_or_type_is_refused(kind: str, graph: BipartiteGraph) -> None:
    asked, users = recommender(learned(kind, graph), graph.user_items), np.zeros(1, np.int32)
    wrong = np.ones(graph.n_items + 1, np.bool_)
    for ask in (asked.recommend, asked.similar):
        with pytest.raises(ValueError, match="allowed must have shape"):
            ask(users, 3, wrong)
    with pytest.raises(ValueError, match="allowed must have shape"):
        asked.recommend_new(graph.user_items.take(users), 3, wrong)
    with pytest.raises(TypeError, match="allowed must have dtype bool"):
        asked.recommend(users, 3, np.ones(graph.n_items, np.int8))


@pytest.mark.parametrize("share", [0.0, 0.1, 0.9, 1.0])
def test_exclusions_and_a_mask_at_once(share: float) -> None:
    rng = np.random.default_rng(2)
    items, queries = floats(60, DIM), floats(9, DIM, seed=1)
    taken, allowed = rng.random((9, 60)) < 0.3, rng.random(60) < share
    rows, columns = (axis.astype(np.int32) for axis in np.nonzero(taken))
    exclude = from_pairs(rows, columns, np.ones(len(rows), np.float32), (9, 60))
    found = ExactIndex(items).search(queries, 60, exclude, allowed)
    scores = np.where(taken | ~allowed, -np.inf, queries @ items.T)
    order = np.argsort(-scores, axis=1, kind="stable")
    best = np.take_along_axis(scores, order, axis=1)
    np.testing.assert_array_equal(found.ids, np.where(np.isfinite(best), order, -1))


def test_held() -> None:
    one = from_pairs(np.array([0, 2, 2], np.int32), np.array([3, 0, 4], np.int32), np.ones(3, np.float32), (3, 5))
    ids = np.array([[3, 0, -1], [3, 0, -1], [4, 0, -1]])
    assert held(one, ids).tolist() == [[True, False, False], [False] * 3, [True, True, False]]
