"""Walks in rounds are the walks of the kernels, visit for visit."""

from typing import Any

import numpy as np
import pytest
from tests.engine.conftest import Known, Made, embedded, whole

from pinfold.errors import ConfigError
from pinfold.graph.neighborhoods import NeighborhoodConfig, neighborhoods


@pytest.mark.parametrize(
    "told",
    [
        {"steps": 300},
        {"steps": 300, "weighted": True},
        {"steps": 200, "restart": 0.02, "size": 40},
        {"steps": 200, "restart": 1.0, "weighted": True},
        {"steps": 1},
        {"method": "uniform", "steps": 50},
        {"method": "uniform", "steps": 50, "weighted": True, "size": 3},
    ],
)
def test_walks_in_rounds_are_the_kernels_walks(known: Known, made: Made, told: dict[str, Any]) -> None:
    config = NeighborhoodConfig(**{"size": 8, **told})
    job, _ = made(neighborhood=config, seed=11, memory=200_000)
    expected = neighborhoods(known.graph, config, 11)
    assert (expected.ids[1:20] >= 0).any()
    for size in (1, 2, 5):
        engine = embedded(job, size, last="neighborhoods")
        np.testing.assert_array_equal(whole(engine, "neighborhoods", "neighbor_ids.npy"), expected.ids)
        np.testing.assert_array_equal(whole(engine, "neighborhoods", "neighbor_weights.npy"), expected.weights)


def test_a_push_needs_the_whole_graph(known: Known, made: Made) -> None:
    config = NeighborhoodConfig(method="push", size=5)
    job, _ = made(neighborhood=config)
    engine = embedded(job, 1, last="neighborhoods")
    expected = neighborhoods(known.graph, config, 3)
    np.testing.assert_array_equal(whole(engine, "neighborhoods", "neighbor_ids.npy"), expected.ids)
    with pytest.raises(ConfigError, match='use "walks", or one worker'):
        embedded(job, 2, last="neighborhoods")
