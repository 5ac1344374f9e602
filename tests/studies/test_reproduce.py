"""A published result again: sources, both selections, what is kept, what is outside the band."""

import json
from collections.abc import Sequence
from dataclasses import replace
from hashlib import md5, sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pinfold.artifacts import is_folder
from pinfold.cli import main
from pinfold.config import read_run
from pinfold.data.splits import Part, Sealed
from pinfold.data.synthetic import two_tastes
from pinfold.errors import ArtifactError, ConfigError, DataError
from pinfold.evaluation.expected import ReproduceConfig
from pinfold.evaluation.intervals import Interval
from pinfold.fitting import fit
from pinfold.pipeline import evaluate_artifact, train_run
from pinfold.progress import Progress
from pinfold.run import RunConfig
from pinfold.studies import reproduce as study
from pinfold.studies.ladder_bench import has_study
from pinfold.studies.reproduce import reproduce
from pinfold.studies.results import Look, Reproduction, SeedResult, spread
from pinfold.studies.sources import SOURCES, Source, SourceFile, find_files, find_run, known_runs

ITEM_KNN = """
[data]
path = "to be replaced"
[split]
protocol = "files"
[model]
name = "item-knn"
[evaluation]
ks = [5]
n_resamples = 100
[reproduce]
data = "tiny"
source = "nobody"
published_recall = 0.5
expected_recall = [0.2, 1]
expected_ndcg = [0, 1]
seeds = [0, 1]
"""
LIGHTGCN = """
[train]
epochs = 6
learning_rate = 0.05
validate_every = 2
patience = 2
checkpoint_seconds = 0
"""


