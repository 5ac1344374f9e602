"""Users of several interests against loops over all of them."""

from dataclasses import replace

import numpy as np
import pytest

from pinfold.arrays import Embeddings, Floats
from pinfold.graph.csr import Csr, from_pairs
from pinfold.graph.interests import Interests, InterestsConfig, make_interests
from pinfold.graph.learned import Blend
from pinfold.index.interests import asked, asked_new
from pinfold.index.recommender import recommender
from pinfold.index.scores import scores, scores_new

N_USERS, N_ITEMS, K = 30, 40, 8
MEDOIDS = InterestsConfig(users="medoids", threshold=1.1, asked=3)
CONFIGS = {
    "highest": MEDOIDS,
    "weighted": replace(MEDOIDS, merge="weighted"),
    "one": replace(MEDOIDS, asked=1),
    "all": replace(MEDOIDS, asked=1000, merge="weighted"),
    "last": InterestsConfig(users="last"),
}
every_config = pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)


def vectors() -> Floats:
    """Of several lengths."""
    rng = np.random.default_rng(1)
    return (rng.normal(size=(N_ITEMS, 5)) * rng.uniform(0.5, 3, (N_ITEMS, 1))).astype(np.float32)


def taken(seed: int) -> Csr:
    """User 0 has nothing, user 1 has everything, user 2 one item."""
    rng = np.random.default_rng(seed)
    rows = [rng.choice(N_ITEMS, size, replace=False) for size in (0, N_ITEMS, 1, *rng.integers(1, 15, N_USERS - 3))]
    users = np.repeat(np.arange(N_USERS), [len(row) for row in rows]).astype(np.int32)
    items = np.concatenate(rows).astype(np.int32)
    return from_pairs(users, items, np.ones(len(items), np.float32), (N_USERS, N_ITEMS))


SEEN = taken(2)
USERS = np.arange(N_USERS, dtype=np.int32)


def learned(config: InterestsConfig) -> Interests:
    ages = np.random.default_rng(4).uniform(0, 300, len(SEEN.ids)).astype(np.float32)
    return make_interests(vectors(), SEEN, ages, config)


def slow_scores(what: Interests, user: int) -> Floats | None:
    """The score of each item (I,), medoid by medoid."""
    entries = list(range(int(what.ptr[user]), int(what.ptr[user + 1])))[: what.config.asked]
    best = None
    for entry in entries:
        share = what.importance[entry] / what.importance[entries[0]] if what.config.merge == "weighted" else 1
        query = what.items[what.medoids[entry]]
        line = share * (what.items @ (query / np.linalg.norm(query)))
        best = line if best is None else np.maximum(best, line)
    return best


@every_config
def test_the_best_of_all_interests(config: InterestsConfig) -> None:
    what = learned(config)
    users = USERS[::-1].copy()
    found = recommender(what, SEEN).recommend(users, K)
    for row, user in enumerate(users.tolist()):
        line, seen = slow_scores(what, user), SEEN.row(user)
        left = [] if line is None else sorted(set(range(N_ITEMS)) - set(seen.tolist()), key=lambda i: -line[i])[:K]
        assert found.ids[row].tolist() == left + [-1] * (K - len(left))
        if line is not None:
            np.testing.assert_allclose(found.scores[row, : len(left)], line[left], rtol=1e-4, atol=1e-6)
        assert np.isneginf(found.scores[row, len(left) :]).all()


def test_more_is_asked_for_than_there_is() -> None:
    found = recommender(learned(MEDOIDS), SEEN).recommend(USERS, 2 * N_ITEMS)
    for user in USERS.tolist():
        given = found.ids[user][found.ids[user] >= 0].tolist()
        left = set() if user == 0 else set(range(N_ITEMS)) - set(SEEN.row(user).tolist())
        assert len(given) == len(set(given))
        assert set(given) == left


@every_config
def test_newcomers_are_clustered_when_they_ask(config: InterestsConfig) -> None:
    """As those are who came in time, had their events no times."""
    histories = taken(9)
    known = make_interests(vectors(), histories, None, config)
    expected = recommender(known, histories).recommend(USERS, K)
    found = recommender(learned(config), SEEN).recommend_new(histories, K)
    np.testing.assert_array_equal(found.ids, expected.ids)
    np.testing.assert_array_equal(found.scores, expected.scores)


def test_nobody_at_all() -> None:
    asking = recommender(learned(MEDOIDS), SEEN)
    none = SEEN.take(np.empty(0, np.int32))
    assert asking.recommend(np.empty(0, np.int32), K).ids.shape == (0, K)
    assert asking.recommend_new(none, K).ids.shape == (0, K)
    assert (asking.recommend_new(SEEN.take(USERS[:1]), K).ids == -1).all()
    with pytest.raises(ValueError, match="k must be at least 1"):
        asking.recommend(USERS, 0)


