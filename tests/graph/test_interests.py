"""Interests against clusters made slowly, and what becomes of odd histories."""

from dataclasses import replace

import numpy as np
import pytest

from pinfold.arrays import Doubles, Embeddings, Floats, Ints, unit
from pinfold.data.interactions import Interactions
from pinfold.graph.csr import Csr, from_pairs
from pinfold.graph.interests import DAY, Interests, InterestsConfig, ages_of, make_interests, make_users
from pinfold.index.vectors import newcomers

MEDOIDS = InterestsConfig(users="medoids", threshold=1.0)
LAST = InterestsConfig(users="last")
# Items 0 to 2 point one way, 3 and 4 another; 1 is in the middle of the first three. Lengths say nothing.
DEGREES = np.array([0, 8, 18, 90, 100])
LENGTHS = np.array([[1], [5], [0.2], [2], [9]])
ITEMS = (LENGTHS * np.stack([np.cos(np.deg2rad(DEGREES)), np.sin(np.deg2rad(DEGREES))], 1)).astype(np.float32)


def histories(rows: list[list[int]], n_items: int = 5) -> Csr:
    users = np.repeat(np.arange(len(rows)), [len(row) for row in rows]).astype(np.int32)
    items = np.array([item for row in rows for item in row], np.int32)
    return from_pairs(users, items, np.ones(len(items), np.float32), (len(rows), n_items))


def floats(*values: float) -> Floats:
    return np.array(values, np.float32)


def of_user(learned: Interests, user: int) -> dict[int, float]:
    """Medoids and their importance, in their order."""
    part = slice(learned.ptr[user], learned.ptr[user + 1])
    return dict(zip(learned.medoids[part].tolist(), learned.importance[part].tolist(), strict=True))


def test_two_tastes_become_two_interests() -> None:
    found = make_interests(ITEMS, histories([[0, 1, 2, 3, 4], [], [4], [2, 3]]), None, MEDOIDS)
    first = of_user(found, 0)
    assert list(first) in ([1, 3], [1, 4])  # 3 and 4 are equally near their middle
    assert list(first.values()) == [3, 2]
    assert of_user(found, 1) == {}
    assert of_user(found, 2) == {4: 1}
    assert set(of_user(found, 3)) == {2, 3}
    assert found.n_users == 4


def test_what_is_new_weighs_more() -> None:
    """2 + exp(-.1 * 30) for the old group, 1 + exp(-.1 * 1) for the new one; of a pair the newer item speaks."""
    config = replace(MEDOIDS, decay=0.1)
    taken = histories([[0, 1, 2, 3, 4]])
    found = of_user(make_interests(ITEMS, taken, floats(30, 30, 30, 1, 0), config), 0)
    assert list(found) == [4, 1]
    assert list(found.values()) == pytest.approx([1 + np.exp(-0.1), 3 * np.exp(-3)])
    late = of_user(make_interests(ITEMS, taken, floats(30, 30, 30, 1, 0) + 1e5, config), 0)
    assert late == found, "only differences within a user count, or an old user would have no interest of any weight"
    equal = of_user(make_interests(ITEMS, taken, floats(30, 30, 30, 1, 0), replace(config, decay=0)), 0)
    assert equal == {1: 3, 4: 2}


def test_the_newest_item() -> None:
    taken = histories([[0, 1, 3], [0, 1, 2, 3], [], [2]])
    ages = floats(5, 4, 9, 0, 0, 0, 2, 7)
    found = make_interests(ITEMS, taken, ages, LAST)
    assert found.medoids.tolist() == [1, 1, 2], "of three that came together their middle"
    assert found.ptr.tolist() == [0, 1, 2, 2, 3]
    assert found.importance.tolist() == [1, 1, 1]
    untimed = make_interests(ITEMS, histories([[0, 1, 2, 3]]), None, LAST)
    assert untimed.medoids.tolist() == [2], "without times the middle of all, here the one nearest to 29 degrees"


