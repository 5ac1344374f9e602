"""Is the graph worth it? Every model on the same data within one budget of time, and a sentence of advice."""

import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from importlib.metadata import version
from itertools import combinations
from math import inf
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast, get_args

import numpy as np

from pinfold import __version__
from pinfold.arrays import Bools, Doubles, Longs
from pinfold.data.dataset import Dataset
from pinfold.data.splits import ProtocolName, SplitConfig, split_events
from pinfold.errors import ConfigError, TrainingError, did_you_mean
from pinfold.evaluation.evaluate import EvaluationConfig
from pinfold.evaluation.intervals import Interval, PairedTest, bootstrap_intervals, holm, paired_test
from pinfold.features.config import FeaturesConfig
from pinfold.features.content import choose
from pinfold.kernels.parallel import n_threads
from pinfold.models.ease import EASEConfig
from pinfold.models.gf_cf import GFCFConfig
from pinfold.models.item_knn import ItemKNNConfig
from pinfold.models.lightgcn import LightGCNConfig
from pinfold.models.mf import MFConfig
from pinfold.models.pinsage import PinSageConfig
from pinfold.models.popularity import PopularityConfig
from pinfold.models.shelf import ComputedConfig, ModelConfig
from pinfold.progress import SILENT, Progress
from pinfold.run import DataConfig, RunConfig, load_data, load_test
from pinfold.studies.advice import advise, best_simple
from pinfold.studies.comparison import Comparison, Group, Judged, Refused
from pinfold.studies.trial import Trial, read_trial, run_text
from pinfold.studies.wire import relay
from pinfold.training.config import TrainConfig

# Simplest first: where no difference shows, the advice is for the first.
MODELS: tuple[ModelConfig, ...] = (
    PopularityConfig(),
    ItemKNNConfig(),
    GFCFConfig(),
    EASEConfig(),
    MFConfig(),
    LightGCNConfig(),
)
OF_CONTENT: tuple[ModelConfig, ...] = (PinSageConfig(),)  # after these, where items have attributes
TRAIN = TrainConfig(refit=True)
METRIC = f"{TRAIN.metric}@{EvaluationConfig().ks[0]}"  # selects on the validation part and is tested on the test part
COMPUTED_SHARE = 0.75  # of the budget, at most, for the models that are computed in one go
LEARNING_SHARE = 0.9  # of a trained model's share, for selection and refit together
LATEST = 1.5  # shares, after which a model is stopped from outside, and its result lost
GRACE = 30.0  # seconds more before that
# Ctrl-C reaches both processes; this one then ends the other, which need not say anything.
CHILD = """
import pathlib, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
from pinfold.studies.trial import main
main(*map(pathlib.Path, sys.argv[1:]))
"""
LIBRARIES = ("numpy", "scipy", "numba", "torch")

Learn = Callable[[RunConfig, float, Progress], Trial | str]  # a run, its last second, who listens; str: why not


@dataclass(frozen=True, slots=True)
class CompareConfig:
    """What is compared on what."""

    data: DataConfig
    models: tuple[ModelConfig, ...]  # simplest first; empty: `default_models` of the data
    split: SplitConfig
    minutes: float  # the budget for all models together
    seed: int


def compare(
    config: CompareConfig, now: datetime, *, learn: Learn | None = None, progress: Progress = SILENT
) -> Comparison:
    """Each model selected on the validation part, refitted, and judged once on the test part, on the same users.

    Args:
        config: data, models and budget.
        now: the time that the report bears.
        learn: how one model is run; in a process of its own by default.
        progress: hears each model's tasks.

    Raises:
        PinfoldError: the data cannot be read or split.
        ConfigError: the protocol has no test part.
        TrainingError: no model could be run, or one failed in a way that is a bug.
    """
    started = time.perf_counter()
    dataset = load_data(config.data)
    selection = LEARNING_SHARE / (1 + refit_seconds(config, dataset))  # splits, so that bad data is refused early
    config = config if config.models else replace(config, models=default_models(dataset))
    trials = _run_all(config, selection, learn or in_own_process, progress)
    done = {name: trial for name, trial in trials.items() if isinstance(trial, Trial)}
    refused = tuple(Refused(name, reason) for name, reason in trials.items() if isinstance(reason, str))
    if not done:
        raise TrainingError("no model could be run: " + "; ".join(f"{r.name}: {r.reason}" for r in refused))
    facts = {**_facts(config, dataset, now), "seconds": time.perf_counter() - started}
    return _conclude(done, refused, config.seed, facts)


