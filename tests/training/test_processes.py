"""Training by two processes is training by one, to rounding; and whoever dies, nobody waits for ever."""

import importlib
import multiprocessing
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pinfold.arrays import Embeddings
from pinfold.errors import ConfigError, TrainingError
from pinfold.graph.learned import Trained
from pinfold.models.lightgcn import LightGCNConfig
from pinfold.models.losses import BPRConfig, SoftmaxConfig
from pinfold.models.mf import MFConfig
from pinfold.models.pairwise import ObjectiveConfig
from pinfold.sampling.pairs import SamplingConfig
from pinfold.training.config import TrainConfig
from pinfold.training.loop import Keeping, train
from pinfold.training.processes import ALONE, Group, together

BPR = ObjectiveConfig(
    loss=BPRConfig(), score="inner", l2=1e-3,
    sampling=SamplingConfig(batch_by="edges", batch_size=100, shared=False, n_negatives=3),
)  # fmt: skip
SOFTMAX = ObjectiveConfig(
    loss=SoftmaxConfig(log_q=True), l2=1e-3, sampling=SamplingConfig(batch_size=25, n_negatives=30)
)
PER_USER = replace(BPR, per_user=True, sampling=replace(BPR.sampling, batch_size=479))  # the last batch has one row
TRAIN = TrainConfig(epochs=6, learning_rate=0.03, validate_every=1, patience=2, warmup_steps=4, checkpoint_seconds=0)


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    names = ("OMP_NUM_THREADS", "GLOO_SOCKET_IFNAME")
    before = torch.get_num_threads(), [os.environ.get(name) for name in names]
    yield
    assert not multiprocessing.active_children()
    assert (torch.get_num_threads(), [os.environ.get(name) for name in names]) == before
    assert not torch.distributed.is_initialized()


@pytest.fixture(scope="module")
def followers() -> Iterator[Any]:
    """The module that other processes import too: they start with this one's path."""
    folder = str(Path(__file__).parent)
    sys.path.insert(0, folder)
    yield importlib.import_module("followers")
    sys.path.remove(folder)


class Scripted:
    """A validation with the scores of a script, for the first process alone."""

    def __init__(self, *scores: float) -> None:
        self.scores = list(scores)

    def __call__(self, vectors: Trained) -> float:  # noqa: ARG002
        return self.scores.pop(0)


def test_two_processes_learn_what_one_learns(followers: Any, tmp_path: Path) -> None:
    case = followers.Case
    keeping = Keeping(tmp_path / "c", "run")
    cases = [
        case(MFConfig(dim=8, objective=BPR), TRAIN),
        case(MFConfig(dim=8, objective=SOFTMAX), TRAIN, validated=True),  # patience ends it after epoch 4
        case(LightGCNConfig(dim=8, objective=PER_USER), TRAIN),
        case(MFConfig(dim=8, objective=SOFTMAX), replace(TRAIN, seconds=1e-9)),  # the first process has the clock
        case(MFConfig(dim=8, objective=BPR), replace(TRAIN, epochs=3), keeping=keeping),
        case(MFConfig(dim=8, objective=BPR), TRAIN, keeping=keeping),  # goes on where the one before was
    ]
    scores = (0.1, 0.3, 0.2, 0.2)

    def lead(group: Group) -> Any:
        return followers.train_all(cases, group, Scripted(*scores))

    found = together(lead, partial(followers.train_all, cases), 2)
    alone = followers.train_all(cases[:4], ALONE, Scripted(*scores))
    for (report, model), (expected, twin) in zip(found, alone, strict=False):
        assert len(report.history) == len(expected.history)
        for entry, wanted in zip(report.history, expected.history, strict=True):
            assert entry["loss"] == pytest.approx(wanted["loss"], rel=1e-5)
            assert entry.get("score") == wanted.get("score")
        assert (report.best_epoch, report.best_score) == (expected.best_epoch, expected.best_score)
        for name, tensor in twin.module().state_dict().items():
            torch.testing.assert_close(model.module().state_dict()[name], tensor, rtol=1e-2, atol=1e-3)
    assert [report.epochs for report, _ in found] == [6, 4, 6, 1, 3, 6]
    assert found[1][0].best_epoch == 2
    resumed, whole = found[5], found[0]
    assert [entry["loss"] for entry in resumed[0].history] == [entry["loss"] for entry in whole[0].history]
    vectors, others = resumed[1].embed(), whole[1].embed()
    assert isinstance(vectors, Embeddings)
    np.testing.assert_array_equal(vectors.items, others.items)  # bit for bit


def test_one_process_is_this_one() -> None:
    assert together(lambda group: (group.rank, group.size), _never, 1) == (0, 1)


def _never(group: Group) -> None:
    raise AssertionError


def test_gradients_are_summed_and_a_killed_process_is_named(followers: Any) -> None:
    found = []

    def lead(group: Group) -> None:
        found.append(followers.mixed_gradients(group))
        for _ in range(1000):
            group.add_up(torch.nn.Linear(2, 2), 1.0)

    with pytest.raises(TrainingError, match=r"process 2 of 2: was killed by SIGKILL; .* fewer train.processes"):
        together(lead, followers.die, 2)
    assert found == [([[3.0, 30.0], [5.0], None], 1.5, 1 / 3)]
    assert followers.mixed_gradients(ALONE) == ([[1.0, 10.0], None, None], 0.25, 1 / 3)


def test_a_failing_process_says_why(followers: Any) -> None:
    with pytest.raises(TrainingError, match="process 2 of 2: failed: ValueError: the follower's own"):
        together(partial(_sum, 1000), followers.fail, 2)


def _sum(n: int, group: Group) -> None:
    for _ in range(n):
        group.tell(0.0)
    group.add_up(torch.nn.Linear(2, 2), 0.0)


def test_another_model_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    module = torch.nn.Linear(2, 2)
    ALONE.check_same(module)
    monkeypatch.setattr(Group, "tell", lambda _, value: value)
    Group(1, 2).check_same(module)
    monkeypatch.setattr(Group, "tell", lambda _, value: value + 1e-9)  # what the first process has
    with pytest.raises(TrainingError, match="starts from other parameters than process 1"):
        Group(1, 2).check_same(module)


def test_an_error_of_ones_own_ends_the_others(followers: Any) -> None:
    def lead(group: Group) -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        together(lead, followers.sleep, 2)


def test_who_cannot_be_started_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Here they can, but this module's functions are not theirs to import."""
    (tmp_path / "passing.py").write_text("def follow(group): pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    passing = importlib.import_module("passing")
    (tmp_path / "passing.py").write_text("raise SystemExit(7)\n")
    with pytest.raises(TrainingError, match="process 2 of 2: ended with code 7; standard error says why"):
        together(_never, passing.follow, 2)


def test_what_a_group_cannot_train() -> None:
    class Bare:
        """No `share`."""

    with pytest.raises(ConfigError, match=r"train.processes: this model cannot share its batches"):
        train(Bare(), TRAIN, 0, group=Group(0, 2))  # type: ignore[arg-type]
