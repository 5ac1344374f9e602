"""One model of a comparison: learned, judged and measured in a process of its own.

A process for each model, because memory is known per process: what one model left lying about would count for the
next. A model that runs out of memory, or out of time, then also ends alone. `studies.compare` calls `main` in a new
process; the numbers come back in a folder, progress on standard output.
"""

import ctypes
import re
import sys
import time
import tomllib
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from pinfold.arrays import Ints, Longs
from pinfold.artifacts import open_folder, writing
from pinfold.config import parse, to_toml
from pinfold.data.splits import Part, Split, SplitConfig, split_events
from pinfold.data.synthetic import two_tastes
from pinfold.errors import ConfigError, PinfoldError
from pinfold.evaluation.evaluate import Evaluation, evaluate
from pinfold.evaluation.intervals import Interval
from pinfold.features.config import FeaturesConfig
from pinfold.fitting import Fitted, fit
from pinfold.graph.bipartite import build_graph
from pinfold.graph.csr import Csr
from pinfold.graph.learned import Learned
from pinfold.index.recommender import recommender
from pinfold.memory import peak_memory
from pinfold.models.shelf import ComputedConfig, compute
from pinfold.progress import SILENT, Progress
from pinfold.run import Contexts, RunConfig, contexts_of, load_data, load_test
from pinfold.studies.abilities import Abilities, abilities
from pinfold.studies.comparison import Ending, Learning
from pinfold.studies.wire import Wire
from pinfold.training.loop import Report

KIND = "trial"
PROC = Path("/proc/self")


@dataclass(frozen=True, slots=True)
class Trial:
    """What one model reached, and on which users."""

    learning: Learning
    evaluation: Evaluation
    abilities: Abilities
    known: Longs  # (B,) items by which each asked user is known
    cold_share: float  # of the hidden events, those whose item nobody took before


def run_trial(run: RunConfig, progress: Progress = SILENT) -> Trial:
    """Learn on the known events, then open the test part once.

    Raises:
        PinfoldError: the model cannot be run on this data or this machine.
        ConfigError: the protocol has no test part.
    """
    dataset = load_data(run.data)
    split = split_events(dataset.interactions, run.split, run.seed, load_test(run.data, dataset))
    if split.test is None or split.valid is None:
        raise ConfigError(f"split.protocol {run.split.protocol!r} has no test part to compare models on")
    contexts = contexts_of(run, dataset)
    _warm_up(run)
    learned, learning = _learn(run, split, contexts, progress)
    test = split.test.unseal()
    known = build_graph(split.known).user_items
    evaluation = evaluate(recommender(learned, known), test, known, run.evaluation, seed=run.seed, progress=progress)
    return Trial(learning, evaluation, abilities(run.model, learned), _known(test), _cold_share(test, known))


def _warm_up(run: RunConfig) -> None:
    """The same on a few events, so that what is compiled or loaded at first use does not count."""
    world = two_tastes()
    split = split_events(world.interactions, SplitConfig(), run.seed)
    short = replace(run, train=replace(run.train, epochs=1), features=FeaturesConfig())
    fitted = fit(short, split, contexts=contexts_of(short, world))
    known = build_graph(split.known).user_items
    recommender(fitted.learned, known).recommend(np.arange(1, dtype=np.int32), run.evaluation.ks[0])


def _learn(run: RunConfig, split: Split, contexts: Contexts, progress: Progress) -> tuple[Learned, Learning]:
    """What the model learned, with time and memory.

    Those of a trained model hold its looks at the validation part, which it cannot do without. A model that is
    computed in one go is scored there too, but apart: its time is that of one computation on the known events.
    """
    if not isinstance(run.model, ComputedConfig):
        before = _restart_peak()
        fitted = fit(run, split, contexts=contexts, progress=progress)
        return fitted.learned, _learning(run, fitted, max(0, _peak() - before))
    before, started = _restart_peak(), time.perf_counter()
    with progress.task(run.model.name):
        learned = compute(run.model, build_graph(split.known), contexts(split.known), run.seed)
    seconds, memory = time.perf_counter() - started, max(0, _peak() - before)
    alone = replace(run, train=replace(run.train, refit=False))
    on_train = fit(alone, split, contexts=contexts, progress=progress)
    return learned, Learning(seconds, memory, _score(on_train.report), 0, 0, None)


