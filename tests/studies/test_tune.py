"""Search on the validation part: what may be varied, going on, the same result for the same seed."""

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pinfold.cli import main
from pinfold.config import parse, read_run
from pinfold.data.dataset import save_dataset
from pinfold.data.splits import Sealed, Split, split_events
from pinfold.data.synthetic import two_tastes
from pinfold.errors import ConfigError, PinfoldError, TrainingError
from pinfold.fitting import fit
from pinfold.run import RunConfig, load_data
from pinfold.studies import tune as study
from pinfold.studies.proposals import check_space, own_values, propose, with_values
from pinfold.studies.tune import tune
from pinfold.training.space import Dimension


@pytest.fixture
def tree(tmp_path: Path) -> dict[str, Any]:
    save_dataset(two_tastes(n_users=80, n_items=40, n_each=10), tmp_path / "data")
    return {
        "data": {"path": str(tmp_path / "data")},
        "model": {"name": "gf-cf", "n_factors": 4},
        "evaluation": {"ks": [5]},
        "tune": {"space": {"model.n_factors": {"low": 1, "high": 12}}, "trials": 4},
    }


@pytest.fixture
def run(tree: dict[str, Any]) -> RunConfig:
    return parse(tree, RunConfig, "run.toml")


def call(words: Sequence[object]) -> int:
    """The exit code of a command."""
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    return int(ended.value.code or 0)


def score(run: RunConfig) -> float | None:
    """The validation score of a run."""
    return fit(run, split_events(load_data(run.data).interactions, run.split, run.seed)).report.best_score


def test_the_best_file_is_a_run_with_the_best_score(run: RunConfig, tmp_path: Path) -> None:
    search = tune(run, tmp_path / "out")
    assert search.metric == "recall@5"
    assert len(search.trials) == 4
    assert search.trials[0].values == {"model.n_factors": 4}  # the run as it is
    assert len({trial.values["model.n_factors"] for trial in search.trials}) > 1
    assert all(1 <= trial.values["model.n_factors"] <= 12 for trial in search.trials)
    best = read_run(tmp_path / "out" / "best.toml", RunConfig)
    assert score(best) == search.ranked[0].score == max(trial.score or 0 for trial in search.trials)
    assert best.tune is None
    assert replace(best, model=run.model) == replace(run, tune=None)
    kept = json.loads((tmp_path / "out" / "trials.json").read_text())
    assert kept == json.loads(json.dumps(search.to_json()))


