"""The whole job, top to bottom, one line a stage: read this file first."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pinfold.artifacts import check_place, open_folder, remove_folder
from pinfold.config import parse_overrides, to_toml
from pinfold.data.dataset import Dataset
from pinfold.data.splits import Part, Split, split_events
from pinfold.embedding.artifact import KIND, Artifact, read_artifact, replace_metrics, write_artifact
from pinfold.engine.embed import EmbedConfig, Embedding, embed
from pinfold.errors import ArtifactError, ConfigError
from pinfold.evaluation.evaluate import Evaluation, evaluate
from pinfold.evaluation.intervals import PairedTest, holm, paired_test
from pinfold.fitting import Fitted, Together, checkpoint_places, fit, member_place
from pinfold.graph.bipartite import build_graph
from pinfold.graph.convolved import Convolved
from pinfold.graph.csr import Csr
from pinfold.graph.interests import InterestsConfig
from pinfold.graph.learned import Learned
from pinfold.index.config import IndexConfig
from pinfold.index.interface import Recommender
from pinfold.index.recommender import recommender
from pinfold.index.stored import open_indexes, rebuild_indexes, write_indexes
from pinfold.memory import peak_memory
from pinfold.models.item_knn import ItemKNNConfig
from pinfold.models.pinsage import PinSageConfig
from pinfold.models.popularity import PopularityConfig
from pinfold.models.shelf import (
    BlendConfig,
    compute,
    needs_pairs,
)
from pinfold.progress import SILENT, Progress
from pinfold.ranking.opening import two_stages
from pinfold.ranking.store import open_ranker
from pinfold.run import RunConfig, contexts_of, embedding_run, load_data, load_test, stored_run
from pinfold.training.processes import together


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


def train_run(
    run: RunConfig, out: Path, *, replace_old: bool = False, progress: Progress = SILENT, by: Together = together
) -> Artifact:
    """Data in, artifact out; killed and called again, it goes on where it was. The test part stays sealed.

    `by` starts the processes of a run that wants several.

    Raises:
        PinfoldError: data, options or folder are not as they should be.
    """
    check_place(out, KIND, replace=replace_old)
    run = replace(run, reproduce=None, tune=None, study=None)  # none decides what is learned
    if run.data.test is not None and run.split.protocol != "files":
        raise ConfigError(f"data.test is set, but split.protocol {run.split.protocol!r} does not use it; set 'files'")
    if run.data.pairs is not None and not needs_pairs(run.model):
        raise ConfigError(
            f"data.pairs is set, but model {run.model.name!r} does not use it; set model.pairs.source = 'file'"
        )
    dataset = load_data(run.data)
    split = split_events(dataset.interactions, run.split, run.seed, load_test(run.data, dataset))
    unbound = replace(run, index=IndexConfig())  # another index goes on from the same checkpoint
    fitted = fit(unbound, split, contexts=contexts_of(run, dataset), checkpoints=out, progress=progress, by=by)
    artifact = assemble(run, dataset, split, fitted)
    indexing = partial(write_indexes, learned=artifact.learned, config=run.index, seed=run.seed)
    write_artifact(out, artifact, fitted.parameters, indexing, replace=replace_old)
    n_members = len(run.model.members) if isinstance(run.model, BlendConfig) else 0
    for place in (out, *(member_place(out, k) for k in range(n_members))):
        for checkpoint in checkpoint_places(place):
            remove_folder(checkpoint)
    return artifact


def assemble(run: RunConfig, dataset: Dataset, split: Split, fitted: Fitted) -> Artifact:
    """The artifact of a fitted model, with its numbers so far."""
    graph = build_graph(split.known if run.train.refit else split.train)
    if run.train.refit or split.valid is None:
        valid = split.known.take(np.zeros(0, np.int64))
    elif split.valid.new_users:
        valid = split.valid.given.join(split.valid.target)
    else:
        valid = split.valid.target
    metrics: dict[str, Any] = {
        "created": time.time() - fitted.seconds,  # what a service is told later, training did not know
        "seconds": fitted.seconds,
        "peak_memory_bytes": peak_memory(),
        "test_openings": 0,
    }
    if "sample" in dataset.source:  # then degrees of the whole are others, which `pinfold embed` has to know
        metrics["sample"] = dataset.source["sample"]
    report = fitted.report
    metrics["training"] = {
        "epochs": report.epochs,
        "best_epoch": report.best_epoch,
        "best_validation_score": report.best_score,
        "validation_metric": f"{run.train.metric}@{run.evaluation.ks[0]}",
        "history": list(report.history),
    }
    knows_users = isinstance(fitted.learned, Convolved) and fitted.learned.users.shape[1] > 0
    return Artifact(
        fitted.learned, graph, valid.pairs(), split.test, dataset.users, dataset.items, dataset.user_table,
        dataset.item_table, to_toml(run), metrics, fitted.encoders, fitted.user_encoders if knows_users else None,
    )  # fmt: skip


def _why_unjudged(metrics: Mapping[str, Any]) -> str:
    """Why an artifact has no test part."""
    for name, command in (("update", "update"), ("embedding", "embed")):
        if name in metrics:
            return (
                f"was made by `pinfold {command}`, which takes no test part along: what it has learned from may hold "
                "the answers; evaluate the artifact that was trained"
            )
    return "was trained with split.protocol 'none' and has no test part to be judged on"


def evaluate_artifact(path: Path, *, progress: Progress = SILENT) -> Verdict:
    """Open the artifact's test part, judge its model beside popularity and item-kNN, and record both in it.

    Raises:
        ArtifactError: the artifact is damaged, or was trained without a test part.
    """
    check_place(path, KIND, replace=True)  # the numbers are written into it at the end
    artifact = read_artifact(path)
    if artifact.test is None:
        raise ArtifactError(f"{path}: {_why_unjudged(artifact.metrics)}")
    run = stored_run(artifact.run, path)
    models: dict[str, Learned] = {}
    for baseline in (PopularityConfig(), ItemKNNConfig()):
        if baseline.name != run.model.name:
            models[baseline.name] = compute(baseline, artifact.graph)
    known = build_graph(artifact.known())
    stage_one = recommender(artifact.learned, known.user_items, open_indexes(path, artifact.learned))
    ranker, staged = open_ranker(path, known.n_users, known.n_items), dict[str, Recommender]()
    if ranker is not None:
        staged[f"{run.model.name} + ranker"] = two_stages(stage_one, ranker, artifact, known)
    staged[run.model.name] = stage_one
    verdict = judge(models, artifact.test.unseal(), known.user_items, run, staged, progress=progress)
    openings = int(artifact.metrics.get("test_openings", 0)) + 1
    replace_metrics(path, {**artifact.metrics, "test_openings": openings, "test": verdict.to_json()})
    return verdict


def index_artifact(path: Path, overrides: tuple[str, ...] = ()) -> dict[str, Any] | None:
    """Build the indexes of an artifact anew, by its run file's table [index] with other values for some options.

    Returns:
        What its index.json holds then; None for a model without vectors.

    Raises:
        PinfoldError: the artifact is damaged, or an option cannot be.
    """
    check_place(path, KIND, replace=True)
    artifact = read_artifact(path)
    run = stored_run(artifact.run, path)
    return rebuild_indexes(path, artifact.learned, parse_overrides(IndexConfig, overrides, run.index), run.seed)


def embed_artifact(
    path: Path, data: Path, out: Path, config: EmbedConfig, overrides: tuple[str, ...] = (),
    *, replace_old: bool = False, progress: Progress = SILENT,
) -> dict[str, Any]:  # fmt: skip
    """Apply the trained PinSage of the artifact at `path` to a whole data set, and write the artifact of that.

    `overrides` are other values for options of its run file's table [index], such as `index.recall=0.99`.

    Raises:
        PinfoldError: see `pinfold.engine.embed.embed`.
    """
    folder = open_folder(path, KIND, lambda name: name in ("run.toml", "metrics.json"))
    old = stored_run(folder.text("run.toml"), path)
    run = embedding_run(old, str(data), config.vectors, overrides)
    interests = old.model.users if isinstance(old.model, PinSageConfig) else InterestsConfig()
    indexing = partial(write_indexes, config=run.index, seed=run.seed)
    asked = Embedding(path, data, out, config, interests, to_toml(run), folder.json("metrics.json"), indexing)
    return embed(asked, replace_old=replace_old, progress=progress)


def judge(
    models: Mapping[str, Learned], part: Part, known: Csr, run: RunConfig,
    staged: Mapping[str, Recommender] | None = None, *, progress: Progress = SILENT,
) -> Verdict:  # fmt: skip
    """Every model on the same questions; the first is tested against each other on the selecting metric of users.

    `staged`, what recommends already, with a second stage or an index, stands before the others.
    """

    def judged(answers: Recommender) -> Evaluation:
        return evaluate(answers, part, known, run.evaluation, seed=run.seed, progress=progress)

    evaluations = {name: judged(answers) for name, answers in (staged or {}).items()}
    evaluations |= {name: judged(recommender(learned, known)) for name, learned in models.items()}
    first, *others = evaluations
    of_users = "recall" if run.train.metric == "item-hit" else run.train.metric
    metric = f"{of_users}@{run.evaluation.ks[0]}"
    tests = [
        paired_test(evaluations[first].per_user[metric], evaluations[other].per_user[metric], metric, seed=run.seed)
        for other in others
    ]
    corrected = holm([test.p_value for test in tests])
    named = zip(others, tests, corrected, strict=True)
    return Verdict(evaluations, {name: replace(test, p_value=p) for name, test, p in named})
