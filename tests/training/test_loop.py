"""The training loop: what it keeps, when it stops, and that a killed run ends as if it had lived.

Run as a script, this file is the run that gets killed.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from pinfold.arrays import Embeddings
from pinfold.data.interactions import Interactions
from pinfold.data.synthetic import two_tastes
from pinfold.errors import ArtifactError, ConfigError, TrainingError
from pinfold.graph.bipartite import BipartiteGraph, build_graph
from pinfold.graph.learned import Trained
from pinfold.models.interface import Trainable
from pinfold.models.lightgcn import LightGCNConfig
from pinfold.models.losses import BilateralSoftmaxConfig, BinaryConfig, BPRConfig, LossConfig, SoftmaxConfig
from pinfold.models.mf import MFConfig
from pinfold.models.pairwise import ObjectiveConfig
from pinfold.models.shelf import build
from pinfold.progress import Task
from pinfold.sampling.ahead import Ahead
from pinfold.sampling.pairs import SamplingConfig
from pinfold.training import checkpoint
from pinfold.training.checkpoint import load_checkpoint
from pinfold.training.config import TrainConfig
from pinfold.training.loop import Keeping, Report, train

# What LightGCN's authors train for.
ONE_NEGATIVE = SamplingConfig(batch_by="edges", batch_size=2048, shared=False, n_negatives=1)
PAPER = ObjectiveConfig(loss=BPRConfig(), score="inner", l2=1e-4, length_exponent=1.0, sampling=ONE_NEGATIVE)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """The worlds are small: a second thread would only wait for the first."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Noisy(nn.Module):
    """A model of three numbers that walk towards noise; its vectors are these numbers."""

    def __init__(self, nan_at: int | None = None) -> None:
        super().__init__()
        self.numbers = nn.Parameter(torch.zeros(3))
        self.nan_at = nan_at  # step, from 1
        self.steps = 0

    def module(self) -> nn.Module:
        return self

    def n_batches(self) -> int:
        return 2

    def batches(self, rng: np.random.Generator, epoch: int = 1) -> Iterator[float]:  # noqa: ARG002
        yield from rng.normal(size=2).tolist()

    def loss(self, batch: float) -> Tensor:
        self.steps += 1
        if self.steps == self.nan_at:
            return self.numbers.sum() * torch.nan
        return (self.numbers - batch + torch.randn(3)).square().mean()  # the noise stands for dropout

    def embed(self) -> Embeddings:
        numbers = self.numbers.detach().numpy().copy()[None]
        return Embeddings(numbers, numbers, numbers)


class Scripted:
    """A validation that gives the scores of a script, and remembers what it was shown."""

    def __init__(self, *scores: float) -> None:
        self.scores = list(scores)
        self.shown: list[list[float]] = []

    def __call__(self, vectors: Trained) -> float:
        assert isinstance(vectors, Embeddings)
        self.shown.append(vectors.users[0].tolist())
        return self.scores[len(self.shown) - 1]


def embedded(model: Trainable[Any]) -> Embeddings:
    vectors = model.embed()
    assert isinstance(vectors, Embeddings)
    return vectors


def every_epoch(**options: Any) -> TrainConfig:
    return TrainConfig(**{"epochs": 5, "validate_every": 1, "learning_rate": 0.1, **options})


def test_loss_falls(graph: BipartiteGraph) -> None:
    for config in (MFConfig(dim=8, objective=PAPER), LightGCNConfig(dim=8, objective=PAPER)):
        losses = [entry["loss"] for entry in train(build(config, graph, 0), every_epoch(epochs=20), 0).history]
        assert losses[0] == pytest.approx(0.69, abs=0.02)  # log 2: nothing is known
        assert losses[-1] < 0.4


def test_without_validation_the_last_parameters_stay() -> None:
    model = Noisy()
    report = train(model, every_epoch(), 0)
    assert (report.epochs, report.best_epoch, report.best_score) == (5, 5, None)
    assert [entry["epoch"] for entry in report.history] == [1, 2, 3, 4, 5]
    assert all("score" not in entry for entry in report.history)
    assert report.seconds == pytest.approx(sum(entry["seconds"] for entry in report.history))
    assert model.steps == 10


def test_the_best_epoch_is_kept_and_patience_ends() -> None:
    model, validate = Noisy(), Scripted(0.1, 0.5, 0.4, 0.3, 0.9)
    report = train(model, every_epoch(patience=2), 0, validate=validate)
    assert (report.epochs, report.best_epoch, report.best_score) == (4, 2, 0.5)
    assert [entry["score"] for entry in report.history] == [0.1, 0.5, 0.4, 0.3]
    assert model.numbers.tolist() == validate.shown[1]
    assert validate.shown[1] != validate.shown[3]


