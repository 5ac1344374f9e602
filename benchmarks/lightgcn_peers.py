"""LightGCN on Gowalla beside its peers: seconds a step and an epoch, peak memory, and the physical limit, in one run.

    python benchmarks/lightgcn_peers.py --data FOLDER --pyg-python PYTHON --recbole-python PYTHON

FOLDER holds train.txt and test.txt (or .gz) of the standard split; PYTHON is the interpreter of an environment that
has torch_geometric, or recbole with numpy<2, scipy<1.13, pandas<3 (benchmarks/README.md has the commands). Without a
peer's option the peer is left out. The systems are those of peer_systems.py: pinfold, pyg (edge index), pyg-sparse (CSR
matrix), recbole, coo (RecBole's propagation alone).

All learn with BPR, 64 dimensions, 3 layers, batches of 2,048 edges, Adam at 1e-3, L2 1e-4, from the same start
vectors and on the same batches; the losses are compared, and the run fails if they differ. Each system is a process
with the same number of threads. In every round each runs some steps, in turn, so that a busy machine slows all of
them. An epoch is the median step times the steps of an epoch (with `--full-epochs` the sum of its steps) and the time
to make its batches: the system's own way, or Pinfold's where it has none. A table on stderr, JSON on stdout.
"""

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from environment import print_result
from pinfold.graph.bipartite import BipartiteGraph
from pinfold.models.interface import Trainable
from pinfold.models.lightgcn import LightGCNConfig
from pinfold.models.losses import BPRConfig
from pinfold.models.pairwise import ObjectiveConfig
from pinfold.models.shelf import build
from pinfold.sampling.pairs import SamplingConfig
from standard_split import load_gowalla
from traffic import Moved, limits, step_traffic

SEED = 0
SETTINGS = {"dim": 64, "n_layers": 3, "batch_size": 2048, "rate": 1e-3, "l2": 1e-4}
# What LightGCN's authors train for, and what the peers have: not Pinfold's defaults.
ONE_NEGATIVE = SamplingConfig(
    batch_by="edges", batch_size=int(SETTINGS["batch_size"]), negatives="uniform", n_negatives=1, shared=False
)
PAPER = ObjectiveConfig(loss=BPRConfig(), sampling=ONE_NEGATIVE, score="inner", l2=SETTINGS["l2"], length_exponent=1.0)
WARM_UP = 2  # steps that are not timed
SAME_FIRST, SAME_LATER = 1e-5, 1e-2  # relative difference of losses: rounding, and what rounding grows to


def build_model(graph: BipartiteGraph) -> Trainable[Any]:
    """Pinfold's LightGCN by the authors' recipe (were it another one, the losses would differ)."""
    config = LightGCNConfig(dim=int(SETTINGS["dim"]), n_layers=int(SETTINGS["n_layers"]), objective=PAPER)
    return build(config, graph, SEED)


def epochs_of_batches(model: Trainable[Any]) -> Iterator[Any]:
    """Batches without end, epoch after epoch."""
    for epoch in itertools.count():
        yield from model.batches(np.random.default_rng([SEED, epoch]))


def write_world(graph: BipartiteGraph, model: Trainable[Any], n_steps: int, folder: Path, train: Path) -> list[Moved]:
    """Files for the systems; the bytes that a mean step moves, judged by the first batches."""
    folder.mkdir(parents=True, exist_ok=True)
    batches = list(itertools.islice(epochs_of_batches(model), n_steps))
    columns = [np.stack([b.users, b.positives, b.negatives.reshape(len(b.users))]) for b in batches]
    sizes = [column.shape[1] for column in columns]
    tables = {len(p): p.detach().numpy() for p in model.module().parameters()}
    edges = graph.user_items
    np.savez(
        folder / "world.npz",
        edge_users=np.repeat(np.arange(edges.n_rows, dtype=np.int32), edges.degrees()),
        edge_items=edges.ids,
        start_users=tables[graph.n_users],
        start_items=tables[graph.n_items],
        batches=np.concatenate(columns, axis=1),
        batch_ptr=np.cumsum([0, *sizes]),
    )
    (folder / "settings.json").write_text(json.dumps({**SETTINGS, "train": str(train.resolve())}))
    middle = columns[0]  # batches of 2,048 random edges are much alike
    return step_traffic(graph, middle[0], middle[1:], int(SETTINGS["dim"]), int(SETTINGS["n_layers"]))


