"""The K best against a full sort; ties, exclusions, NaN and short rows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pinfold.arrays import Floats, TopK
from pinfold.kernels.topk import top_k

Excluded = list[list[int]]


def search(scores: Floats, exclude: Excluded, k: int) -> TopK:
    ptr = np.cumsum([0, *map(len, exclude)]).astype(np.int64)
    return top_k(scores.copy(), ptr, np.array([column for row in exclude for column in row], np.int32), k)


def twin(scores: Floats, exclude: Excluded, k: int) -> TopK:
    """Sort every row as a whole."""
    ids = np.full((len(scores), k), -1, np.int32)
    best = np.full((len(scores), k), -np.inf, np.float32)
    for row, line in enumerate(scores):
        left = [c for c in range(len(line)) if c not in exclude[row] and line[c] > -np.inf]  # NaN > -inf is false
        left.sort(key=lambda c: (-line[c], c))
        for place, column in enumerate(left[:k]):
            ids[row, place], best[row, place] = column, line[column]
    return TopK(ids, best)


def assert_same(found: TopK, expected: TopK) -> None:
    np.testing.assert_array_equal(found.ids, expected.ids)
    np.testing.assert_array_equal(found.scores, expected.scores)


def test_by_hand() -> None:
    scores = np.array([[0.1, 0.9, 0.5, 0.7]], np.float32)
    found = search(scores, [[1]], 2)
    assert found.ids.tolist() == [[3, 2]]
    assert found.scores.tolist() == [[np.float32(0.7), np.float32(0.5)]]


def test_equal_scores_go_to_the_lower_column() -> None:
    scores = np.array([[1, 2, 2, 1, 2, 1, 2]], np.float32)
    assert search(scores, [[]], 3).ids.tolist() == [[1, 2, 4]]
    assert search(scores, [[]], 6).ids.tolist() == [[1, 2, 4, 6, 0, 3]]
    assert search(np.zeros((1, 50), np.float32), [[0, 2]], 4).ids.tolist() == [[1, 3, 4, 5]]


def test_short_rows_are_filled() -> None:
    found = search(np.array([[3, 1, 2], [3, 1, 2]], np.float32), [[0, 1], [0, 1, 2]], 3)
    assert found.ids.tolist() == [[2, -1, -1], [-1, -1, -1]]
    assert found.scores.tolist() == [[2, -np.inf, -np.inf], [-np.inf] * 3]


def test_more_wanted_than_columns() -> None:
    assert search(np.array([[1, 2]], np.float32), [[]], 5).ids.tolist() == [[1, 0, -1, -1, -1]]


def test_nan_and_minus_infinity_never_return() -> None:
    scores = np.array([[np.nan, 1, -np.inf, np.inf, np.nan]], np.float32)
    found = search(scores, [[]], 4)
    assert found.ids.tolist() == [[3, 1, -1, -1]]
    assert found.scores.tolist() == [[np.inf, 1, -np.inf, -np.inf]]


def test_nothing_asked_or_nobody_asks() -> None:
    assert search(np.zeros((2, 3), np.float32), [[], []], 0).ids.shape == (2, 0)
    assert search(np.zeros((0, 3), np.float32), [], 2).ids.shape == (0, 2)


def test_excluded_entries_become_minus_infinity() -> None:
    scores = np.ones((1, 3), np.float32)
    top_k(scores, np.array([0, 1]), np.array([2], np.int32), 1)
    assert scores.tolist() == [[1, 1, -np.inf]]


@pytest.mark.parametrize("threads", [1, 3])
def test_large_against_twin_on_any_number_of_threads(monkeypatch: pytest.MonkeyPatch, threads: int) -> None:
    monkeypatch.setattr("pinfold.kernels.parallel.n_threads", lambda: threads)
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 60, (700, 90)).astype(np.float32)  # many ties
    exclude = [rng.choice(90, rng.integers(0, 90), replace=False).tolist() for _ in range(700)]
    for k in (1, 10, 90):
        assert_same(search(scores, exclude, k), twin(scores, exclude, k))


VALUES = st.sampled_from([0.0, -0.0, 1.0, 1.5, 2.0, -3.0, np.nan, np.inf, -np.inf])


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_small_case_against_twin(data: st.DataObject) -> None:
    n, columns, k = data.draw(st.tuples(st.integers(1, 4), st.integers(1, 9), st.integers(1, 11)))
    scores = data.draw(arrays(np.float32, (n, columns), elements=VALUES))
    exclude = [data.draw(st.lists(st.integers(0, columns - 1), max_size=columns)) for _ in range(n)]
    assert_same(search(scores, exclude, k), twin(scores, exclude, k))