def test_a_better_look_makes_patience_new() -> None:
    report = train(Noisy(), every_epoch(patience=2), 0, validate=Scripted(0.5, 0.4, 0.6, 0.5, 0.4))
    assert (report.epochs, report.best_epoch) == (5, 3)


def test_an_equal_score_is_no_improvement() -> None:
    report = train(Noisy(), every_epoch(patience=2), 0, validate=Scripted(0.5, 0.5, 0.5))
    assert (report.epochs, report.best_epoch) == (3, 1)


def test_a_score_of_zero_counts() -> None:
    assert train(Noisy(), every_epoch(patience=1), 0, validate=Scripted(0.0, 0.0)).best_epoch == 1


def test_looks_every_few_epochs_and_at_the_end() -> None:
    report = train(Noisy(), every_epoch(epochs=7, validate_every=3), 0, validate=Scripted(0.1, 0.2, 0.3))
    assert [entry["epoch"] for entry in report.history if "score" in entry] == [3, 6, 7]
    assert report.best_epoch == 7


def test_out_of_time_ends_after_one_epoch_and_a_last_look() -> None:
    report = train(Noisy(), every_epoch(seconds=1e-9, validate_every=3), 0, validate=Scripted(0.1))
    assert (report.epochs, report.best_epoch, report.best_score) == (1, 1, 0.1)


def test_time_enough_changes_nothing() -> None:
    watched, alone = Noisy(), Noisy()
    train(watched, every_epoch(seconds=3600.0), 0)
    train(alone, every_epoch(), 0)
    assert watched.numbers.tolist() == alone.numbers.tolist()


def test_watching_goes_into_the_history_and_decides_nothing() -> None:
    seen: list[int] = []

    def watch(epoch: int, vectors: Trained) -> dict[str, float]:
        seen.append(epoch)
        assert isinstance(vectors, Embeddings)
        return {"first": float(vectors.items[0, 0])}

    watched, alone = Noisy(), Noisy()
    report = train(watched, every_epoch(validate_every=3), 0, watch=watch)
    train(alone, every_epoch(validate_every=3), 0)
    n = report.epochs
    assert seen == sorted({*range(3, n + 1, 3), n})
    assert [int(entry["epoch"]) for entry in report.history if "first" in entry] == seen
    assert watched.numbers.tolist() == alone.numbers.tolist()


def test_looking_changes_nothing_but_what_is_kept() -> None:
    watched, alone = Noisy(), Noisy()
    train(watched, every_epoch(), 0, validate=Scripted(1, 2, 3, 4, 5))
    train(alone, every_epoch(), 0)
    assert watched.numbers.tolist() == alone.numbers.tolist()


def test_the_seed_decides() -> None:
    models = [Noisy(), Noisy(), Noisy()]
    for model, seed in zip(models, (0, 0, 1), strict=True):
        train(model, every_epoch(), seed)
    assert models[0].numbers.tolist() == models[1].numbers.tolist()
    assert models[0].numbers.tolist() != models[2].numbers.tolist()


def test_a_loss_that_is_not_finite_names_epoch_and_batch(graph: BipartiteGraph) -> None:
    with pytest.raises(TrainingError, match=r"epoch 2, batch 1: the loss is nan; try a smaller train.learning_rate"):
        train(Noisy(nan_at=3), every_epoch(), 0)
    model = build(MFConfig(objective=replace(PAPER, sampling=replace(ONE_NEGATIVE, batch_size=100))), graph, 0)
    with pytest.raises(TrainingError, match=r"epoch 1, batch 2: the loss is (nan|inf)"):
        train(model, every_epoch(learning_rate=1e30), 0)


@pytest.mark.parametrize("device", ["abacus", "cuda:99", "cpu:x"])
def test_no_such_device(device: str) -> None:
    with pytest.raises(ConfigError, match=f"train.device '{device}'"):
        train(Noisy(), every_epoch(device=device), 0)


class Listener:
    """A progress that writes down what it hears."""

    def __init__(self) -> None:
        self.total: int | None = None
        self.steps = 0
        self.notes: list[str] = []

    def advance(self, steps: int = 1, note: str = "") -> None:
        self.steps += steps
        self.notes.append(note)

    @contextmanager
    def task(self, name: str, total: int | None = None) -> Iterator[Task]:
        assert name == "training"
        self.total = total
        yield self


