"""Evaluation of a recommender whose answers are known, worked by hand."""

import math

import numpy as np
import pytest

from pinfold.arrays import Bools, Ints, TopK
from pinfold.data.interactions import Interactions
from pinfold.data.splits import Part, SplitConfig, split_events
from pinfold.data.synthetic import two_tastes
from pinfold.evaluation.evaluate import Evaluation, EvaluationConfig, evaluate, mean_metric
from pinfold.graph.bipartite import build_graph
from pinfold.graph.csr import Csr
from pinfold.index.explanation import Explanation
from pinfold.index.recommender import recommender
from pinfold.models.popularity import PopularityConfig, popularity

N_USERS, N_ITEMS = 4, 6
CONFIG = EvaluationConfig(ks=(2, 1), n_resamples=100)


def events(*pairs: tuple[int, int]) -> Interactions:
    users, items = np.array(pairs, np.int32).T.copy()
    return Interactions.of(users, items, N_USERS, N_ITEMS)


TRAIN = events((0, 0), (1, 0), (1, 2), (2, 4), (3, 4), (3, 0))
TARGET = events((2, 5), (0, 2), (0, 1))  # users 0 and 2 are asked
KNOWN = build_graph(TRAIN).user_items
LISTS = {0: [1, 3], 2: [0, 5]}


