"""The comparison: budget, refusals, tests over all pairs, and that a process of its own changes no number."""

import io
import json
import os
import signal
import sys
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from rich.console import Console

from pinfold.cli import main
from pinfold.data.dataset import Dataset, save_dataset
from pinfold.data.splits import split_events
from pinfold.data.synthetic import two_tastes
from pinfold.data.tables import Table
from pinfold.errors import ConfigError, DataError, TrainingError
from pinfold.evaluation.intervals import holm, paired_test
from pinfold.features.config import FeaturesConfig
from pinfold.features.content import load_content
from pinfold.graph.bipartite import BipartiteGraph
from pinfold.graph.learned import Blend, Learned
from pinfold.models.interface import Context
from pinfold.models.lightgcn import LightGCNConfig
from pinfold.models.pinsage import PinSageConfig
from pinfold.models.popularity import PopularityConfig
from pinfold.models.shelf import BlendConfig, ComputedConfig, ModelConfig, build, compute, member_weights
from pinfold.progress import SILENT, Progress, Silent
from pinfold.run import RunConfig, load_data
from pinfold.studies import compare as study
from pinfold.studies import trial as trials
from pinfold.studies.abilities import ABILITIES, abilities
from pinfold.studies.compare import (
    GRACE,
    MODELS,
    OF_CONTENT,
    CompareConfig,
    activity_groups,
    chosen_models,
    compare,
    compare_config,
    default_models,
    in_own_process,
)
from pinfold.studies.compare_tables import comparison_parts
from pinfold.studies.comparison import Comparison
from pinfold.studies.trial import Trial, run_trial
from pinfold.studies.wire import Wire, relay

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
QUICK = "popularity,item-knn,gf-cf"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The two-tastes world on disk, half of its events at each time."""
    path = tmp_path_factory.mktemp("compare") / "data"
    save_dataset(two_tastes(), path)
    return path


def here(run: RunConfig, seconds: float, progress: Progress) -> Trial | str:
    return run_trial(replace(run, train=replace(run.train, epochs=2)), progress)


def quick(folder: Path, models: str = QUICK, **options: Any) -> CompareConfig:
    words = {"protocol": "random", "test": None, "minutes": 10.0, "seed": 0, **options}
    return compare_config(str(folder), models, **words)


@pytest.fixture(scope="module")
def comparison(folder: Path) -> Comparison:
    return compare(quick(folder), NOW, learn=here)


def test_a_row_a_model_simplest_first(comparison: Comparison) -> None:
    assert [model.name for model in comparison.models] == ["popularity", "item-knn", "gf-cf"]
    means = {model.name: model.evaluation.intervals["recall@20"].mean for model in comparison.models}
    assert means["item-knn"] > means["popularity"]
    assert comparison.reference == "item-knn"
    assert comparison.advice.choice == "item-knn"  # nothing can be ahead of a full mark
    assert comparison.refused == ()


def test_the_report_has_these_keys_and_is_plain_json(comparison: Comparison) -> None:
    report = json.loads(json.dumps(comparison.to_json(), allow_nan=False))
    assert set(report) == {
        "kind", "data", "split", "seed", "minutes", "time", "versions", "machine", "seconds", "metric", "reference",
        "n_users", "cold_share", "groups", "models", "tests", "advice",
    }  # fmt: skip
    assert set(report["models"][0]) == {
        "name", "refused", "learning", "answer_seconds", "metrics", "exposure", "groups", "abilities", "to_reference",
    }  # fmt: skip
    assert set(report["models"][0]["to_reference"]) == {"difference", "low", "high", "p_value"}
    assert report["models"][1]["to_reference"] is None  # the reference itself
    assert set(report["advice"]) == {"choice", "graph", "sentence", "notes"}
    assert report["time"] == "2026-01-02T03:04:05+00:00"
    assert report["data"]["n_edges"] == 480
    assert sum(group["n_users"] for group in report["groups"]) == report["n_users"]


def test_p_values_of_all_pairs_are_corrected_together(comparison: Comparison) -> None:
    values = [model.evaluation.per_user["recall@20"] for model in comparison.models]
    pairs = [(0, 1), (0, 2), (1, 2)]
    raw = [paired_test(values[a], values[b], "recall@20", seed=0).p_value for a, b in pairs]
    assert [test.p_value for test in comparison.tests.values()] == holm(raw)
    assert list(comparison.tests) == [("popularity", "item-knn"), ("popularity", "gf-cf"), ("item-knn", "gf-cf")]


def without_time(comparison: Comparison) -> dict[str, Any]:
    report = comparison.to_json()
    del report["seconds"]
    for model in report["models"]:
        del model["answer_seconds"], model["learning"]["seconds"], model["learning"]["memory_bytes"]
    report["advice"] = report["advice"]["choice"]
    return report


def test_the_same_seed_gives_the_same_report_and_another_one_does_not(folder: Path, comparison: Comparison) -> None:
    assert without_time(compare(quick(folder), NOW, learn=here)) == without_time(comparison)
    assert without_time(compare(quick(folder, seed=1), NOW, learn=here)) != without_time(comparison)


def test_a_process_of_its_own_changes_no_number(folder: Path) -> None:
    run = RunConfig(data=quick(folder).data, model=PopularityConfig(), train=study.TRAIN)
    apart, together = in_own_process(run, 120.0, SILENT), run_trial(run)
    assert isinstance(apart, Trial)
    assert apart.evaluation.intervals == together.evaluation.intervals
    assert apart.evaluation.per_user.keys() == together.evaluation.per_user.keys()
    np.testing.assert_array_equal(apart.known, together.known)
    assert replace(apart.learning, seconds=0, memory_bytes=0) == replace(together.learning, seconds=0, memory_bytes=0)
    assert (apart.abilities, apart.cold_share) == (together.abilities, together.cold_share)


def test_a_process_that_does_not_end_in_time_is_stopped(folder: Path) -> None:
    run = RunConfig(data=quick(folder).data, model=LightGCNConfig())
    assert in_own_process(run, 0.05, SILENT) == "did not end within 0 s; give more minutes"


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        ('print(\'["refused", "needs 9 GiB"]\')', "needs 9 GiB"),
        (f"import os; os.kill(os.getpid(), {int(signal.SIGKILL)})", "the system ended it (signal 9)"),
    ],
)
def test_a_process_that_refuses_or_dies_gives_a_reason(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: str, outcome: str
) -> None:
    instead(monkeypatch, tmp_path, code)
    run = RunConfig(data=quick(folder).data, model=PopularityConfig())
    assert str(in_own_process(run, 60.0, SILENT)).startswith(outcome)


def test_a_bug_in_a_model_is_not_hidden(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    instead(monkeypatch, tmp_path, "raise SystemExit(3)")
    with pytest.raises(TrainingError, match="popularity: its process failed with code 3"):
        in_own_process(RunConfig(data=quick(folder).data, model=PopularityConfig()), 60.0, SILENT)


def test_ctrl_c_ends_the_other_process(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    told = tmp_path / "pid"
    instead(monkeypatch, tmp_path, "import os, time; print(os.getpid(), flush=True); time.sleep(60)")

    def stop(lines: Iterable[str], *_: object) -> str | None:
        told.write_text(next(iter(lines)))
        raise KeyboardInterrupt

    monkeypatch.setattr(study, "relay", stop)
    with pytest.raises(KeyboardInterrupt):
        in_own_process(RunConfig(data=quick(folder).data, model=PopularityConfig()), 60.0, SILENT)
    with pytest.raises(ProcessLookupError):
        os.kill(int(told.read_text()), 0)


def instead(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: str) -> None:
    """A program that runs `code` in the place of Python."""
    program = tmp_path / "python"
    program.write_text(f"#!{sys.executable}\n{code}\n")
    program.chmod(0o755)
    monkeypatch.setattr("pinfold.studies.compare.sys.executable", str(program))


def test_a_model_that_cannot_be_run_is_a_row_with_the_reason(folder: Path) -> None:
    def learn(run: RunConfig, seconds: float, progress: Progress) -> Trial | str:
        return "needs 9 GiB [of 4]" if run.model.name == "item-knn" else here(run, seconds, progress)

    found = compare(quick(folder), NOW, learn=learn)
    assert [model.name for model in found.models] == ["popularity", "gf-cf"]
    assert found.to_json()["models"][2] == {"name": "item-knn", "refused": "needs 9 GiB [of 4]"}
    assert "item-kNN is missing: needs 9 GiB [of 4]" in found.advice.notes
    text = rendered(found)
    assert "not run, see below" in text
    assert "needs 9 GiB [of 4]" in text


def test_when_no_model_can_be_run_the_reasons_are_said(folder: Path) -> None:
    with pytest.raises(TrainingError, match="no model could be run: popularity: full; item-knn: full"):
        compare(quick(folder), NOW, learn=lambda *_: "full")


def rendered(comparison: Comparison) -> str:
    out = io.StringIO()
    console = Console(file=out, width=100)
    for part in comparison_parts(comparison):
        console.print(part)
    return out.getvalue()


def test_the_tables_show_every_model_and_the_advice(comparison: Comparison) -> None:
    text = " ".join(rendered(comparison).split())
    for words in ("GF-CF", "item-kNN", "popularity", "recall@20", "ndcg@20", "coverage@20", "new users, explain"):
        assert words in text
    assert " ".join(comparison.advice.sentence.split()) in text
    assert "Holm-corrected for all 3 pairs" in text


def test_the_budget_is_shared(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = 0.0
    asked: list[tuple[str, float, float | None]] = []
    monkeypatch.setattr("pinfold.studies.compare.time.monotonic", lambda: clock)
    found = run_trial(RunConfig(data=quick(folder).data, model=PopularityConfig(), train=study.TRAIN))
    trial = replace(found, learning=replace(found.learning, seconds=20.0))

    def learn(run: RunConfig, seconds: float, progress: Progress) -> Trial | str:
        nonlocal clock
        clock += 60 if run.model.name == "popularity" else 140
        asked.append((run.model.name, seconds, run.train.seconds))
        return trial

    config = quick(folder, "mf,lightgcn,popularity", minutes=5.0)
    compare(config, NOW, learn=learn)
    split = split_events(load_data(config.data).interactions, config.split, config.seed)
    selection = 0.9 / (1 + len(split.known) / len(split.train))  # the refit has more events to go through
    assert 0.35 < selection < 0.45
    assert asked == [
        ("popularity", 225 + GRACE, None),  # three quarters of the budget at most, and first
        (
            "mf",
            1.5 * 120 + GRACE,
            pytest.approx(selection * (120 - 40)),
        ),  # half of the 240 s left, without 40 s to start and answer
        ("lightgcn", 1.5 * 100 + GRACE, pytest.approx(selection * (100 - 40))),  # all that is left
    ]
    asked.clear()
    late = compare(quick(folder, "popularity,mf", minutes=1.0), NOW, learn=learn)
    assert [r.name for r in late.refused] == ["mf"]
    assert late.refused[0].reason == "no time was left for it; give more than 1 minutes"


def test_groups_hold_about_a_quarter_and_equal_users_stay_together() -> None:
    known = np.array([1, 2, 2, 2, 3, 4, 5, 9], np.int64)
    masks, groups = activity_groups(known)
    assert np.sum(masks, axis=0).tolist() == [1] * 8
    assert [(g.least, g.most, g.n_users) for g in groups] == [(1, 2, 4), (3, 4, 2), (5, 9, 2)]
    assert [g.label for g in groups] == ["1 to 2", "3 to 4", "5 to 9"]
    assert [g.label for g in activity_groups(np.full(5, 7, np.int64))[1]] == ["7"]


@pytest.mark.parametrize("protocol", ["leave-last-out", "time-cut", "held-out-collections", "newest-collections"])
def test_every_protocol(folder: Path, protocol: str) -> None:
    found = compare(quick(folder, "popularity,item-knn", protocol=protocol), NOW, learn=here)
    assert found.to_json()["split"]["protocol"] == protocol


def test_test_events_may_be_given(folder: Path, tmp_path: Path, world: Dataset) -> None:
    save_dataset(replace(world, interactions=two_tastes(seed=3).interactions), tmp_path / "test")
    found = compare(quick(folder, "popularity", test=tmp_path / "test"), NOW, learn=here)
    assert found.to_json()["split"]["protocol"] == "files"


def test_memory_is_what_was_held_at_most_and_not_what_was_held_before() -> None:
    before = trials._restart_peak()
    held = np.ones(8 << 20)  # 64 MiB
    del held
    assert 60 << 20 < trials._peak() - before < 80 << 20
    again = trials._restart_peak()
    assert trials._peak() - again == pytest.approx(0, abs=8 << 20)


def test_hidden_events_on_new_items_are_counted(folder: Path) -> None:
    run = RunConfig(data=quick(folder).data, model=PopularityConfig(), train=study.TRAIN)
    assert run_trial(run).cold_share == 0
    late = replace(run, split=replace(run.split, protocol="time-cut", test_share=0.9))
    assert run_trial(late).cold_share > 0


def test_wrong_words_are_refused_before_the_work(folder: Path, tmp_path: Path) -> None:
    for words, message in (
        ({"models": "popularty"}, "no model 'popularty'; did you mean 'popularity'?"),
        ({"protocol": "radnom"}, "--protocol radnom: unknown; did you mean 'random'?"),
        ({"protocol": "none"}, "--protocol none: unknown"),
        ({"minutes": 0.0}, "--minutes 0: expected a number above 0"),
        ({"minutes": float("nan")}, "--minutes nan"),
        ({"seed": -1}, "--seed -1: expected 0 or more"),
    ):
        with pytest.raises(ConfigError, match=message.replace("?", r"\?")):
            quick(folder, **words)
    with pytest.raises(ConfigError, match="no data set there"):
        compare(quick(tmp_path / "nothing"), NOW, learn=lambda *_: pytest.fail("work was done"))
    tiny = tmp_path / "tiny"
    save_dataset(two_tastes(n_users=1, n_each=2), tiny)
    with pytest.raises(DataError, match="leaves the validation part empty"):
        compare(quick(tiny), NOW, learn=lambda *_: pytest.fail("work was done"))


def test_models_keep_their_order_and_any_of_the_shelf_may_be_named() -> None:
    assert [model.name for model in chosen_models(["lightgcn", "popularity"])] == ["popularity", "lightgcn"]
    assert chosen_models(["pinsage", "lightgcn"])[1] == OF_CONTENT[0]  # content comes last
    assert chosen_models([]) == ()
    names = [cls().name for cls in get_args(get_args(ModelConfig)[0])]
    assert {model.name for model in chosen_models(names)} == set(names)


def test_pinsage_is_compared_by_default_where_items_have_attributes(
    folder: Path, world: Dataset, tmp_path: Path
) -> None:
    assert default_models(world) == (*MODELS, PinSageConfig())
    bare = replace(world, item_table=Table({}, len(world.items)))
    codes = np.array([f"X{row:04d}" for row in range(len(world.items))], dtype=object)
    assert default_models(bare) == default_models(replace(bare, item_table=Table({"code": codes}, 40))) == MODELS
    save_dataset(bare, tmp_path / "bare")
    for path, expected in ((folder, [*MODELS, *OF_CONTENT]), (tmp_path / "bare", MODELS)):
        asked: list[str] = []

        def learn(run: RunConfig, seconds: float, progress: Progress, asked: list[str] = asked) -> Trial | str:
            asked.append(run.model.name)
            return "full" if run.model.name != "popularity" else here(run, seconds, progress)

        compare(quick(path, ""), NOW, learn=learn)
        assert set(asked) == {model.name for model in expected}


@pytest.mark.parametrize("cls", get_args(get_args(ModelConfig)[0]), ids=lambda cls: cls().name)
def test_every_model_of_the_shelf_has_its_abilities(cls: Any, graph: BipartiteGraph, world: Dataset) -> None:
    config = cls()
    found = abilities(config, _untrained(config, graph, world))
    assert found.new_users
    assert found.new_items == (config.name in ("pinsage", "content-knn"))


def _untrained(config: ModelConfig, graph: BipartiteGraph, world: Dataset) -> Learned:
    if isinstance(config, BlendConfig):
        return Blend(tuple(_untrained(member, graph, world) for member in config.members), member_weights(config))
    rows = np.arange(len(world.items), dtype=np.int32), np.arange(len(world.users), dtype=np.int32)
    content = load_content(FeaturesConfig(dim=4), world.item_table, world.user_table, *rows)
    context = Context(world.interactions, content)
    if isinstance(config, ComputedConfig):
        return compute(config, graph, context)
    return build(config, graph, 0, context).embed()


def test_every_learned_type_has_its_abilities() -> None:
    assert set(ABILITIES) == set(get_args(Learned))


class Heard(Silent):
    def __init__(self) -> None:
        self.tasks: list[tuple[str, int | None]] = []
        self.steps: list[int] = []

    def task(self, name: str, total: int | None = None) -> Any:
        self.tasks.append((name, total))
        return super().task(name, total)

    def advance(self, steps: int = 1, note: str = "") -> None:  # noqa: ARG002
        self.steps.append(steps)


def test_progress_passes_from_one_process_to_the_other() -> None:
    out = io.StringIO()
    wire, heard = Wire(out), Heard()
    with wire.task("mf") as task:
        task.advance()
    with wire.task("evaluating", 100) as task:
        for _ in range(100):
            task.advance(1, "so far")
    wire.refuse("why")
    lines = out.getvalue().splitlines(keepends=True)
    assert len(lines) < 20  # not a line a step
    assert relay([*lines, '["advance", 3'], heard, "mf") == "why"
    assert heard.tasks == [("mf", None), ("mf: evaluating", 100)]
    assert sum(heard.steps) == 101


def run_command(words: list[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 0


def test_the_command_writes_the_report(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(study, "in_own_process", here)
    out = tmp_path / "report"
    words = ["compare", str(folder), "--models", "popularity,item-knn", "--out", str(out), "--json"]
    run_command(words)
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((out / "report.json").read_text())
    assert "<h1>Is the graph worth it?</h1>" in (out / "report.html").read_text()
    assert sorted(path.name for path in out.iterdir()) == ["report.html", "report.json"]
    run_command(words[:-1])  # an older report is replaced
    assert "Is the graph worth it?" in capsys.readouterr().out
