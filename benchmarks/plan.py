"""Predicted against measured: memory and seconds of `pinfold train`, on generated worlds of three sizes.

    python benchmarks/plan.py [--sizes 20000 200000 1800000] [--models pinsage lightgcn] [--embed]

Each training is a process of its own. Its peak is what the system counted (VmHWM, in the artifact's metrics.json). Time
is processor time of both sides, of the training and of the two seconds of measuring speeds, so that other work on
the machine does not count; `wall` is the clock's. A table on stderr, JSON on stdout.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from environment import print_result
from pinfold.config import read_run
from pinfold.data.dataset import load_dataset
from pinfold.planning.counts import count
from pinfold.planning.embedding import plan_embedding
from pinfold.planning.speeds import calibrate
from pinfold.planning.stages import Plan
from pinfold.planning.training import plan_training
from pinfold.run import RunConfig

PINFOLD = [str(Path(sys.executable).with_name("pinfold"))]
PAIRS = 20 * 2048  # of an epoch of PinSage, so that the largest size takes a minute
USER_EDGES, ITEM_EDGES = 18, 9  # of a user and of an item, on average
RUNS = {
    "pinsage": 'name = "pinsage"\npairs.source = "file"',
    "lightgcn": 'name = "lightgcn"\nobjective.sampling.batch_size = 4096',
    "mf": 'name = "mf"\nobjective.sampling.batch_size = 1024',
    "item-knn": 'name = "item-knn"',
}


def pinfold(*words: str) -> tuple[float, float]:
    """Run a command; its processor seconds and those by the clock."""
    started = time.perf_counter()
    process = subprocess.Popen([*PINFOLD, *words], stdout=sys.stderr)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"pinfold {' '.join(words)} failed")
    return usage.ru_utime + usage.ru_stime, time.perf_counter() - started


def make_world(place: Path, edges: int) -> Path:
    """A data set of this size with features, and pairs of items of one user each."""
    raw, data = place / f"raw{edges}", place / f"data{edges}"
    users, items = edges // USER_EDGES, edges // ITEM_EDGES
    pinfold("generate", "--users", str(users), "--items", str(items), "--edges", str(edges), "--out", str(raw))
    events = sorted(str(path) for path in raw.glob("events-*.parquet"))
    pinfold("import", *events, "--item-table", str(raw / "items.parquet"), "--out", str(data))
    dataset, rng = load_dataset(data), np.random.default_rng(0)
    ids = dataset.items.all
    pairs = rng.integers(len(ids), size=(2, PAIRS))
    pairs[1] = np.where(pairs[0] == pairs[1], (pairs[1] + 1) % len(ids), pairs[1])
    columns = {"query": ids[pairs[0]], "item": ids[pairs[1]]}
    with duckdb.connect() as connection:
        connection.register("columns", columns)
        connection.execute(f"COPY (SELECT * FROM columns) TO '{place / f'pairs{edges}.parquet'}' (FORMAT parquet)")
    return data


def run_file(place: Path, model: str, data: Path, edges: int) -> Path:
    """The options of one training: an epoch, one look, no refit."""
    text = f'[data]\npath = "{data}"\n'
    if model == "pinsage":
        text += f'pairs = "{place / f"pairs{edges}.parquet"}"\n[features.items.features]\nkind = "vector"\n'
        text += f'path = "{place / f"raw{edges}" / "features.npy"}"\n'
    text += f"[model]\n{RUNS[model]}\n[train]\nepochs = 1\nvalidate_every = 1\n"
    text += 'metric = "item-hit"\n' if model == "pinsage" else ""
    path = place / f"{model}{edges}.toml"
    path.write_text(text)
    return path


def compared(plan: Plan, peak: int, seconds: tuple[float, float]) -> dict[str, Any]:
    """Predicted, measured, and predicted over measured."""
    found: dict[str, Any] = {
        "predicted_mb": plan.memory / 1e6, "measured_mb": peak / 1e6, "memory_ratio": plan.memory / peak,
        "measured_seconds": seconds[0], "wall": seconds[1],
    }  # fmt: skip
    if plan.seconds is not None:
        found |= {"predicted_seconds": plan.seconds, "time_ratio": plan.seconds / seconds[0]}
    return found


def trained(place: Path, model: str, data: Path, edges: int) -> dict[str, Any]:
    """One training, planned and done."""
    path, out = run_file(place, model, data, edges), place / f"{model}{edges}"
    run = read_run(path, RunConfig)
    plan = plan_training(run, count(run.data.path, run.features), calibrate(place, time.process_time))
    seconds = pinfold("train", str(path), str(out), "--replace")
    metrics = json.loads((out / "metrics.json").read_text())
    return compared(plan, metrics["peak_memory_bytes"], seconds)


def embedded(place: Path, data: Path, edges: int) -> dict[str, Any]:
    """What PinSage learned applied to the same data."""
    run = read_run(run_file(place, "pinsage", data, edges), RunConfig)
    plan = plan_embedding(run, count(run.data.path, run.features), calibrate(place, time.process_time))
    out = place / f"all{edges}"
    seconds = pinfold("embed", str(place / f"pinsage{edges}"), str(data), "--out", str(out), "--replace")
    figures = json.loads((out / "metrics.json").read_text())["embedding"]
    stages = figures["stages"]
    peak = max(one["peak_memory_bytes"] for one in stages.values())
    return compared(plan, peak, seconds) | {
        "stages": {name: one["seconds"] for name, one in stages.items()},
        "predicted_stages": {one.name: one.seconds for one in plan.stages},
    }


def main() -> None:
    """All models on all sizes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[20_000, 200_000, 1_800_000])
    parser.add_argument("--models", nargs="+", choices=list(RUNS), default=list(RUNS))
    parser.add_argument("--embed", action="store_true", help="also `pinfold embed` of the same data")
    parser.add_argument("--place", type=Path, help="a folder to work in, kept; a temporary one by default")
    arguments = parser.parse_args()
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as temporary:
        place = arguments.place or Path(temporary)
        place.mkdir(parents=True, exist_ok=True)
        for edges in arguments.sizes:
            data = place / f"data{edges}"
            if not data.exists():
                make_world(place, edges)
            for model in arguments.models:
                found[f"{model} {edges}"] = trained(place, model, data, edges)
                show(f"{model} {edges}", found[f"{model} {edges}"])
            if arguments.embed:
                found[f"embed {edges}"] = embedded(place, data, edges)
                show(f"embed {edges}", found[f"embed {edges}"])
    print_result({"load": os.getloadavg(), "jobs": found})


def show(name: str, one: dict[str, Any]) -> None:
    """One line on stderr."""
    memory = f"{one['predicted_mb']:8.0f} MB of {one['measured_mb']:8.0f} ({one['memory_ratio']:.2f})"
    seconds = "not predicted"
    if "time_ratio" in one:
        seconds = f"{one['predicted_seconds']:8.1f} s of {one['measured_seconds']:8.1f} ({one['time_ratio']:.2f})"
    print(f"{name:<20} {memory} {seconds}  wall {one['wall']:.1f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