class Scripted:
    """Gives the lists of a script, and remembers how it was asked."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []
        self.given: list[list[int]] = []

    def recommend(self, users: Ints, k: int, allowed: Bools | None = None) -> TopK:  # noqa: ARG002
        self.asked.append(users.tolist())
        return self._answer(users.tolist(), k)

    def recommend_new(self, histories: Csr, k: int, allowed: Bools | None = None) -> TopK:  # noqa: ARG002
        self.given.extend(histories.row(row).tolist() for row in range(histories.n_rows))
        return self._answer([{(0, 3): 0, (4,): 2}[tuple(given)] for given in self.given[-histories.n_rows :]], k)

    def similar(self, items: Ints, k: int, allowed: Bools | None = None) -> TopK:
        raise NotImplementedError

    def explain(self, user: int, item: int) -> Explanation:
        raise NotImplementedError

    def explain_new(self, history: Ints, item: int) -> Explanation:
        raise NotImplementedError

    def _answer(self, users: list[int], k: int) -> TopK:
        ids = np.array([LISTS[user][:k] for user in users], np.int32)
        return TopK(ids, np.zeros(ids.shape, np.float32))


def assert_by_hand(found: Evaluation) -> None:
    assert found.n_users == 2
    # User 0 wants 1 and 2, gets 1, 3. User 2 wants 5, gets 0, 5.
    half = 1 / math.log2(3)  # the gain of rank 2
    expected: dict[str, list[float]] = {
        "recall@2": [1 / 2, 1],
        "precision@2": [1 / 2, 1 / 2],
        "ndcg@2": [1 / (1 + half), half],
        "mrr@2": [1, 1 / 2],
        "hit@2": [1, 1],
        "recall@1": [1 / 2, 0],
        "hit@1": [1, 0],
    }
    for name, values in expected.items():
        assert found.per_user[name].tolist() == pytest.approx(values)
        assert found.intervals[name].mean == pytest.approx(sum(values) / 2)
        assert found.intervals[name].low <= found.intervals[name].mean <= found.intervals[name].high
    assert set(found.intervals) == set(found.per_user)
    assert found.exposure["coverage@2"] == pytest.approx(4 / 6)
    assert found.exposure["coverage@1"] == pytest.approx(2 / 6)


def test_known_users_by_hand() -> None:
    asked = Scripted()
    found = evaluate(asked, Part(TRAIN, TARGET, new_users=False), KNOWN, CONFIG, seed=0)
    assert_by_hand(found)
    assert asked.asked == [[0, 2]]
    # Train counts: item 0 three, item 2 one, item 4 two. Lists 1, 3 and 0, 5 have means 0 and 3/2;
    # histories 0 and 4 have 3 and 2: lift = (3/4) / (5/2).
    assert found.exposure["popularity_lift@2"] == pytest.approx(0.3)
    # Four train users: an item of count 3 has log2(4/3) bits, others, taken by nobody, log2(4) = 2.
    assert found.exposure["novelty@2"] == pytest.approx((2 + (math.log2(4 / 3) + 2) / 2) / 2)


def test_new_users_by_hand() -> None:
    asked = Scripted()
    given = events((0, 3), (0, 0), (0, 3), (2, 4), (1, 1))  # user 1 is not asked about
    assert_by_hand(evaluate(asked, Part(given, TARGET, new_users=True), KNOWN, CONFIG, seed=0))
    assert asked.given == [[0, 3], [4]]
    assert asked.asked == []


def test_new_users_of_whose_items_nobody_knows_anything() -> None:
    """Their histories have popularity 0, which no lift can be measured against."""
    train = events((1, 0), (1, 2), (3, 0))
    given = events((0, 3), (0, 0), (2, 4))  # nobody took 4 in training
    found = evaluate(Scripted(), Part(given, TARGET, new_users=True), build_graph(train).user_items, CONFIG, seed=0)
    # User 0 alone: the list 1, 3 has mean count 0, the history 0, 3 mean count 1.
    assert found.exposure["popularity_lift@2"] == 0
    assert_by_hand(found)


def test_blocks_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pinfold.evaluation.evaluate.BLOCK", 1)
    for part in (Part(TRAIN, TARGET, False), Part(events((0, 3), (0, 0), (2, 4)), TARGET, True)):
        asked = Scripted()
        assert_by_hand(evaluate(asked, part, KNOWN, CONFIG, seed=0))
        assert len(asked.asked) + len(asked.given) == 2


def test_mean_metric_is_the_mean_of_the_evaluation() -> None:
    part = Part(TRAIN, TARGET, new_users=False)
    assert mean_metric(Scripted(), part, "recall", 2) == pytest.approx(0.75)
    assert mean_metric(Scripted(), part, "recall", 1) == pytest.approx(0.25)
    assert mean_metric(Scripted(), part, "mrr", 2) == pytest.approx(0.75)


def test_same_seed_same_intervals() -> None:
    part = Part(TRAIN, TARGET, new_users=False)
    first, again = (evaluate(Scripted(), part, KNOWN, CONFIG, seed=0) for _ in range(2))
    assert first.intervals == again.intervals


def test_json() -> None:
    plain = evaluate(Scripted(), Part(TRAIN, TARGET, new_users=False), KNOWN, CONFIG, seed=0).to_json()
    assert plain["n_users"] == 2
    assert plain["metrics"]["recall@2"]["mean"] == pytest.approx(0.75)
    assert set(plain) == {"n_users", "seconds", "metrics", "exposure"}


def test_popularity_on_two_tastes_is_what_arithmetic_says() -> None:
    split = split_events(two_tastes(600).interactions, SplitConfig(), seed=0)
    assert split.test is not None
    part = split.test.unseal()
    graph = build_graph(part.given)
    asked = recommender(popularity(PopularityConfig(), graph), graph.user_items)
    found = evaluate(asked, part, graph.user_items, EvaluationConfig(ks=(17,), n_resamples=100), seed=0)
    # 40 items, of which each user has 6 and is asked for 2 of the other 34. Popularity cannot tell tastes apart, so
    # a list of 17 holds each of the 34 with probability one half.
    assert found.n_users == 600
    assert found.intervals["recall@17"].mean == pytest.approx(0.5, abs=0.06)
    assert found.intervals["precision@17"].mean == pytest.approx(2 * 0.5 / 17, abs=0.01)
    assert mean_metric(asked, part, "recall", 17) == pytest.approx(found.intervals["recall@17"].mean)
    # All train counts are near 600 * 6 / 40 = 90; the list takes the upper half.
    assert 1 < found.exposure["popularity_lift@17"] < 1.2