def compare_config(
    data: str, models: str, protocol: str, test: Path | None, minutes: float, seed: int
) -> CompareConfig:
    """What the words of the command mean.

    Raises:
        ConfigError: an unknown model or protocol, a number out of range.
    """
    if not 0 < minutes < inf:
        raise ConfigError(f"--minutes {minutes:g}: expected a number above 0")
    if not 0 <= seed < 2**63:
        raise ConfigError(f"--seed {seed}: expected 0 or more, below 2^63")
    known = [name for name in get_args(ProtocolName) if name not in ("files", "none")]
    if protocol not in known:
        raise ConfigError(f"--protocol {protocol}: unknown{did_you_mean(protocol, known)} (known: {', '.join(known)})")
    split = SplitConfig(protocol="files" if test else cast("ProtocolName", protocol))
    names = [name.strip() for name in models.split(",") if name.strip()]
    return CompareConfig(
        DataConfig(path=data, test=str(test) if test else None), chosen_models(names), split, minutes, seed
    )


def chosen_models(names: Sequence[str]) -> tuple[ModelConfig, ...]:
    """The models of these names with default options, simplest first: any of the shelf.

    Raises:
        ConfigError: no such model.
    """
    shelf: dict[str, ModelConfig] = {model.name: model for model in MODELS + OF_CONTENT}
    for cls in get_args(get_args(ModelConfig)[0]):
        shelf.setdefault(cls().name, cls())
    for name in names:
        if name not in shelf:
            raise ConfigError(f"no model {name!r}{did_you_mean(name, shelf)} (known: {', '.join(shelf)})")
    return tuple(model for name, model in shelf.items() if name in names)


def default_models(dataset: Dataset) -> tuple[ModelConfig, ...]:
    """The models that are compared if none is named: those of content where items have attributes to learn from."""
    known = np.unique(dataset.interactions.items)
    columns, _ = choose(FeaturesConfig(), dataset.item_table, known, "items")
    return MODELS + OF_CONTENT if columns else MODELS


def refit_seconds(config: CompareConfig, dataset: Dataset) -> float:
    """What the second training takes for each second of the first: it has the validation part's events, too.

    Raises:
        ConfigError: the protocol has no test part.
    """
    split = split_events(dataset.interactions, config.split, config.seed, load_test(config.data, dataset))
    if split.test is None:
        raise ConfigError(f"protocol {config.split.protocol!r} has no test part to compare models on")
    return len(split.known) / max(len(split.train), 1)


def _run_all(config: CompareConfig, selection: float, learn: Learn, progress: Progress) -> dict[str, Trial | str]:
    """Every model's trial, or why there is none: first those that are computed, then the others share what is left."""
    started, budget = time.monotonic(), config.minutes * 60
    run = RunConfig(data=config.data, model=MODELS[0], seed=config.seed, split=config.split, train=TRAIN)
    computed = [model for model in config.models if isinstance(model, ComputedConfig)]
    trained = [model for model in config.models if not isinstance(model, ComputedConfig)]
    trials: dict[str, Trial | str] = dict.fromkeys((model.name for model in config.models), "")  # keeps their order
    overheads = []  # seconds to start, read and answer: what a trained model takes besides its training
    for fast in computed:
        before = time.monotonic()
        most = budget * (COMPUTED_SHARE if trained else 1.0) - (before - started)
        trials[fast.name] = trial = learn(replace(run, model=fast), max(most, 0.0) + GRACE, progress)
        if isinstance(trial, Trial):
            overheads.append(time.monotonic() - before - trial.learning.seconds)
    for place, model in enumerate(trained):
        share = (budget - (time.monotonic() - started)) / (len(trained) - place)
        if share <= 0:
            trials[model.name] = f"no time was left for it; give more than {config.minutes:g} minutes"
            continue
        left = max(share - min(overheads, default=0.0), share / 4)
        limited = replace(run.train, seconds=selection * left)
        trials[model.name] = learn(replace(run, model=model, train=limited), LATEST * share + GRACE, progress)
    return trials


