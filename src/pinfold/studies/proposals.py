"""The space of a search: is it one, what lies in it, and which values to try next. The only file with optuna."""

import json
import math
import tomllib
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from pinfold.config import parse, to_toml
from pinfold.errors import ConfigError
from pinfold.run import RunConfig
from pinfold.training.space import Dimension, TuneConfig

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Values = dict[str, Any]  # option -> value
Space = Mapping[str, Dimension]
# these change what a score means, or nothing that a score shows
FIXED = ("model.name", "train.metric", "train.refit", "train.device", "train.checkpoint_seconds")


def check_space(run: RunConfig) -> TuneConfig:
    """The table `tune` of a run, every option and every end of a range tried on the run's options.

    Raises:
        ConfigError: no such table, no such option, a value that the option cannot take, a range that is none.
    """
    if run.tune is None:
        raise ConfigError(
            'the run file has no table [tune.space]; say what to vary, such as "model.dim" = {choices = [32, 64]} or '
            '"train.learning_rate" = {low = 1e-4, high = 1e-1, log = true}'
        )
    for name, dimension in run.tune.space.items():
        where = f"tune.space {name!r}"
        for value in _ends(dimension, where):
            with_values(run, {name: value}, where)
        if name.partition(".")[0] not in ("model", "train") or name in FIXED:
            raise ConfigError(
                f"{where}: cannot be varied: only options of model and train can, and of these not {', '.join(FIXED)}"
            )
    return run.tune


def with_values(run: RunConfig, values: Values, where: str) -> RunConfig:
    """The run with other values; `where` starts every message.

    Raises:
        ConfigError: an unknown option, a wrong value, or values that do not go together.
    """
    tree = tomllib.loads(to_toml(run))
    for name, value in values.items():
        *tables, option = name.split(".")
        place = tree
        for table in tables:
            place = place.setdefault(table, {})
            if not isinstance(place, dict):
                raise ConfigError(f"{where}: {table} is not a table")
        place[option] = value
    return parse(tree, RunConfig, where)


def own_values(run: RunConfig, space: Space) -> Values | None:
    """The run's own values of the options in the space; None where one of them lies outside."""
    values: Values = {}
    for name, dimension in space.items():
        place: Any = tomllib.loads(to_toml(run))
        for part in name.split("."):
            place = place.get(part) if isinstance(place, dict) else None
        if place is None or not _holds(dimension, place):
            return None
        values[name] = place
    return values


def propose(space: Space, tried: Sequence[tuple[Values, float | None]], seed: int) -> Values:
    """The values to try next, given the values tried so far and their scores (None: training failed).

    A tree-structured Parzen estimator (Bergstra et al., NeurIPS 2011), drawing at random for its first ten. The
    study is made anew from what was tried, so that nothing but the arguments decides.

    Raises:
        ConfigError: optuna is not installed.
    """
    need_optuna()
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    mixed = int(np.random.SeedSequence([seed, len(tried)]).generate_state(1)[0])
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=mixed))
    distributions = {name: _distribution(dimension) for name, dimension in space.items()}
    for values, score in tried:
        state = optuna.trial.TrialState.FAIL if score is None else optuna.trial.TrialState.COMPLETE
        params = {name: _coded(space[name], value) for name, value in values.items()}
        study.add_trial(optuna.trial.create_trial(state=state, value=score, params=params, distributions=distributions))
    proposed = study.ask(distributions).params
    return {name: json.loads(v) if space[name].choices is not None else v for name, v in proposed.items()}


def need_optuna() -> None:
    """Raise before any work where the extra is missing.

    Raises:
        ConfigError: says how to install it.
    """
    try:
        import optuna  # noqa: F401
    except ImportError as error:
        raise ConfigError("`pinfold tune` needs optuna, which is not installed: pip install 'pinfold[tune]'") from error


def _ends(dimension: Dimension, where: str) -> list[Any]:
    """The values to try on the options: every choice, or both ends."""
    low, high = dimension.low, dimension.high
    if dimension.choices is not None:
        if low is not None or high is not None or dimension.log:
            raise ConfigError(f"{where}: has choices and a range; expected either choices, or low and high")
        coded = sorted(json.dumps(choice) for choice in dimension.choices)
        if any(a == b for a, b in pairwise(coded)):
            raise ConfigError(f"{where}: the same choice stands there twice")
        return list(dimension.choices)
    if low is None or high is None:
        raise ConfigError(f"{where}: expected either choices, or low and high")
    if not low < high or not math.isfinite(high - low):
        raise ConfigError(f"{where}: low = {low} is not below high = {high}")
    if dimension.log and low <= 0:
        raise ConfigError(f"{where}: low = {low}, but a logarithmic scale has no values at or below 0")
    return [low, high]


def _holds(dimension: Dimension, value: Any) -> bool:
    """Whether a value lies in the dimension."""
    if dimension.choices is not None:
        return json.dumps(value) in [json.dumps(choice) for choice in dimension.choices]
    low, high = dimension.low, dimension.high
    if low is None or high is None or isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return low <= value <= high and (isinstance(value, int) or not _whole(dimension))


def _whole(dimension: Dimension) -> bool:
    return isinstance(dimension.low, int) and isinstance(dimension.high, int)


def _distribution(dimension: Dimension) -> "BaseDistribution":
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if dimension.choices is not None:
        return CategoricalDistribution([json.dumps(choice) for choice in dimension.choices])
    low, high = dimension.low, dimension.high
    if isinstance(low, int) and isinstance(high, int):
        return IntDistribution(low, high, log=dimension.log)
    if low is None or high is None:
        raise ValueError("a dimension has choices, or low and high")
    return FloatDistribution(float(low), float(high), log=dimension.log)


def _coded(dimension: Dimension, value: Any) -> Any:
    """Choices as JSON text, since optuna knows no lists."""
    return json.dumps(value) if dimension.choices is not None else value