def test_progress_hears_every_batch_and_of_a_resumed_run_all(tmp_path: Path) -> None:
    keeping = Keeping(tmp_path / "c", "run")
    first, second = Listener(), Listener()
    train(Noisy(), every_epoch(epochs=3, checkpoint_seconds=0), 0, keeping=keeping, progress=first)
    train(Noisy(), every_epoch(epochs=5, checkpoint_seconds=0), 0, keeping=keeping, progress=second)
    assert (first.total, first.steps) == (6, 6)
    assert (second.total, second.steps) == (10, 10)
    assert second.notes[0] == "resumed"
    assert first.notes[-1].startswith("epoch 3  loss ")


class StopError(Exception):
    """Stands for a kill, in this process."""


@pytest.mark.parametrize("epoch", range(1, 7))
def test_stopped_anywhere_and_resumed_is_the_uninterrupted_run(tmp_path: Path, epoch: int) -> None:
    """Scores rise, fall and rise, so the stops meet every state of best, stale and end."""
    scores = (0.2, 0.5, 0.4, 0.6, 0.5, 0.4, 0.9)
    config = every_epoch(epochs=7, patience=2, checkpoint_seconds=0)
    whole = Noisy()
    expected = train(whole, config, 3, validate=Scripted(*scores))

    def stop(vectors: Trained) -> float:
        looks.append(0)
        if len(looks) == epoch:
            raise StopError
        return scores[len(looks) - 1]

    looks: list[int] = []
    keeping = Keeping(tmp_path / "c", "run")
    with pytest.raises(StopError):
        train(Noisy(), config, 3, validate=stop, keeping=keeping)
    resumed = Noisy()
    report = train(resumed, config, 3, validate=Scripted(*scores[epoch - 1 :]), keeping=keeping)
    assert resumed.steps == 2 * (expected.epochs - epoch + 1)  # no epoch is run twice
    assert resumed.numbers.tolist() == whole.numbers.tolist()
    assert timeless(report) == timeless(expected)


def test_a_finished_run_is_not_trained_again(tmp_path: Path) -> None:
    keeping = Keeping(tmp_path / "c", "run")
    config = every_epoch(patience=1, checkpoint_seconds=0)
    first, again = Noisy(), Noisy()
    report = train(first, config, 0, validate=Scripted(0.5, 0.4), keeping=keeping)
    assert train(again, config, 0, validate=Scripted(), keeping=keeping) == report
    assert again.steps == 0
    assert again.numbers.tolist() == first.numbers.tolist()


def test_checkpoints_wait_for_their_time(tmp_path: Path) -> None:
    train(Noisy(), every_epoch(checkpoint_seconds=1000), 0, keeping=Keeping(tmp_path / "c", "run"))
    assert not (tmp_path / "c").exists()


def test_checkpoint_of_another_run_or_damaged_is_refused(tmp_path: Path) -> None:
    config = every_epoch(checkpoint_seconds=0)
    train(Noisy(), config, 0, keeping=Keeping(tmp_path / "c", "run"))
    with pytest.raises(TrainingError, match="another run"):
        train(Noisy(), config, 0, keeping=Keeping(tmp_path / "c", "other"))
    (tmp_path / "c" / "tensors.safetensors").write_bytes(b"")
    with pytest.raises(ArtifactError, match=r"tensors\.safetensors"):
        train(Noisy(), config, 0, keeping=Keeping(tmp_path / "c", "run"))


def test_a_path_that_cannot_hold_checkpoints_is_refused_before_training(tmp_path: Path) -> None:
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "thesis.txt").write_text("mine")
    model = Noisy()
    with pytest.raises(ArtifactError):
        train(model, every_epoch(checkpoint_seconds=0), 0, keeping=Keeping(tmp_path / "c", "run"))
    assert model.steps == 0


OWN = SamplingConfig(batch_by="edges", shared=False, n_negatives=9, batch_size=4801)
SHARED = SamplingConfig(batch_by="users", n_negatives=129, batch_size=600, negatives="mixed")
LAST = SamplingConfig(batch_by="users", n_negatives=40, batch_size=2000, shared=True)  # and a narrow product


