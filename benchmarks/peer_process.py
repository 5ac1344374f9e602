"""A process of lightgcn_peers.py: `python peer_process.py NAME FOLDER`, one system of peer_systems.py or `bandwidth`.

Requests and answers are JSON, a line each, on stdin and stdout.
"""

import json
import os
import statistics
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from peer_systems import SYSTEMS, System, World

TRIAD_ELEMENTS = 64 << 20  # of each of the three arrays: 256 MiB, far more than any cache holds
TRIAD_REPEATS = 5


def bandwidth(n_elements: int, repeats: int) -> float:
    """Bytes a second of the STREAM triad a = b + s c on float32, the best of `repeats`: 12 bytes an element."""
    a, b, c = (torch.ones(n_elements) for _ in range(3))
    best = float("inf")
    for _ in range(repeats + 1):
        started = time.perf_counter()
        torch.add(b, c, alpha=3.0, out=a)
        best = min(best, time.perf_counter() - started)
    return 12 * n_elements / best


def peak_mb(*, forget: bool = False) -> float | None:
    """The most this process has held since its start or since it last forgot; None where the kernel does not say."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        if forget:
            Path("/proc/self/clear_refs").write_text("5")  # proc(5)
    except OSError:
        return None
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), None)


def run_round(system: System, start: int, stop: int) -> dict[str, Any]:
    """Steps start to stop, and a pass over the system's own batches."""
    seconds, losses = [], []
    for number in range(start, stop):
        batch = system.prepare(number)
        started = time.perf_counter()
        losses.append(system.step(batch))
        seconds.append(time.perf_counter() - started)
    step_peak = peak_mb()
    drawn = system.draw_epoch()
    return {
        "median": statistics.median(seconds),
        "total": sum(seconds),
        "losses": losses,
        "draw": drawn,
        "peak_mb": step_peak,
    }


def main() -> None:
    """Answer requests until stdin ends."""
    name, folder = sys.argv[1], Path(sys.argv[2])
    del sys.argv[1:]  # RecBole would read them
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints must not come between the answers
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    world = World(folder)
    system = SYSTEMS[name](world) if name in SYSTEMS else None
    packages = ("torch", "numpy", "scipy", "pandas", "torch_geometric", "recbole")
    answer: dict[str, Any] = {"set_up_mb": peak_mb(forget=True), "versions": _versions(packages)}
    print(json.dumps(answer), file=answers, flush=True)
    tables = world.start_users.size + world.start_items.size
    for line in sys.stdin:
        request = json.loads(line)
        if system:
            answer = run_round(system, request["start"], request["stop"])
        else:
            answer = {
                "memory": bandwidth(TRIAD_ELEMENTS, TRIAD_REPEATS),
                "cache": bandwidth(tables // 3, 100 * TRIAD_REPEATS),
            }
        print(json.dumps(answer), file=answers, flush=True)


def _versions(names: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


if __name__ == "__main__":
    main()
