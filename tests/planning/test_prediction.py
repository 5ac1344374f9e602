"""Predictions against processes. benchmarks/plan.py has larger sizes, more models, and time."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.planning.test_counts import save

from pinfold.config import read_run
from pinfold.planning.counts import count
from pinfold.planning.training import plan_training
from pinfold.run import RunConfig

TRAIN = "import sys; from pinfold.cli import main; main(['train', *sys.argv[1:]])"


@pytest.mark.parametrize(("model", "n_edges"), [("mf", 20_000), ("item-knn", 150_000)])
def test_memory_is_predicted_within_a_quarter(tmp_path: Path, model: str, n_edges: int) -> None:
    save(tmp_path / "data", n_edges // 18, n_edges // 9, n_edges)
    path, out = tmp_path / "run.toml", tmp_path / "out"
    text = f'[data]\npath = "{tmp_path / "data"}"\n[model]\nname = "{model}"\n[train]\nepochs = 1\n'
    path.write_text(text)
    done = subprocess.run(
        [sys.executable, "-c", TRAIN, str(path), str(out)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    measured = json.loads((out / "metrics.json").read_text())["peak_memory_bytes"]
    run = read_run(path, RunConfig)
    assert plan_training(run, count(run.data.path, run.features)).memory == pytest.approx(measured, rel=0.25)