@pytest.mark.parametrize(
    ("loss", "sampling"),
    [
        (BPRConfig(), OWN),
        (BinaryConfig(), OWN),
        (SoftmaxConfig(log_q=True), SHARED),
        (BilateralSoftmaxConfig(), LAST),
    ],
    ids=["bpr", "binary", "softmax", "bsl"],
)
@pytest.mark.parametrize("config", [MFConfig(dim=7), LightGCNConfig(dim=7, n_layers=2)], ids=lambda c: c.name)
def test_threads_do_not_change_a_bit(
    monkeypatch: pytest.MonkeyPatch, config: MFConfig | LightGCNConfig, loss: LossConfig, sampling: SamplingConfig
) -> None:
    """Sizes above the 32768 elements from which torch uses threads, and no multiples of a SIMD register."""
    rng = np.random.default_rng(0)
    n = 9001
    users, items = rng.integers(0, 5003, n).astype(np.int32), rng.integers(0, 4999, n).astype(np.int32)
    large = build_graph(Interactions.of(users, items, 5003, 4999))
    config = replace(config, objective=replace(PAPER, loss=loss, sampling=sampling, per_user=True))
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            monkeypatch.setattr("pinfold.kernels.parallel.n_threads", lambda threads=threads: threads)
            model = build(config, large, 0)
            report = train(model, TrainConfig(epochs=2, learning_rate=0.05), 0)
            found.append((embedded(model), timeless(report)))
    finally:
        torch.set_num_threads(before)
    for vectors, history in found[1:]:
        np.testing.assert_array_equal(vectors.users, found[0][0].users)
        np.testing.assert_array_equal(vectors.items, found[0][0].items)
        np.testing.assert_array_equal(vectors.history, found[0][0].history)
        assert history == found[0][1]


# A real run, killed by the operating system.

OBJECTIVE = replace(PAPER, sampling=replace(ONE_NEGATIVE, batch_size=100), per_user=True)
MODEL = LightGCNConfig(dim=8, n_layers=2, objective=OBJECTIVE)
RUN = TrainConfig(epochs=12, learning_rate=0.05, validate_every=2, patience=3, checkpoint_seconds=0)
PER_EPOCH = 5  # 480 edges in batches of 100


def score(vectors: Trained) -> float:
    """A number that any change of a bit changes, and that goes up and down."""
    assert isinstance(vectors, Embeddings)
    return float(
        np.abs(vectors.users).sum(dtype=np.float64) * 1e3 % 1 + np.abs(vectors.history).sum(dtype=np.float64) % 1e-3
    )


def timeless(report: Report) -> dict[str, Any]:
    """A report without what the clock decides."""
    history = [
        {k: v for k, v in entry.items() if k not in ("seconds", "waited", "stepped")} for entry in report.history
    ]
    return {"epochs": report.epochs, "best_epoch": report.best_epoch, "score": report.best_score, "history": history}


class Killer:
    """A model that counts and, at the batch or look of its script, kills the process; one at a time."""

    def __init__(self, model: Trainable[Any], what: str, when: int) -> None:
        self._model, self._what, self._when = model, what, when
        self.counts = {"batch": 0, "look": 0, "save": 0}

    def hear(self, what: str) -> None:
        self.counts[what] += 1
        if what == self._what and self.counts[what] == self._when:
            os.kill(os.getpid(), signal.SIGKILL)

    def module(self) -> nn.Module:
        return self._model.module()

    def n_batches(self) -> int:
        return self._model.n_batches()

    def batches(self, rng: np.random.Generator, epoch: int = 1) -> Iterator[Any]:
        for batch in self._model.batches(rng, epoch):
            self.hear("batch")
            yield batch

    def loss(self, batch: Any) -> Tensor:
        return self._model.loss(batch)

    def embed(self) -> Trained:
        return self._model.embed()


def live(folder: Path, what: str = "never", when: int = 0) -> tuple[Trained, dict[str, Any], int]:
    """One life of the run: its vectors and report, and how many batches this life has seen."""
    model = Killer(build(MODEL, build_graph(two_tastes().interactions), 0), what, when)

    def validate(vectors: Trained) -> float:
        model.hear("look")
        return score(vectors)

    def save_half(tensors: dict[str, Tensor], path: Path) -> None:
        path.write_bytes(b"half of it")
        model.hear("save")
        save_file(tensors, path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint, "save_file", save_half)
        report = train(model, RUN, 0, validate=validate, keeping=Keeping(folder / "c", "run"))
    return model.embed(), timeless(report), model.counts["batch"]


