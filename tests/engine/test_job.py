"""The embed job, whole: an artifact in, a data set in, an artifact of all of it out."""

import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.engine.conftest import SMALL, Known

from pinfold.artifacts import MANIFEST
from pinfold.cli import main
from pinfold.data.dataset import Dataset, save_dataset
from pinfold.data.interactions import Interactions
from pinfold.data.splits import SplitConfig
from pinfold.data.tables import Table
from pinfold.data.vocab import Vocab
from pinfold.embedding.artifact import Artifact, read_artifact
from pinfold.engine.embed import EmbedConfig
from pinfold.engine.local import LocalEngine
from pinfold.errors import ConfigError, WorkerLost
from pinfold.features.config import FeaturesConfig
from pinfold.graph.convolved import Convolved
from pinfold.graph.interests import Interests, InterestsConfig
from pinfold.index.answers import Answers
from pinfold.pipeline import embed_artifact, train_run
from pinfold.run import DataConfig, RunConfig
from pinfold.training.config import TrainConfig

PLAIN = EmbedConfig()


def trained(folder: Path, dataset: Dataset, **told: Any) -> Path:
    """An artifact of one epoch on all of the data."""
    save_dataset(dataset, folder / "data")
    run = RunConfig(
        data=DataConfig(path=str(folder / "data")), model=SMALL, features=FeaturesConfig(dim=4),
        split=SplitConfig(protocol="none"), train=TrainConfig(epochs=1, checkpoint_seconds=0), seed=3,
    )  # fmt: skip
    train_run(replace(run, **told), folder / "model")
    return folder / "model"


def part_of(dataset: Dataset, n_users: int) -> Dataset:
    """The first users, and the items that they took: what `pinfold sample` leaves."""
    events = dataset.interactions.take(dataset.interactions.users < n_users)
    rows, items = np.unique(events.items, return_inverse=True)
    table = Table({name: column[rows] for name, column in dataset.item_table.columns.items()}, len(rows))
    people = Table({name: column[:n_users] for name, column in dataset.user_table.columns.items()}, n_users)
    sampled = Interactions(events.users, items.astype(np.int32), events.weights, events.times, n_users, len(rows))
    users, names = Vocab(dataset.users.all[:n_users], "user"), Vocab(dataset.items.all[rows], "item")
    return Dataset(sampled, users, names, people, table, {"sample": {"users": 0.5, "seed": 0}})


@pytest.fixture(scope="module")
def model(known: Known, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("trained"), known.dataset)


def convolved(artifact: Artifact) -> Convolved:
    assert isinstance(artifact.learned, Convolved)
    return artifact.learned


def hashes(path: Path) -> dict[str, str]:
    """What every file is, but for those that tell the time, or where things are."""
    files = json.loads((path / MANIFEST).read_text())["files"]
    return {name: one["sha256"] for name, one in files.items() if name not in ("metrics.json", "index.json")}


def test_the_data_of_training_gives_the_vectors_of_training(model: Path, known: Known, tmp_path: Path) -> None:
    figures = embed_artifact(model, model.parent / "data", tmp_path / "all", PLAIN)
    before, after = read_artifact(model), read_artifact(tmp_path / "all")
    old, new = convolved(before), convolved(after)
    for name in ("items", "users", "history"):
        np.testing.assert_allclose(getattr(new.vectors, name), getattr(old.vectors, name), atol=1e-6)
    for inputs, expected in zip(new.inputs, old.inputs, strict=True):
        np.testing.assert_allclose(inputs, expected, atol=1e-6)
    np.testing.assert_allclose(new.users, old.users, atol=1e-6)
    assert new.growth == old.growth
    assert new.neighborhoods is not None
    assert after.users.all.tolist() == before.users.all.tolist()
    assert after.items.all.tolist() == before.items.all.tolist()
    for one, other in (
        (after.graph.user_items, before.graph.user_items),
        (after.graph.item_users, before.graph.item_users),
    ):
        np.testing.assert_array_equal(one.ptr, other.ptr)
        np.testing.assert_array_equal(one.ids, other.ids)
        np.testing.assert_array_equal(one.weights, other.weights)
    assert after.encoders is not None
    assert after.user_encoders is not None
    assert after.test is None
    assert len(after.valid) == 0
    asked = [Answers(one).similar("item007", 5) for one in (before, after)]
    assert [found.id for found in asked[0]] == [found.id for found in asked[1]]
    assert set(after.metrics["embedding"]["stages"]) >= {"graph", "neighborhoods", "content", "vectors", "index"}
    assert figures["nodes_per_second"] > 0
    assert not (tmp_path / ".all.work").exists()


