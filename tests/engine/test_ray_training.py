"""Training by actors of Ray is training by one process, to rounding; and a killed one is noticed, and made up for."""

import os
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ray", reason="Ray is not installed: pip install 'pinfold[ray]'")

import numpy as np
import torch
from tests.training.followers import Case, die, fail, train_all

from pinfold.cli.runs import starter
from pinfold.data.dataset import Dataset, save_dataset
from pinfold.engine.ray_training import together_on_ray
from pinfold.errors import ConfigError, TrainingError
from pinfold.models.losses import SoftmaxConfig
from pinfold.models.mf import MFConfig
from pinfold.models.pairwise import ObjectiveConfig
from pinfold.pipeline import train_run
from pinfold.run import DataConfig, RunConfig
from pinfold.sampling.pairs import SamplingConfig
from pinfold.training.config import TrainConfig
from pinfold.training.loop import Keeping
from pinfold.training.processes import ALONE, Group, together

MODEL = MFConfig(
    dim=8,
    objective=ObjectiveConfig(
        loss=SoftmaxConfig(log_q=True), l2=1e-3, sampling=SamplingConfig(batch_size=25, n_negatives=30)
    ),
)
TRAIN = TrainConfig(epochs=4, learning_rate=0.03, warmup_steps=4, checkpoint_seconds=0)


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    before = torch.get_num_threads(), os.environ.get("GLOO_SOCKET_IFNAME")
    yield
    assert (torch.get_num_threads(), os.environ.get("GLOO_SOCKET_IFNAME")) == before
    assert not torch.distributed.is_initialized()


def test_two_processes_learn_what_one_learns_and_go_on_from_a_checkpoint(cluster: Any, tmp_path: Path) -> None:
    kept = Keeping(tmp_path / "c", "run")
    cases = [Case(MODEL, TRAIN), Case(MODEL, replace(TRAIN, epochs=2), keeping=kept), Case(MODEL, TRAIN, keeping=kept)]
    found = together_on_ray(partial(train_all, cases), partial(train_all, cases), 2, threads=1)
    local = together(partial(train_all, cases[:1]), partial(train_all, cases[:1]), 2)
    alone = train_all(cases[:1], ALONE)
    losses = [[entry["loss"] for entry in report.history] for report, _ in (*found, *local, *alone)]
    whole, half, resumed, other, one = losses
    assert whole == pytest.approx(one, rel=1e-5)
    assert whole == other  # bit for bit: who starts the processes changes nothing
    assert (half, resumed) == (whole[:2], whole)
    np.testing.assert_array_equal(found[2][1].embed().items, found[0][1].embed().items)


def test_a_killed_process_is_named(cluster: Any) -> None:
    with pytest.raises(TrainingError, match=r"process 2 of 2: is lost: ActorDiedError: .*go on from the last"):
        together_on_ray(die, die, 2, threads=1)
    with pytest.raises(TrainingError, match=r"process 2 of 2: failed: ValueError: the follower's own"):
        together_on_ray(partial(_tell, 1000), fail, 2, threads=1)


def _tell(n: int, group: Group) -> None:
    for _ in range(n):
        group.tell(0.0)
    group.add_up(torch.nn.Linear(2, 2), 0.0)


def test_a_run_of_two_processes_is_the_run_of_one(cluster: Any, world: Dataset, tmp_path: Path) -> None:
    save_dataset(world, tmp_path / "data")
    run = RunConfig(
        data=DataConfig(path=str(tmp_path / "data")), model=MODEL, train=replace(TRAIN, epochs=2, validate_every=1)
    )
    alone = train_run(run, tmp_path / "alone")
    two = replace(run, train=replace(run.train, processes=2))
    both = train_run(two, tmp_path / "both", by=partial(together_on_ray, threads=1))
    losses = [[entry["loss"] for entry in one.metrics["training"]["history"]] for one in (alone, both)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)


def test_what_the_command_refuses() -> None:
    with pytest.raises(ConfigError, match="--address goes with --engine ray"):
        starter("local", "a:1", 2)
    with pytest.raises(ConfigError, match=r"--engine ray is for several processes; --set train.processes=2"):
        starter("ray", None, 1)
    assert starter("local", None, 1) is together


def test_one_process_is_this_one() -> None:
    assert together_on_ray(lambda group: (group.rank, group.size), _never, 1) == (0, 1)


def _never(group: Group) -> None:
    raise AssertionError