def test_killed_and_resumed_is_bit_for_bit_the_uninterrupted_run(tmp_path: Path) -> None:
    vectors, report, n_batches = live(tmp_path / "whole")
    assert report["epochs"] >= 8
    assert report["best_epoch"] < report["epochs"]  # the kept parameters are not just the last ones

    def die(what: str, when: int) -> int:
        """The epoch of the checkpoint that a killed life has left."""
        script = [sys.executable, __file__, str(tmp_path), what, str(when)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        assert subprocess.run(script, env=environment, check=False).returncode == -signal.SIGKILL
        module = build(MODEL, build_graph(two_tastes().interactions), 0).module()
        return load_checkpoint(tmp_path / "c", "run", module, torch.optim.Adam(module.parameters(), fused=True)).epoch

    assert die("batch", 2 * PER_EPOCH + 3) == 2  # in the middle of epoch 3
    assert die("look", 1) == 3  # epoch 4 is trained but not judged
    assert die("save", 2) == 4  # epoch 5 is judged, its checkpoint half written
    last_vectors, last_report, last_batches = live(tmp_path)
    assert last_batches == n_batches - 4 * PER_EPOCH
    assert last_report == report
    for side in ("users", "items", "history"):
        np.testing.assert_array_equal(getattr(last_vectors, side), getattr(vectors, side))
    assert not list((tmp_path / "c").glob("*.partial"))


@pytest.fixture
def rates(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The step sizes that the optimizer is given."""
    seen: list[float] = []
    step = torch.optim.Adam.step

    def watched(self: torch.optim.Adam, *rest: Any) -> Any:
        seen.append(self.param_groups[0]["lr"])
        return step(self, *rest)

    monkeypatch.setattr(torch.optim.Adam, "step", watched)
    return seen


def test_the_step_size_falls_in_a_line(rates: list[float]) -> None:
    train(Noisy(), every_epoch(epochs=6, decay_epochs=4), 0)
    assert rates[::2] == pytest.approx([0.1, 0.075, 0.05, 0.025, 0.002, 0.002])
    assert rates[1::2] == rates[::2]
    train(Noisy(), every_epoch(epochs=2), 0)
    assert rates[-1] == 0.1


def test_the_step_size_rises_step_by_step_and_falls_by_a_factor(rates: list[float]) -> None:
    train(Noisy(), every_epoch(epochs=4, warmup_steps=4, decay="exponential", decay_rate=0.5), 0)
    expected = [0.025, 0.05, 0.0375, 0.05, 0.025, 0.025, 0.0125, 0.0125]  # two steps an epoch
    assert rates == pytest.approx(expected)


def test_options_of_two_decays_do_not_fit() -> None:
    with pytest.raises(ConfigError, match=r"train.decay_epochs = 3 belongs to train.decay 'linear'"):
        train(Noisy(), every_epoch(decay="exponential", decay_epochs=3), 0)


class Early:
    """A model whose batches are made ahead, and which may fail at a step."""

    def __init__(self, pause: float = 0.0, fails_at: int = -1) -> None:
        self.model = Noisy(nan_at=fails_at)
        self.pause = pause

    def module(self) -> nn.Module:
        return self.model

    def n_batches(self) -> int:
        return self.model.n_batches()

    def batches(self, rng: np.random.Generator, epoch: int = 1) -> Iterator[float]:
        return Ahead(self._slow(self.model.batches(rng, epoch)))

    def _slow(self, batches: Iterator[float]) -> Iterator[float]:
        for batch in batches:
            time.sleep(self.pause)
            yield batch

    def loss(self, batch: float) -> Tensor:
        return self.model.loss(batch)

    def embed(self) -> Embeddings:
        return self.model.embed()


def test_batches_made_ahead_teach_the_same_and_waiting_is_counted() -> None:
    early, plain = Early(pause=0.02), Noisy()
    report, expected = train(early, every_epoch(), 0), train(plain, every_epoch(), 0)
    assert early.model.numbers.tolist() == plain.numbers.tolist()
    for entry, wanted in zip(report.history, expected.history, strict=True):
        assert entry["loss"] == wanted["loss"]
        assert 0.02 < entry["waited"] <= entry["stepped"] <= entry["seconds"]
        assert "waited" not in wanted


def test_no_thread_is_left_when_training_fails() -> None:
    with pytest.raises(TrainingError, match="the loss is nan") as caught:  # whose traceback still knows the iterator
        train(Early(fails_at=1), every_epoch(), 0)
    assert not [thread for thread in threading.enumerate() if thread.name == "pinfold-ahead"]
    assert caught.value.__traceback__ is not None


def test_resumed_in_the_middle_of_warm_up(tmp_path: Path) -> None:
    options = {"epochs": 4, "warmup_steps": 7, "decay": "exponential", "decay_rate": 0.8, "checkpoint_seconds": 0}
    whole, resumed = Noisy(), Noisy()
    expected = train(whole, every_epoch(**options), 0)
    train(Noisy(), every_epoch(**{**options, "epochs": 2}), 0, keeping=Keeping(tmp_path / "c", "run"))
    report = train(resumed, every_epoch(**options), 0, keeping=Keeping(tmp_path / "c", "run"))
    assert resumed.steps == 4
    assert resumed.numbers.tolist() == whole.numbers.tolist()
    assert timeless(report) == timeless(expected)


if __name__ == "__main__":
    live(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
