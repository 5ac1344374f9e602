"""Servers killed while they write, by the script that also does it fifty times."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent.parent / "benchmarks" / "kills.py"


@pytest.mark.parametrize("arguments", [["--kills", "8"], ["--kills", "2", "--server-kills", "1", "--postgresql"]])
def test_no_kill_loses_what_was_acknowledged(tmp_path: Path, arguments: list[str]) -> None:
    if "--postgresql" in arguments:
        pytest.importorskip("psycopg")
    command = [sys.executable, str(SCRIPT), *arguments, "--folder", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    counts = found.get("sqlite") or found["postgresql"]
    assert counts["accepted"] > counts["kills"]
    assert counts["lost"] == counts["sequences_given_twice"] == 0
