"""Hyper-parameter search on the validation part; the test part stays sealed."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from pinfold.artifacts import remove_folder
from pinfold.config import to_toml
from pinfold.data.splits import Split, split_events
from pinfold.errors import ArtifactError, ConfigError, DataError, TrainingError
from pinfold.files import write_json, write_text
from pinfold.fitting import fit
from pinfold.progress import SILENT, Progress
from pinfold.run import Contexts, RunConfig, contexts_of, load_data, load_test
from pinfold.studies.files import claim, fingerprint, identity_of
from pinfold.studies.proposals import Values, check_space, need_optuna, own_values, propose, with_values


@dataclass(frozen=True, slots=True)
class Attempt:
    """One set of values, and how it did on the validation part."""

    number: int  # from 0
    values: Values
    score: float | None  # None where training failed
    error: str | None
    epochs: int
    best_epoch: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Search:
    """All trials of a folder."""

    metric: str  # recall@20, on the validation part
    trials: tuple[Attempt, ...]

    @property
    def ranked(self) -> list[Attempt]:
        """Trials with a score, best first; of equal ones the older."""
        scored = [(trial.score, trial) for trial in self.trials if trial.score is not None]
        return [trial for _, trial in sorted(scored, key=lambda pair: -pair[0])]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def tune(
    run: RunConfig, out: Path, *, progress: Progress = SILENT, clock: Callable[[], float] = time.monotonic
) -> Search:
    """Try values from `run.tune.space`; what came of them is kept in `out`: trials.json, and best.toml, a run file.

    The first trial is the run as it is, if its values lie in the space; the others are proposed (see `propose`)
    from the seed of the search and the trials before. So a search that was killed and started again finds the same.
    A training that fails is a trial without a score.

    Args:
        run: what to vary, with its table `tune`.
        out: a new folder, or the one of an earlier call, which then goes on.
        progress: hears how trainings go on.
        clock: seconds, for the time budget.

    Raises:
        ConfigError: no table `tune`, an option or a value in it that cannot be, optuna is not installed, or `out`
            belongs to another search.
        TrainingError: not one trial has a score.
    """
    config = check_space(run)
    need_optuna()
    split, contexts = _open_data(run)
    plain = replace(run, reproduce=None, tune=None, study=None)
    endless = replace(config, trials=1, minutes=None)  # a search may be made longer
    claim(out, "tune", identity_of(replace(plain, tune=endless), fingerprint(split.train)))
    trials = _read(out / "trials.json")
    metric = f"{run.train.metric}@{run.evaluation.ks[0]}"
    end = None if config.minutes is None else clock() + 60 * config.minutes
    while len(trials) < config.trials and (end is None or clock() < end):
        values = None if trials else own_values(plain, config.space)
        if values is None:
            values = propose(config.space, [(trial.values, trial.score) for trial in trials], config.seed)
        with progress.task(f"trial {len(trials) + 1} of {config.trials}: {said(values)}"):
            pass
        trials.append(_try(plain, len(trials), values, split, contexts, out, progress))
        write_json(out / "trials.json", Search(metric, tuple(trials)).to_json())
    found = Search(metric, tuple(trials))
    if not found.ranked:
        errors = [trial.error for trial in trials if trial.error]
        raise TrainingError(f"{out}: no trial has a score" + (f"; the first one said: {errors[0]}" if errors else ""))
    write_text(out / "best.toml", to_toml(with_values(plain, found.ranked[0].values, "best.toml")))
    return found


def said(values: Values) -> str:
    """`model.dim 32, train.learning_rate 0.00423`."""
    return ", ".join(f"{name} {v:.3g}" if isinstance(v, float) else f"{name} {v}" for name, v in values.items())


def _open_data(run: RunConfig) -> tuple[Split, Contexts]:
    """The split of the run, its test part dropped unread, and what may be learned from beside it."""
    if run.split.protocol == "none":
        raise ConfigError("split.protocol 'none' has no validation part, so nothing can be chosen by it")
    dataset = load_data(run.data)
    split = split_events(dataset.interactions, run.split, run.seed, load_test(run.data, dataset))
    return replace(split, test=None), contexts_of(run, dataset)


def _try(
    run: RunConfig, number: int, values: Values, split: Split, contexts: Contexts, out: Path, progress: Progress
) -> Attempt:
    """Train with these values, without refit; killed and called again, it goes on from its checkpoint."""
    started = time.perf_counter()
    place = out / f"trial-{number}"
    try:
        chosen = with_values(run, values, "tune.space")
        alone = replace(chosen, train=replace(chosen.train, refit=False))
        fitted = fit(alone, split, contexts=contexts, checkpoints=place, progress=progress)
    except (TrainingError, ConfigError, DataError) as error:  # these values do not work; others may
        attempt = Attempt(number, values, None, str(error), 0, 0, time.perf_counter() - started)
    else:
        report = fitted.report
        seconds = max(fitted.seconds, report.seconds)  # a resumed training counts all its lives
        attempt = Attempt(number, values, report.best_score, None, report.epochs, report.best_epoch, seconds)
    for checkpoint in out.glob(f"{place.name}.*checkpoint"):
        remove_folder(checkpoint)
    return attempt


def _read(path: Path) -> list[Attempt]:
    """The trials of an earlier call."""
    if not path.is_file():
        return []
    try:
        return list(TypeAdapter(Search).validate_json(path.read_bytes()).trials)
    except (OSError, ValidationError) as error:
        raise ArtifactError(f"{path}: is damaged; remove its folder to start afresh: {error}") from error
