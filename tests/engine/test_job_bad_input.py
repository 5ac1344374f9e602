"""What the embed job is given and cannot be: errors before any work, which say what to do."""

import os
from dataclasses import replace
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.engine.conftest import SMALL, Known
from tests.engine.test_job import PLAIN, convolved, trained

from pinfold.cli import main
from pinfold.data.dataset import save_dataset
from pinfold.data.tables import Table
from pinfold.embedding.artifact import read_artifact
from pinfold.engine import embed as room
from pinfold.engine.embed import EmbedConfig, split_memory
from pinfold.errors import ArtifactError, ConfigError, DataError
from pinfold.features.config import FeaturesConfig, VectorColumn
from pinfold.models.lightgcn import LightGCNConfig
from pinfold.pipeline import embed_artifact
from pinfold.sampling.informativeness import InformativenessConfig


@pytest.fixture(scope="module")
def model(known: Known, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("trained"), known.dataset)


def test_folders_of_other_kinds(model: Path, tmp_path: Path) -> None:
    data = model.parent / "data"
    with pytest.raises(ArtifactError, match="expected a artifact, found a dataset"):
        embed_artifact(data, data, tmp_path / "all", PLAIN)
    with pytest.raises(ArtifactError, match="expected a dataset, found a artifact"):
        embed_artifact(model, model, tmp_path / "all", PLAIN)
    with pytest.raises(ArtifactError, match="exists already"):
        embed_artifact(model, data, model, PLAIN)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (LightGCNConfig(dim=4), "only PinSage has layers .* pinfold train RUN.toml OUT --set data.path=DATA"),
        (replace(SMALL, ids=4), "trained with model.ids = 4, .* train with model.ids = 0"),
    ],
    ids=["lightgcn", "ids"],
)
def test_models_that_know_their_items_only(known: Known, tmp_path: Path, config: Any, message: str) -> None:
    model = trained(tmp_path, known.dataset, model=config)
    with pytest.raises(ConfigError, match=message):
        embed_artifact(model, tmp_path / "data", tmp_path / "all", PLAIN)
    assert not (tmp_path / ".all.work").exists()


def test_walks_that_drew_edges_by_what_is_not_kept(known: Known, tmp_path: Path) -> None:
    walks = replace(SMALL.neighborhood, weighted=True)
    config = replace(SMALL, neighborhood=walks, edges=InformativenessConfig(activity=-0.5))
    model = trained(tmp_path, known.dataset, model=config)
    with pytest.raises(ConfigError, match=r"model\.edges made the walks"):
        embed_artifact(model, tmp_path / "data", tmp_path / "all", PLAIN)


@pytest.mark.parametrize(("side", "column"), [("item_table", "title"), ("user_table", "town")])
def test_data_without_a_column(model: Path, known: Known, tmp_path: Path, side: Any, column: str) -> None:
    table = getattr(known.dataset, side)
    lacking = Table({name: values for name, values in table.columns.items() if name != column}, table.n_rows)
    changed: dict[str, Any] = {side: lacking}
    save_dataset(replace(known.dataset, **changed), tmp_path / "data")
    with pytest.raises(DataError, match=f"have no column '{column}'.*import it with --{side[:4]}-table"):
        embed_artifact(model, tmp_path / "data", tmp_path / "all", PLAIN)
    assert not (tmp_path / ".all.work").exists()