class Child:
    """A process of peer_process.py."""

    def __init__(self, name: str, python: str, folder: Path, threads: int) -> None:
        variables = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
        # glibc keeps freed memory: Pinfold's training asks this of it, and the peers shall have it too
        variables |= {"MALLOC_MMAP_THRESHOLD_": str(32 << 20), "MALLOC_TRIM_THRESHOLD_": str(1 << 30)}
        self.name = name
        script = Path(__file__).with_name("peer_process.py")
        self.process = subprocess.Popen(
            [python, "-W", "ignore", str(script), name, str(folder.resolve())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **variables},
        )
        self.ready = self._read()
        self.rounds: list[dict[str, Any]] = []

    def ask(self, start: int, stop: int) -> dict[str, Any]:
        """Run the steps from start to stop."""
        assert self.process.stdin is not None
        print(json.dumps({"start": start, "stop": stop}), file=self.process.stdin, flush=True)
        return self._read()

    def end(self) -> None:
        """Close its stdin and wait."""
        self.process.communicate()

    def _read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} ended early; its own message stands above")
        answer: dict[str, Any] = json.loads(line)
        return answer


def measure(children: list[Child], rounds: int, steps: int) -> None:
    """Every round: each child in turn."""
    for child in children:
        child.rounds.append(child.ask(0, WARM_UP))
    for number in range(rounds):
        for child in children:
            start = WARM_UP + number * steps
            child.rounds.append(child.ask(start, start + steps))
            print(f"round {number + 1} of {rounds}: {child.name}", file=sys.stderr, flush=True)


def summarize(child: Child, pinfold: Child, n_batches: int, *, whole: bool) -> dict[str, Any]:
    """A system's figures, and its ratios to Pinfold, round by round."""

    def epoch(one: dict[str, Any], ours: dict[str, Any]) -> float:
        drawn = ours["draw"] if one["draw"] is None else one["draw"]
        return float(drawn + (one["total"] if whole else one["median"] * n_batches))

    pairs = list(zip(child.rounds[1:], pinfold.rounds[1:], strict=True))
    epochs = [epoch(one, ours) for one, ours in pairs]
    losses, theirs = (np.array([x for r in c.rounds for x in r["losses"]]) for c in (child, pinfold))
    gaps = np.abs(losses - theirs) / np.abs(theirs)
    return {
        "seconds_per_step": statistics.median(one["median"] for one, _ in pairs),
        "seconds_per_epoch": statistics.median(epochs),
        "own_batches_seconds_per_epoch": (
            None if pairs[0][0]["draw"] is None else statistics.median(one["draw"] for one, _ in pairs)
        ),
        "step_ratio": _spread([one["median"] / ours["median"] for one, ours in pairs]),
        "epoch_ratio": _spread([x / epoch(ours, ours) for x, (_, ours) in zip(epochs, pairs, strict=True)]),
        "seconds_per_step_by_round": [one["median"] for one, _ in pairs],
        "peak_mb": max((one["peak_mb"] or 0 for one, _ in pairs)),
        "set_up_peak_mb": child.ready["set_up_mb"],
        "last_loss": float(losses[-20:].mean()),
        "first_loss_gap": float(gaps[0]),
        "largest_loss_gap": float(gaps.max()),
        "versions": child.ready["versions"],
    }


def _spread(ratios: list[float]) -> dict[str, float]:
    return {"median": statistics.median(ratios), "min": min(ratios), "max": max(ratios)}