@pytest.fixture
def lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The two-tastes world as a public data set with known hashes, and the folder that holds its files."""
    folder = tmp_path / "files"
    folder.mkdir()
    events = two_tastes(n_users=80, n_items=40, n_each=10).interactions
    hidden = np.random.default_rng(0).random(len(events)) < 0.2
    parts = {}
    for part, mask in (("train", ~hidden), ("test", hidden)):
        mine = events.take(mask)
        rows = [f"{u} {' '.join(map(str, mine.items[mine.users == u]))}" for u in np.unique(mine.users)]
        path = folder / f"{part}.txt"
        path.write_text("\n".join(rows) + "\n")
        data = path.read_bytes()
        parts[part] = SourceFile(path.as_uri(), md5(data).hexdigest(), sha256(data).hexdigest())
    monkeypatch.setitem(SOURCES, "tiny", Source("tiny", "two tastes", parts["train"], parts["test"]))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder


@pytest.fixture
def run_file(tmp_path: Path) -> Path:
    path = tmp_path / "knn.toml"
    path.write_text(ITEM_KNN)
    return path


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    path = tmp_path / "trained.toml"
    path.write_text(ITEM_KNN.replace('name = "item-knn"', 'name = "lightgcn"\nn_layers = 2\ndim = 8') + LIGHTGCN)
    return path


def call(words: Sequence[object]) -> int:
    """The exit code of a command."""
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    return int(ended.value.code or 0)


def test_a_computed_model_has_one_figure_and_it_is_that_of_train_and_evaluate(
    lists: Path, run_file: Path, tmp_path: Path
) -> None:
    done = reproduce(str(run_file), tmp_path / "out", data=lists, seeds=[3])
    assert not done.trained
    (result,) = done.results
    assert result.looks == (result.selected,)
    assert result.validation_score is not None
    assert result.validation_score > 0.2  # 5 of some 33 by chance
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["selected_on_test_as_the_papers_did"] is None
    assert report["misses"] == []
    assert report["published"] == {"recall": 0.5, "ndcg": None, "source": "nobody"}
    assert report["selected_on_validation"]["recall"]["mean"] == result.selected.recall.mean
    assert report["peak_memory_bytes"] > 0
    assert _by_hand(run_file, tmp_path, seed=3) == (result.selected.recall, result.selected.ndcg)


def test_validation_selects_one_look_and_the_test_part_another(lists: Path, trained: Path, tmp_path: Path) -> None:
    done = reproduce(str(trained), tmp_path / "out", data=lists, seeds=[0])
    (result,) = done.results
    assert result.selected in result.looks
    assert [look.epoch for look in result.looks] == sorted({look.epoch for look in result.looks})
    assert all(look.epoch % 2 == 0 for look in result.looks)
    assert result.best.recall.mean == max(look.recall.mean for look in result.looks)
    assert done.best("recall").mean >= done.selected("recall").mean
    # the honest figure is the one that train with refit, then evaluate, give
    assert _by_hand(trained, tmp_path, seed=0) == (result.selected.recall, result.selected.ndcg)
    seconds = [look.seconds for look in result.looks]
    assert seconds == sorted(seconds)
    assert not list((tmp_path / "out").glob("*checkpoint"))


MEMBERS = """name = "blend"
weights = [1, 0.5]
[[model.members]]
name = "item-knn"
[[model.members]]
name = "lightgcn"
n_layers = 2
dim = 8
"""


@pytest.fixture
def blended(tmp_path: Path) -> Path:
    path = tmp_path / "blended.toml"
    path.write_text(ITEM_KNN.replace('name = "item-knn"', MEMBERS) + LIGHTGCN)
    return path


def test_a_blend_has_one_figure_and_it_is_that_of_train_with_refit_and_evaluate(
    lists: Path, blended: Path, tmp_path: Path
) -> None:
    """Its members select and refit; of the blend itself there is nothing to select."""
    done = reproduce(str(blended), tmp_path / "out", data=lists, seeds=[2])
    assert not done.trained
    (result,) = done.results
    assert result.looks == (result.selected,)
    assert result.selected.recall.mean > 0.2  # 5 of some 33 by chance
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["selected_on_test_as_the_papers_did"] is None
    assert report["selected_on_validation"]["recall"]["mean"] == result.selected.recall.mean
    assert _by_hand(blended, tmp_path, seed=2) == (result.selected.recall, result.selected.ndcg)
    assert not list((tmp_path / "out").glob("*checkpoint"))


def _by_hand(run_file: Path, tmp_path: Path, seed: int) -> tuple[Interval, Interval]:
    """Recall and NDCG as `pinfold train` with refit, then `pinfold evaluate`, give them."""
    run = read_run(run_file, RunConfig)
    data = replace(run.data, path=str(tmp_path / "out" / "train"), test=str(tmp_path / "out" / "test"))
    run = replace(run, seed=seed, data=data, train=replace(run.train, refit=True))
    artifact = train_run(run, tmp_path / "artifact")
    assert "reproduce" not in artifact.run
    intervals = evaluate_artifact(tmp_path / "artifact").evaluations[run.model.name].intervals
    return intervals["recall@5"], intervals["ndcg@5"]


@pytest.mark.parametrize("which", ["run_file", "blended"])
def test_the_test_part_is_opened_after_selection(
    lists: Path, which: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_file = request.getfixturevalue(which)
    order: list[str] = []
    unseal = Sealed.unseal

    def select(*words: Any, **named: Any) -> Any:
        order.append("select")
        return fit(*words, **named)

    def opened(sealed: Sealed) -> Part:
        order.append("open")
        return unseal(sealed)

    monkeypatch.setattr(study, "fit", select)
    monkeypatch.setattr(Sealed, "unseal", opened)
    reproduce(str(run_file), tmp_path / "out", data=lists)
    assert order == ["select", "open"] * 2


def test_started_again_finished_seeds_are_not_repeated(
    lists: Path, run_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = reproduce(str(run_file), tmp_path / "out", data=lists)
    ran: list[int] = []
    run_seed = study._run_seed

    def counted(task: study.Task, seed: int, progress: Progress) -> SeedResult:
        ran.append(seed)
        return run_seed(task, seed, progress)

    monkeypatch.setattr(study, "_run_seed", counted)
    more = reproduce(str(run_file), tmp_path / "out", data=lists, seeds=[0, 1, 2])
    assert ran == [2]
    assert more.results[:2] == first.results
    # a band may be set afterwards, an option may not
    run_file.write_text(ITEM_KNN.replace("[0.2, 1]", "[0.999, 1]"))
    assert "recall@5" in reproduce(str(run_file), tmp_path / "out", data=lists).misses()[0]
    run_file.write_text(ITEM_KNN.replace('"item-knn"', '"popularity"'))
    with pytest.raises(ConfigError, match="holds another study"):
        reproduce(str(run_file), tmp_path / "out", data=lists)
    (tmp_path / "out" / "seed-1.json").write_text("{}")
    run_file.write_text(ITEM_KNN)
    with pytest.raises(ArtifactError, match=r"seed-1\.json: is damaged"):
        reproduce(str(run_file), tmp_path / "out", data=lists)


def test_killed_in_the_second_training_it_goes_on(
    lists: Path, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = reproduce(str(trained), tmp_path / "whole", data=lists, seeds=[0])
    numbers, calls = study._numbers, []

    def killed(*words: object) -> dict[str, float]:
        calls.append(words)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return numbers(*words)  # type: ignore[arg-type]

    monkeypatch.setattr(study, "_numbers", killed)
    with pytest.raises(KeyboardInterrupt):
        reproduce(str(trained), tmp_path / "out", data=lists, seeds=[0])
    assert is_folder(tmp_path / "out" / "seed-0.refit-checkpoint")
    again = reproduce(str(trained), tmp_path / "out", data=lists, seeds=[0])
    n_looks = len(whole.results[0].looks)
    assert len(calls) == 1 + n_looks  # the first look is in the checkpoint; the second was begun twice
    for one, other in zip(again.results[0].looks, whole.results[0].looks, strict=True):
        assert (one.epoch, one.recall, one.ndcg) == (other.epoch, other.recall, other.ndcg)


def test_files_are_fetched_once_and_checked(lists: Path, tmp_path: Path) -> None:
    found = find_files(SOURCES["tiny"], None)
    assert found["train"].read_bytes() == (lists / "train.txt").read_bytes()
    (lists / "train.txt").unlink()
    assert find_files(SOURCES["tiny"], None) == found  # from the cache
    found["train"].write_text("0 1\n")
    with pytest.raises(DataError, match="remove it to have it fetched anew"):
        find_files(SOURCES["tiny"], None)
    found["train"].unlink()
    with pytest.raises(DataError, match="cannot be fetched") as caught:
        find_files(SOURCES["tiny"], None)
    for part in (SOURCES["tiny"].train.url, SOURCES["tiny"].train.sha256, "--data"):
        assert part in str(caught.value)
    assert [path.name for path in found["train"].parent.iterdir()] == ["test.txt"]  # nothing half written stays


def test_other_files_are_refused_with_both_hashes(lists: Path, run_file: Path, tmp_path: Path) -> None:
    (lists / "test.txt").write_text("0 1\n")
    with pytest.raises(DataError) as caught:
        reproduce(str(run_file), tmp_path / "out", data=lists)
    assert sha256(b"0 1\n").hexdigest() in str(caught.value)
    assert SOURCES["tiny"].test.sha256 in str(caught.value)
    (lists / "test.txt.gz").write_bytes(b"no gzip")
    (lists / "test.txt").unlink()
    with pytest.raises(DataError, match=r"test\.txt\.gz: cannot be read"):
        find_files(SOURCES["tiny"], lists)
    with pytest.raises(DataError, match=r"neither train\.txt nor train\.txt\.gz"):
        find_files(SOURCES["tiny"], tmp_path)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('data = "tiny"', 'data = "tinny"', "unknown data set 'tinny'; did you mean 'tiny'"),
        ('"files"', '"none"', "no test part"),
        ('"files"', '"random"', r"set split\.protocol to 'files'"),
        ("[reproduce]", "[reproduces]", r"reproduces: unknown option; did you mean 'reproduce'"),
        ("seeds", "sedes", r"reproduce\.sedes: unknown option; did you mean 'seeds'"),
    ],
)
def test_run_files_that_cannot_be_reproduced(
    lists: Path, run_file: Path, tmp_path: Path, old: str, new: str, message: str
) -> None:
    run_file.write_text(ITEM_KNN.replace(old, new))
    with pytest.raises(ConfigError, match=message):
        reproduce(str(run_file), tmp_path / "out", data=lists)
    assert not (tmp_path / "out").exists()


def test_runs_by_name() -> None:
    known = known_runs()
    assert "gf-cf-gowalla" in known
    for name, path in known.items():
        assert find_run(name) == path
        if not has_study(path):
            study.read_reproduction(path)
    with pytest.raises(ConfigError, match="did you mean 'gf-cf-gowalla'") as caught:
        find_run("gf-cf-gowala")
    assert all(name in str(caught.value) for name in known)


def test_a_folder_of_somebody_else_is_left_alone(lists: Path, run_file: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    with pytest.raises(ArtifactError, match="was not made by `pinfold reproduce`"):
        reproduce(str(run_file), tmp_path / "out", data=lists)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["notes.txt"]


def test_the_command(
    lists: Path, run_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    words = ["reproduce", run_file, "--out", tmp_path / "out", "--data", lists]
    assert call(words) == 0
    shown = capsys.readouterr().out
    assert all(word in shown for word in ("published: nobody", ".5000", "selected on validation", "recall@5", "MiB"))
    assert "as the papers did" not in shown  # there were no epochs to select from
    assert call([*words, "--json", "--seeds", 1]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads((tmp_path / "out" / "report.json").read_text())
    run_file.write_text(ITEM_KNN.replace("expected_ndcg = [0, 1]", "expected_ndcg = [0.99, 1]"))
    assert call(words) == 1
    assert "ndcg@5" in (said := capsys.readouterr().err)
    assert "outside the expected 0.9900 to 1.0000" in said
    assert call([*words, "--seeds", "1,x"]) == 1
    assert "--seeds 1,x: expected whole numbers" in capsys.readouterr().err


def test_spread_over_seeds() -> None:
    of_three = spread([0.18, 0.19, 0.20])
    assert of_three.mean == pytest.approx(0.19)
    assert of_three.deviation == pytest.approx(0.01)
    # t(2, .975) = 4.30265
    assert (of_three.low, of_three.high) == pytest.approx((0.19 - 0.0248414, 0.19 + 0.0248414), abs=1e-6)
    assert spread([0.5]).low is None


def test_seconds_to_a_recall_and_the_best_look() -> None:
    curve = [(1, 10.0, 0.10, 0.3), (2, 20.0, 0.19, 0.2), (3, 30.0, 0.18, 0.1)]
    looks = tuple(Look(e, s, Interval(r, r, r), Interval(n, n, n), 0.1) for e, s, r, n in curve)
    result = SeedResult(0, 0.2, looks[2], looks, 40.0, 1)
    assert result.seconds_to(0.18) == 20.0
    assert result.seconds_to(0.2) is None
    assert result.best.epoch == 2
    done = Reproduction("x", ReproduceConfig(expected_recall=(0.18, 0.19), pass_recall=0.18), "", 20, (result,))
    assert done.misses() == []  # a figure on the edge is inside
    assert done.best("ndcg").mean == 0.2  # of the look with the best recall
    assert done.to_json()["seconds_to_pass_recall"] == [20.0]
