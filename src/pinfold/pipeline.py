"""The whole job, top to bottom, one line a stage: read this file first."""

import hashlib
import time
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pinfold.arrays import Floats
from pinfold.artifacts import check_place, remove_folder
from pinfold.config import parse, to_toml
from pinfold.data.dataset import Dataset
from pinfold.data.splits import Part, Split, split_events
from pinfold.embedding.artifact import KIND, Artifact, read_artifact, replace_metrics, write_artifact
from pinfold.errors import ArtifactError, ConfigError
from pinfold.evaluation.evaluate import Evaluation, evaluate, mean_metric
from pinfold.evaluation.intervals import PairedTest, holm, paired_test
from pinfold.features.encoders import Encoders
from pinfold.graph.bipartite import build_graph
from pinfold.graph.csr import Csr
from pinfold.graph.learned import Blend, Learned
from pinfold.index.recommender import recommender
from pinfold.memory import peak_memory
from pinfold.models.interface import Context
from pinfold.models.item_knn import ItemKNNConfig
from pinfold.models.popularity import PopularityConfig
from pinfold.models.shelf import BlendConfig, ComputedConfig, build, compute, member_weights
from pinfold.progress import SILENT, Progress
from pinfold.run import Contexts, RunConfig, contexts_of, load_data, load_test
from pinfold.training.checkpoint import parameters
from pinfold.training.loop import Keeping, Report, train

Validate = Callable[[Learned], float]


@dataclass(frozen=True, slots=True)
class Fitted:
    """A model that has learned."""

    learned: Learned
    report: Report  # of no epochs for a model that needs no training
    parameters: dict[str, Floats]
    seconds: float
    encoders: Encoders | None = None  # of item attributes


@dataclass(frozen=True, slots=True)
class Verdict:
    """Several models judged on the same questions; tests compare the first model with each of the others."""

    evaluations: dict[str, Evaluation]
    tests: dict[str, PairedTest]  # by name of the other model, p-values corrected by Holm's procedure

    def to_json(self) -> dict[str, Any]:
        """Means, intervals and tests."""
        tests = {
            name: {"metric": t.metric, "difference": t.difference, "low": t.low, "high": t.high, "p_value": t.p_value}
            for name, t in self.tests.items()
        }
        return {"models": {name: e.to_json() for name, e in self.evaluations.items()}, "tests": tests}


def train_run(run: RunConfig, out: Path, *, replace_old: bool = False, progress: Progress = SILENT) -> Artifact:
    """Data in, artifact out; killed and called again, it goes on where it was. The test part stays sealed.

    Raises:
        PinfoldError: data, options or folder are not as they should be.
    """
    check_place(out, KIND, replace=replace_old)
    run = replace(run, reproduce=None, tune=None, study=None)  # none decides what is learned
    if run.data.test is not None and run.split.protocol != "files":
        raise ConfigError(f"data.test is set, but split.protocol {run.split.protocol!r} does not use it; set 'files'")
    dataset = load_data(run.data)
    split = split_events(dataset.interactions, run.split, run.seed, load_test(run.data, dataset))
    fitted = fit(run, split, contexts=contexts_of(run, dataset), checkpoints=out, progress=progress)
    artifact = assemble(run, dataset, split, fitted)
    write_artifact(out, artifact, fitted.parameters, replace=replace_old)
    n_members = len(run.model.members) if isinstance(run.model, BlendConfig) else 0
    for place in (out, *(_of_member(out, k) for k in range(n_members))):
        for checkpoint in _checkpoints(place):
            remove_folder(checkpoint)
    return artifact


def fit(
    run: RunConfig,
    split: Split,
    *,
    contexts: Contexts = Context,
    checkpoints: Path | None = None,
    progress: Progress = SILENT,
) -> Fitted:
    """The run's model, selected on the validation part, and refitted on all known events if the run says so.

    `contexts` says what may be learned from beside a graph, given the events that the graph is made of.
    """
    if isinstance(run.model, BlendConfig):
        return _fit_blend(run, run.model, split, contexts, checkpoints, progress)
    started = time.perf_counter()
    validate = _validator(run, split)
    if isinstance(run.model, ComputedConfig):
        learned, context, report = _compute(run, run.model, split, contexts, validate, progress)
        return Fitted(learned, report, {}, time.perf_counter() - started, context.item_encoders())
    identity, context = _identity(run, split), contexts(split.train)
    keeping = [Keeping(path, identity) for path in _checkpoints(checkpoints)] if checkpoints else [None, None]
    model = build(run.model, build_graph(split.train), run.seed, context)
    report = train(model, run.train, run.seed, validate=validate, keeping=keeping[0], progress=progress)
    if run.train.refit and validate:
        context = contexts(split.known)
        model = build(run.model, build_graph(split.known), run.seed, context)
        same_length = replace(run.train, epochs=report.best_epoch, seconds=None)
        train(model, same_length, run.seed, keeping=keeping[1], progress=progress)
    seconds = time.perf_counter() - started
    return Fitted(model.embed(), report, parameters(model.module()), seconds, context.item_encoders())


def _compute(
    run: RunConfig, config: ComputedConfig, split: Split, contexts: Contexts, validate: Validate | None,
    progress: Progress,
) -> tuple[Learned, Context, Report]:  # fmt: skip
    """A model that needs no training, scored on the validation part."""
    started = time.perf_counter()
    with progress.task(config.name):
        context = contexts(split.train)
        learned = compute(config, build_graph(split.train), context, run.seed)
        score = validate(learned) if validate else None
        if run.train.refit and validate:
            del learned  # EASE's matrix is large, and two may not fit
            context = contexts(split.known)
            learned = compute(config, build_graph(split.known), context, run.seed)
    return learned, context, Report(0, 0, score, time.perf_counter() - started, ())