@pytest.mark.parametrize("config", [MEDOIDS, LAST])
def test_lengths_say_nothing_and_zeros_are_no_trouble(config: InterestsConfig) -> None:
    taken, ages = histories([[0, 1, 2, 3, 4], [1, 2], [3, 4]]), np.arange(9, dtype=np.float32)
    found = make_interests(ITEMS, taken, ages, config)
    longer = make_interests(ITEMS * floats(7, 0.1, 3, 1, 2)[:, None], taken, ages, config)
    np.testing.assert_array_equal(found.medoids, longer.medoids)
    np.testing.assert_array_equal(found.ptr, longer.ptr)
    empty = make_interests(np.zeros_like(ITEMS), taken, ages, config)
    assert empty.medoids.tolist() == [0, 1, 3], "vectors of zeros are all the same: the newest speaks"


def test_only_the_newest_are_looked_at() -> None:
    taken = histories([[0, 1, 2, 3, 4]])
    found = make_interests(ITEMS, taken, floats(0, 1, 2, 3, 4), replace(MEDOIDS, most_items=3, decay=0))
    assert of_user(found, 0) == {1: 3}
    many = histories([list(range(1000))], 1000)
    vectors = np.random.default_rng(0).normal(size=(1000, 8)).astype(np.float32)
    found = make_interests(vectors, many, None, replace(MEDOIDS, most_items=20, threshold=0))
    assert len(found.medoids) == 20
    assert 300 < found.medoids.mean() < 700, "equally old ones are drawn from all ends of the catalogue"


def slow_ward(vectors: Doubles, threshold: float) -> list[list[int]]:
    """Join the two clusters whose joining costs least, as long as that is no more than the threshold."""
    clusters = [[place] for place in range(len(vectors))]
    while len(clusters) > 1:
        best = (np.inf, 0, 0)
        for one in range(len(clusters)):
            for other in range(one):
                a, b = clusters[one], clusters[other]
                apart = np.linalg.norm(vectors[a].mean(axis=0) - vectors[b].mean(axis=0))
                best = min(best, (float(np.sqrt(2 * len(a) * len(b) / (len(a) + len(b))) * apart), one, other))
        cost, one, other = best
        if cost > threshold:
            break
        clusters[other] += clusters.pop(one)
    return clusters


@pytest.mark.parametrize("threshold", [0, 0.6, 1.2, 9.0])
def test_against_a_slow_twin(threshold: float) -> None:
    rng = np.random.default_rng(3)
    vectors = (rng.normal(size=(60, 4)) + 2 * rng.normal(size=(6, 4)).repeat(10, axis=0)).astype(np.float32)
    rows = [sorted(rng.choice(60, size, replace=False).tolist()) for size in (*range(12), 25)]
    taken = histories(rows, 60)
    ages = rng.uniform(0, 90, len(taken.ids)).astype(np.float32)
    found = make_interests(vectors, taken, ages, replace(MEDOIDS, threshold=threshold, decay=0.02))
    units = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float64)
    for user, row in enumerate(rows):
        mine = units[row]
        old = ages[taken.ptr[user] : taken.ptr[user + 1]].astype(np.float64)
        expected = {}
        for cluster in slow_ward(mine, threshold):
            far = ((mine[cluster][:, None] - mine[cluster][None]) ** 2).sum(axis=2).sum(axis=1)
            near = [place for place, cost in zip(cluster, far, strict=True) if cost < far.min() + 1e-9]
            medoid = min(near, key=lambda place: old[place])
            expected[row[medoid]] = np.exp(-0.02 * (old[cluster] - old.min())).sum()
        assert of_user(found, user) == pytest.approx(expected, rel=1e-5)


def test_same_bits_again_and_alone() -> None:
    """A user's interests are a function of their history, whoever else is there."""
    rng = np.random.default_rng(5)
    vectors = rng.normal(size=(50, 6)).astype(np.float32)
    taken = histories([sorted(rng.choice(50, 12, replace=False).tolist()) for _ in range(9)], 50)
    first, second = (make_interests(vectors, taken, None, MEDOIDS) for _ in range(2))
    np.testing.assert_array_equal(first.medoids, second.medoids)
    np.testing.assert_array_equal(first.importance, second.importance)
    alone = make_interests(vectors, taken.take(np.array([4], np.int32)), None, MEDOIDS)
    assert of_user(alone, 0) == of_user(first, 4)


