"""The service under load: requests a second, seconds of latency, memory, freshness, cold start.

    python benchmarks/serving.py make --work FOLDER    # 1 M items x 64: 2 minutes, 3.4 GB of memory, 1.7 GB on disk
    python benchmarks/serving.py load --work FOLDER    # needs wrk: apt-get install wrk
    python benchmarks/serving.py fresh --work FOLDER   # or --artifact OUT, which `pinfold train` made
    python benchmarks/serving.py cold --artifact OUT
    python benchmarks/serving.py all --quick           # 5,000 items, under a minute

load: `GET /v1/items/{id}/similar` for random items with k = 10 and k = 50, by wrk on the same processors: as fast as
32 connections ask (full), at 1,200 a second (steady), with ten times as many connections (overload: 503 and 429
instead of a crash), and full once more. fresh: new items, events and deletes while 200 reads a second run; every one is
looked for in an answer. cold: from the start of the process to the first 200 of /readyz. The best of --rounds stands
first, all of them beside it; where others use the machine, the service's processor time for each answer says more. The
artifact is read where it is; the service's state is thrown away. Traffic goes to 127.0.0.1 only. A table on stderr,
JSON on stdout.
"""

import argparse
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from environment import print_result
from pinfold.embedding.artifact import read_artifact
from serving_artifact import World, make_artifact
from serving_fresh import freshness
from serving_load import best_of, has_wrk, similar_paths, wrk
from serving_process import load_average, serving

FULL, STEADY, OVERLOAD = 32, 128, 320  # connections
RATE = 1200
LARGE = World(1_000_000, 200_000, 20, 500)
SMALL = World(5_000, 1_000, 20, 20)
NAME = "synthetic"
TARGETS = "asked: full >= 1,200/s, steady p99 <= .060 s, fresh p99 < 1 s, cold < 3 s (bundled data), nothing wrong"


def load(artifact: Path, seconds: float, rounds: int, cores: tuple[str | None, str | None]) -> dict[str, Any]:
    """Similar items, as fast as can be, at a rate, and beyond."""
    ids = [str(one) for one in read_artifact(artifact).items.all]
    found: dict[str, Any] = {"items": len(ids), "processors": {"service": cores[0], "wrk": cores[1]}}
    with serving(artifact, cores=cores[0]) as served:
        found["ready_seconds"] = served.ready_seconds
        found["memory_at_start"] = served.memory()
        for k in (10, 50):
            paths = similar_paths(ids, k)
            wrk(served, paths, 2, FULL, cores=cores[1])  # reads what is mapped
            full = [wrk(served, paths, seconds, FULL, cores=cores[1], seed=n) for n in range(rounds)]
            steady = [wrk(served, paths, seconds, STEADY, rate=RATE, cores=cores[1], seed=n) for n in range(rounds)]
            found[f"k{k}"] = {"full": best_of(full), "steady": min(steady, key=lambda run: float(run["p99"]))}
        found["k50"]["overload"] = wrk(served, paths, seconds, OVERLOAD, cores=cores[1])
        found["k50"]["after_overload"] = wrk(served, paths, seconds, FULL, cores=cores[1])
        found["healthy_after"] = served.ask("GET", "/healthz")[0] == 200
        found["memory"], found["torch"] = served.memory(), served.has_torch()
    return found


def fresh(artifact: Path, n_items: int, n_events: int) -> dict[str, Any]:
    """New items, events and deletes beside 200 reads a second."""
    with serving(artifact) as served:
        found = freshness(served, artifact, n_items, n_events)
        found["by_the_service"] = served.ask("GET", "/v1/status")[1]["freshness"]
        found["memory"] = served.memory()
    return found


def cold(artifact: Path, rounds: int) -> dict[str, Any]:
    """Starts with nothing told yet."""
    seconds, processor, torch, memory = [], [], False, {}
    for _ in range(rounds):
        with serving(artifact) as served:
            seconds.append(served.ready_seconds)
            processor.append(served.processor_seconds())
            served.ask("GET", similar_paths([str(read_artifact(artifact).items.all[0])], 5)[0])
            torch, memory = torch or served.has_torch(), served.memory()
    return {
        "seconds": seconds, "median": statistics.median(seconds), "processor_seconds": processor,
        "torch": torch, "memory": memory,
        "load_average": load_average(),
    }  # fmt: skip


