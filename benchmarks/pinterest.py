"""The whole job on a graph like Pinterest's, a thousandth or a hundredth of it: each command measured by the system.

    python benchmarks/pinterest.py --scale 1000 --folder FOLDER
    python benchmarks/pinterest.py --scale 100 --folder FOLDER --half --sample 0.005 --no-attributes --no-serve \
        --import-memory 10GB --embed-memory 8GB

Scale 1 would be the paper's 2 billion pins, 1 billion boards and 18 billion edges. Every command is a process of its
own; its seconds are the clock's, its memory is the most it held by the operating system's accounting (ru_maxrss of
the process and those it waited for). A hundredth of the boards is held out before the import: hit-rates are of
pairs of their pins, among all pins. A command whose result is there already is not run again, so a run that was
stopped goes on; its figures stand in log.jsonl. Linux starts a child's peak at its parent's, so this process does
nothing large before the last command has ended.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from environment import environment
from pinterest_quality import hit_rates
from pinterest_serving import answers

PINS, BOARDS, EDGES = 2_000_000_000, 1_000_000_000, 18_000_000_000
HELD_OUT = 100  # one board in so many
QUALITY = [sys.executable, str(Path(__file__).with_name("pinterest_quality.py"))]
PINFOLD = [str(Path(sys.executable).with_name("pinfold"))]
RUN = """seed = 0
data.path = "{data}"
split.protocol = "random"
features.items.look = {{kind = "vector", path = "{features}"}}

[model]
name = "pinsage"
layers = {layers}
hidden = {dim}
dim = {dim}
unit = true
length_exponent = 1.0
neighborhood = {{size = {size}, steps = {steps}}}
loss = {{name = "softmax", temperature = 0.1, log_q = true}}

[train]
epochs = {epochs}
decay_epochs = {epochs}
learning_rate = 0.005
warmup_steps = 100
metric = "item-hit"
validate_every = {epochs}
"""


class Log:
    """What was measured, one line a command, kept beside the results."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "log.jsonl"
        self.lines: dict[str, Any] = {}
        if self.path.exists():
            self.lines = {line["step"]: line for line in map(json.loads, self.path.read_text().splitlines())}

    def add(self, step: str, **figures: Any) -> None:
        """One more line, and the same on the terminal."""
        line = {"step": step, **figures}
        self.lines[step] = line
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")
        print(json.dumps(line), flush=True)


def measured(log: Log, step: str, command: list[str], made: Path, **more: Any) -> None:
    """Run a command unless what it makes is there."""
    if made.exists() and step in log.lines:
        return
    began = time.perf_counter()
    errors = log.path.parent / f"{step}.txt"
    with errors.open("w") as output:
        actions = [(os.POSIX_SPAWN_DUP2, output.fileno(), 1), (os.POSIX_SPAWN_DUP2, output.fileno(), 2)]
        child = os.posix_spawn(command[0], command, os.environ, file_actions=actions)
        _, status, usage = os.wait4(child, 0)
    if status:
        sys.exit(f"{step} failed: {' '.join(command)}\n{errors.read_text()[-3000:]}")
    log.add(
        step, seconds=round(time.perf_counter() - began, 1), peak_gb=round(usage.ru_maxrss * 1024 / 1e9, 2),
        processor_seconds=round(usage.ru_utime + usage.ru_stime, 1), disk_gb=round(size_of(made) / 1e9, 2),
        load=round(os.getloadavg()[0], 1), **more,
    )  # fmt: skip


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files below a folder."""
    files = [path] if path.is_file() else [one for one in path.rglob("*") if one.is_file()]
    return sum(one.stat().st_size for one in files)


def main() -> None:
    """See above."""
    arguments = parse_arguments()
    folder: Path = arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    log = Log(folder)
    pins, boards, edges = (n // arguments.scale for n in (PINS, BOARDS, EDGES))
    raw, kept, data = folder / "raw", folder / "kept", folder / "data"
    size = ["--users", str(boards), "--items", str(pins), "--edges", str(edges)]
    generate = [*PINFOLD, "generate", *size, "--features", str(arguments.features), "--out", str(raw)]
    measured(log, "generate", generate, raw, pins=pins, boards=boards, edges=edges)
    measured(log, "hold out", [*QUALITY, "hold-out", str(raw), str(kept), str(HELD_OUT)], kept)
    shards = [str(path) for path in sorted(kept.glob("events-*.parquet"))]
    table = ["--item-table", str(raw / "items.parquet")] if arguments.attributes else []
    limits = ["--memory", arguments.import_memory, "--threads", "2"]
    measured(log, "import", [*PINFOLD, "import", *shards, "--time", "time", *table, "--out", str(data), *limits], data)
    features = folder / "features.npy"
    measured(log, "features", [*QUALITY, "features", str(data), str(raw), str(features)], features)
    small, cut = folder / "small", folder / "small.npy"
    sample = [*PINFOLD, "sample", str(data), "--users", str(arguments.sample), "--out", str(small)]
    measured(log, "sample", [*sample, "--features", str(features), "--features-out", str(cut)], small)
    run = folder / "run.toml"
    run.write_text(RUN.format(data=small, features=cut, **{name: getattr(arguments, name) for name in OPTIONS}))
    measured(log, "plan", [*PINFOLD, "plan", str(small), str(run), "--json"], run)
    measured(log, "train", [*PINFOLD, "train", str(run), str(folder / "model")], folder / "model")
    embed = [*PINFOLD, "embed", str(folder / "model"), str(data), "--out", str(folder / "all")]
    embed += ["--vectors", f"look={features}", "--memory", arguments.embed_memory]
    measured(log, "embed", embed + ["--half"] * arguments.half, folder / "all")
    metrics = json.loads((folder / "all" / "metrics.json").read_text())["embedding"]
    stages = {name: found["seconds"] for name, found in metrics["stages"].items()}
    told = {name: metrics[name] for name in ("users", "items", "events", "seconds", "nodes_per_second", "half")}
    log.add("stages", **told, stages=stages)
    log.add("quality", **hit_rates(folder / "all", features, raw, HELD_OUT))
    if arguments.serve:
        log.add("serve", **answers(PINFOLD, folder / "all", np.random.default_rng(0)))
    total = sum(line.get("seconds", 0) for line in log.lines.values())
    most = max(line.get("peak_gb", 0) for line in log.lines.values())
    log.add("all", total_minutes=round(total / 60, 1), most_gb=most, environment=environment())


OPTIONS = ("dim", "layers", "size", "steps", "epochs")


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=int, default=1000, help="Pinterest divided by this")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--features", type=int, default=64)
    parser.add_argument("--sample", type=float, default=0.05, help="share of the boards to train on")
    parser.add_argument("--half", action="store_true")
    parser.add_argument("--serve", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--attributes", action=argparse.BooleanOptionalAction, default=True, help="titles and so on")
    parser.add_argument("--import-memory", default="2GB")
    parser.add_argument("--embed-memory", default="4GB")
    for name, value in zip(OPTIONS, (64, 2, 20, 500, 2), strict=True):
        parser.add_argument(f"--{name}", type=int, default=value)
    return parser.parse_args()


if __name__ == "__main__":
    main()
