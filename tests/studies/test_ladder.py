"""A study of variants on the two-tastes world: tables, what is kept, what is expected, what is refused."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pinfold.cli import main
from pinfold.data.dataset import save_dataset
from pinfold.data.splits import Part, Sealed
from pinfold.data.synthetic import two_tastes
from pinfold.errors import ArtifactError, ConfigError
from pinfold.evaluation.cold import ColdConfig, cold_last, split_cold
from pinfold.evaluation.evaluate import evaluate
from pinfold.fitting import fit
from pinfold.studies.ladder import run_study
from pinfold.studies.ladder_bench import read_study, resolve
from pinfold.studies.ladder_results import Outcome
from pinfold.studies.sources import find_run
from pinfold.terminal import OUT

STUDY = """
[data]
path = "to be replaced"
[model]
name = "pinsage"
dim = 8
hidden = 8
layers = 1
[model.neighborhood]
size = 5
steps = 50
[model.negatives]
batch_size = 64
n_negatives = 10
[train]
epochs = 2
validate_every = 1
patience = 1
checkpoint_seconds = 0
refit = true
[evaluation]
ks = [5]
n_resamples = 100
[study]
seeds = [0, 1]
[study.pairs]
ks = [5, 10]
n_resamples = 100
[study.groups."table 1".variants]
popularity = {model = {name = "popularity"}}
walk = {model = {name = "walk", size = 40}}
pinsage = {}
"content: title" = {model = {name = "content-knn"}, "features.items" = {title = {kind = "text", dim = 2}}}
[study.groups."table 4"]
seeds = 1
variants = {"T = 2" = {"model.neighborhood.size" = 2}, "T = 5" = {"model.neighborhood.size" = 5}}
[study.blend]
members = ["walk", "pinsage"]
logs = ["walk"]
seeds = 1
[study.cold]
variants = ["popularity", "pinsage"]
ceilings = ["walk"]
seeds = 1
[study.cold.items]
share = 0.2
ks = [4]
[[study.expect]]
variant = "walk"
metric = "hit@5"
least = 0.05
most = 1
[[study.expect]]
variant = "walk"
against = "popularity"
metric = "user recall@5"
least = 1.1
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("world") / "data"
    save_dataset(two_tastes(n_users=150), path)
    return path


