"""The one training loop."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pinfold.errors import ConfigError, TrainingError
from pinfold.graph.learned import Vectors
from pinfold.models.interface import Trainable
from pinfold.progress import SILENT, Progress, Task
from pinfold.training.checkpoint import State, load_checkpoint, save_checkpoint
from pinfold.training.config import TrainConfig
from pinfold.training.memory import keep_freed_memory

Validate = Callable[[Vectors], float]
Watch = Callable[[int, Vectors], dict[str, float]]


@dataclass(frozen=True, slots=True)
class Report:
    """What training did."""

    epochs: int  # epochs run
    best_epoch: int  # the epoch whose parameters were kept
    best_score: float | None  # its validation score, None without validation
    seconds: float  # time in the loop, all lives of a resumed run together
    history: tuple[dict[str, float], ...]  # per epoch: epoch, loss, seconds and, at looks, score


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
) -> Report:
    """Train the model in place and leave it with the parameters of its best epoch.

    With `validate`, every `validate_every` epochs the model's vectors are scored; training ends after `patience`
    looks without improvement. With `keeping`, an earlier checkpoint of the same run is resumed; the result is the
    one of a run that was never interrupted. `watch` gets epoch and vectors as often; what it returns is put into the
    history and decides nothing, and its time does not count.

    Raises:
        TrainingError: the loss is not finite, or a checkpoint belongs to another run.
        ConfigError: no such device.
    """
    keep_freed_memory()
    module = _move(model, config.device)
    optimizer = torch.optim.Adam(module.parameters(), lr=config.learning_rate, fused=True)
    state = load_checkpoint(keeping.path, keeping.run, module, optimizer) if keeping else State()
    saved_at = time.monotonic()
    with progress.task("training", config.epochs * model.n_batches()) as bar:
        bar.advance(state.epoch * model.n_batches(), "resumed" if state.epoch else "")
        over = _over(config, state.seconds)
        while state.epoch < config.epochs and not over and not (validate and state.stale >= config.patience):
            started = time.perf_counter()
            state.epoch += 1
            _set_rate(optimizer, config, state.epoch)
            entry: dict[str, float] = {"epoch": state.epoch, "loss": _run_epoch(model, optimizer, state, seed, bar)}
            over = _over(config, state.seconds + time.perf_counter() - started)
            look = state.epoch % config.validate_every == 0 or state.epoch == config.epochs or over
            if validate and look:
                entry["score"] = _look(model, validate, state)
            entry["seconds"] = time.perf_counter() - started
            state.seconds += entry["seconds"]
            if watch and look:
                entry |= watch(state.epoch, model.embed())
            state.history.append(entry)
            if keeping and time.monotonic() - saved_at >= config.checkpoint_seconds:
                save_checkpoint(keeping.path, keeping.run, state, module, optimizer)
                saved_at = time.monotonic()
    if keeping and state.seconds >= config.checkpoint_seconds:  # what comes next may be killed too
        save_checkpoint(keeping.path, keeping.run, state, module, optimizer)
    if state.best:
        module.load_state_dict(state.best)
    best_epoch = state.best_epoch if state.best else state.epoch
    best_score = state.best_score if state.best else None
    return Report(state.epoch, best_epoch, best_score, state.seconds, tuple(state.history))


def _move(model: Trainable[Any], device: str) -> torch.nn.Module:
    try:
        return model.module().to(torch.device(device))
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"train.device {device!r} is not to be had here: {error}") from error


def _set_rate(optimizer: torch.optim.Optimizer, config: TrainConfig, epoch: int) -> None:
    """The step size of this epoch, which depends on nothing else, so that a resumed or shorter run has the same."""
    left = max(0.02, 1 - (epoch - 1) / config.decay_epochs) if config.decay_epochs else 1.0
    for group in optimizer.param_groups:
        group["lr"] = config.learning_rate * left


def _run_epoch(model: Trainable[Any], optimizer: torch.optim.Optimizer, state: State, seed: int, bar: Task) -> float:
    """One pass over the batches; the mean loss."""
    rng = np.random.default_rng([seed, state.epoch])  # so a resumed run draws what it would have drawn
    torch.manual_seed(int(rng.integers(2**63)))  # dropout, where a model has it
    total, count = 0.0, 0
    for batch in model.batches(rng):
        optimizer.zero_grad()
        loss = model.loss(batch)
        value = loss.item()
        if not math.isfinite(value):
            raise TrainingError(
                f"epoch {state.epoch}, batch {count + 1}: the loss is {value}; "
                "try a smaller train.learning_rate or a larger model.l2"
            )
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        total, count = total + value, count + 1
        bar.advance(1, _note(state, total / count))
    return total / max(count, 1)


def _look(model: Trainable[Any], validate: Validate, state: State) -> float:
    """Score the vectors as they are; keep the parameters when they are the best so far."""
    score = validate(model.embed())
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