@every_config
def test_explains_by_the_interest_that_brings_the_item(config: InterestsConfig) -> None:
    what = learned(config)
    asking = recommender(what, SEEN)
    known, new = asking.recommend(USERS, K), asking.recommend_new(taken(9), K)
    for user in range(2, N_USERS):
        item, score = int(known.ids[user, 0]), float(known.scores[user, 0])
        found = asking.explain(user, item)
        assert found.items.tolist() == SEEN.row(user).tolist()
        assert found.score == pytest.approx(score, rel=1e-5)
        assert found.own == 0
        [place] = np.flatnonzero(found.terms)
        assert found.items[place] in asked(what, np.array([user], np.int32)).ids
        history = taken(9).row(user)
        found = asking.explain_new(np.concatenate([history, history]), int(new.ids[user, 0]))
        assert found.items.tolist() == history.tolist()
        assert found.score == pytest.approx(float(new.scores[user, 0]), rel=1e-5)
    assert asking.explain(0, 3).score == 0
    assert len(asking.explain_new(np.empty(0, np.int32), 3).terms) == 0


def test_a_medoid_that_is_no_longer_in_the_history_is_named_all_the_same() -> None:
    what = learned(InterestsConfig(users="last"))
    forgotten = SEEN.take(np.zeros(N_USERS, np.int32))
    found = recommender(what, forgotten).explain(5, 3)
    assert found.items.tolist() == [what.medoids[what.ptr[5]]]


def test_explains_only_what_there_is() -> None:
    asking = recommender(learned(MEDOIDS), SEEN)
    for user, item in ((-1, 0), (N_USERS, 0), (3, -1), (3, N_ITEMS)):
        with pytest.raises(ValueError, match="must lie in"):
            asking.explain(user, item)
    with pytest.raises(ValueError, match="history must lie in"):
        asking.explain_new(np.array([N_ITEMS], np.int32), 0)


def test_similar_items_are_by_cosine() -> None:
    found = recommender(learned(MEDOIDS), SEEN).similar(np.array([7], np.int32), 5)
    units = vectors() / np.linalg.norm(vectors(), axis=1, keepdims=True)
    cosines = units @ units[7]
    cosines[7] = -np.inf
    assert found.ids[0].tolist() == np.argsort(-cosines)[:5].tolist()


@every_config
def test_scores_of_all_items(config: InterestsConfig) -> None:
    what, histories = learned(config), taken(9)
    users = np.array([5, 0, 1, 12], np.int32)
    found = scores(what, users, SEEN.take(users))
    new = scores_new(what, histories)
    fresh = make_interests(vectors(), histories, None, config)
    for row, user in enumerate(users.tolist()):
        line = slow_scores(what, user)
        np.testing.assert_allclose(found[row], 0 if line is None else line, rtol=1e-4, atol=1e-6)
        line = slow_scores(fresh, user)
        np.testing.assert_allclose(new[user], 0 if line is None else line, rtol=1e-4, atol=1e-6)
    assert scores(what, users[:0], SEEN.take(users[:0])).shape == (0, N_ITEMS)


def test_interests_in_a_blend() -> None:
    what = learned(MEDOIDS)
    other = Embeddings(np.zeros((N_USERS, 5), np.float32), vectors(), vectors())  # says nothing of known users
    both = Blend((what, other), np.ones(2, np.float32))
    found = recommender(both, SEEN).recommend(USERS, K)
    np.testing.assert_array_equal(found.ids, recommender(what, SEEN).recommend(USERS, K).ids)


def test_who_is_asked() -> None:
    """The first ones, at weight 1 or at their share of the first one's importance."""
    config = replace(MEDOIDS, asked=2)
    items, importance = np.array([9, 3, 5, 7], np.int32), np.array([4, 3, 1, 0], np.float32)
    what = Interests(vectors(), np.array([0, 0, 3, 4]), items, importance, config)
    found = asked(what, np.array([2, 1, 0], np.int32))
    assert (found.ptr.tolist(), found.ids.tolist(), found.weights.tolist()) == ([0, 1, 3, 3], [7, 3, 9], [1, 1, 1])
    found = asked(replace(what, config=replace(config, merge="weighted")), np.array([2, 1, 0], np.int32))
    assert found.weights.tolist() == [1, 0.75, 1], "an importance that has vanished is the user's highest all the same"
    assert asked_new(what, SEEN.take(USERS[:3])).degrees().tolist() == [0, 2, 1]
