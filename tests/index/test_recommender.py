"""Recommenders against dense products; nobody gets what they have."""

import numpy as np
import pytest
from scipy import sparse

from pinfold.arrays import Embeddings, Floats, TopK
from pinfold.graph.csr import Csr, from_scipy
from pinfold.graph.learned import DenseSimilarity, ItemSimilarity, Learned
from pinfold.index.dense import DenseRecommender
from pinfold.index.recommender import recommender
from pinfold.index.similarities import SimilarityRecommender
from pinfold.index.vectors import EmbeddingRecommender

N_USERS, N_ITEMS, DIM = 30, 20, 6


def random_csr(n: int, share: float, seed: int) -> Csr:
    """Random taken items, with weights that are not 1; row 0 has none, row 1 all."""
    rng = np.random.default_rng(seed)
    taken = rng.random((n, N_ITEMS)) < share
    taken[0], taken[1] = False, True
    rows, columns = np.nonzero(taken)
    ptr = np.append(0, np.cumsum(np.bincount(rows, minlength=n))).astype(np.int64)
    return Csr(ptr, columns.astype(np.int32), rng.uniform(0.5, 9, len(rows)).astype(np.float32), N_ITEMS)


def vectors(seed: int = 0) -> Embeddings:
    rng = np.random.default_rng(seed)
    users, items, history = (rng.normal(size=(n, DIM)).astype(np.float32) for n in (N_USERS, N_ITEMS, N_ITEMS))
    return Embeddings(users, items, history)


def similarity(seed: int = 0) -> ItemSimilarity:
    """Random, sparse and not symmetric, as item-kNN's is."""
    rng = np.random.default_rng(seed)
    dense = np.where(rng.random((N_ITEMS, N_ITEMS)) < 0.3, rng.uniform(0.1, 1, (N_ITEMS, N_ITEMS)), 0)
    np.fill_diagonal(dense, 0)
    return ItemSimilarity(from_scipy(sparse.csr_array(dense.astype(np.float32))))


def full(seed: int = 0) -> DenseSimilarity:
    """Random, of both signs, not symmetric; item 4 says nothing and nothing is said of it."""
    weights = np.random.default_rng(seed).normal(size=(N_ITEMS, N_ITEMS)).astype(np.float32)
    np.fill_diagonal(weights, 0)
    weights[4], weights[:, 4] = 0, 0
    return DenseSimilarity(weights)


SEEN = random_csr(N_USERS, 0.4, seed=1)
USERS = np.array([3, 0, 1, 29, 3], np.int32)
HISTORIES = random_csr(8, 0.3, seed=2)
LEARNED: list[Learned] = [vectors(), similarity(), full()]
every_kind = pytest.mark.parametrize("learned", LEARNED, ids=["vectors", "similarity", "full"])


def ones(csr: Csr) -> Floats:
    dense: Floats = (csr.to_scipy().toarray() != 0).astype(np.float32)
    return dense


def assert_best(found: TopK, scores: np.ndarray[tuple[int, int], np.dtype[np.floating]], k: int) -> None:
    """`found` is the top k of the dense scores, in which -inf marks what must not be returned."""
    for row, line in enumerate(scores):
        order = [i for i in np.argsort(-line, kind="stable") if line[i] > -np.inf][:k]
        missing = k - len(order)
        assert found.ids[row].tolist() == [*order, *[-1] * missing]
        np.testing.assert_allclose(found.scores[row], [*line[order], *[-np.inf] * missing], rtol=1e-4, atol=1e-5)


def test_the_right_kind() -> None:
    assert isinstance(recommender(vectors(), SEEN), EmbeddingRecommender)
    assert isinstance(recommender(similarity(), SEEN), SimilarityRecommender)
    assert isinstance(recommender(full(), SEEN), DenseRecommender)


@pytest.mark.parametrize("k", [1, 5, 25])
def test_vectors_against_dense(k: int) -> None:
    learned = vectors()
    asked = recommender(learned, SEEN)
    taken = ones(SEEN)[USERS]
    assert_best(asked.recommend(USERS, k), np.where(taken > 0, -np.inf, (learned.users @ learned.items.T)[USERS]), k)
    history = ones(HISTORIES)
    scores = history @ learned.history @ learned.items.T
    scores[history.sum(axis=1) == 0] = -np.inf  # nothing for somebody who took nothing
    assert_best(asked.recommend_new(HISTORIES, k), np.where(history > 0, -np.inf, scores), k)


@pytest.mark.parametrize("k", [1, 5, 25])
@pytest.mark.parametrize("block_bytes", [1, 4 * N_ITEMS * 3, 64 << 20])
def test_similarities_against_dense(monkeypatch: pytest.MonkeyPatch, k: int, block_bytes: int) -> None:
    monkeypatch.setattr("pinfold.index.exact.BLOCK_BYTES", block_bytes)
    learned = similarity()
    asked, weights = recommender(learned, SEEN), learned.weights.to_scipy().toarray()
    for found, taken in (
        (asked.recommend(USERS, k), ones(SEEN)[USERS]),
        (asked.recommend_new(HISTORIES, k), ones(HISTORIES)),
    ):
        scores = taken @ weights
        assert_best(found, np.where((taken > 0) | (scores == 0), -np.inf, scores), k)


