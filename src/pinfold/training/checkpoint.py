"""Checkpoints: all that training needs to go on as if it had never been killed.

A checkpoint is a folder written whole (pinfold.artifacts): parameters and optimizer state as safetensors,
everything else as JSON. The randomness of an epoch comes from seed and epoch number, so none needs to be kept.
"""

from dataclasses import dataclass, field, fields
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from pinfold.arrays import Floats
from pinfold.artifacts import open_folder, writing
from pinfold.errors import ArtifactError, TrainingError

KIND = "checkpoint"


@dataclass
class State:
    """Where training stands after `epoch` epochs."""

    epoch: int = 0
    best_epoch: int = 0
    best_score: float = float("-inf")
    stale: int = 0  # looks since the best
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)  # the parameters of the best epoch; empty before a look


def parameters(module: nn.Module) -> dict[str, Floats]:
    """The parameters as numpy arrays, by name."""
    return {name: tensor.detach().cpu().numpy() for name, tensor in module.state_dict().items()}


def save_checkpoint(path: Path, run: str, state: State, module: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Replace the checkpoint at `path`. `run` identifies the run: only the same run may go on from it."""
    tensors = {f"now.{name}": tensor for name, tensor in module.state_dict().items()}
    tensors |= {f"best.{name}": tensor for name, tensor in state.best.items()}
    for number, moments in optimizer.state_dict()["state"].items():
        for name, value in moments.items():
            tensors[f"adam.{number}.{name}"] = value
    plain = {part.name: getattr(state, part.name) for part in fields(state) if part.name != "best"}
    plain["best_score"] = state.best_score if state.best else None  # JSON has no infinity
    with writing(path, KIND, replace=True) as folder:
        save_file(
            {name: t.detach().cpu().contiguous() for name, t in tensors.items()}, folder.path("tensors.safetensors")
        )
        folder.json("state.json", {"run": run, "state": plain})


def load_checkpoint(path: Path, run: str, module: nn.Module, optimizer: torch.optim.Optimizer) -> State:
    """Put module and optimizer where the checkpoint left them; a fresh State where there is none.

    Raises:
        TrainingError: the checkpoint belongs to another run.
        ArtifactError: the checkpoint is damaged, or something else is in its place.
    """
    if not path.exists():
        return State()
    folder = open_folder(path, KIND)
    kept = folder.json("state.json")
    if kept.get("run") != run:
        raise TrainingError(
            f"{path}: is the checkpoint of another run (other options, data or seed); "
            "remove it to start afresh, or train into another folder"
        )
    try:
        tensors = load_file(folder.file("tensors.safetensors"))
        module.load_state_dict(_named(tensors, "now."))
        _restore(optimizer, _named(tensors, "adam."))
        plain = dict(kept["state"])
        best = _named(tensors, "best.")
        plain["best_score"] = plain["best_score"] if best else float("-inf")
        return State(**plain, best=best)
    except (SafetensorError, KeyError, TypeError, RuntimeError, ValueError) as error:
        raise ArtifactError(f"{path}: is damaged: {error}; remove it to start afresh") from error


def _named(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _restore(optimizer: torch.optim.Optimizer, moments: dict[str, Tensor]) -> None:
    """Give the optimizer back its moments, named `number.moment`."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in moments.items():
        number, moment = name.split(".", 1)
        state.setdefault(int(number), {})[moment] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
