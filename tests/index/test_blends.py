"""Blends against dense loops over users and members."""

import numpy as np
import pytest
from scipy import sparse

from pinfold.arrays import Doubles, Embeddings, Floats, TopK
from pinfold.errors import ConfigError
from pinfold.graph.csr import Csr, from_scipy
from pinfold.graph.learned import Blend, DenseSimilarity, ItemSimilarity, Learned
from pinfold.index.blends import BLENDED, BlendRecommender
from pinfold.index.recommender import recommender

N_USERS, N_ITEMS, DIM, K = 2 * BLENDED + 17, 20, 6, 7


def random_csr(n: int, share: float, seed: int) -> Csr:
    """Random taken items, with weights that are not 1; row 0 has none, row 1 all."""
    rng = np.random.default_rng(seed)
    taken = rng.random((n, N_ITEMS)) < share
    taken[0], taken[1] = False, True
    return from_scipy(sparse.csr_array(np.where(taken, rng.uniform(0.5, 9, taken.shape), 0).astype(np.float32)))


def vectors() -> Embeddings:
    """Large scores; users' own vectors say other things than their history."""
    rng = np.random.default_rng(0)
    users, items, history = (rng.normal(size=(n, DIM)).astype(np.float32) for n in (N_USERS, N_ITEMS, N_ITEMS))
    return Embeddings(100 * users, items + 3, history)


def similarity() -> ItemSimilarity:
    dense = np.random.default_rng(1).normal(size=(N_ITEMS, N_ITEMS))
    return ItemSimilarity(from_scipy(sparse.csr_array(np.where(dense > 0.5, dense, 0).astype(np.float32))))


def full() -> DenseSimilarity:
    return DenseSimilarity((0.01 * np.random.default_rng(2).normal(size=(N_ITEMS, N_ITEMS))).astype(np.float32))


def silent() -> DenseSimilarity:
    """The same score for every item: it has no deviation and cannot rank."""
    return DenseSimilarity(np.full((N_ITEMS, N_ITEMS), 0.5, np.float32))


def floats(*values: float) -> Floats:
    return np.array(values, np.float32)


SEEN = random_csr(N_USERS, 0.4, seed=1)
HISTORIES = random_csr(BLENDED + 5, 0.3, seed=2)
PAIR = Blend((vectors(), similarity()), floats(1, 1))
BLENDS = {
    "pair": PAIR,
    "weights": Blend((full(), vectors(), similarity()), floats(0.3, 2, 1)),
    "silent": Blend((silent(), similarity(), full()), floats(5, 1, 1)),
    "nested": Blend((PAIR, full()), floats(2, 1)),
}
every_blend = pytest.mark.parametrize("blend", BLENDS.values(), ids=BLENDS)


def member_scores(member: Learned, user: int | None, taken: list[int]) -> Doubles:
    """The scores of one user, or of a newcomer, from the definitions."""
    match member:
        case Embeddings():
            own = member.history[taken].sum(axis=0) if user is None else member.users[user]
            found = np.array([np.dot(own.astype(np.float64), item) for item in member.items])
        case ItemSimilarity():
            found = member.weights.to_scipy().toarray()[taken].sum(axis=0, dtype=np.float64)
        case DenseSimilarity():
            found = member.weights[taken].sum(axis=0, dtype=np.float64)
        case Blend():
            found = blend_scores(member, user, taken)
        case _:
            raise AssertionError
    return found


def blend_scores(blend: Blend, user: int | None, taken: list[int]) -> Doubles:
    total = np.zeros(N_ITEMS)
    for weight, member in zip(blend.weights, blend.members, strict=True):
        found = member_scores(member, user, taken)
        mean = sum(found) / N_ITEMS
        deviation = np.sqrt(sum((score - mean) ** 2 for score in found) / N_ITEMS)
        if deviation > 1e-9:
            total += weight * (found - mean) / deviation
    return total


def assert_best(found: TopK, row: int, scores: Doubles, taken: list[int]) -> None:
    """The best K of what is left, in order; nobody gets what they have, nobody without history anything."""
    left = [] if not taken else [item for item in np.argsort(-scores) if item not in taken][:K]
    assert found.ids[row].tolist() == left + [-1] * (K - len(left))
    np.testing.assert_allclose(found.scores[row, : len(left)], scores[left], rtol=1e-3, atol=1e-4)
    assert (found.scores[row, len(left) :] == -np.inf).all()


@every_blend
def test_known_users_against_loops(blend: Blend) -> None:
    """More users than fit into a block, not in order, one of them twice."""
    users = np.append(np.random.default_rng(3).permutation(N_USERS), 3).astype(np.int32)
    found = recommender(blend, SEEN).recommend(users, K)
    for row, user in enumerate(users.tolist()):
        taken = SEEN.row(user).tolist()
        assert_best(found, row, blend_scores(blend, user, taken), taken)


@every_blend
def test_newcomers_against_loops(blend: Blend) -> None:
    found = recommender(blend, SEEN).recommend_new(HISTORIES, K)
    for row in range(HISTORIES.n_rows):
        taken = HISTORIES.row(row).tolist()
        assert_best(found, row, blend_scores(blend, None, taken), taken)


@every_blend
def test_similar_items_are_those_of_a_newcomer_with_one(blend: Blend) -> None:
    found = recommender(blend, SEEN).similar(np.arange(N_ITEMS, dtype=np.int32), K)
    for item in range(N_ITEMS):
        assert_best(found, item, blend_scores(blend, None, [item]), [item])


def test_the_scale_of_a_member_does_not_count() -> None:
    """Else the one with the largest scores would decide alone."""
    users = np.arange(N_USERS, dtype=np.int32)
    large = Blend((vectors(), DenseSimilarity(full().weights * 2**20)), floats(1, 1))
    small = Blend((vectors(), full()), floats(1, 1))
    first, second = (recommender(blend, SEEN).recommend(users, K) for blend in (large, small))
    np.testing.assert_array_equal(first.ids, second.ids)


def test_refuses_what_it_cannot_do() -> None:
    asked = recommender(PAIR, SEEN)
    assert isinstance(asked, BlendRecommender)
    with pytest.raises(ConfigError, match="no sum over the history; train one of its members alone"):
        asked.explain(0, 1)
    with pytest.raises(ConfigError, match="no sum over the history"):
        asked.explain_new(np.array([1], np.int32), 0)
    with pytest.raises(ValueError, match="k must be at least 1"):
        asked.recommend(np.array([1], np.int32), 0)
    with pytest.raises(ValueError, match="exclude must have shape"):
        asked.recommend_new(Csr(np.zeros(2, np.int64), np.zeros(0, np.int32), floats(), N_ITEMS + 1), 3)


def test_members_and_weights_fit() -> None:
    with pytest.raises(ValueError, match="two members or more, got 1"):
        Blend((full(),), floats(1))
    with pytest.raises(ValueError, match="weights"):
        Blend((full(), full()), floats(1))
