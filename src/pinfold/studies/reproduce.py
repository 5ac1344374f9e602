"""A published result again: trained, selected on validation, judged once, beside what was published."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from pinfold.artifacts import remove_folder
from pinfold.config import read_run, to_toml
from pinfold.data.dataset import Dataset
from pinfold.data.interactions import Interactions
from pinfold.data.readers import ImportConfig, Sources, import_files
from pinfold.data.records import PLACE
from pinfold.data.splits import Part, Split, split_events
from pinfold.errors import ArtifactError, ConfigError
from pinfold.evaluation.evaluate import Evaluation, EvaluationConfig, evaluate
from pinfold.evaluation.expected import ReproduceConfig
from pinfold.evaluation.intervals import Interval
from pinfold.files import write_json
from pinfold.fitting import fit
from pinfold.graph.bipartite import build_graph
from pinfold.graph.learned import Learned
from pinfold.index.recommender import recommender
from pinfold.memory import peak_memory
from pinfold.models.shelf import BlendConfig, ComputedConfig, TrainedConfig, build, compute
from pinfold.progress import SILENT, Progress
from pinfold.run import Contexts, RunConfig, contexts_of, load_data, load_test
from pinfold.studies.files import claim, fingerprint, identity_of
from pinfold.studies.results import Look, Reproduction, SeedResult
from pinfold.studies.sources import Source, find_files, find_run, known_source
from pinfold.training.loop import Keeping, train

QUICK = 100  # bootstrap resamples at looks whose intervals nobody reads
Judge = Callable[[int, Learned], dict[str, float]]


@dataclass(frozen=True, slots=True)
class Task:
    """One reproduction: the run on its data, and where results are kept."""

    run: RunConfig  # without its tables reproduce and tune
    dataset: Dataset
    test: Interactions | None
    folder: Path
    identity: str


def reproduce(
    name: str, out: Path, *, data: Path | None = None, seeds: Sequence[int] | None = None, progress: Progress = SILENT
) -> Reproduction:
    """Train the run of this name once a seed and say how it compares; results are kept in `out`.

    Killed and called again, it goes on where it was: finished seeds are not repeated. The test part is opened after
    selection has ended. For a trained model one training on all known events then gives two figures: the look at
    the epoch that validation selected, and the best look of all, which is what the papers report.

    Args:
        name: a run file of the package, or the path of one.
        out: the folder of results; a new one, or one of an earlier call.
        data: folder with train.txt and test.txt; without it they are fetched.
        seeds: other seeds than the run file's.
        progress: hears how the work goes on.

    Raises:
        ConfigError: no such run, nothing to reproduce in it, or `out` belongs to another run.
        DataError: the data are not those of the run file, or not to be had.
        TrainingError: training failed.
    """
    run, config = read_reproduction(find_run(name))
    chosen = config.seeds if seeds is None else tuple(seeds)
    if not chosen or len(set(chosen)) < len(chosen) or not all(0 <= seed < 2**63 for seed in chosen):
        raise ConfigError(f"seeds {', '.join(map(str, chosen))}: expected different whole numbers from 0")
    task = _prepare(run, config, out, data, progress)
    results = tuple(_kept(task, seed, progress) for seed in chosen)
    done = Reproduction(Path(name).stem, config, to_toml(run), run.evaluation.ks[0], results)
    write_json(out / "report.json", done.to_json())
    return done


def read_reproduction(path: Path) -> tuple[RunConfig, ReproduceConfig]:
    """A run file in two parts: what is run, and what should come out.

    Raises:
        ConfigError: the file has no table `reproduce`, or the run has no test part that fits it.
    """
    run = read_run(path, RunConfig)
    if run.reproduce is None:
        raise ConfigError(f"{path}: has no table [reproduce], so there is nothing to reproduce; use `pinfold train`")
    if run.split.protocol == "none":
        raise ConfigError(f"{path}: split.protocol 'none' has no test part, so there is nothing to compare with")
    if run.reproduce.data is not None and run.split.protocol != "files":
        raise ConfigError(f"{path}: reproduce.data brings its own test events; set split.protocol to 'files'")
    return replace(run, reproduce=None, tune=None, study=None), run.reproduce


def _prepare(run: RunConfig, config: ReproduceConfig, out: Path, data: Path | None, progress: Progress) -> Task:
    """The data checked, `out` made or found to be of this run, the data imported into it."""
    neutral = replace(run, seed=0, data=replace(run.data, path="", test=None))  # a folder may be moved
    if config.data is not None:
        source = known_source(config.data)
        files = find_files(source, data, progress)
        identity = identity_of(neutral, source.train.sha256, source.test.sha256)
        claim(out, "reproduce", identity)
        run = _import(run, source, files, out, progress)
        dataset = load_data(run.data)
        return Task(run, dataset, load_test(run.data, dataset), out, identity)
    if data is not None:
        raise ConfigError("--data: the run file names no public data set (reproduce.data); set data.path in it")
    dataset = load_data(run.data)
    test = load_test(run.data, dataset)
    identity = identity_of(neutral, *(fingerprint(part) for part in (dataset.interactions, test) if part is not None))
    claim(out, "reproduce", identity)
    return Task(run, dataset, test, out, identity)


def _import(run: RunConfig, source: Source, files: dict[str, Path], out: Path, progress: Progress) -> RunConfig:
    """The run on the files of a source, imported once."""
    for part, path in files.items():
        if not (out / part).exists():
            with progress.task(f"importing {source.name} {part}"):
                import_files(Sources([path]), out / part, ImportConfig(format="lists", time=PLACE))
    return replace(run, data=replace(run.data, path=str(out / "train"), test=str(out / "test")))


def _kept(task: Task, seed: int, progress: Progress) -> SeedResult:
    """The result of a seed: from an earlier call, or worked out now and kept."""
    path = task.folder / f"seed-{seed}.json"
    if path.is_file():
        try:
            return TypeAdapter(SeedResult).validate_json(path.read_bytes())
        except (OSError, ValidationError) as error:
            raise ArtifactError(f"{path}: is damaged; remove it to have this seed run again: {error}") from error
    result = _run_seed(task, seed, progress)
    write_json(path, asdict(result))
    for checkpoint in task.folder.glob(f"seed-{seed}.*checkpoint"):
        remove_folder(checkpoint)
    return result


def _run_seed(task: Task, seed: int, progress: Progress) -> SeedResult:
    """Select on the validation part; then learn from all known events, and look at the test part."""
    run = replace(task.run, seed=seed, train=replace(task.run.train, refit=False))
    split = split_events(task.dataset.interactions, run.split, seed, task.test)
    if split.test is None:
        raise ValueError(f"protocol {run.split.protocol!r} has no test part")
    if isinstance(run.model, BlendConfig):
        return _run_blend(task, run, split, progress)
    contexts = contexts_of(run, task.dataset)
    fitted = fit(run, split, contexts=contexts, checkpoints=task.folder / f"seed-{seed}", progress=progress)
    report = fitted.report
    selection_seconds = max(fitted.seconds, report.seconds)  # a resumed training counts all its lives
    judge = _judge(run, split, split.test.unseal(), report.best_epoch)
    if isinstance(run.model, ComputedConfig):
        looks = _compute(run, run.model, split, contexts, judge, progress)
    else:
        longest = replace(run, train=replace(run.train, epochs=report.epochs, seconds=None))
        keeping = Keeping(task.folder / f"seed-{seed}.refit-checkpoint", f"{task.identity} refit {seed}")
        looks = _refit(longest, run.model, split, contexts, judge, keeping, progress)
    selected = next(look for look in looks if look.epoch == report.best_epoch)
    return SeedResult(seed, report.best_score, selected, looks, selection_seconds, peak_memory())


def _run_blend(task: Task, run: RunConfig, split: Split, progress: Progress) -> SeedResult:
    """Members select and refit one by one; the blend itself has nothing to select, so there is one look."""
    if split.test is None:
        raise ValueError("no test part")
    refit = replace(run, train=replace(run.train, refit=True))
    contexts = contexts_of(run, task.dataset)
    fitted = fit(refit, split, contexts=contexts, checkpoints=task.folder / f"seed-{run.seed}", progress=progress)
    judge = _judge(run, split, split.test.unseal(), 0)
    look = _look(0, fitted.seconds, judge(0, fitted.learned))
    return SeedResult(run.seed, None, look, (look,), fitted.seconds, peak_memory())


def _judge(run: RunConfig, split: Split, test: Part, best_epoch: int) -> Judge:
    """How what was learned by an epoch does on the test part; intervals are worth their time at `best_epoch` only."""
    known = build_graph(split.known).user_items
    full = replace(run.evaluation, ks=run.evaluation.ks[:1])
    quick = EvaluationConfig(ks=full.ks, n_resamples=QUICK)

    def judge(epoch: int, learned: Learned) -> dict[str, float]:
        config = full if epoch == best_epoch else quick
        return _numbers(evaluate(recommender(learned, known), test, known, config, seed=run.seed), full.ks[0])

    return judge


def _compute(
    run: RunConfig, model: ComputedConfig, split: Split, contexts: Contexts, judge: Judge, progress: Progress
) -> tuple[Look, ...]:
    """The one look at a model that needs no training."""
    started = time.perf_counter()
    with progress.task(model.name):
        learned = compute(model, build_graph(split.known), contexts(split.known), run.seed)
    seconds = time.perf_counter() - started
    return (_look(0, seconds, judge(0, learned)),)


def _refit(
    run: RunConfig,
    model: TrainedConfig,
    split: Split,
    contexts: Contexts,
    judge: Judge,
    keeping: Keeping,
    progress: Progress,
) -> tuple[Look, ...]:
    """Train on all known events as long as the selection did; a look wherever the selection looked."""
    started = time.perf_counter()
    made = build(model, build_graph(split.known), run.seed, contexts(split.known))
    seconds = time.perf_counter() - started
    report = train(made, run.train, run.seed, watch=judge, keeping=keeping, progress=progress)
    looks = []
    for entry in report.history:
        seconds += entry["seconds"]
        if "recall" in entry:
            looks.append(_look(int(entry["epoch"]), seconds, entry))
    return tuple(looks)


def _numbers(evaluation: Evaluation, k: int) -> dict[str, float]:
    """The figures of a look under names of their own, so that a checkpoint can keep them."""
    numbers = {"answer_seconds": evaluation.seconds}
    for metric in ("recall", "ndcg"):
        interval = evaluation.intervals[f"{metric}@{k}"]
        numbers |= {metric: interval.mean, f"{metric}_low": interval.low, f"{metric}_high": interval.high}
    return numbers


def _look(epoch: int, seconds: float, numbers: Mapping[str, float]) -> Look:
    recall, ndcg = (
        Interval(numbers[name], numbers[f"{name}_low"], numbers[f"{name}_high"]) for name in ("recall", "ndcg")
    )
    return Look(epoch, seconds, recall, ndcg, numbers["answer_seconds"])
