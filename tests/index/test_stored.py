"""Indexes in an artifact: what is written is what answers, and what is damaged is said."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest

from pinfold.arrays import Embeddings, Floats, TopK, unit
from pinfold.artifacts import MANIFEST, writing
from pinfold.cli import main
from pinfold.data.dataset import save_dataset
from pinfold.data.synthetic import two_tastes
from pinfold.embedding.artifact import KIND, read_artifact
from pinfold.errors import ArtifactError, ConfigError
from pinfold.graph.csr import Csr
from pinfold.graph.interests import Interests, InterestsConfig
from pinfold.graph.learned import DenseSimilarity, Learned
from pinfold.index.config import IndexConfig
from pinfold.index.exact import ExactIndex
from pinfold.index.faiss_index import FaissIndex
from pinfold.index.recommender import recommender
from pinfold.index.stored import open_indexes, write_indexes
from pinfold.models.lightgcn import LightGCNConfig
from pinfold.pipeline import evaluate_artifact, train_run
from pinfold.run import DataConfig, RunConfig
from pinfold.training.config import TrainConfig

N, DIM = 1200, 8
EVERY = [("flat", 32), ("flat", 8), ("ivf", 32), ("ivf", 8), ("hnsw", 32), ("hnsw", 8)]


def vectors(n: int, seed: int) -> Floats:
    rng = np.random.default_rng(seed)
    centers = np.random.default_rng(0).standard_normal((20, DIM))
    found = centers[rng.integers(0, 20, n)] + 0.4 * rng.standard_normal((n, DIM))
    return (found * rng.lognormal(0, 0.3, (n, 1))).astype(np.float32)


PLAIN = Embeddings(vectors(500, 1), vectors(N, 2), vectors(N, 3))
UNITS = replace(PLAIN, items=unit(PLAIN.items))


def write(folder: Path, learned: Learned, config: IndexConfig) -> dict[str, Any] | None:
    with writing(folder, KIND) as writer:
        figures = write_indexes(writer, learned, config, 0)
        writer.json("other.json", {})
    return figures


def recall(found: TopK, truth: TopK) -> float:
    return float((found.ids[:, :, None] == truth.ids[:, None, :]).any(axis=1).mean())


@pytest.mark.parametrize(("kind", "bits"), EVERY)
@pytest.mark.parametrize("learned", [PLAIN, UNITS], ids=["lengths", "units"])
def test_what_was_written_answers(tmp_path: Path, learned: Embeddings, kind: Any, bits: Any) -> None:
    figures = write(tmp_path / "out", learned, IndexConfig(kind=kind, bits=bits))
    indexes = open_indexes(tmp_path / "out", learned)
    assert figures is not None
    assert indexes is not None
    assert (tmp_path / "out" / "index_alike.faiss").exists() == (learned is PLAIN)
    assert figures == json.loads((tmp_path / "out" / "index.json").read_text())
    seen = Csr(np.zeros(501, np.int64), np.empty(0, np.int32), np.empty(0, np.float32), N)
    ours, exact = recommender(learned, seen, indexes), recommender(learned, seen)
    rows = np.arange(300, dtype=np.int32)
    asked = {
        "users": (ours.recommend(rows, 10), exact.recommend(rows, 10)),
        "alike": (ours.similar(rows, 10), exact.similar(rows, 10)),
    }
    for name, (found, truth) in asked.items():
        assert figures[name]["recall@10"] == pytest.approx(recall(found, truth), abs=0.04)
        assert figures[name]["recall@10"] >= 0.93
        assert figures[name]["reached"] == (figures[name]["recall@10"] >= 0.95)
        hits = found.ids == truth.ids
        np.testing.assert_allclose(found.scores[hits], truth.scores[hits], rtol=1e-4, atol=1e-5)
        file = tmp_path / "out" / ("index_users.faiss" if learned is UNITS else f"index_{name}.faiss")
        assert figures[name]["bytes"] == file.stat().st_size


def test_small_catalogues_and_older_artifacts_have_exact_ones(tmp_path: Path) -> None:
    figures = write(tmp_path / "new", PLAIN, IndexConfig())
    assert figures is not None
    assert figures["kind"] == "exact"
    with writing(tmp_path / "old", KIND) as writer:
        writer.json("other.json", {})
    for name in ("new", "old"):
        indexes = open_indexes(tmp_path / name, PLAIN)
        assert indexes is not None
        assert isinstance(indexes.users, ExactIndex)
        assert isinstance(indexes.alike, ExactIndex)


def test_models_without_vectors_have_none(tmp_path: Path) -> None:
    learned = DenseSimilarity(np.eye(3, dtype=np.float32))
    assert write(tmp_path / "out", learned, IndexConfig()) is None
    assert open_indexes(tmp_path / "out", learned) is None


def test_interests_ask_by_their_medoids(tmp_path: Path) -> None:
    ptr, medoids = np.arange(101), np.arange(100, dtype=np.int32)
    learned = Interests(PLAIN.items, ptr, medoids, np.ones(100, np.float32), InterestsConfig(users="medoids"))
    figures = write(tmp_path / "out", learned, IndexConfig(kind="ivf"))
    assert figures is not None
    assert figures["users"]["queries"] == 50
    assert isinstance(open_indexes(tmp_path / "out", learned).users, FaissIndex)  # type: ignore[union-attr]


def test_a_recall_that_cannot_be_reached_is_said(tmp_path: Path) -> None:
    figures = write(tmp_path / "out", PLAIN, IndexConfig(kind="ivf", probes=1))
    assert figures is not None
    assert not figures["users"]["reached"]
    assert figures["users"]["effort"] == 1


def resealed(folder: Path) -> None:
    """The manifest as it would be if the files had been written like this."""
    manifest = json.loads((folder / MANIFEST).read_text())
    for name in manifest["files"]:
        content = (folder / name).read_bytes()
        manifest["files"][name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    (folder / MANIFEST).write_text(json.dumps(manifest))


def other_figures(folder: Path, **values: Any) -> None:
    figures = json.loads((folder / "index.json").read_text())
    (folder / "index.json").write_text(json.dumps(figures | values))


def replaced(name: str, content: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(content((folder / name).read_bytes()))


def of_others(folder: Path) -> None:
    index = faiss.IndexFlatIP(DIM)
    index.add(PLAIN.items[:7])
    faiss.write_index(index, str(folder / "index_users.faiss"))


DAMAGE: list[tuple[Callable[[Path], object], str]] = [
    (replaced("index_users.faiss", lambda all_: all_[: len(all_) // 2]), "index_users.faiss"),
    (replaced("index_users.faiss", lambda all_: all_[:3]), "index_users.faiss"),
    (replaced("index_users.faiss", lambda _: b""), "index_users.faiss"),
    (replaced("index_users.faiss", lambda all_: b"nope" + all_[4:]), "index_users.faiss"),
    (of_others, "index_users.faiss"),
    (lambda folder: other_figures(folder, kind="flat"), "index_users.faiss"),
    (lambda folder: other_figures(folder, kind="annoy"), "does not say what it is"),
    (lambda folder: other_figures(folder, options=3), "does not say what it is"),
    (lambda folder: other_figures(folder, users={"effort": 0}), "does not say what it is"),
    (lambda folder: other_figures(folder, users={"effort": True}), "does not say what it is"),
    (lambda folder: other_figures(folder, users={"effort": 1000}), "names lists"),
    (lambda folder: np.save(folder / "index_lists.npy", np.full(N, 10**6, np.int32)), "names lists"),
    (lambda folder: np.save(folder / "index_lists.npy", np.zeros(N - 1, np.int32)), "index_lists.npy"),
]


@pytest.mark.parametrize(("damage", "message"), DAMAGE)
def test_damage_is_said(tmp_path: Path, damage: Callable[[Path], object], message: str) -> None:
    """Even damage that the manifest agrees with: files of another version, or of other vectors."""
    write(tmp_path / "out", PLAIN, IndexConfig(kind="ivf", lists=20))
    damage(tmp_path / "out")
    with pytest.raises(ArtifactError):  # the manifest does not agree
        open_indexes(tmp_path / "out", PLAIN)
    resealed(tmp_path / "out")
    with pytest.raises(ArtifactError, match=message):
        open_indexes(tmp_path / "out", PLAIN)


def test_indexes_of_other_vectors_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "out", PLAIN, IndexConfig(kind="ivf", bits=32))
    fewer = replace(PLAIN, items=PLAIN.items[:-1], history=PLAIN.history[:-1])
    with pytest.raises(
        ArtifactError, match="no ivf index of 32 bits of 1199 vectors of 8 numbers, but an IndexIVFFlat of 1200 of 8"
    ):
        open_indexes(tmp_path / "out", fewer)


def test_damage_elsewhere_is_not_looked_for(tmp_path: Path) -> None:
    """Whoever has read the artifact has checked its other files, which may be large."""
    write(tmp_path / "out", PLAIN, IndexConfig(kind="ivf"))
    (tmp_path / "out" / "other.json").write_text("[]")
    assert open_indexes(tmp_path / "out", PLAIN) is not None


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LightGCN on the two-tastes world with an ivf of all lists."""
    folder = tmp_path_factory.mktemp("index")
    save_dataset(two_tastes(n_users=80, n_items=40, n_each=10), folder / "data")
    run = RunConfig(
        data=DataConfig(path=str(folder / "data")),
        model=LightGCNConfig(dim=8),
        train=TrainConfig(epochs=2),
        index=IndexConfig(kind="ivf"),
    )
    train_run(run, folder / "out")
    return folder / "out"