@pytest.fixture
def study(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(STUDY)
    return path


@pytest.fixture(scope="module")
def done(world: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, list[Outcome]]:
    """The whole study, once for all tests: the run file, the folder of results, the tables as they were shown."""
    folder = tmp_path_factory.mktemp("study")
    path, shown = folder / "tiny.toml", list[Outcome]()
    path.write_text(STUDY)
    run_study(path, folder / "out", data=world, shown=shown.append)
    return path, folder / "out", shown


def call(words: Sequence[object]) -> int:
    """The exit code of a command."""
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    return int(ended.value.code or 0)


def rows(outcome: Outcome) -> list[tuple[str, list[int]]]:
    return [(name, [figures.seed for figures in results]) for name, results in outcome.rows]


def test_tables_rows_and_seeds(done: tuple[Path, Path, list[Outcome]]) -> None:
    tables = {outcome.group: rows(outcome) for outcome in done[2]}
    assert list(tables) == ["table 1", "table 4", "blend", "cold"]
    assert tables["table 1"] == [(name, [0, 1]) for name in ("popularity", "walk", "pinsage", "content: title")]
    assert tables["table 4"] == [("T = 2", [0]), ("T = 5", [0])]
    assert tables["blend"] == [("walk", [0]), ("pinsage", [0]), ("walk + pinsage", [0])]
    names = ["popularity", "pinsage", "popularity + first users", "pinsage + first users", "walk, not cold"]
    assert tables["cold"] == [(name, [0]) for name in names]


def test_figures_say_what_they_should(done: tuple[Path, Path, list[Outcome]]) -> None:
    table, small, blend, cold = done[2]
    first = {name: results[0] for name, results in table.rows}
    assert set(first["pinsage"].metrics) == {"hit@5", "hit@10", "mrr", "mrr_scaled", "user recall@5", "user ndcg@5"}
    assert set(first["pinsage"].numbers) >= {
        "coverage@5",
        "lift@5",
        "kurtosis",
        "epoch",
        "seconds",
        "seconds to select",
    }
    assert first["pinsage"].numbers["epoch"] in (1, 2)
    assert "kurtosis" not in first["walk"].numbers  # it has no vectors
    assert "epoch" not in first["walk"].numbers
    assert first["walk"].metrics["hit@5"].mean > first["popularity"].metrics["hit@5"].mean
    assert dict(small.rows)["T = 5"][0].metrics == first["pinsage"].metrics  # the same options
    both = dict(blend.rows)["walk + pinsage"][0]
    assert {"weight of walk", "weight of pinsage", "coverage@5"} <= set(both.numbers)
    assert dict(blend.rows)["walk"][0].metrics == first["walk"].metrics
    found = {name: results[0] for name, results in cold.rows}
    assert found["popularity"].metrics["user recall@4"].mean == pytest.approx(0.5, abs=0.15)  # 4 of at most 8
    assert found["walk, not cold"].metrics["hit@4"].mean > found["popularity"].metrics["hit@4"].mean
    assert all(figures.numbers["cold items"] == 8 for figures in found.values())


def test_report_and_json(done: tuple[Path, Path, list[Outcome]]) -> None:
    report = json.loads((done[1] / "report.json").read_text())
    assert report["misses"] == []
    values = done[2][0].values("pinsage", "hit@5")
    assert report["tables"]["table 1"]["pinsage"]["hit@5"]["mean"] == pytest.approx(np.mean(values))
    assert report["tables"]["table 1"]["pinsage"]["hit@5"]["n"] == 2
    text = (done[1] / "report.md").read_text()
    assert all(f"## {outcome.group}\n" in text for outcome in done[2])
    assert "| walk + pinsage |" in text
    assert "All expected figures" in text
    for block in text.split("\n\n"):
        lengths = {line.replace("\\|", "").count("|") for line in block.splitlines() if line.startswith("|")}
        assert len(lengths) <= 1  # every row as many cells


def test_nothing_is_learned_twice(
    done: tuple[Path, Path, list[Outcome]], world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("learned again")

    for room in ("ladder_warm", "ladder_cold"):
        monkeypatch.setattr(f"pinfold.studies.{room}.fit", never)
    again: list[Outcome] = []
    run_study(done[0], done[1], data=world, shown=again.append)
    assert again == done[2]
    assert not list(done[1].glob("*checkpoint"))
    run_study(done[0], done[1], data=world, seeds=[1], only=["table 1"])
    assert list(json.loads((done[1] / "report.json").read_text())["tables"]) == ["table 1"]
    run_study(done[0], done[1], data=world)


def test_killed_and_called_again_gives_the_same(
    done: tuple[Path, Path, list[Outcome]], study: Path, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = list[int]()

    def dies(*words: Any, **options: Any) -> Any:
        calls.append(0)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return evaluate(*words, **options)

    monkeypatch.setattr("pinfold.studies.ladder_warm.evaluate", dies)
    options: dict[str, Any] = {"data": world, "only": ["table 4"]}
    with pytest.raises(KeyboardInterrupt):
        run_study(study, tmp_path / "out", **options)
    assert len(list((tmp_path / "out").glob("figures-*.json"))) == 1
    outcomes: list[Outcome] = []
    run_study(study, tmp_path / "out", **options, shown=outcomes.append)
    assert len(calls) == 3
    for (name, results), (other, expected) in zip(outcomes[0].rows, done[2][1].rows, strict=True):
        assert (name, results[0].metrics) == (other, expected[0].metrics)


def test_a_changed_option_is_run_and_the_others_are_not(
    done: tuple[Path, Path, list[Outcome]], world: Path, tmp_path: Path
) -> None:
    before = {path: path.stat().st_mtime_ns for path in done[1].glob("figures-*.json")}
    path = tmp_path / "tiny.toml"
    path.write_text(STUDY.replace('"model.neighborhood.size" = 2', '"model.neighborhood.size" = 3'))
    run_study(path, done[1], data=world, only=["table 4"])
    after = {path: path.stat().st_mtime_ns for path in done[1].glob("figures-*.json")}
    assert len(after) == len(before) + 1
    assert before.items() <= after.items()


def test_the_command(
    done: tuple[Path, Path, list[Outcome]], world: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(OUT, "width", 200)
    words = ["reproduce", done[0], "--data", world, "--out", done[1]]
    assert call([*words, "--only", "table 4"]) == 0
    shown = capsys.readouterr().out
    assert all(word in shown for word in ("table 4", "T = 2", "hit@5", "report.json"))
    assert "cold" not in shown
    assert call([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads((done[1] / "report.json").read_text())
    assert call([*words, "--only", "table 5"]) == 1
    assert "did you mean 'table 4'" in capsys.readouterr().err.replace("\n", " ")


def test_what_is_not_as_expected(
    done: tuple[Path, Path, list[Outcome]], world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "tiny.toml"
    path.write_text(STUDY.replace("most = 1\n", "most = 0.06\n").replace("least = 1.1\n", "least = 100\n"))
    words = ["reproduce", path, "--data", world, "--out", done[1]]
    assert call([*words, "--only", "table 1"]) == 1
    said = capsys.readouterr().err
    assert "hit@5 of 'walk' is" in said
    assert "at most 0.06" in said
    assert "divided by that of 'popularity'" in said
    assert call([*words, "--only", "table 4"]) == 0  # what was not run is not missed
    path.write_text(STUDY)
    assert call([*words, "--only", "table 1"]) == 0


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"model.neighborhood.size" = 2', '"model.neighborhood.siz" = 2', r"'table 4', variant 'T = 2'.*did you mean"),
        ('"model.neighborhood.size" = 2', '"split.test_share" = 0.1', "only options of model, features, train"),
        ('"model.neighborhood.size" = 2', '"model.neighborhood.size" = 0', "greater than or equal to 1"),
        ('["walk", "pinsage"]', '["wlak", "pinsage"]', "no variant 'wlak'; did you mean 'walk'"),
        ('variant = "walk"', 'variant = "wal"', "no variant 'wal'"),
        ('"T = 5"', '"pinsage"', None),
        ('"T = 2"', '"pinsage"', "another variant of this name has other options"),
        ('[study.groups."table 1".variants]', '[study.groups."cold".variants]', "is a name of Pinfold's"),
        ('logs = ["walk"]', 'logs = ["popularity"]', "not members of the blend: popularity"),
        ("seeds = [0, 1]", "seeds = [0, 0]", "expected different whole numbers"),
        ("[study]", '[split]\nprotocol = "none"\n[study]', "has no test part"),
    ],
)
def test_studies_that_cannot_be(
    study: Path, world: Path, tmp_path: Path, old: str, new: str, message: str | None
) -> None:
    study.write_text(STUDY.replace(old, new, 1))
    if message is None:  # the same options under the same name twice
        read_study(study)
        return
    with pytest.raises(ConfigError, match=message):
        run_study(study, tmp_path / "out", data=world)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["pinsage-debian", "pinsage-retail", "pinsage-citeulike"])
def test_studies_that_come_with_pinfold(name: str) -> None:
    path = find_run(name)
    run, config = read_study(path)
    variants = resolve(run, config, path)
    assert {"popularity", "content-knn", "item-knn", "walk", "lightgcn", "pinsage"} <= variants.keys()
    assert variants["pinsage"] == run
    longer = variants.pop("pinsage, longer").train
    assert (longer.epochs, longer.learning_rate) == (2 * run.train.epochs, run.train.learning_rate)
    assert {
        (one.train.epochs, one.train.learning_rate) for one in variants.values() if one.model.name == "pinsage"
    } == {(run.train.epochs, run.train.learning_rate)}


def test_other_data_and_other_folders_are_refused(
    done: tuple[Path, Path, list[Outcome]], tmp_path: Path, world: Path
) -> None:
    save_dataset(two_tastes(n_users=40), tmp_path / "other")
    with pytest.raises(ConfigError, match="holds another study"):
        run_study(done[0], done[1], data=tmp_path / "other")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").write_text("mine")
    with pytest.raises(ArtifactError, match="was not made by"):
        run_study(done[0], tmp_path / "notes", data=world)
    with pytest.raises(ConfigError, match="different whole numbers"):
        run_study(done[0], done[1], data=world, seeds=[])


def test_a_damaged_result_is_named(done: tuple[Path, Path, list[Outcome]], world: Path) -> None:
    path = sorted(done[1].glob("figures-*.json"))[0]
    text = path.read_text()
    path.write_text(text[:-20])
    try:
        with pytest.raises(ArtifactError, match="is damaged; remove it"):
            run_study(done[0], done[1], data=world)
    finally:
        path.write_text(text)


def test_a_blend_without_refit(study: Path, world: Path, tmp_path: Path) -> None:
    study.write_text(STUDY.replace("refit = true", "refit = false"))
    outcomes: list[Outcome] = []
    run_study(study, tmp_path / "out", data=world, seeds=[0], only=["blend"], shown=outcomes.append)
    assert [name for name, _ in rows(outcomes[0])] == ["walk", "pinsage", "walk + pinsage"]
    for folder in (tmp_path / "out").glob("learned-*"):
        assert not list(folder.glob("selected_*"))


def test_selection_does_not_see_the_test_part(study: Path, world: Path, tmp_path: Path) -> None:
    """Epochs are chosen before it is opened: at the first opening, everything of that variant has been learned."""
    opened: list[int] = []
    learned: list[int] = []
    real_open = Sealed.unseal

    def opens(sealed: Sealed) -> Part:
        opened.append(len(learned))
        return real_open(sealed)

    def fits(*words: Any, **options: Any) -> Any:
        learned.append(len(opened))
        return fit(*words, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Sealed, "unseal", opens)
        patch.setattr("pinfold.studies.ladder_warm.fit", fits)
        study.write_text(STUDY.replace("refit = true", "refit = false"))
        run_study(study, tmp_path / "out", data=world, seeds=[0], only=["table 4"])
    assert opened == [1, 2]
    assert learned == [0, 1]


def test_cold_items_are_numbered_last() -> None:
    split = split_cold(two_tastes(n_users=150).interactions, ColdConfig(share=0.2), 0)
    moved, order = cold_last(split)
    assert moved.items.tolist() == list(range(32, 40))
    assert sorted(order.tolist()) == list(range(40))
    for old, new in ((split.warm, moved.warm), (split.shown, moved.shown), (split.asked, moved.asked)):
        np.testing.assert_array_equal(order[new.items], old.items)
        np.testing.assert_array_equal(new.users, old.users)
    assert moved.warm.items.max() < 32
