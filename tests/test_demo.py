"""The demo, shortened: every stage on the real data, with two epochs."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.table import Table

from pinfold import demo
from pinfold.artifacts import open_folder
from pinfold.embedding.artifact import read_artifact
from pinfold.errors import ArtifactError, DataError


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "RUN", replace(demo.RUN, train=replace(demo.TRAIN, epochs=1)))
    monkeypatch.setattr(demo, "WALK", replace(demo.WALK, steps=200))
    negatives = replace(demo.PINSAGE.negatives, batch_size=16_384, negatives="uniform", n_negatives=50)
    monkeypatch.setattr(demo, "PINSAGE", replace(demo.PINSAGE, hidden=8, dim=8, negatives=negatives))
    monkeypatch.setattr(demo, "PINSAGE_TRAIN", replace(demo.PINSAGE_TRAIN, epochs=1))


@pytest.mark.usefixtures("short")
def test_the_demo_shows_every_stage(tmp_path: Path) -> None:
    shown: list[Any] = []
    report = demo.run_demo(tmp_path / "demo", ["git", "no-such-package", "tmux"], shown.append)
    models = json.loads(json.dumps(report))["trials"]["random"]["models"]
    assert models["item-knn"]["metrics"]["recall@20"]["mean"] > 0.6
    assert set(report["trials"]["random"]["models"]) == {
        "lightgcn", "popularity", "item-knn", "gf-cf", "mf", "content-knn", "walk", "pinsage"
    }  # fmt: skip
    assert set(report["trials"]["held-out-collections"]["models"]) == {"lightgcn", "popularity", "item-knn", "gf-cf"}
    open_folder(tmp_path / "demo", "artifact")
    assert read_artifact(tmp_path / "demo").metrics["test_openings"] == 1
    text = "\n".join(str(thing.title) if isinstance(thing, Table) else str(thing) for thing in shown)
    assert "30,627 collections, 13,839 items, 224,677 edges" in text
    assert "goes with git, tmux" in text
    neighbors = next(thing for thing in shown if isinstance(thing, Table) and "Most similar" in str(thing.title))
    assert [column.header for column in neighbors.columns] == ["item", "content-knn", "walk", "pinsage"]
    assert "left out: no-such-package" in text


def test_an_unknown_package_is_said_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="none of the 1 packages is in the data set; the first one is 'gti'"):
        demo.run_demo(tmp_path / "demo", ["gti"], lambda _: pytest.fail("work was done"))
    assert not (tmp_path / "demo").exists()


def test_a_folder_that_is_not_a_demo_is_refused_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ArtifactError, match="was not written by Pinfold"):
        demo.run_demo(tmp_path, [], lambda _: pytest.fail("work was done"))
    assert (tmp_path / "notes.txt").read_text() == "mine"
