import json
from pathlib import Path

import pytest
from tests.planning.test_counts import save
from tests.planning.test_training_plan import SPEEDS

from pinfold.cli import main
from pinfold.planning.speeds import save_speeds


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save(tmp_path / "data")
    (tmp_path / "run.toml").write_text(f'[data]\npath = "{tmp_path / "data"}"\n[model]\nname = "mf"\n')
    save_speeds(SPEEDS, tmp_path / "speeds.json")
    return tmp_path


def done(*words: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 0


def words(folder: Path, *more: str) -> list[str]:
    return ["plan", str(folder / "data"), str(folder / "run.toml"), "--speeds", str(folder / "speeds.json"), *more]


def test_json_holds_stages_and_their_sums(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done(*words(folder, "--json", "--memory", "64GB"))
    found = json.loads(capsys.readouterr().out)
    assert found["counts"]["edges"] == 400
    assert found["held_bytes"] == max(stage["held_bytes"] for stage in found["stages"])
    assert found["seconds"] == pytest.approx(sum(stage["seconds"] for stage in found["stages"]))


def test_the_table_says_what_holds_most(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done(*words(folder, "--memory", "64GB"))
    shown = capsys.readouterr().out
    assert "training" in shown
    assert "peak, sum" in shown


@pytest.mark.parametrize(
    ("more", "told"), [(["--half"], "--half goes with --embed"), (["--speeds", "none/s.json"], "none/s.json: speeds")]
)
def test_options_that_cannot_be_are_refused(
    more: list[str], told: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["plan", str(folder / "data"), str(folder / "run.toml"), *more])
    assert ended.value.code == 1
    assert told in capsys.readouterr().err


def test_what_cannot_fit_ends_with_an_error(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words(folder, "--memory", "100MB"))
    assert ended.value.code == 1
    assert "more than the 0.10 GB of --memory" in capsys.readouterr().err


def test_a_size_that_is_none_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words(folder, "--memory", "much"))
    assert ended.value.code == 1
    assert "--memory" in capsys.readouterr().err


def test_train_refuses_before_the_work(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["train", str(folder / "run.toml"), str(folder / "out"), "--memory", "100MB"])
    assert ended.value.code == 1
    assert "`pinfold train` would hold" in capsys.readouterr().err
    assert not (folder / "out").exists()


def test_train_goes_on_where_it_fits(folder: Path) -> None:
    quick = folder / "quick.toml"
    quick.write_text((folder / "run.toml").read_text().replace('"mf"', '"popularity"'))
    done("train", str(quick), str(folder / "out"), "--memory", "64GB")
    assert (folder / "out" / "manifest.json").is_file()