def test_the_mean_is_a_vector() -> None:
    taken = histories([[0, 3], [], [4]])
    found = make_users(ITEMS, taken, None, InterestsConfig())
    assert isinstance(found, Embeddings)
    np.testing.assert_allclose(found.users[0], (unit(ITEMS)[0] + unit(ITEMS)[3]) / 2, rtol=1e-6)
    assert not found.users[1].any()
    np.testing.assert_allclose(newcomers(found, taken), found.users, rtol=1e-6)
    assert isinstance(make_users(ITEMS, taken, None, LAST), Interests)


def test_ages() -> None:
    users, items = np.array([0, 1, 0, 0, 1], np.int32), np.array([4, 1, 2, 4, 0], np.int32)
    times = np.array([5, 1, 4, 7, 2]) * DAY
    events = Interactions(users, items, np.ones(5, np.float32), times, 3, 5)
    taken = histories([[2, 4], [0, 1], []])
    found = ages_of(taken, events)
    assert found is not None
    assert found.dtype == np.float32
    assert found.tolist() == [3, 0, 0, 1], "user 0 took item 4 twice; the latest counts"
    assert ages_of(taken, events.pairs()) is None
    for other in (histories([[2, 4], [0], []]), histories([[2, 4], [0, 1, 3], []]), histories([[2, 4], [0, 1]])):
        with pytest.raises(ValueError, match="must hold the pairs of the events"):
            ages_of(other, events)


def test_refuses_what_does_not_fit() -> None:
    taken = histories([[0, 1]])
    with pytest.raises(ValueError, match="histories must have 4 columns"):
        make_interests(ITEMS[:4], taken, None, MEDOIDS)
    with pytest.raises(ValueError, match="ages must have shape"):
        make_interests(ITEMS, taken, floats(1), MEDOIDS)
    with pytest.raises(ValueError, match="ages must be finite"):
        make_interests(ITEMS, taken, floats(1, np.nan), MEDOIDS)
    with pytest.raises(ValueError, match="the mean is no item"):
        make_interests(ITEMS, taken, None, InterestsConfig())
    broken = ITEMS.copy()
    broken[1, 1] = np.nan
    with pytest.raises(ValueError, match="item vectors must be finite"):
        make_interests(broken, taken, None, MEDOIDS)


@pytest.mark.parametrize(
    ("ptr", "medoids", "importance", "message"),
    [
        ([0, 1], [5], [1.0], r"medoids must lie in \[0, 5\)"),
        ([0, 1], [-1], [1.0], "medoids must lie"),
        ([0, 1], [1, 2], [1.0, 1.0], "ptr must rise from 0 to 2"),
        ([0, 2, 1, 2], [1, 2], [1.0, 1.0], "ptr must rise"),
        ([], [], [], "ptr must rise"),
        ([0, 2], [1, 2], [1.0, 2.0], "not rise within a user"),
        ([0, 1], [1], [-1.0], "not negative"),
        ([0, 1], [1], [np.inf], "importance must be finite"),
        ([0, 1], [1], [np.nan], "importance must be finite"),
        ([0, 1], [1], [1.0, 1.0], "importance must have shape"),
    ],
)
def test_refuses_interests_that_are_none(
    ptr: list[int], medoids: list[int], importance: list[float], message: str
) -> None:
    rows: Ints = np.array(medoids, np.int32)
    with pytest.raises(ValueError, match=message):
        Interests(ITEMS, np.array(ptr, np.int64), rows, floats(*importance), MEDOIDS)


def test_importance_may_rise_from_one_user_to_the_next() -> None:
    found = Interests(ITEMS, np.array([0, 0, 1, 1, 3, 3]), np.array([1, 2, 3], np.int32), floats(1, 5, 2), MEDOIDS)
    assert found.n_users == 5
