"""Kurtosis of cosines against scipy and distributions with known moments."""

import numpy as np
import pytest
from scipy.stats import kurtosis

from pinfold.evaluation.spread import cosine_spread


def test_against_scipy_over_all_pairs() -> None:
    vectors = np.random.default_rng(0).exponential(size=(60, 4)).astype(np.float32)
    units = vectors.astype(np.float64) / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = (units @ units.T)[~np.eye(60, dtype=bool)]
    found = cosine_spread(vectors, seed=0)
    assert found.kurtosis == pytest.approx(kurtosis(cosines, fisher=True), abs=0.02)
    assert found.mean == pytest.approx(cosines.mean(), abs=0.002)
    assert found.deviation == pytest.approx(cosines.std(), abs=0.002)


def test_directions_on_a_circle_and_on_a_sphere() -> None:
    """On a circle cosines have the arcsine law, m4 / m2^2 = 3/2; on a sphere they are even, 9/5: less 3."""
    for n_dims, expected in ((2, -3 / 2), (3, -6 / 5)):
        vectors = np.random.default_rng(1).normal(size=(20_000, n_dims)).astype(np.float32)
        assert cosine_spread(vectors, seed=0).kurtosis == pytest.approx(expected, abs=0.01)


def test_lengths_and_rows_of_zeros_do_not_count() -> None:
    vectors = np.random.default_rng(0).normal(size=(50, 6)).astype(np.float32)
    longer = np.vstack([vectors * np.float32(2), np.zeros((30, 6), np.float32)])
    first, second = cosine_spread(vectors, seed=3, n_pairs=1000), cosine_spread(longer, seed=3, n_pairs=1000)
    assert first == second
    assert first.n_pairs == 1000


def test_the_seed_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = np.random.default_rng(0).normal(size=(50, 6)).astype(np.float32)
    assert cosine_spread(vectors, seed=1, n_pairs=500) == cosine_spread(vectors, seed=1, n_pairs=500)
    assert cosine_spread(vectors, seed=1, n_pairs=500) != cosine_spread(vectors, seed=2, n_pairs=500)
    monkeypatch.setattr("pinfold.evaluation.spread.BLOCK", 64)
    assert cosine_spread(vectors, seed=1, n_pairs=500).n_pairs == 500


def test_a_row_is_never_paired_with_itself() -> None:
    assert cosine_spread(np.eye(2, dtype=np.float32), seed=0, n_pairs=1000).mean == 0


def test_equal_directions_have_no_kurtosis() -> None:
    found = cosine_spread(np.array([[1, 2], [2, 4], [3, 6]], np.float32), seed=0, n_pairs=100)
    assert found.kurtosis is None
    assert found.mean == pytest.approx(1)


def test_wrong_vectors_are_refused() -> None:
    good = np.eye(3, dtype=np.float32)
    with pytest.raises(TypeError, match="float32"):
        cosine_spread(good.astype(np.float64), seed=0)
    with pytest.raises(ValueError, match="must be finite"):
        cosine_spread(np.where(good > 0, np.float32(np.nan), good), seed=0)
    with pytest.raises(ValueError, match="two vectors"):
        cosine_spread(np.zeros((3, 3), np.float32), seed=0)
    with pytest.raises(ValueError, match="a pair"):
        cosine_spread(good, seed=0, n_pairs=0)
