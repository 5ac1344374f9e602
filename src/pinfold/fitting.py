"""One model learns: selected on the validation part, refitted on all known events, by one process or several."""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from pinfold.arrays import Floats
from pinfold.config import to_toml
from pinfold.data.interactions import Interactions
from pinfold.data.splits import Split
from pinfold.evaluation.evaluate import mean_metric
from pinfold.evaluation.item_pairs import ItemPairsConfig, held_out_pairs, mean_hit
from pinfold.evaluation.item_scorers import item_scorer
from pinfold.features.encoders import Encoders
from pinfold.graph.bipartite import build_graph
from pinfold.graph.learned import Blend, Learned
from pinfold.index.recommender import recommender
from pinfold.models.interface import Context, Trainable
from pinfold.models.shelf import (
    BlendConfig,
    ComputedConfig,
    TrainedConfig,
    build,
    compute,
    member_weights,
)
from pinfold.progress import SILENT, Progress
from pinfold.run import Contexts, RunConfig
from pinfold.training.checkpoint import parameters
from pinfold.training.loop import Keeping, Report, train
from pinfold.training.processes import ALONE, Group, together

N_PAIRS = 5000  # of items, that select an epoch
Validate = Callable[[Learned], float]
R = TypeVar("R")


class Together(Protocol):
    """What lets several processes train, such as `training.processes.together`."""

    def __call__(self, lead: Callable[[Group], R], follow: Callable[[Group], object], processes: int) -> R:
        """What `lead` returns."""
        ...


@dataclass(frozen=True, slots=True)
class Fitted:
    """A model that has learned."""

    learned: Learned
    report: Report  # of no epochs for a model that needs no training
    parameters: dict[str, Floats]
    seconds: float
    encoders: Encoders | None = None  # of item attributes
    user_encoders: Encoders | None = None  # of user attributes


def fit(
    run: RunConfig,
    split: Split,
    *,
    contexts: Contexts = Context,
    checkpoints: Path | None = None,
    progress: Progress = SILENT,
    by: Together = together,
) -> Fitted:
    """The run's model, selected on the validation part, and refitted on all known events if the run says so.

    `contexts` says what may be learned from beside a graph, given the events that the graph is made of; `by` starts
    the processes, where the run wants several.
    """
    if isinstance(run.model, BlendConfig):
        return _fit_blend(run, run.model, split, contexts, checkpoints, progress, by)
    started = time.perf_counter()
    validate = _validator(run, split)
    if isinstance(run.model, ComputedConfig):
        learned, context, report = _compute(run, run.model, split, contexts, validate, progress)
        return Fitted(learned, report, {}, time.perf_counter() - started, context.item_encoders())
    context = contexts(split.train)
    identity = _identity(run, split, context)
    keeping = [Keeping(path, identity) for path in checkpoint_places(checkpoints)] if checkpoints else [None, None]
    task = Training(run, run.model, split.train, contexts, keeping[0])
    model, report = _train(task, context, validate, progress, by)
    if run.train.refit and validate:
        same_length = replace(run.train, epochs=report.best_epoch, seconds=None)
        task, context = replace(task, run=replace(run, train=same_length), events=split.known), contexts(split.known)
        model, _ = _train(replace(task, keeping=keeping[1]), context, None, progress, by)
    seconds = time.perf_counter() - started
    encoders = context.item_encoders(), context.user_encoders()
    return Fitted(model.embed(), report, parameters(model.module()), seconds, *encoders)


@dataclass(frozen=True, slots=True)
class Training:
    """All that decides one training, so that several processes can each build the same model."""

    run: RunConfig
    config: TrainedConfig
    events: Interactions
    contexts: Contexts
    keeping: Keeping | None

    def model(self, context: Context) -> Trainable[Any]:
        """The model before its first step."""
        return build(self.config, build_graph(self.events), self.run.seed, context)


def _train(
    task: Training, context: Context, validate: Validate | None, progress: Progress, by: Together
) -> tuple[Trainable[Any], Report]:
    """The trained model, by as many processes as the run says."""
    model, run = task.model(context), task.run

    def lead(group: Group) -> Report:
        return train(
            model, run.train, run.seed, validate=validate, keeping=task.keeping, progress=progress, group=group
        )

    if run.train.processes == 1:
        return model, lead(ALONE)
    return model, by(lead, partial(_follow, task), run.train.processes)


def _follow(task: Training, group: Group) -> None:
    """What every process but the first does."""
    train(task.model(task.contexts(task.events)), task.run.train, task.run.seed, keeping=task.keeping, group=group)


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
    run: RunConfig, config: BlendConfig, split: Split, contexts: Contexts, checkpoints: Path | None,
    progress: Progress, by: Together,
) -> Fitted:  # fmt: skip
    """Every member as if alone; the blend's validation score where the members learned from `split.train` alone."""
    started = time.perf_counter()
    weights = member_weights(config)
    fitted = [
        fit(
            replace(run, model=member),
            split,
            contexts=contexts,
            checkpoints=member_place(checkpoints, k) if checkpoints else None,
            progress=progress,
            by=by,
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


def _validator(run: RunConfig, split: Split) -> Validate | None:
    """How what a model learned scores on the validation part."""
    part = split.valid
    if part is None:
        return None
    seen = build_graph(split.train).user_items
    metric, k = run.train.metric, run.evaluation.ks[0]
    if metric == "item-hit":
        pairs = held_out_pairs(part, ItemPairsConfig(n_pairs=N_PAIRS), run.seed)
        return lambda learned: mean_hit(item_scorer(learned, seen.n_columns), pairs, k)
    return lambda learned: mean_metric(recommender(learned, seen), part, metric, k)


def checkpoint_places(out: Path) -> list[Path]:
    """Where the two trainings of a run, selection and refit, keep their checkpoints: beside the artifact."""
    return [out.with_name(f"{out.name}.checkpoint"), out.with_name(f"{out.name}.refit-checkpoint")]


def member_place(out: Path, k: int) -> Path:
    """The place beside which the k-th member of a blend keeps its checkpoints."""
    return out.with_name(f"{out.name}.member{k}")


def _identity(run: RunConfig, split: Split, context: Context) -> str:
    """What must be equal for a checkpoint to be gone on from: options, training events, content and given pairs."""
    digest, events = hashlib.sha256(to_toml(run).encode()), split.train
    columns: list[NDArray[Any]] = [events.users, events.items, events.weights, events.times]
    if context.content is not None:
        columns += [context.content.items, context.content.users]
    if context.pairs is not None:
        columns += [context.pairs.queries, context.pairs.items, context.pairs.weights]
    for column in columns:
        digest.update(np.ascontiguousarray(column).tobytes())
    return digest.hexdigest()