def test_the_test_part_stays_sealed(run: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(_: Sealed) -> None:
        raise AssertionError("the test part was opened")

    monkeypatch.setattr(Sealed, "unseal", opened)
    monkeypatch.setattr(Sealed, "peek_for_storage", opened)
    seen: list[tuple[RunConfig, Split]] = []

    def watched(run: RunConfig, split: Split, **named: Any) -> Any:
        seen.append((run, split))
        return fit(run, split, **named)

    monkeypatch.setattr(study, "fit", watched)
    refitting = replace(run, train=replace(run.train, refit=True))
    tune(refitting, tmp_path / "out")
    assert len(seen) == 4
    assert all(split.test is None and not tried.train.refit for tried, split in seen)
    assert read_run(tmp_path / "out" / "best.toml", RunConfig).train.refit


def longer(run: RunConfig, trials: int, **others: Any) -> RunConfig:
    assert run.tune is not None
    return replace(run, tune=replace(run.tune, trials=trials, **others))


def test_a_search_that_is_killed_and_goes_on_finds_the_same(
    run: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = [t.values for t in tune(longer(run, 12), tmp_path / "whole").trials]  # two beyond the random ones
    tune(longer(run, 5), tmp_path / "out")
    calls: list[int] = []

    def killed(*words: Any, **named: Any) -> Any:
        calls.append(len(calls))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return fit(*words, **named)

    monkeypatch.setattr(study, "fit", killed)
    with pytest.raises(KeyboardInterrupt):
        tune(longer(run, 12), tmp_path / "out")
    assert len(json.loads((tmp_path / "out" / "trials.json").read_text())["trials"]) == 7
    again = tune(longer(run, 12), tmp_path / "out")
    assert [t.values for t in again.trials] == values
    assert [t.number for t in again.trials] == list(range(12))
    assert len(calls) == 3 + 5
    tune(longer(run, 12), tmp_path / "out")  # nothing is left to do
    assert len(calls) == 3 + 5


def test_another_seed_searches_elsewhere(run: RunConfig, tmp_path: Path) -> None:
    space = {
        "model.n_factors": Dimension(low=1, high=1000, log=True),
        "train.learning_rate": Dimension(low=1e-4, high=1.0),
        "model.x": Dimension(choices=(1, "two", [3, 4])),
    }
    first = propose(space, [], 0)
    assert first == propose(space, [], 0)
    assert first != propose(space, [], 1)
    tried = [(first, 0.5), (propose(space, [(first, 0.5)], 0), None)]
    assert propose(space, tried, 0) not in (first, tried[1][0])
    drawn = [propose(space, [], seed) for seed in range(12)]
    assert {str(values["model.x"]) for values in drawn} == {"1", "two", "[3, 4]"}
    assert all(isinstance(values["model.n_factors"], int) for values in drawn)
    assert all(1e-4 <= values["train.learning_rate"] <= 1 for values in drawn)


def test_later_proposals_go_where_scores_are_good() -> None:
    space = {"train.learning_rate": Dimension(low=0.0, high=1.0)}
    tried: list[tuple[dict[str, Any], float | None]] = []
    for _ in range(30):
        values = propose(space, tried, 0)
        tried.append((values, -abs(values["train.learning_rate"] - 0.7)))
    late = [abs(values["train.learning_rate"] - 0.7) for values, _ in tried[20:]]
    assert sum(late) / len(late) < 0.15  # 0.29 by chance


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("model.n_factrs", {"low": 1, "high": 4}, "model.n_factrs: unknown option; did you mean 'n_factors'"),
        ("modle.n_factors", {"low": 1, "high": 4}, "modle: unknown option; did you mean 'model'"),
        ("model.n_factors", {"choices": [4, "many"]}, "model.n_factors: .* got 'many'"),
        ("model.n_factors", {"low": -1, "high": 4}, "model.n_factors: .* got -1"),
        ("model.n_factors", {"low": 1.5, "high": 4}, "model.n_factors: .* got 1.5"),
        ("model.n_factors", {"low": 4, "high": 4}, "low = 4 is not below high = 4"),
        ("model.n_factors", {"low": 4}, "expected either choices, or low and high"),
        ("model.n_factors", {"choices": [4], "high": 4}, "has choices and a range"),
        ("model.n_factors", {"choices": [4, 5, 4]}, "stands there twice"),
        ("model.n_factors", {"choices": []}, "tune.space.model.n_factors.choices"),
        (
            "model.n_factors",
            {"lwo": 1, "high": 4},
            "n_factors.lwo: unknown option; did you mean 'low'",
        ),
        ("train.patience", {"low": 0, "high": 4, "log": True}, "logarithmic scale|got 0"),
        ("train.metric", {"choices": ["recall", "ndcg"]}, "cannot be varied"),
        ("seed", {"low": 0, "high": 4}, "cannot be varied"),
        ("split.valid_share", {"low": 0.1, "high": 0.4}, "cannot be varied"),
    ],
)
def test_what_cannot_be_varied_is_said_before_the_work(
    tree: dict[str, Any], tmp_path: Path, name: str, values: dict[str, Any], message: str
) -> None:
    tree["tune"]["space"] = {name: values}
    with pytest.raises(ConfigError, match=message):
        tune(parse(tree, RunConfig, "run.toml"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_run_without_a_space_or_a_validation_part(tree: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no table \[tune\.space\]"):
        check_space(replace(parse(tree, RunConfig, "run.toml"), tune=None))
    tree["split"] = {"protocol": "none"}
    with pytest.raises(ConfigError, match="has no validation part"):
        tune(parse(tree, RunConfig, "run.toml"), tmp_path / "out")


def test_own_values_lie_in_the_space_or_there_are_none(run: RunConfig) -> None:
    assert own_values(run, {"model.n_factors": Dimension(choices=(4, 8))}) == {"model.n_factors": 4}
    assert own_values(run, {"model.n_factors": Dimension(low=5, high=8)}) is None
    assert own_values(run, {"train.learning_rate": Dimension(low=1e-3, high=1e-2, log=True)}) is not None
    assert own_values(run, {"train.seconds": Dimension(low=1.0, high=2.0)}) is None  # not set in the run
    assert with_values(run, {"train.epochs": 7}, "here").train.epochs == 7


def test_another_space_in_the_same_folder_is_refused(run: RunConfig, tree: dict[str, Any], tmp_path: Path) -> None:
    tune(longer(run, 1), tmp_path / "out")
    tree["tune"]["space"]["model.n_factors"]["high"] = 13
    with pytest.raises(ConfigError, match="holds another study"):
        tune(parse(tree, RunConfig, "run.toml"), tmp_path / "out")
    with pytest.raises(ConfigError, match="holds another study"):
        tune(longer(run, 1, seed=1), tmp_path / "out")


def test_after_its_minutes_no_trial_is_started(run: RunConfig, tmp_path: Path) -> None:
    now = iter([0.0, 10.0, 30.0, 59.0, 60.0])
    search = tune(longer(run, 50, minutes=1), tmp_path / "out", clock=lambda: next(now))
    assert len(search.trials) == 3


def test_a_training_that_fails_is_a_trial_without_a_score(
    run: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(tried: RunConfig, split: Any, **named: Any) -> Any:
        if getattr(tried.model, "n_factors", 0) != 4:
            raise TrainingError("the loss is nan")
        return fit(tried, split, **named)

    monkeypatch.setattr(study, "fit", failing)
    search = tune(run, tmp_path / "out")
    assert len(search.trials) == 4
    failed = [trial for trial in search.trials if trial.score is None]
    assert failed
    assert failed[0].error == "the loss is nan"
    assert search.ranked[0].values == {"model.n_factors": 4}
    off = with_values(run, {"model.n_factors": 20}, "here")
    with pytest.raises(TrainingError, match="no trial has a score; the first one said: the loss is nan"):
        tune(off, tmp_path / "off")
    assert not (tmp_path / "off" / "best.toml").exists()


def test_without_optuna_it_says_how_to_install_it(
    run: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ConfigError, match=r"pip install 'pinfold\[tune\]'"):
        tune(run, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_trained_model_keeps_no_checkpoints(tree: dict[str, Any], tmp_path: Path) -> None:
    tree["model"] = {"name": "lightgcn", "dim": 8, "n_layers": 2}
    tree["train"] = {"epochs": 4, "validate_every": 2, "learning_rate": 0.05, "checkpoint_seconds": 0}
    tree["tune"] = {"space": {"model.n_layers": {"low": 1, "high": 3}, "model.dim": {"choices": [4, 8]}}, "trials": 3}
    search = tune(parse(tree, RunConfig, "run.toml"), tmp_path / "out")
    assert all(trial.epochs == 4 and trial.best_epoch in (2, 4) for trial in search.trials)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["best.toml", "study.json", "trials.json"]


def test_the_command(
    tree: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    path = tmp_path / "run.toml"
    path.write_text(
        f'[data]\npath = "{tree["data"]["path"]}"\n[model]\nname = "gf-cf"\n[evaluation]\nks = [5]\n'
        '[tune.space]\n"model.n_factors" = {low = 1, high = 12}\n'
    )
    words = ["tune", str(path), "--out", str(tmp_path / "out"), "--trials", "2", "--minutes", "5"]
    assert call(words) == 0
    shown = capsys.readouterr().out
    assert all(word in shown for word in ("Best of 2 trials", "recall@5", "model.n_factors", "pinfold train", "22"))
    assert call([*words, "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["trials"]) == 2
    assert call(["train", tmp_path / "out" / "best.toml", tmp_path / "artifact"]) == 0
    assert call([*words, "--set", "tune.space.x=1"]) == 1
    assert "tune.space.x" in capsys.readouterr().err


def test_a_damaged_list_of_trials_is_named(run: RunConfig, tmp_path: Path) -> None:
    tune(longer(run, 1), tmp_path / "out")
    (tmp_path / "out" / "trials.json").write_text('{"trials": 3}')
    with pytest.raises(PinfoldError, match=r"trials\.json: is damaged"):
        tune(run, tmp_path / "out")
