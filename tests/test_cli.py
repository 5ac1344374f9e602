"""The commands as a person types them: what they print, and their exit codes."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pinfold.cli import main

Run = Callable[..., tuple[int, str, str]]
RUN_FILE = """
[data]
path = "{data}"
[model]
name = "lightgcn"
dim = 8
objective.sampling.batch_size = 256
[train]
epochs = 3
learning_rate = 0.05
validate_every = 1
[evaluation]
ks = [5]
"""


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*words: object) -> tuple[int, str, str]:
        monkeypatch.setenv("COLUMNS", "160")
        code = 0
        try:
            main([str(word) for word in words])
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    return call


@pytest.fixture
def events(tmp_path: Path) -> Path:
    """Even users like even items."""
    rows = [f"u{u},i{i}" for u in range(40) for i in range(24) if (u + i) % 2 == 0 and (u * 7 + i * 5) % 3]
    path = tmp_path / "events.csv"
    path.write_text("who,what\n" + "\n".join(rows) + "\n")
    (tmp_path / "items.csv").write_text("what,title\n" + "".join(f"i{i},Thing {i}\n" for i in range(24)))
    return path


@pytest.fixture
def artifact(run: Run, events: Path, tmp_path: Path) -> Path:
    columns = ("--user", "who", "--item", "what", "--item-table", tmp_path / "items.csv")
    assert run("import", events, *columns, "--out", tmp_path / "data")[0] == 0
    (tmp_path / "run.toml").write_text(RUN_FILE.format(data=tmp_path / "data"))
    code, out, err = run("train", tmp_path / "run.toml", tmp_path / "out")
    assert code == 0, err
    assert "validation recall@5" in out
    return tmp_path / "out"


def test_from_files_to_answers(run: Run, artifact: Path) -> None:
    code, out, _ = run("evaluate", artifact)
    assert code == 0
    assert all(word in out for word in ("lightgcn", "popularity", "item-knn", "recall@5"))
    code, out, _ = run("recommend", artifact, "--user", "u3", "-k", 3, "--json")
    answers = json.loads(out)
    assert code == 0
    assert [a["rank"] for a in answers] == [1, 2, 3]
    assert answers[0]["title"] == "Thing " + answers[0]["id"].removeprefix("i")
    code, out, _ = run("recommend", artifact, "--items", "i1, i3", "--json")
    assert code == 0
    assert not {"i1", "i3"} & {a["id"] for a in json.loads(out)}
    code, out, _ = run("similar", artifact, "--item", "i4")
    assert code == 0
    assert "Thing" in out
    code, out, _ = run("verify", artifact)
    assert code == 0
    assert "all as they were written" in out


def test_similar_users(run: Run, artifact: Path) -> None:
    code, out, _ = run("similar", artifact, "--user", "u3", "-k", 4, "--json")
    assert code == 0
    found = json.loads(out)
    assert [a["rank"] for a in found] == [1, 2, 3, 4]
    assert "u3" not in {a["id"] for a in found}
    assert {int(a["id"].removeprefix("u")) % 2 for a in found} == {1}, "of the same taste"
    for words in ((), ("--item", "i1", "--user", "u3")):
        code, _, err = run("similar", artifact, *words)
        assert code == 1
        assert "say like what: --item ID, --user ID" in err


def test_explain(run: Run, artifact: Path) -> None:
    code, out, _ = run("recommend", artifact, "--user", "u3", "-k", 1, "--json")
    best = json.loads(out)[0]
    code, out, _ = run("explain", artifact, "--user", "u3", "--item", best["id"], "-k", 2, "--json")
    found = json.loads(out)
    assert code == 0
    assert found["title"] == best["title"]
    assert found["score"] == pytest.approx(best["score"], rel=1e-4)
    parts = [reason["term"] for reason in found["reasons"]]
    assert len(parts) == 2
    assert sum(parts) + found["rest"] + found["own"] == pytest.approx(found["score"], rel=1e-5)
    code, out, _ = run("explain", artifact, "--items", "i1, i3", "--item", "i5")
    assert code == 0
    assert all(words in out for words in ("why i5 for somebody with i1, i3", "Thing 3", "score"))
    assert "own vector" not in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--user", "u999", "--item", "i1"], "no user has the id 'u999'"),
        (["--user", "u1", "--item", "i999"], "no item has the id 'i999'"),
        (["--items", "i1,i999", "--item", "i1"], "no item has the id 'i999'"),
        (["--items", ",", "--item", "i1"], "no items given"),
        (["--item", "i1"], "either --user ID or --items"),
    ],
)
def test_what_cannot_be_explained(run: Run, artifact: Path, words: list[str], message: str) -> None:
    code, out, err = run("explain", artifact, *words)
    assert (code, out) == (1, "")
    assert message in err


def test_evaluate_as_json(run: Run, artifact: Path) -> None:
    code, out, _ = run("evaluate", artifact, "--json")
    assert code == 0
    found = json.loads(out)
    interval = found["models"]["lightgcn"]["metrics"]["ndcg@5"]
    assert interval["low"] <= interval["mean"] <= interval["high"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--user", "u999"], "no user has the id 'u999'"),
        (["--items", "i1,i999"], "no item has the id 'i999'"),
        (["--items", " , "], "no items given"),
        ([], "either --user ID or --items"),
        (["--user", "u1", "--items", "i1"], "either --user ID or --items"),
        (["--user", "u1", "-k", "0"], "-k 0: expected 1 to 1000"),
    ],
)
def test_questions_that_cannot_be_answered(run: Run, artifact: Path, words: list[str], message: str) -> None:
    code, out, err = run("recommend", artifact, *words)
    assert (code, out) == (1, "")
    assert message in err
    assert "Traceback" not in err


def test_a_damaged_artifact_is_named(run: Run, artifact: Path) -> None:
    vectors = artifact / "item_vectors.npy"
    data = bytearray(vectors.read_bytes())
    data[-1] ^= 1
    vectors.write_bytes(bytes(data))
    for command in (("verify", artifact), ("similar", artifact, "--item", "i1"), ("evaluate", artifact)):
        code, _, err = run(*command)
        assert code == 1
        assert "item_vectors.npy: damaged" in err


def test_unknown_options_are_refused_with_the_nearest_name(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text(RUN_FILE.format(data="x").replace("dim = 8", "dmi = 8"))
    code, _, err = run("train", path, tmp_path / "out")
    assert code == 1
    assert "model.dmi: unknown option; did you mean 'dim'?" in err
    path.write_text(RUN_FILE.format(data="x").replace('"lightgcn"', '"lightgnc"'))
    code, _, err = run("train", path, tmp_path / "out")
    assert code == 1
    assert "did you mean 'lightgcn'?" in err
    code, _, err = run("train", path, tmp_path / "out", "--replce")
    assert code != 0
    assert not (tmp_path / "out").exists()


def test_set_changes_one_option(run: Run, artifact: Path, tmp_path: Path) -> None:
    code, _, err = run(
        "train", tmp_path / "run.toml", tmp_path / "two", "--set", "train.epochs=1", "--set", "model.name=item-knn"
    )
    assert code == 1  # item-knn has no dim
    assert "model.dim: unknown option" in err
    code, out, err = run("train", tmp_path / "run.toml", tmp_path / "two", "--set", "train.epochs=1")
    assert code == 0
    assert "best of 1 epochs" in out


def test_check_finds_what_is_wrong_and_says_so_by_its_exit_code(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text("user,item\nu1,i1\n,i2\nu2,i3\n")
    code, out, _ = run("check", path, "--json")
    found = json.loads(out)
    assert code == 1
    assert not found["ok"]
    places = [e for f in found["findings"] if f["severity"] == "error" for e in f["examples"]]
    assert any(e["row"] == 3 and e["column"] == "user" for e in places)
    assert run("check", path)[0] == 1
    code, _, err = run("import", path, "--out", tmp_path / "data")
    assert code == 1
    assert f"{path}:3:" in err
    assert not (tmp_path / "data").exists()


def test_check_of_an_imported_folder_and_of_a_split(run: Run, artifact: Path, events: Path, tmp_path: Path) -> None:
    assert run("check", tmp_path / "data")[0] == 0
    code, _, err = run("check", tmp_path / "data", "--test", events)
    assert code == 1
    assert "--test goes with event files" in err
    again = tmp_path / "test.csv"
    again.write_text(events.read_text())
    code, out, _ = run("check", events, "--test", again, "--user", "who", "--item", "what", "--json")
    assert code == 1
    assert not json.loads(out)["ok"]


def test_existing_folders_are_not_overwritten(run: Run, artifact: Path, tmp_path: Path) -> None:
    before = (artifact / "manifest.json").read_bytes()
    code, _, err = run("train", tmp_path / "run.toml", artifact)
    assert code == 1
    assert "exists already" in err
    assert (artifact / "manifest.json").read_bytes() == before
    assert run("train", tmp_path / "run.toml", artifact, "--replace")[0] == 0


def test_help_teaches_and_is_quick_to_start() -> None:
    code = "import sys; sys.argv = ['pinfold', '--help']; from pinfold.cli import main; main()"
    done = subprocess.run([sys.executable, "-X", "importtime", "-c", code], capture_output=True, text=True, check=True)
    assert "pinfold demo" in done.stdout
    loaded = done.stderr
    assert "torch" not in loaded
    assert "| numba" not in loaded


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--threads", "0"], "pinfold: --threads 0: Input should be greater than or equal to 1\n"),
        (["--format", "xml"], 'Invalid value "xml" for --format'),
        (["--tme", "when"], "Unknown option: --tme. Did you mean --time?"),
    ],
)
def test_wrong_words_are_one_line_and_exit_code_2(run: Run, tmp_path: Path, words: list[str], message: str) -> None:
    code, out, err = run("import", "e.csv", "--out", tmp_path / "data", *words)
    assert (code, out) == (2, "")
    assert message in err
    assert err.startswith("pinfold: ")
    assert len(err.splitlines()) == 1
    assert "pydantic" not in err


def test_stopping_by_hand_is_said_and_has_its_exit_code(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pinfold.artifacts.open_folder", stop)
    assert run("verify", "folder") == (130, "", "pinfold: stopped\n")


@pytest.mark.parametrize(("place", "message"), [("/dev/full", "No space left on device"), (None, "")])
def test_output_that_cannot_be_written_is_one_line(artifact: Path, place: str | None, message: str) -> None:
    if place and not Path(place).exists():
        pytest.skip("only Linux has /dev/full")
    code = "import sys; from pinfold.cli import main; main(sys.argv[1:])"
    reader, writer = os.pipe()
    os.close(reader)  # whoever read our output has gone
    with os.fdopen(writer, "w") as gone, Path(place or os.devnull).open("w") as full:
        words = [sys.executable, "-c", code, "recommend", str(artifact), "--user", "u3"]
        done = subprocess.run(words, stdout=full if place else gone, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == bool(message)


def test_a_long_path_keeps_its_row_on_a_narrow_terminal(tmp_path: Path) -> None:
    path = tmp_path / f"{'long' * 30}.csv"
    path.write_text("user,item\nu1,i1\n,i2\n")
    code = "import sys; from pinfold.cli import main; main(['check', sys.argv[1]])"
    words = [sys.executable, "-c", code, str(path)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "60"})
    assert done.returncode == 1
    cells = [
        line.split("\N{BOX DRAWINGS LIGHT VERTICAL}")[-2].strip()
        for line in done.stdout.splitlines()
        if "\N{BOX DRAWINGS LIGHT VERTICAL}" in line
    ]
    assert ".csv:3" in "".join(cells)
