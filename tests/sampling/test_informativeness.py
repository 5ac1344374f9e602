"""What makes an edge say more, against values worked by hand."""

import numpy as np
import pytest

from pinfold.arrays import Floats
from pinfold.data.interactions import Interactions
from pinfold.errors import ConfigError
from pinfold.graph.bipartite import build_graph
from pinfold.sampling.informativeness import LEAST, InformativenessConfig, edge_factors, mean_one

DAY = 86_400
# user 0 takes items 0, 1 and 2, user 1 takes 2 twice, user 2 nothing; the newest event is on day 10
EVENTS = Interactions(
    np.array([0, 1, 0, 0, 1], np.int32),
    np.array([1, 2, 0, 2, 2], np.int32),
    np.array([1, 3, 4, 1, 5], np.float32),
    np.array([10, 2, 0, 5, 8], np.int64) * DAY,
    3,
    4,
)
GRAPH = build_graph(EVENTS)  # edges (0, 0), (0, 1), (0, 2), (1, 2)
CONTENT = np.array([[2, 0], [0, 1], [3, 3], [1, 0]], np.float32)


def factors(content: Floats | None = None, **options: float) -> Floats:
    return edge_factors(InformativenessConfig(**options), GRAPH, EVENTS, content)


def assert_in_proportion(found: Floats, expected: list[float]) -> None:
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, np.array(expected) / np.mean(expected), rtol=1e-5)


def test_off_by_default() -> None:
    assert not InformativenessConfig().active()
    assert_in_proportion(factors(), [1, 1, 1, 1])
    for name in ("half_life", "frequency", "activity", "narrowness", "closeness"):
        assert InformativenessConfig(**{name: 0.5}).active()


def test_recency_halves_with_every_half_life() -> None:
    """Days before the last event: 10, 0, 5, and 2 for the newer of the two."""
    assert_in_proportion(factors(half_life=5.0), [0.25, 1, 0.5, 0.5**0.4])


def test_frequency_is_a_power_of_the_summed_weight() -> None:
    assert_in_proportion(factors(frequency=0.5), [2, 1, 1, np.sqrt(8)])


def test_activity_is_a_power_of_how_many_items_the_user_has() -> None:
    assert_in_proportion(factors(activity=-1.0), [1 / 3, 1 / 3, 1 / 3, 1])


def test_closeness_is_the_mean_cosine_to_the_users_other_items() -> None:
    """Item 2 lies at 45 degrees to both others, which have nothing in common; alone, an item has nothing close by."""
    close = np.sqrt(0.5)
    assert_in_proportion(factors(CONTENT, closeness=1.0), [close / 2, close / 2, close, LEAST])
    assert_in_proportion(factors(CONTENT, closeness=2.0), [0.125, 0.125, 0.5, LEAST**2])


def test_narrowness_is_the_mean_of_that_over_the_user() -> None:
    narrow = np.sqrt(0.5) * 2 / 3
    assert_in_proportion(factors(CONTENT, narrowness=1.0), [narrow, narrow, narrow, LEAST])


def test_factors_are_multiplied() -> None:
    found = factors(half_life=5.0, frequency=0.5, activity=-1.0)
    assert_in_proportion(found, [0.25 * 2 / 3, 1 / 3, 0.5 / 3, 0.5**0.4 * np.sqrt(8)])


def test_items_of_opposite_or_no_content_count_a_little() -> None:
    opposite = np.array([[1, 0], [-1, 0], [0, 0], [0, 0]], np.float32)
    assert_in_proportion(factors(opposite, closeness=1.0), [LEAST] * 4)


def test_what_is_missing_is_said() -> None:
    timeless = Interactions.of(EVENTS.users, EVENTS.items, 3, 4)
    with pytest.raises(ConfigError, match="half_life needs times, and the events have none"):
        edge_factors(InformativenessConfig(half_life=1.0), GRAPH, timeless, None)
    for config in (InformativenessConfig(narrowness=1.0), InformativenessConfig(closeness=1.0)):
        with pytest.raises(ConfigError, match="compare the content of items, and the data set has none"):
            edge_factors(config, GRAPH, EVENTS, None)


def test_mean_one() -> None:
    np.testing.assert_allclose(mean_one(np.array([1.0, 3.0])), [0.5, 1.5])
    assert mean_one(np.zeros(0)).shape == (0,)
    assert mean_one(np.zeros(2)).tolist() == [0, 0]