def in_own_process(run: RunConfig, seconds: float, progress: Progress) -> Trial | str:
    """The trial of one model, run by `studies.trial` in a process of its own; why not, where there is none.

    Raises:
        TrainingError: the process failed in a way that nobody foresaw; it has told standard error how.
    """
    late = threading.Event()
    with TemporaryDirectory(prefix="pinfold-trial-") as place:
        run_file, out = Path(place) / "run.toml", Path(place) / "trial"
        run_file.write_text(run_text(run), encoding="utf-8")
        words = [sys.executable, "-c", CHILD, str(run_file), str(out)]
        with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as child:  # noqa: S603
            timer = threading.Timer(seconds, _stop, (child, late))
            timer.start()
            try:
                refused = relay(child.stdout or (), progress, run.model.name)
                code = child.wait()
            finally:  # after Ctrl-C, too, nothing goes on in the background
                timer.cancel()
                child.kill()
        if refused is not None:
            return refused
        if late.is_set():
            return f"did not end within {seconds:.0f} s; give more minutes"
        if code < 0:
            return f"the system ended it (signal {-code}); most likely there was not enough memory"
        if code:
            raise TrainingError(f"{run.model.name}: its process failed with code {code}; standard error says why")
        return read_trial(out)


def _stop(child: subprocess.Popen[str], late: threading.Event) -> None:
    late.set()
    child.kill()


def _conclude(trials: dict[str, Trial], refused: tuple[Refused, ...], seed: int, facts: dict[str, Any]) -> Comparison:
    """Groups, tests and advice."""
    first = next(iter(trials.values()))
    if any(not np.array_equal(first.known, trial.known) for trial in trials.values()):
        raise ValueError("the models were not asked about the same users")
    masks, groups = activity_groups(first.known)
    models = tuple(
        Judged(name, t.learning, t.evaluation, t.abilities, _by_group(t.evaluation.per_user[METRIC], masks, seed))
        for name, t in trials.items()
    )
    tests = paired_tests(models, METRIC, seed)
    advice = advise(models, tests, METRIC, refused=refused, cold_share=first.cold_share)
    return Comparison(models, refused, tests, best_simple(models), METRIC, groups, first.cold_share, advice, facts)


def paired_tests(models: Sequence[Judged], metric: str, seed: int) -> dict[tuple[str, str], PairedTest]:
    """Every pair of models on the same users; the p-values of all pairs corrected together by Holm's procedure."""
    pairs = list(combinations(models, 2))
    values = {model.name: model.evaluation.per_user[metric] for model in models}
    tests = [paired_test(values[a.name], values[b.name], metric, seed=seed) for a, b in pairs]
    corrected = holm([test.p_value for test in tests])
    return {(a.name, b.name): replace(test, p_value=p) for (a, b), test, p in zip(pairs, tests, corrected, strict=True)}


def activity_groups(known: Longs) -> tuple[list[Bools], tuple[Group, ...]]:
    """Four groups of users from few known items to many, as equal in size as can be: equal counts stay together.

    Args:
        known: (B,) items by which each user is known.

    Returns:
        A mask (B,) for each group, and what it holds. Fewer than four where many users have the same count.
    """
    bounds = np.unique(np.quantile(known, [0.25, 0.5, 0.75], method="inverted_cdf"))
    place = np.searchsorted(bounds, known)  # (B,) up to and with a bound belongs below it
    masks = [place == number for number in np.unique(place)]
    return masks, tuple(Group(int(known[m].min()), int(known[m].max()), int(m.sum())) for m in masks)


def _by_group(values: Doubles, masks: Iterable[Bools], seed: int) -> tuple[Interval, ...]:
    return tuple(bootstrap_intervals({"mean": values[mask]}, seed=seed)["mean"] for mask in masks)


def _facts(config: CompareConfig, dataset: Dataset, now: datetime) -> dict[str, Any]:
    """What the report must name so that somebody else can repeat it."""
    return {
        "data": {
            "path": config.data.path,
            "about": str(dataset.source.get("about", "")),
            "n_users": len(dataset.users),
            "n_items": len(dataset.items),
            "n_edges": len(dataset.interactions),
        },
        "split": asdict(config.split),
        "seed": config.seed,
        "minutes": config.minutes,
        "time": now.isoformat(timespec="seconds"),
        "versions": {"pinfold": __version__, "python": platform.python_version()}
        | {name: version(name) for name in LIBRARIES},
        "machine": {
            "system": platform.system(),
            "processor": platform.machine(),
            "cores": os.cpu_count(),
            "threads": n_threads(),
        },
    }
