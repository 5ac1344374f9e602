"""Maximal marginal relevance."""

import numpy as np
import pytest

from pinfold.ranking.diversity import mmr

SCORES = np.array([1.0, 0.9, 0.5, 0.0], np.float32)
VECTORS = np.array([[1, 0], [1, 0], [0.6, 0.8], [0, 1]], np.float32)


def test_by_hand() -> None:
    """First item 0. Then .7 s - .3 cosine with it: .63 - .3 = .33, .35 - .18 = .17, 0. Then the largest cosine with one
    of the two: .35 - .18, 0.
    """
    assert mmr(SCORES, VECTORS, 4, 0.3).tolist() == [0, 1, 2, 3]
    # .5 s - .5 cosine: .45 - .5 = -.05, .25 - .3 = -.05 (a hair less in doubles or not), 0 - 0 = 0
    assert mmr(SCORES, VECTORS, 2, 0.5).tolist() == [0, 3]
    # .2 s - .8 cosine; second: .18 - .8, .1 - .48, 0 -> 3; third: .18 - .8 = -.62, .1 - .8 * .8 = -.54 -> 2
    assert mmr(SCORES, VECTORS, 4, 0.8).tolist() == [0, 3, 2, 1]


def test_weight_0_changes_nothing() -> None:
    scores = np.random.default_rng(0).normal(size=50).astype(np.float32)
    vectors = np.random.default_rng(1).normal(size=(50, 4)).astype(np.float32)
    assert mmr(scores, vectors, 50, 0.0).tolist() == np.argsort(-scores, kind="stable").tolist()
    ties = np.zeros(5, np.float32)
    assert mmr(ties, vectors[:5], 3, 0.0).tolist() == [0, 1, 2]


def test_a_slow_twin() -> None:
    rng = np.random.default_rng(2)
    scores = rng.normal(size=30).astype(np.float32)
    vectors = rng.normal(size=(30, 6)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    relevance = (scores - scores.min()) / np.ptp(scores)
    chosen: list[int] = []
    for _ in range(12):
        values = {
            one: 0.6 * relevance[one] - 0.4 * max((float(vectors[one] @ vectors[c]) for c in chosen), default=0)
            for one in range(30)
            if one not in chosen
        }
        chosen.append(max(values, key=lambda one: values[one]))
    assert mmr(scores, vectors, 12, 0.4).tolist() == chosen


def test_short_lists_and_wrong_calls() -> None:
    assert mmr(SCORES[:0], VECTORS[:0], 3, 0.5).tolist() == []
    assert sorted(mmr(SCORES, VECTORS, 9, 0.5).tolist()) == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="weight must lie in"):
        mmr(SCORES, VECTORS, 2, 1.5)
    with pytest.raises(ValueError, match="finite"):
        mmr(np.array([np.nan], np.float32), VECTORS[:1], 1, 0.5)
    with pytest.raises(ValueError, match="vectors must have shape"):
        mmr(SCORES, VECTORS[:2], 2, 0.5)
