"""Step sizes: warm-up over the first steps, decay over the epochs."""

from pinfold.errors import ConfigError
from pinfold.training.config import TrainConfig

LEAST = 0.02  # of the step size remains at the end of the linear decay


def rate(config: TrainConfig, epoch: int, step: int, n_batches: int) -> float:
    """The step size of one step, which depends on nothing else, so that a resumed or shorter run has the same.

    Both factors multiply. Warm-up: gradual, from learning_rate / warmup_steps up (Goyal et al., arXiv 1706.02677,
    section 2.2), as PinSage is trained (Ying et al., KDD 2018, section 3.3), with exponential decay.

    Args:
        config: learning_rate, warmup_steps, decay and what belongs to it.
        epoch: from 1.
        step: of the epoch, from 0.
        n_batches: how many steps an epoch has.
    """
    return config.learning_rate * _left(config, epoch) * _warm(config, (epoch - 1) * n_batches + step)


def check_rates(config: TrainConfig) -> None:
    """Raise unless the options of the decay fit together.

    Raises:
        ConfigError: decay_epochs beside an exponential decay, which has no end.
    """
    if config.decay == "exponential" and config.decay_epochs:
        raise ConfigError(
            f"train.decay_epochs = {config.decay_epochs} belongs to train.decay 'linear'; "
            "with 'exponential' set train.decay_rate alone"
        )


def _left(config: TrainConfig, epoch: int) -> float:
    """What the decay has left of the step size."""
    match config.decay:
        case "exponential":
            return config.decay_rate ** (epoch - 1)
        case "linear":
            return max(LEAST, 1 - (epoch - 1) / config.decay_epochs) if config.decay_epochs else 1.0


def _warm(config: TrainConfig, step: int) -> float:
    """How far the warm-up is, of the step number `step` of all, from 0."""
    return min(1.0, (step + 1) / config.warmup_steps) if config.warmup_steps else 1.0