def table(result: dict[str, Any]) -> str:
    """What matters, for people."""
    lines = [TARGETS]
    for k in ("k10", "k50"):
        for name, run in result.get("load", {}).get(k, {}).items():
            ms = "  ".join(f"{q} {run[q] * 1e3:6.1f}" for q in ("p50", "p99", "p999"))
            wrong = f"refused {run['not_2xx']:5d}  errors {run['socket_errors']}"
            each = f"{run['service_seconds'] * 1e6:4.0f} us each"
            rate = f"{run['requests_per_second']:6.0f}/s"
            lines.append(f"{k:4}{name:15} {rate}  {ms} ms  {wrong}  {each}  load average {run['load_average']}")
    if "fresh" in result:
        for name in ("one_by_one", "in_bursts_of_8"):
            part = result["fresh"][name]
            for what in ("acknowledged", "found"):
                times = part.get(what, {"n": 0, "p50": 0.0, "p99": 0.0, "max": 0.0})
                ms = "  ".join(f"{q} {times[q] * 1e3:6.1f}" for q in ("p50", "p99", "max"))
                never = f"never found {part['never_found']}  failed {part['failed']}"
                lines.append(f"{name:15} {what:12} n {times['n']:4d}  {ms} ms  {never}")
        lines += [f"{name}: {result['fresh'][name]}" for name in ("events", "deletes", "reads")]
    for name in ("load", "fresh", "cold"):
        if "memory" in result.get(name, {}):
            lines.append(f"{name}: MB " + str({key: size >> 20 for key, size in result[name]["memory"].items()}))
    if "cold" in result:
        found = result["cold"]
        lines.append(
            f"cold start, median {found['median']:.2f} s, of the processor {min(found['processor_seconds']):.2f} s, "
            f"torch {found['torch']}, load average {found['load_average']}"
        )
    return "\n".join(lines)


def measure(arguments: argparse.Namespace, work: Path) -> dict[str, Any]:
    """What was asked for."""
    quick, what = arguments.quick, arguments.what
    artifact, result = arguments.artifact or work / NAME, {}
    if what == "make" or not artifact.exists():
        result["made"] = make_artifact(artifact, SMALL if quick else LARGE)
    if what in ("load", "all"):
        if has_wrk():
            seconds, rounds = (2.0, 1) if quick else (arguments.seconds, arguments.rounds)
            result["load"] = load(artifact, seconds, rounds, (arguments.service_cores, arguments.wrk_cores))
        elif what == "load":
            sys.exit("wrk is not here: apt-get install wrk")
    if what in ("fresh", "all"):
        result["fresh"] = fresh(artifact, *((40, 20) if quick else (arguments.puts, arguments.events)))
    if what in ("cold", "all"):
        result["cold"] = cold(artifact, 1 if quick else 5)
    return result


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["make", "load", "fresh", "cold", "all"])
    parser.add_argument("--work", type=Path, help="a folder for the synthetic artifact; else one that is thrown away")
    parser.add_argument("--artifact", type=Path, help="another artifact; it is only read")
    parser.add_argument("--quick", action="store_true", help="5,000 items and few requests: does it work at all")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each run of wrk")
    parser.add_argument("--rounds", type=int, default=3, help="runs of wrk, of which the best counts")
    parser.add_argument("--puts", type=int, default=600, help="new items")
    parser.add_argument("--events", type=int, default=200)
    parser.add_argument("--service-cores", help="as taskset names them; else all")
    parser.add_argument("--wrk-cores")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as thrown_away:
        work = arguments.work or Path(thrown_away)
        work.mkdir(parents=True, exist_ok=True)
        result = measure(arguments, work)
    sys.stderr.write(table(result) + "\n")
    print_result(result)


if __name__ == "__main__":
    main()