def test_vectors_in_files(known: Known, tmp_path: Path) -> None:
    """Another data set has another file with the rows of its items."""
    rng = np.random.default_rng(0)
    n = len(known.dataset.items)
    np.save(tmp_path / "first.npy", rng.standard_normal((n, 5)).astype(np.float32))
    np.save(tmp_path / "second.npy", rng.standard_normal((n, 5)).astype(np.float32))
    np.save(tmp_path / "short.npy", np.zeros((n - 1, 5), np.float32))
    column = VectorColumn(path=str(tmp_path / "first.npy"), normalize=False)
    model = trained(tmp_path, known.dataset, features=FeaturesConfig(items={"look": column}, dim=4))

    def embedded(out: str, **vectors: str) -> Any:
        named = {name: str(tmp_path / path) for name, path in vectors.items()}
        embed_artifact(model, tmp_path / "data", tmp_path / out, EmbedConfig(vectors=named))
        return read_artifact(tmp_path / out)

    same, other = embedded("same"), embedded("other", look="second.npy")
    assert not np.allclose(convolved(same).inputs[0], convolved(other).inputs[0])
    assert 'second.npy"' in other.run
    with pytest.raises(DataError, match=r"short\.npy: expected numbers of shape .* --vectors look=FILE\.npy"):
        embedded("short", look="short.npy")
    with pytest.raises(ConfigError, match=r"--vectors face: .* \(known: look\)"):
        embedded("no", face="second.npy")
    with pytest.raises(DataError, match=r"none\.npy: no such file"):
        embedded("none", look="none.npy")


def test_memory_is_split_among_workers() -> None:
    assert split_memory(EmbedConfig(memory="2GB", workers=2)) == (2 * 10**9 - room.BASE) // 2
    with pytest.raises(ConfigError, match="--memory 700MB: too little for 2 workers; at least 728MB"):
        split_memory(EmbedConfig(memory="700MB", workers=2))
    assert split_memory(EmbedConfig(memory="728MB", workers=2)) == room.LEAST
    with pytest.raises(ConfigError, match="--memory: '8 Gigs' is not a size"):
        split_memory(EmbedConfig(memory="8 Gigs"))


def test_work_folders_of_others(model: Path, tmp_path: Path) -> None:
    data, work = model.parent / "data", tmp_path / "work"
    work.mkdir()
    (work / "letters.txt").write_text("dear")
    asked = EmbedConfig(work=str(work))
    with pytest.raises(ConfigError, match="no embed job wrote"):
        embed_artifact(model, data, tmp_path / "all", asked)
    assert (work / "letters.txt").read_text() == "dear"


def test_two_at_once(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = model.parent / "data"

    def second(*_: object, **__: object) -> None:
        embed_artifact(model, data, tmp_path / "all", PLAIN)

    monkeypatch.setattr(room, "go", second)
    with pytest.raises(ConfigError, match="another process works on this job"):
        embed_artifact(model, data, tmp_path / "all", PLAIN)
    monkeypatch.undo()
    embed_artifact(model, data, tmp_path / "all", PLAIN)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--address", "h:1"], "--address goes with --engine ray"),
        (["--engine", "spark"], "embed: engine"),
        (["--workers", "0"], "embed: workers"),
        (["--memory", "1MB"], "too little for 1 workers"),
        (["--vectors", "look"], "--vectors look: expected NAME=FILE.npy"),
        (["--set", "train.epochs=3"], "embed takes options of [index] only"),
        (["--set", "index.recal=1"], "did you mean 'recall'?"),
    ],
)
def test_wrong_words(model: Path, tmp_path: Path, capsys: Any, words: list[str], message: str) -> None:
    with pytest.raises(SystemExit) as end:
        main(["embed", str(model), str(model.parent / "data"), "--out", str(tmp_path / "all"), *words])
    assert end.value.code == 1
    assert message in capsys.readouterr().err.replace("\n", " ")
    assert not (tmp_path / "all").exists()


def test_ray_that_is_not_there(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("pinfold.engine.ray_cluster.version", missing)
    with pytest.raises(ConfigError, match=r"pip install 'pinfold\[ray\]'"):
        embed_artifact(model, model.parent / "data", tmp_path / "all", EmbedConfig(engine="ray"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_place_that_may_not_be_written(model: Path, tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    with pytest.raises(ArtifactError, match="cannot be used as the work folder"):
        embed_artifact(model, model.parent / "data", tmp_path / "all", PLAIN)