def test_it_can_be_embedded_again_from_what_it_made(model: Path, tmp_path: Path) -> None:
    data = model.parent / "data"
    embed_artifact(model, data, tmp_path / "one", PLAIN)
    embed_artifact(tmp_path / "one", data, tmp_path / "two", PLAIN)
    assert hashes(tmp_path / "one") == hashes(tmp_path / "two")


def test_three_workers_make_what_one_makes(model: Path, tmp_path: Path) -> None:
    data = model.parent / "data"
    embed_artifact(model, data, tmp_path / "one", PLAIN)
    figures = embed_artifact(model, data, tmp_path / "three", EmbedConfig(workers=3))
    one, three = hashes(tmp_path / "one"), hashes(tmp_path / "three")
    assert set(one) == set(three)
    exact = [name for name in one if name.startswith(("user_items_", "item_users_", "neighbor_", "feature_", "head_"))]
    assert {name: one[name] for name in exact} == {name: three[name] for name in exact}
    a, b = convolved(read_artifact(tmp_path / "one")), convolved(read_artifact(tmp_path / "three"))
    for name in ("items", "users", "history"):
        np.testing.assert_allclose(getattr(a.vectors, name), getattr(b.vectors, name), atol=1e-6)
    assert figures["stages"]["convolve0"]["moved_bytes"] > 0


def test_more_workers_than_items(model: Path, known: Known, tmp_path: Path) -> None:
    few = part_of(known.dataset, 2)
    save_dataset(few, tmp_path / "few")
    embed_artifact(model, tmp_path / "few", tmp_path / "one", PLAIN)
    embed_artifact(model, tmp_path / "few", tmp_path / "many", EmbedConfig(workers=len(few.items) + 2))
    a, b = convolved(read_artifact(tmp_path / "one")), convolved(read_artifact(tmp_path / "many"))
    np.testing.assert_allclose(a.vectors.items, b.vectors.items, atol=1e-6)


def test_a_network_trained_on_a_sample_makes_all(known: Known, tmp_path: Path) -> None:
    model = trained(tmp_path, part_of(known.dataset, 70))
    save_dataset(known.dataset, tmp_path / "whole")
    figures = embed_artifact(model, tmp_path / "whole", tmp_path / "all", PLAIN)
    made = read_artifact(tmp_path / "all")
    assert (len(made.users), len(made.items)) == (len(known.dataset.users), len(known.dataset.items))
    counts = known.graph.item_counts()
    logs = np.log1p(counts[counts > 0])
    growth = convolved(made).growth
    assert figures["rescaled"]
    assert (growth.degree_mean, growth.degree_deviation) == pytest.approx((logs.mean(), logs.std()))
    assert made.metrics["sample"] == {"users": 0.5, "seed": 0}
    embed_artifact(model, tmp_path / "whole", tmp_path / "kept", EmbedConfig(degrees="keep"))
    kept = convolved(read_artifact(tmp_path / "kept"))
    assert kept.growth == convolved(read_artifact(model)).growth
    assert not np.allclose(kept.inputs[0], convolved(made).inputs[0])


def test_half_precision(model: Path, tmp_path: Path) -> None:
    embed_artifact(model, model.parent / "data", tmp_path / "half", EmbedConfig(half=True))
    half, whole = convolved(read_artifact(tmp_path / "half")), convolved(read_artifact(model))
    assert {inputs.dtype for inputs in half.inputs} == {np.dtype(np.float16)}
    np.testing.assert_allclose(half.vectors.items, whole.vectors.items, atol=2e-2)
    answers = Answers(read_artifact(tmp_path / "half"))
    assert len(answers.similar_to_fresh({"title": "odd thing 3"}, ["user001"], 3)) == 3


@pytest.mark.parametrize("users", ["last", "medoids"])
def test_users_as_some_of_their_items(known: Known, tmp_path: Path, users: Any) -> None:
    model = trained(tmp_path, known.dataset, model=replace(SMALL, users=InterestsConfig(users=users)))
    embed_artifact(model, tmp_path / "data", tmp_path / "all", PLAIN)
    old, new = convolved(read_artifact(model)).vectors, convolved(read_artifact(tmp_path / "all")).vectors
    assert isinstance(old, Interests)
    assert isinstance(new, Interests)
    np.testing.assert_array_equal(new.ptr, old.ptr)
    np.testing.assert_array_equal(new.medoids, old.medoids)


def command(words: list[str]) -> None:
    """The command line, which has to succeed."""
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 0


def killed(words: list[str], stage: str) -> int:
    """The command in a process that kills itself when this stage begins."""
    code = (
        "import os, signal, sys\n"
        "from pinfold.engine import job\n"
        "old = job.retried\n"
        "def retried(engine, stage, *more):\n"
        f"    if stage.name == {stage!r}: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    old(engine, stage, *more)\n"
        "job.retried = retried\n"
        "from pinfold.cli import main\n"
        f"main({words!r})\n"
    )
    return subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode


def test_a_killed_job_goes_on_to_the_same_bytes(model: Path, tmp_path: Path) -> None:
    data = model.parent / "data"
    words = ["embed", str(model), str(data), "--out", str(tmp_path / "all"), "--workers", "2"]
    assert killed(words, "convolve1") == -signal.SIGKILL
    sealed = tmp_path / ".all.work" / "neighborhoods-0001" / MANIFEST
    made = sealed.stat().st_mtime_ns
    with pytest.raises(ConfigError, match="of another job, whose half"):
        embed_artifact(model, data, tmp_path / "all", EmbedConfig(workers=2, half=True))
    assert sealed.stat().st_mtime_ns == made
    command(words)
    embed_artifact(model, data, tmp_path / "undisturbed", EmbedConfig(workers=2))
    assert hashes(tmp_path / "all") == hashes(tmp_path / "undisturbed")
    assert not (tmp_path / ".all.work").exists()


@pytest.mark.parametrize("stage", ["vectors", "users"])
def test_parts_that_are_used_up_go(model: Path, tmp_path: Path, stage: str) -> None:
    """What items sent is gone when they are pooled, and made again only where what was made of it is damaged."""
    data, work = model.parent / "data", tmp_path / ".all.work"
    killed(["embed", str(model), str(data), "--out", str(tmp_path / "all")], stage)
    there = {path.name for path in work.iterdir() if path.name.startswith(("project", "convolve"))}
    assert there == {"convolve0-0000"} | ({"convolve1-0000"} if stage == "vectors" else set())
    part = work / ("convolve1-0000" if stage == "vectors" else "vectors-0000") / "manifest.json"
    part.write_text("damaged")
    embed_artifact(model, data, tmp_path / "all", PLAIN)
    embed_artifact(model, data, tmp_path / "undisturbed", PLAIN)
    assert hashes(tmp_path / "all") == hashes(tmp_path / "undisturbed")


def test_a_truncated_part_is_made_again_with_a_note(model: Path, tmp_path: Path) -> None:
    data, words = model.parent / "data", ["embed", str(model), str(model.parent / "data"), "--out"]
    killed([*words, str(tmp_path / "all")], "convolve1")
    part = tmp_path / ".all.work" / "neighborhoods-0000" / "neighbor_ids.npy"
    part.write_bytes(part.read_bytes()[:-100])
    figures = embed_artifact(model, data, tmp_path / "all", PLAIN)
    assert figures["notes"] == ["the part neighborhoods-0000 was damaged and has been made again"]
    embed_artifact(model, data, tmp_path / "undisturbed", PLAIN)
    assert hashes(tmp_path / "all") == hashes(tmp_path / "undisturbed")


def test_a_disk_that_is_full(model: Path, tmp_path: Path) -> None:
    """A limit on the size of files stands for it: the error names what could not be written, and the job goes on."""
    words = ["embed", str(model), str(model.parent / "data"), "--out", str(tmp_path / "all")]
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (4500, 4500))"
    code = f"{limit}; from pinfold.cli import main; main({words!r})"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert "File too large" in done.stderr
    assert "cannot be written" in done.stderr
    assert "and the same command goes on there" in done.stderr
    assert "Traceback" not in done.stderr
    assert "stage users" in done.stderr.replace("\n", " ")
    assert (tmp_path / ".all.work" / "vectors-0000" / MANIFEST).exists()
    command(words)
    embed_artifact(model, model.parent / "data", tmp_path / "undisturbed", PLAIN)
    assert hashes(tmp_path / "all") == hashes(tmp_path / "undisturbed")


class Losing(LocalEngine):
    """Loses its workers when a stage's step is done for the first few times."""

    times = 2

    def run(self, step: str, options: Any = None) -> list[Any]:
        if step == "vectors" and type(self).times:
            type(self).times -= 1
            raise WorkerLost("worker 1 died")
        return super().run(step, options or {})


@pytest.mark.parametrize("times", [2, 9])
def test_lost_workers(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    monkeypatch.setattr("pinfold.engine.opening.LocalEngine", Losing)
    monkeypatch.setattr(Losing, "times", times)
    data = model.parent / "data"
    if times > 3:
        with pytest.raises(WorkerLost, match=r"stage vectors: worker 1 died; what is finished stays in .*\.all\.work"):
            embed_artifact(model, data, tmp_path / "all", PLAIN)
    else:
        figures = embed_artifact(model, data, tmp_path / "all", PLAIN)
        assert figures["notes"] == ["stage vectors began again: worker 1 died"] * 2
        assert read_artifact(tmp_path / "all")