def _learning(run: RunConfig, fitted: Fitted, memory: int) -> Learning:
    report = fitted.report
    over = run.train.seconds is not None and report.seconds >= run.train.seconds
    ended: Ending = "time" if over else "epochs" if report.epochs == run.train.epochs else "patience"
    return Learning(fitted.seconds, memory, _score(report), report.epochs, report.best_epoch, ended)


def _score(report: Report) -> float:
    return report.best_score or 0.0


def _known(test: Part) -> Longs:
    """How many items each asked user is known by. Shape (B,)."""
    given = np.bincount(test.given.users, minlength=test.given.n_users)
    counts: Longs = given[test.users()].astype(np.int64)
    return counts


def _cold_share(test: Part, known: Csr) -> float:
    """The share of hidden events on items that have no known event."""
    seen = np.bincount(known.ids, minlength=known.n_columns) > 0  # (I,)
    hidden: Ints = test.target.items
    return float(np.mean(~seen[hidden]))


def _restart_peak() -> int:
    """Bytes held now; from here on the peak counts anew where the system can do that (Linux)."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):  # memory that lies free would be taken again and not counted
            ctypes.CDLL(None).malloc_trim(0)
    try:
        (PROC / "clear_refs").write_text("5")
        return _status("VmRSS")
    except OSError:
        return peak_memory()


def _peak() -> int:
    """The most bytes held since `_restart_peak`.

    Not what `resource` says: that includes the process from which this one was started.
    """
    try:
        return _status("VmHWM")
    except OSError:
        return peak_memory()


def _status(name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB", (PROC / "status").read_text(), re.MULTILINE)
    if found is None:
        raise OSError(f"{PROC}/status has no {name}")
    return int(found.group(1)) * 1024


def write_trial(path: Path, trial: Trial) -> None:
    """The trial as a folder."""
    evaluation = trial.evaluation
    with writing(path, KIND) as folder:
        folder.array("values.npy", np.stack(list(evaluation.per_user.values())))  # (M, B)
        folder.array("known.npy", trial.known)
        folder.json(
            "trial.json",
            {
                "learning": asdict(trial.learning),
                "abilities": asdict(trial.abilities),
                "cold_share": trial.cold_share,
                "metrics": list(evaluation.per_user),
                "intervals": {name: asdict(interval) for name, interval in evaluation.intervals.items()},
                "exposure": evaluation.exposure,
                "seconds": evaluation.seconds,
            },
        )


def read_trial(path: Path) -> Trial:
    """The trial that `write_trial` wrote, in memory."""
    folder = open_folder(path, KIND)
    told = folder.json("trial.json")
    known = np.array(folder.array("known.npy", np.int64, -1))
    values = np.array(folder.array("values.npy", np.float64, len(told["metrics"]), len(known)))
    per_user = dict(zip(told["metrics"], values, strict=True))
    intervals = {name: Interval(**interval) for name, interval in told["intervals"].items()}
    evaluation = Evaluation(intervals, told["exposure"], per_user, len(known), told["seconds"])
    return Trial(Learning(**told["learning"]), evaluation, Abilities(**told["abilities"]), known, told["cold_share"])


def main(run_file: Path, out: Path) -> None:
    """What the process does: a trial into `out`, or the reason why there is none onto the wire."""
    wire = Wire.on_standard_output()
    try:
        write_trial(out, run_trial(parse(tomllib.loads(run_file.read_text()), RunConfig, "run"), wire))
    except PinfoldError as error:
        wire.refuse(str(error))
    except MemoryError as error:
        wire.refuse(f"not enough memory ({error})")


def run_text(run: RunConfig) -> str:
    """What `main` reads."""
    return to_toml(run)
