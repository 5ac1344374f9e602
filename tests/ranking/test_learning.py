"""Learning an order from lists."""

import sys
from dataclasses import replace

import numpy as np
import pytest

from pinfold.errors import ConfigError
from pinfold.evaluation.metrics import ranking_metrics
from pinfold.ranking.features import NAMES
from pinfold.ranking.learning import Lists, RankerConfig, learn, list_ndcg

RANK, TREND = NAMES.index("rank_model"), NAMES.index("trend")
QUICK = RankerConfig(trees=30, patience=10, min_leaf=5, folds=3)


def planted(n_lists: int = 60, size: int = 30, signal: float = 1.0) -> Lists:
    """Lists in the first stage's order, where what is taken has the highest trend, as far as there is a signal."""
    rng = np.random.default_rng(0)
    n = n_lists * size
    table = rng.normal(size=(n, len(NAMES))).astype(np.float32)
    table[:, RANK] = np.tile(np.arange(1, size + 1), n_lists)
    wish = signal * table[:, TREND] + (1 - signal) * rng.normal(size=n)
    place = np.argsort(np.argsort(-wish.reshape(n_lists, size), axis=1), axis=1)
    return Lists(np.full(n_lists, size), table, (place < 2).reshape(n))


def test_it_finds_what_decides() -> None:
    lists = planted()
    found = learn(lists, QUICK, 0)
    assert list_ndcg(lists, -lists.features[:, RANK].astype(np.float64)).mean() < 0.3
    assert list_ndcg(lists, found.scores)[found.judged].mean() > 0.8  # by trees that learned from other lists
    assert found.judged.sum() == 20
    assert list_ndcg(lists, found.forest.predict(lists.features)).mean() > 0.8


def test_the_same_seed_gives_the_same_trees() -> None:
    one, other = (learn(planted(), QUICK, 3) for _ in range(2))
    np.testing.assert_array_equal(one.scores, other.scores)
    for name in ("roots", "features", "thresholds", "values"):
        np.testing.assert_array_equal(getattr(one.forest, name), getattr(other.forest, name))


def test_where_nothing_is_to_be_learned_the_first_stages_order_stays() -> None:
    lists = planted(signal=0.0)
    taken = lists.features[:, RANK] <= 2  # the first stage is always right
    found = learn(replace(lists, taken=taken), replace(QUICK, prior=1.0), 0)
    assert found.n_trees == [0, 0]
    assert len(found.forest.roots) == 0
    assert list_ndcg(replace(lists, taken=taken), found.scores)[found.judged].min() == 1


def test_lists_in_which_nothing_was_taken() -> None:
    lists = planted()
    taken = lists.taken.copy()
    taken[:30] = False
    found = learn(replace(lists, taken=taken), QUICK, 0)
    assert found.judged.sum() >= 19
    with pytest.raises(ConfigError, match="only 2 users of the validation part took a candidate"):
        learn(replace(lists, taken=lists.taken & (np.arange(1800) < 60)), QUICK, 0)


def test_later_lists_are_judged_by_what_earlier_ones_taught() -> None:
    lists = planted(signal=1.0)
    fashion = lists.features[:, TREND].copy()
    late = np.arange(1800) >= 1200
    fashion[late] *= -1  # what was liked is no more
    place = np.argsort(np.argsort(-fashion.reshape(60, 30), axis=1), axis=1)
    changed = replace(lists, taken=(place < 2).reshape(-1))
    found = learn(changed, QUICK, 0, np.arange(60.0))
    assert found.judged.tolist() == [False] * 40 + [True] * 20
    assert list_ndcg(changed, found.scores)[40:].mean() < 0.3
    backwards = learn(changed, QUICK, 0, np.arange(60.0)[::-1].copy())
    assert backwards.judged.tolist() == [True] * 20 + [False] * 40


def test_lists_may_be_empty() -> None:
    lists = planted()
    sizes = np.insert(lists.sizes, 5, 0)
    found = learn(replace(lists, sizes=sizes), QUICK, 0)
    assert len(found.scores) == 1800
    assert list_ndcg(replace(lists, sizes=sizes), found.scores, np.full(61, 2))[5] == 0


def test_ndcg_is_the_houses() -> None:
    lists = planted(20, 30)
    scores = np.random.default_rng(1).normal(size=600)
    wanted = np.full(20, 4)  # two of them among the candidates
    order = np.argsort(-scores.reshape(20, 30), axis=1, kind="stable")
    hit = np.take_along_axis(lists.taken.reshape(20, 30), order, axis=1)
    np.testing.assert_allclose(list_ndcg(lists, scores, wanted), ranking_metrics(hit, wanted, (10,))["ndcg@10"])


def test_without_lightgbm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    with pytest.raises(ConfigError, match=r"pip install 'pinfold\[rank\]'"):
        learn(planted(), QUICK, 0)


def test_noise_is_no_gain() -> None:
    """Whoever chose the number of trees on the lists that judge them would find one here."""
    gains = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        table = rng.standard_normal((150 * 40, len(NAMES))).astype(np.float32)
        table[:, RANK] = np.concatenate([rng.permutation(40) + 1 for _ in range(150)])
        lists = Lists(np.full(150, 40), table, rng.random(150 * 40) < 0.05)
        found = learn(lists, RankerConfig(trees=40), seed, np.arange(150.0))
        alone = list_ndcg(lists, -table[:, RANK].astype(np.float64))
        gains.append((list_ndcg(lists, found.scores) - alone)[found.judged].mean())
    assert np.mean(gains) < 0.02
