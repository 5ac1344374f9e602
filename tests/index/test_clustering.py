"""Clusters of many items, and how much effort is worth while among them."""

import numpy as np
import pytest

from pinfold.arrays import Floats, unit
from pinfold.index.building import K, sampled, stored_index, with_effort
from pinfold.index.clustering import find_clusters
from pinfold.index.config import IndexConfig


def vectors(n: int) -> Floats:
    rng = np.random.default_rng(0)
    found = rng.standard_normal((20, 8))[rng.integers(0, 20, n)] + 0.4 * rng.standard_normal((n, 8))
    return np.asarray(found, np.float32)


def test_many_items_are_clustered_in_groups() -> None:
    items = unit(vectors(20_000))
    flat = find_clusters(items, IndexConfig(), 0)
    grouped, again = (find_clusters(items, IndexConfig(), 0, many=1) for _ in range(2))
    assert grouped.centers.shape == flat.centers.shape
    np.testing.assert_array_equal(grouped.lists, again.lists)
    near = [float(np.einsum("nd,nd->n", items, one.centers[one.lists]).mean()) for one in (flat, grouped)]
    assert near[1] > near[0] - 0.01
    best = (items[:2000] @ grouped.centers.T).argmax(axis=1)
    assert (grouped.lists[:2000] == best).mean() > 0.95


def test_effort_that_finds_no_more_is_not_spent_on_many_items(monkeypatch: pytest.MonkeyPatch) -> None:
    """All but alike vectors cannot be told apart by 8 bits, however many lists are searched."""
    items = unit(1 + 1e-5 * vectors(4000))
    config = IndexConfig(kind="ivf", bits=8)
    index = stored_index(items, config, find_clusters(items, config, 0), of_directions=False)
    questions = sampled(items, 300, 0).questions(items, slice(None), K)
    assert with_effort(index, config, questions).shape.effort == index.n_lists
    monkeypatch.setattr("pinfold.index.building.MANY", 1000)
    few = with_effort(index, config, questions)
    assert few.shape.effort < index.n_lists // 2
    whole = index.with_effort(index.n_lists)
    assert questions.shares(few, K).mean() > questions.shares(whole, K).mean() - 0.02
