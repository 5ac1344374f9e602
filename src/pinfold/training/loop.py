"""The one training loop."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pinfold.errors import ConfigError, TrainingError
from pinfold.graph.learned import Trained
from pinfold.models.interface import Shareable, Trainable
from pinfold.progress import SILENT, Progress, Task
from pinfold.sampling.ahead import Waiting
from pinfold.training.checkpoint import State, load_checkpoint, save_checkpoint
from pinfold.training.config import TrainConfig
from pinfold.training.memory import keep_freed_memory
from pinfold.training.processes import ALONE, Group
from pinfold.training.rates import check_rates, rate

Validate = Callable[[Trained], float]
Watch = Callable[[int, Trained], dict[str, float]]


@dataclass(frozen=True, slots=True)
class Report:
    """What training did."""

    epochs: int  # epochs run
    best_epoch: int  # the epoch whose parameters were kept
    best_score: float | None  # its validation score, None without validation
    seconds: float  # time in the loop, all lives of a resumed run together
    # per epoch: epoch, loss, seconds and, at looks, score; where batches are made ahead, `waited`, the seconds without
    # work, of `stepped`, the seconds in steps
    history: tuple[dict[str, float], ...]


@dataclass(frozen=True, slots=True)
class Keeping:
    """Where checkpoints go, and which run they belong to."""

    path: Path
    run: str


def train(
    model: Trainable[Any],
    config: TrainConfig,
    seed: int,
    *,
    validate: Validate | None = None,
    watch: Watch | None = None,
    keeping: Keeping | None = None,
    progress: Progress = SILENT,
    group: Group = ALONE,
) -> Report:
    """Train the model in place and leave it with the parameters of its best epoch.

    With `validate`, every `validate_every` epochs the model's vectors are scored; training ends after `patience`
    looks without improvement. With `keeping`, an earlier checkpoint of the same run is resumed; the result is the
    one of a run that was never interrupted. `watch` gets epoch and vectors as often; what it returns is put into the
    history and decides nothing, and its time does not count.

    With `group`, this is one of several processes that call `train` with equal models, options, seed and keeping,
    see `training.processes.together`. The first of them alone validates, watches and saves, and only it need be given
    `validate`, `watch` and `progress`; all of them end with the same parameters.

    Raises:
        TrainingError: the loss is not finite, or a checkpoint belongs to another run.
        ConfigError: no such device, options that do not fit together, or a model that cannot be shared in a group.
    """
    keep_freed_memory()
    _check(model, config, group)
    module = _move(model, config.device)
    optimizer = torch.optim.Adam(module.parameters(), lr=config.learning_rate, fused=True)
    state = load_checkpoint(keeping.path, keeping.run, module, optimizer) if keeping else State()
    job = _Job(model, config, optimizer, state, group)
    group.check_same(module)
    keeping = keeping if group.rank == 0 else None  # read by all, written by one
    validates = bool(group.tell(validate is not None))
    saved_at = time.monotonic()
    with progress.task("training", config.epochs * model.n_batches()) as bar:
        bar.advance(state.epoch * model.n_batches(), "resumed" if state.epoch else "")
        over = _over(config, state.seconds)
        while state.epoch < config.epochs and not over and not (validates and state.stale >= config.patience):
            started = time.perf_counter()
            state.epoch += 1
            entry: dict[str, float] = {"epoch": state.epoch, **_run_epoch(job, seed, bar)}
            over = bool(group.tell(_over(config, state.seconds + time.perf_counter() - started)))
            look = state.epoch % config.validate_every == 0 or state.epoch == config.epochs or over
            if validates and look:
                entry["score"] = _look(job, validate)
            entry["seconds"] = time.perf_counter() - started
            state.seconds += entry["seconds"]
            if watch and look and group.rank == 0:
                entry |= watch(state.epoch, model.embed())
            state.history.append(entry)
            if keeping and time.monotonic() - saved_at >= config.checkpoint_seconds:
                save_checkpoint(keeping.path, keeping.run, state, module, optimizer)
                saved_at = time.monotonic()
    if keeping and state.seconds >= config.checkpoint_seconds:  # what comes next may be killed too
        save_checkpoint(keeping.path, keeping.run, state, module, optimizer)
    group.tell(0.0)  # nobody goes on before the checkpoint is whole
    if state.best:
        module.load_state_dict(state.best)
    best_epoch = state.best_epoch if state.best else state.epoch
    best_score = state.best_score if state.best else None
    return Report(state.epoch, best_epoch, best_score, state.seconds, tuple(state.history))


def _check(model: Trainable[Any], config: TrainConfig, group: Group) -> None:
    check_rates(config)
    if group.size > 1 and not isinstance(model, Shareable):
        raise ConfigError("train.processes: this model cannot share its batches among processes; set it to 1")
    if group.size > 1 and config.device != "cpu":
        raise ConfigError(f"train.processes above 1 is for device 'cpu', not {config.device!r}")


def _move(model: Trainable[Any], device: str) -> torch.nn.Module:
    try:
        return model.module().to(torch.device(device))
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"train.device {device!r} is not to be had here: {error}") from error


@dataclass(frozen=True, slots=True)
class _Job:
    """What the parts of the loop work on."""

    model: Trainable[Any]
    config: TrainConfig
    optimizer: torch.optim.Optimizer
    state: State
    group: Group


def _run_epoch(job: _Job, seed: int, bar: Task) -> dict[str, float]:
    """One pass over the batches; the mean loss and, where batches count it, how long was waited for them."""
    state, n_batches, started = job.state, job.model.n_batches(), time.perf_counter()
    rng = np.random.default_rng([seed, state.epoch])  # so a resumed run draws what it would have drawn
    torch.manual_seed((int(rng.integers(2**63)) + job.group.rank) % 2**63)  # dropout, where a model has it
    total, count = 0.0, 0
    with _closing(job.model.batches(rng, state.epoch)) as batches:
        for batch in batches:
            for options in job.optimizer.param_groups:
                options["lr"] = rate(job.config, state.epoch, count, n_batches)
            value = _gradients(job, batch)
            if not math.isfinite(value):
                raise TrainingError(
                    f"epoch {state.epoch}, batch {count + 1}: the loss is {value}; "
                    "try a smaller train.learning_rate or a larger model.l2"
                )
            job.optimizer.step()
            total, count = total + value, count + 1
            bar.advance(1, _note(state, total / count))
    found = {"loss": total / max(count, 1)}
    if isinstance(batches, Waiting):
        found |= {"waited": batches.waited, "stepped": time.perf_counter() - started}
    return found


def _gradients(job: _Job, batch: Any) -> float:
    """Leave the batch's gradients on the parameters; its loss."""
    model, group = job.model, job.group
    job.optimizer.zero_grad()
    share = model.share(batch, group.rank, group.size) if group.size > 1 and isinstance(model, Shareable) else batch
    value = 0.0
    if share is not None:
        loss = model.loss(share)
        loss.backward()  # type: ignore[no-untyped-call]
        value = loss.item()
    return group.add_up(model.module(), value)


@contextmanager
def _closing(batches: Iterator[Any]) -> Iterator[Iterator[Any]]:
    """Whatever happens, the thread that makes batches ends with the epoch."""
    try:
        yield batches
    finally:
        if isinstance(batches, Waiting):
            batches.close()


def _look(job: _Job, validate: Validate | None) -> float:
    """Score the vectors as they are; keep the parameters when they are the best so far."""
    model, state = job.model, job.state
    score = job.group.tell(validate(model.embed()) if validate and job.group.rank == 0 else 0.0)
    if score > state.best_score:
        state.best_score, state.best_epoch, state.stale = score, state.epoch, 0
        state.best = {name: tensor.detach().clone() for name, tensor in model.module().state_dict().items()}
    else:
        state.stale += 1
    return score


def _over(config: TrainConfig, seconds: float) -> bool:
    return config.seconds is not None and seconds >= config.seconds


def _note(state: State, loss: float) -> str:
    best = f"  best {state.best_score:.4f} at epoch {state.best_epoch}" if state.best else ""
    return f"epoch {state.epoch}  loss {loss:.4f}{best}"