def command(words: list[str]) -> None:
    with pytest.raises(SystemExit) as done:
        main(words)
    assert done.value.code == 0


def refused(*_: object) -> None:
    raise ArtifactError("not today")


def test_training_writes_the_index_that_evaluation_uses(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures = json.loads((trained / "index.json").read_text())
    assert (figures["kind"], figures["items"]) == ("ivf", 40)
    assert 'kind = "ivf"' in (trained / "run.toml").read_text()
    verdict = evaluate_artifact(trained)
    assert next(iter(verdict.evaluations)) == "lightgcn"
    monkeypatch.setattr("pinfold.pipeline.open_indexes", refused)
    with pytest.raises(ArtifactError, match="not today"):
        evaluate_artifact(trained)


def test_training_says_where_an_index_finds_too_little(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run.toml"
    run.write_text((trained / "run.toml").read_text())
    options = ("index.kind=ivf", "index.lists=8", "index.probes=1", "index.recall=1")
    command(["train", str(run), str(tmp_path / "out"), *(word for one in options for word in ("--set", one))])
    assert "less than what was asked for" in " ".join(capsys.readouterr().out.split())


def test_the_command_makes_another_index_and_leaves_the_rest(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {file.name: file.read_bytes() for file in trained.iterdir() if not file.name.startswith("index")}
    command(["index", str(trained), "--kind", "hnsw", "--set", "neighbors=4", "--json"])
    figures = json.loads(capsys.readouterr().out)
    assert (figures["kind"], figures["options"]["neighbors"]) == ("hnsw", 4)
    assert not (trained / "index_lists.npy").exists()
    after = {file.name: file.read_bytes() for file in trained.iterdir() if not file.name.startswith("index")}
    before.pop(MANIFEST)
    after.pop(MANIFEST)
    assert before == after
    command(["similar", str(trained), "--item", "item0", "-k", "3", "--json"])
    assert len(json.loads(capsys.readouterr().out)) == 3
    command(["index", str(trained)])
    assert "ivf index of 40 items" in capsys.readouterr().out
    command(["index", str(trained), "--kind", "exact"])
    assert [file.name for file in trained.iterdir() if file.name.startswith("index")] == ["index.json"]
    learned = read_artifact(trained).learned
    assert isinstance(open_indexes(trained, learned).users, ExactIndex)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("words", "message"),
    [(["--kind", "annoy"], "--set: kind"), (["--set", "recal=1"], "did you mean 'recall'"),
     (["--set", "lists=0.5"], "lists"), (["--kind", "ivf", "--set", "lists=41"], "only 40 items"),
     (["--kind", "ivf", "--set", "lists=4", "--set", "probes=9"], "only 4 lists")],
)  # fmt: skip
def test_options_that_cannot_be_leave_the_artifact_as_it_is(
    trained: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    before = {file.name: file.read_bytes() for file in trained.iterdir()}
    with pytest.raises(SystemExit):
        main(["index", str(trained), *words])
    assert message in capsys.readouterr().err
    assert before == {file.name: file.read_bytes() for file in trained.iterdir()}


def test_more_candidates_than_there_are_items_are_all_of_them(tmp_path: Path) -> None:
    write(tmp_path / "out", PLAIN, IndexConfig(kind="hnsw", ef=5000))
    assert open_indexes(tmp_path / "out", PLAIN) is not None


def test_a_disk_that_is_full_is_an_artifact_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("write error: No space left on device")

    monkeypatch.setattr("pinfold.index.faiss_index.faiss.write_index", refuse)
    with pytest.raises(ArtifactError, match="No space left"):
        write(tmp_path / "out", PLAIN, IndexConfig(kind="flat"))
    assert list(tmp_path.iterdir()) == []


def test_options_from_python_are_checked_too(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="index: recall"):
        write(tmp_path / "out", PLAIN, IndexConfig(kind="ivf", recall=-1.0))