def physical_limit(parts: list[Moved], speeds: list[dict[str, Any]], step: float) -> dict[str, Any]:
    """The limits at the best bandwidths of the run, and the share that a step of so many seconds reaches."""
    memory, cache = (max(speed[name] for speed in speeds) for name in ("memory", "cache"))
    seconds = limits(parts, memory, cache)
    return {
        "memory_bytes_per_second": memory,
        "cache_bytes_per_second": cache,
        "bytes_per_step": [asdict(part) for part in parts],
        "seconds_per_step": {**seconds, "measured": step},
        "share_reached": {name: value / step for name, value in seconds.items()},
    }


def table(systems: dict[str, Any], limit: dict[str, Any]) -> str:
    """The figures for a person."""
    lines = [
        f"{'':<12}{'ms a step':>10}{'s an epoch':>12}{'its batches':>12}{'times ours, min to max':>26}{'peak MB':>9}"
    ]
    for name, one in systems.items():
        ratio, own = one["epoch_ratio"], one["own_batches_seconds_per_epoch"]
        spread = f"{ratio['median']:.1f}, {ratio['min']:.1f} to {ratio['max']:.1f}"
        lines.append(
            f"{name:<12}{one['seconds_per_step'] * 1e3:>10.1f}{one['seconds_per_epoch']:>12.1f}"
            f"{'' if own is None else format(own, '.2f'):>12}{spread:>26}{one['peak_mb']:>9.0f}"
        )
    for name, seconds in limit["seconds_per_step"].items():
        if name != "measured":
            lines.append(f"limit {name:<6}{seconds * 1e3:>10.1f}{'':>12}{limit['share_reached'][name]:>12.0%} reached")
    speeds = (limit[f"{place}_bytes_per_second"] / 1e9 for place in ("memory", "cache"))
    return "\n".join([*lines, "GB/s from memory and cache: {:.1f}, {:.1f}".format(*speeds)])


def check_losses(systems: dict[str, Any]) -> None:
    """Fail unless all systems learned the same."""
    for name, one in systems.items():
        if one["first_loss_gap"] > SAME_FIRST or one["largest_loss_gap"] > SAME_LATER:
            raise SystemExit(f"{name} did not compute what pinfold computes: see its loss gaps above")


def main() -> None:
    """All systems, round by round."""
    arguments = parse_arguments()
    graph, _ = load_gowalla(arguments.data, arguments.work)
    model = build_model(graph)
    whole, n_batches = bool(arguments.full_epochs), model.n_batches()
    rounds, steps = (arguments.full_epochs, n_batches) if whole else (arguments.rounds, arguments.steps)
    folder = arguments.work / "peers"
    parts = write_world(graph, model, WARM_UP + rounds * steps, folder, arguments.work / "train")
    pythons = {"pinfold": sys.executable, "coo": sys.executable}
    pythons |= dict.fromkeys(("pyg", "pyg-sparse"), arguments.pyg_python) if arguments.pyg_python else {}
    pythons |= {"recbole": arguments.recbole_python} if arguments.recbole_python else {}
    pythons = {name: python for name, python in pythons.items() if name not in arguments.without}
    pythons["bandwidth"] = sys.executable
    del model
    children = [Child(name, python, folder, arguments.threads) for name, python in pythons.items()]
    measure(children, rounds, steps)
    for child in children:
        child.end()
    *peers, stream = children
    systems = {peer.name: summarize(peer, peers[0], n_batches, whole=whole) for peer in peers}
    limit = physical_limit(parts, stream.rounds, systems["pinfold"]["seconds_per_step"])
    run = {"rounds": rounds, "steps": steps, "whole_epochs": whole, "threads": arguments.threads, "batches": n_batches}
    print_result({**run, "settings": SETTINGS, "systems": systems, "limit": limit})
    print(table(systems, limit), file=sys.stderr)
    check_losses(systems)


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("out/gowalla"))
    parser.add_argument("--pyg-python", help="of an environment with torch_geometric")
    parser.add_argument("--recbole-python", help="of an environment with recbole")
    parser.add_argument("--without", nargs="+", default=[], choices=["coo", "pyg", "pyg-sparse"], help="leave out")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=20, help="of each system in a round")
    parser.add_argument("--full-epochs", type=int, help="rounds of a whole epoch instead")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="of each system")
    return parser.parse_args()


if __name__ == "__main__":
    main()
