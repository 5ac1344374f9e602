"""Where the embed job's folders and files lie, and what it finds out before the work."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.engine.conftest import SMALL, Known
from tests.engine.test_job import PLAIN, hashes, trained

from pinfold.embedding.artifact import read_artifact
from pinfold.engine import job as jobs
from pinfold.engine.embed import EmbedConfig
from pinfold.engine.local import LocalEngine
from pinfold.errors import ConfigError, WorkerLost
from pinfold.features.config import FeaturesConfig, VectorColumn
from pinfold.graph.neighborhoods import NeighborhoodConfig
from pinfold.pipeline import embed_artifact


class StoppedError(Exception):
    """Stands for a kill."""


@pytest.fixture(scope="module")
def model(known: Known, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("trained"), known.dataset)


def stop_at(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The job ends when this stage begins."""
    old = jobs.retried

    def retried(engine: Any, stage: Any, *more: Any) -> None:
        if stage.name == name:
            raise StoppedError
        old(engine, stage, *more)

    monkeypatch.setattr(jobs, "retried", retried)


@pytest.mark.parametrize(("out", "work"), [("w", "w"), ("w/all", "w"), ("all", "all/work")])
def test_the_artifact_and_the_work_folder_lie_apart(model: Path, tmp_path: Path, out: str, work: str) -> None:
    """A work folder goes away when all is done, with everything that is in it."""
    with pytest.raises(ConfigError, match=r"--work .*: lies in --out .* or the other way round"):
        embed_artifact(model, model.parent / "data", tmp_path / out, EmbedConfig(work=str(tmp_path / work)))
    assert list(tmp_path.iterdir()) == []


def test_a_job_that_is_stopped_goes_on_in_another_folder(
    known: Known, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files of vectors that were named from where one was are found from everywhere."""
    rows = np.random.default_rng(0).standard_normal((len(known.dataset.items), 5)).astype(np.float32)
    np.save(tmp_path / "look.npy", rows)
    column = VectorColumn(path=str(tmp_path / "look.npy"), normalize=False)
    model = trained(tmp_path, known.dataset, features=FeaturesConfig(items={"look": column}, dim=4))
    (tmp_path / "elsewhere").mkdir()
    with monkeypatch.context() as stopped:
        stop_at(stopped, "content")
        stopped.chdir(tmp_path)
        with pytest.raises(StoppedError):
            embed_artifact(model, tmp_path / "data", tmp_path / "all", EmbedConfig(vectors={"look": "look.npy"}))
    monkeypatch.chdir(tmp_path / "elsewhere")
    embed_artifact(model, tmp_path / "data", tmp_path / "all", EmbedConfig(vectors={"look": "../look.npy"}))
    assert read_artifact(tmp_path / "all").encoders is not None


def test_damaged_encoders_are_kept_again(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = model.parent / "data"
    with monkeypatch.context() as stopped:
        stop_at(stopped, "content")
        with pytest.raises(StoppedError):
            embed_artifact(model, data, tmp_path / "all", PLAIN)
    (tmp_path / ".all.work" / "encoders" / "feature_encoders.json").unlink()
    embed_artifact(model, data, tmp_path / "all", PLAIN)
    embed_artifact(model, data, tmp_path / "undisturbed", PLAIN)
    assert hashes(tmp_path / "all") == hashes(tmp_path / "undisturbed")


@pytest.mark.parametrize(
    ("told", "message"), [({"method": "push"}, 'method "push"'), ({"prune": 0.5}, "prune below 1")], ids=str
)
def test_neighborhoods_that_need_the_whole_graph(known: Known, tmp_path: Path, told: Any, message: str) -> None:
    """Found out before the graph is built, which may take hours."""
    near = NeighborhoodConfig(size=6, steps=60, **told)
    model = trained(tmp_path, known.dataset, model=replace(SMALL, neighborhood=near))
    with pytest.raises(ConfigError, match=message):
        embed_artifact(model, tmp_path / "data", tmp_path / "all", EmbedConfig(workers=2))
    assert not (tmp_path / ".all.work").exists()
    embed_artifact(model, tmp_path / "data", tmp_path / "all", PLAIN)


class Counting(LocalEngine):
    """Loses a worker when degrees are asked for the first time."""

    left = 1

    def run(self, step: str, options: Any = None) -> list[Any]:
        if step == "degrees" and type(self).left:
            type(self).left -= 1
            raise WorkerLost("worker 1 died")
        return super().run(step, options or {})


def test_a_worker_that_is_lost_while_degrees_are_asked(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pinfold.engine.opening.LocalEngine", Counting)
    figures = embed_artifact(model, model.parent / "data", tmp_path / "all", EmbedConfig(degrees="rescale"))
    assert figures["notes"] == ["stage degrees began again: worker 1 died"]
