"""Step sizes by hand."""

import pytest

from pinfold.errors import ConfigError
from pinfold.training.config import TrainConfig
from pinfold.training.rates import check_rates, rate


def rates(config: TrainConfig, epochs: int, n_batches: int) -> list[float]:
    return [rate(config, epoch, step, n_batches) for epoch in range(1, epochs + 1) for step in range(n_batches)]


def test_defaults_change_nothing() -> None:
    config = TrainConfig(learning_rate=0.3)
    assert rates(config, 5, 4) == [0.3] * 20  # the very bits


def test_a_line_to_a_fiftieth() -> None:
    config = TrainConfig(learning_rate=1.0, decay_epochs=3)
    assert rates(config, 6, 1) == [1.0, 1 - 1 / 3, 1 - 2 / 3, 0.02, 0.02, 0.02]


def test_a_factor_an_epoch() -> None:
    config = TrainConfig(learning_rate=2.0, decay="exponential", decay_rate=0.5)
    assert rates(config, 4, 2) == [2, 2, 1, 1, 0.5, 0.5, 0.25, 0.25]
    assert rate(TrainConfig(decay="exponential", decay_rate=1.0), 100, 0, 1) == 1e-2


def test_warm_up_goes_over_the_borders_of_epochs() -> None:
    config = TrainConfig(learning_rate=1.0, warmup_steps=5)
    assert rates(config, 3, 2) == pytest.approx([0.2, 0.4, 0.6, 0.8, 1, 1])
    assert rates(TrainConfig(learning_rate=1.0, warmup_steps=1), 1, 2) == [1, 1]


def test_both_multiply() -> None:
    config = TrainConfig(learning_rate=1.0, warmup_steps=4, decay="exponential", decay_rate=0.5)
    assert rates(config, 2, 3) == pytest.approx([0.25, 0.5, 0.75, 0.5, 0.5, 0.5])


def test_two_decays_at_once() -> None:
    check_rates(TrainConfig(decay_epochs=3))
    check_rates(TrainConfig(decay="exponential"))
    with pytest.raises(ConfigError, match=r"'exponential' set train.decay_rate alone"):
        check_rates(TrainConfig(decay="exponential", decay_epochs=3))
