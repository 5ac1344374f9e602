"""What the other processes do in test_processes.py: a module of its own, because they must be able to import it."""

import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from pinfold.training.processes import Group

if TYPE_CHECKING:
    from pinfold.models.lightgcn import LightGCNConfig
    from pinfold.models.mf import MFConfig
    from pinfold.training.config import TrainConfig
    from pinfold.training.loop import Keeping, Validate


@dataclass(frozen=True)
class Case:
    """One training."""

    model: "MFConfig | LightGCNConfig"
    train: "TrainConfig"
    validated: bool = False
    keeping: "Keeping | None" = None


def train_all(cases: Sequence[Case], group: Group, validate: "Validate | None" = None) -> list[tuple[Any, Any]]:
    """One after the other; reports and models."""
    from pinfold.data.synthetic import two_tastes  # what follows takes seconds, and only this one needs it
    from pinfold.graph.bipartite import build_graph
    from pinfold.models.shelf import build
    from pinfold.training.loop import train

    found = []
    for case in cases:
        model = build(case.model, build_graph(two_tastes().interactions), 0)
        valid = validate if case.validated else None
        found.append((train(model, case.train, 0, validate=valid, keeping=case.keeping, group=group), model))
    return found


def die(group: Group) -> None:
    """Some sums, and then the operating system wants its memory back."""
    mixed_gradients(group)
    if group.rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    while True:
        group.add_up(torch.nn.Linear(2, 2), 1.0)


def fail(group: Group) -> None:
    """An error that nobody foresaw."""
    group.tell(0.0)
    raise ValueError("the follower's own")


def sleep(group: Group) -> None:
    """Take part in nothing."""
    time.sleep(600)


def mixed_gradients(group: Group) -> tuple[list[list[float] | None], float, float]:
    """A gradient in all processes, in the second alone, and in none; the loss; and what the first one says."""
    module = torch.nn.ParameterList([torch.zeros(2), torch.zeros(1), torch.zeros(3)])
    module[0].grad = torch.tensor([1.0, 10.0]) * (group.rank + 1)
    if group.rank == 1:
        module[1].grad = torch.tensor([5.0])
    loss = group.add_up(module, 0.25 + group.rank)
    return [None if p.grad is None else p.grad.tolist() for p in module], loss, group.tell(1 / 3 + group.rank)