def _fit_blend(
    run: RunConfig, config: BlendConfig, split: Split, contexts: Contexts, checkpoints: Path | None, progress: Progress
) -> Fitted:
    """Every member as if alone; the blend's validation score where the members learned from `split.train` alone."""
    started = time.perf_counter()
    weights = member_weights(config)
    fitted = [
        fit(
            replace(run, model=member),
            split,
            contexts=contexts,
            checkpoints=_of_member(checkpoints, k) if checkpoints else None,
            progress=progress,
        )
        for k, member in enumerate(config.members)
    ]
    learned = Blend(tuple(one.learned for one in fitted), weights)
    validate = None if run.train.refit else _validator(run, split)  # after a refit the members know the answers
    score = validate(learned) if validate else None
    seconds = time.perf_counter() - started
    kept = {f"member{k}.{name}": table for k, one in enumerate(fitted) for name, table in one.parameters.items()}
    encoders = next((one.encoders for one in fitted if one.encoders is not None), None)  # the same for all
    return Fitted(learned, Report(0, 0, score, seconds, ()), kept, seconds, encoders)


def assemble(run: RunConfig, dataset: Dataset, split: Split, fitted: Fitted) -> Artifact:
    """The artifact of a fitted model, with its numbers so far."""
    graph = build_graph(split.known if run.train.refit else split.train)
    if run.train.refit or split.valid is None:
        valid = split.known.take(np.zeros(0, np.int64))
    elif split.valid.new_users:
        valid = split.valid.given.join(split.valid.target)
    else:
        valid = split.valid.target
    metrics: dict[str, Any] = {"seconds": fitted.seconds, "peak_memory_bytes": peak_memory(), "test_openings": 0}
    report = fitted.report
    metrics["training"] = {
        "epochs": report.epochs,
        "best_epoch": report.best_epoch,
        "best_validation_score": report.best_score,
        "validation_metric": f"{run.train.metric}@{run.evaluation.ks[0]}",
        "history": list(report.history),
    }
    return Artifact(
        fitted.learned, graph, valid.pairs(), split.test, dataset.users, dataset.items, dataset.user_table,
        dataset.item_table, to_toml(run), metrics, fitted.encoders,
    )  # fmt: skip


def evaluate_artifact(path: Path, *, progress: Progress = SILENT) -> Verdict:
    """Open the artifact's test part, judge its model beside popularity and item-kNN, and record both in it.

    Raises:
        ArtifactError: the artifact is damaged, or was trained without a test part.
    """
    check_place(path, KIND, replace=True)  # the numbers are written into it at the end
    artifact = read_artifact(path)
    if artifact.test is None:
        raise ArtifactError(f"{path}: was trained with split.protocol 'none' and has no test part to be judged on")
    run = _run_of(artifact, path)
    models: dict[str, Learned] = {run.model.name: artifact.learned}
    for baseline in (PopularityConfig(), ItemKNNConfig()):
        if baseline.name != run.model.name:
            models[baseline.name] = compute(baseline, artifact.graph)
    known = build_graph(artifact.known()).user_items
    verdict = judge(models, artifact.test.unseal(), known, run, progress=progress)
    openings = int(artifact.metrics.get("test_openings", 0)) + 1
    replace_metrics(path, {**artifact.metrics, "test_openings": openings, "test": verdict.to_json()})
    return verdict


def judge(
    models: Mapping[str, Learned], part: Part, known: Csr, run: RunConfig, *, progress: Progress = SILENT
) -> Verdict:
    """Every model on the same questions; the first one is tested against each other on the selecting metric."""
    evaluations = {
        name: evaluate(recommender(learned, known), part, known, run.evaluation, seed=run.seed, progress=progress)
        for name, learned in models.items()
    }
    first, *others = evaluations
    metric = f"{run.train.metric}@{run.evaluation.ks[0]}"
    tests = [
        paired_test(evaluations[first].per_user[metric], evaluations[other].per_user[metric], metric, seed=run.seed)
        for other in others
    ]
    corrected = holm([test.p_value for test in tests])
    named = zip(others, tests, corrected, strict=True)
    return Verdict(evaluations, {name: replace(test, p_value=p) for name, test, p in named})


def _run_of(artifact: Artifact, path: Path) -> RunConfig:
    """The options that an artifact was made with."""
    try:
        return parse(tomllib.loads(artifact.run), RunConfig, "run.toml")
    except (tomllib.TOMLDecodeError, ConfigError) as error:
        raise ArtifactError(f"{path}/run.toml: is not what Pinfold writes: {error}") from error


def _validator(run: RunConfig, split: Split) -> Validate | None:
    """How what a model learned scores on the validation part."""
    part = split.valid
    if part is None:
        return None
    seen = build_graph(split.train).user_items
    metric, k = run.train.metric, run.evaluation.ks[0]
    return lambda learned: mean_metric(recommender(learned, seen), part, metric, k)


def _checkpoints(out: Path) -> list[Path]:
    """Where the two trainings of a run, selection and refit, keep their checkpoints: beside the artifact."""
    return [out.with_name(f"{out.name}.checkpoint"), out.with_name(f"{out.name}.refit-checkpoint")]


def _of_member(out: Path, k: int) -> Path:
    """The place beside which the k-th member of a blend keeps its checkpoints."""
    return out.with_name(f"{out.name}.member{k}")


def _identity(run: RunConfig, split: Split) -> str:
    """What must be equal for a checkpoint to be gone on from: the options and the training events."""
    digest = hashlib.sha256(to_toml(run).encode())
    for column in (split.train.users, split.train.items):
        digest.update(np.ascontiguousarray(column).tobytes())
    return digest.hexdigest()