@pytest.mark.parametrize("k", [1, 5, 25])
@pytest.mark.parametrize("block_bytes", [1, 4 * N_ITEMS * 3, 64 << 20])
def test_full_matrix_against_dense(monkeypatch: pytest.MonkeyPatch, k: int, block_bytes: int) -> None:
    """Also what has a negative score is returned, but nothing to somebody who took nothing."""
    monkeypatch.setattr("pinfold.index.exact.BLOCK_BYTES", block_bytes)
    learned = full()
    asked = recommender(learned, SEEN)
    for found, taken in (
        (asked.recommend(USERS, k), ones(SEEN)[USERS]),
        (asked.recommend_new(HISTORIES, k), ones(HISTORIES)),
    ):
        scores = taken @ learned.weights
        scores[taken.sum(axis=1) == 0] = -np.inf
        assert_best(found, np.where(taken > 0, -np.inf, scores), k)
    items = np.array([4, 0, 19, 7, 1, 2, 3], np.int32)
    speaks = learned.weights.T[items]  # W[j, i] is what j says about i
    assert_best(asked.similar(items, k), np.where(speaks > 0, speaks, -np.inf), k)


@every_kind
def test_seen_items_never_return(learned: Learned) -> None:
    everyone = np.arange(N_USERS, dtype=np.int32)
    found = recommender(learned, SEEN).recommend(everyone, N_ITEMS)
    for user in range(N_USERS):
        ids = found.ids[user][found.ids[user] >= 0]
        assert not set(ids.tolist()) & set(SEEN.row(user).tolist())
        assert len(set(ids.tolist())) == len(ids)
    assert (found.ids[1] == -1).all()  # who has everything gets nothing


@every_kind
def test_given_items_never_return(learned: Learned) -> None:
    found = recommender(learned, SEEN).recommend_new(HISTORIES, N_ITEMS)
    for row in range(HISTORIES.n_rows):
        assert not set(found.ids[row].tolist()) & set(HISTORIES.row(row).tolist())
    assert (found.ids[1] == -1).all()


@every_kind
def test_each_item_of_a_history_counts_once(learned: Learned) -> None:
    """However heavy: repeats and weights change nothing."""
    light = Csr(HISTORIES.ptr, HISTORIES.ids, np.ones_like(HISTORIES.weights), N_ITEMS)
    asked = recommender(learned, SEEN)
    heavy, once = asked.recommend_new(HISTORIES, 5), asked.recommend_new(light, 5)
    np.testing.assert_array_equal(heavy.ids, once.ids)
    np.testing.assert_array_equal(heavy.scores, once.scores)


@every_kind
def test_similar_leaves_the_item_out(learned: Learned) -> None:
    everything = np.arange(N_ITEMS, dtype=np.int32)
    found = recommender(learned, SEEN).similar(everything, N_ITEMS)
    assert not (found.ids == everything[:, None]).any()
    assert (found.scores[:, :-1] >= found.scores[:, 1:]).all()


def test_similar_by_cosine() -> None:
    learned = vectors()
    rows = np.array([4, 0], np.int32)
    unit = learned.items / np.linalg.norm(learned.items, axis=1, keepdims=True)
    scores = unit[rows] @ unit.T
    scores[[0, 1], rows] = -np.inf
    assert_best(recommender(learned, SEEN).similar(rows, 5), scores, 5)


def test_similar_to_an_item_without_direction() -> None:
    items = vectors().items.copy()
    items[2] = 0
    learned = Embeddings(vectors().users, items, vectors().history)
    found = recommender(learned, SEEN).similar(np.array([2, 5], np.int32), 3)
    assert np.isfinite(found.scores).all()
    assert found.ids[0].tolist() == [0, 1, 3]
    assert found.scores[0].tolist() == [0, 0, 0]


@every_kind
def test_nobody_asks(learned: Learned) -> None:
    asked, nobody = recommender(learned, SEEN), np.empty(0, np.int32)
    for found in (asked.recommend(nobody, 3), asked.recommend_new(HISTORIES.take(nobody), 3), asked.similar(nobody, 3)):
        assert found.ids.shape == found.scores.shape == (0, 3)


@every_kind
def test_wrong_questions(learned: Learned) -> None:
    asked = recommender(learned, SEEN)
    with pytest.raises(ValueError, match="k must be at least 1"):
        asked.recommend(USERS, 0)
    for row in (-1, N_USERS):
        with pytest.raises((ValueError, IndexError)):
            asked.recommend(np.array([row], np.int32), 3)
    for row in (-1, N_ITEMS):
        with pytest.raises((ValueError, IndexError)):
            asked.similar(np.array([row], np.int32), 3)
    wide = Csr(np.array([0, 1]), np.array([N_ITEMS], np.int32), np.ones(1, np.float32), N_ITEMS + 1)
    with pytest.raises(ValueError, match=r"."):
        asked.recommend_new(wide, 3)


def test_neighbors_are_those_kept_for_the_item_itself() -> None:
    # kept for item 0: items 1 and 2; for item 1: item 0 alone. W[j, i] speaks for i, so N(0) is column 0.
    dense = np.array([[0, 0.5, 0], [0.9, 0, 0], [0.4, 0, 0]], np.float32)
    asked = recommender(
        ItemSimilarity(from_scipy(sparse.csr_array(dense))), from_scipy(sparse.csr_array((3, 3), dtype=np.float32))
    )
    found = asked.similar(np.array([0, 1, 2], np.int32), 2)
    assert found.ids.tolist() == [[1, 2], [0, -1], [-1, -1]]
