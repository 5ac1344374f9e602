import json
from dataclasses import asdict, fields
from pathlib import Path

import pytest

from pinfold.errors import ConfigError
from pinfold.planning import speeds as module
from pinfold.planning.speeds import Speeds, calibrate, load_speeds, save_speeds


def test_every_speed_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGE", 60_000)
    found = calibrate(tmp_path)
    assert all(value > 1000 for value in asdict(found).values())
    assert not list(tmp_path.iterdir())


def test_speeds_are_stored_and_read_back(tmp_path: Path) -> None:
    made = Speeds(*(float(place + 1) for place in range(len(fields(Speeds)))))
    save_speeds(made, tmp_path / "speeds.json")
    assert load_speeds(tmp_path / "speeds.json") == made
    assert [path.name for path in tmp_path.iterdir()] == ["speeds.json"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"walk_steps": 1}', '{"walk_steps": "fast"}'])
def test_other_files_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "speeds.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"not a file of speeds.*walk_steps, gathered"):
        load_speeds(path)


def test_a_speed_of_nothing_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "speeds.json"
    path.write_text(json.dumps({one.name: 0 for one in fields(Speeds)}))
    with pytest.raises(ConfigError, match="walk_steps must be finite and positive"):
        load_speeds(path)
