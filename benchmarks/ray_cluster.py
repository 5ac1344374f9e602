"""Ray as an engine: what starting, a round and moved bytes cost, and what happens when a machine goes away.

    python benchmarks/ray_cluster.py

Figures of this machine's own cluster, two workers: seconds until they answer, an empty round of `run` and of
`exchange`, 100 MB from each to the other. Then a cluster of three nodes, reached by address and token, as
many machines are:
the node of a worker is taken away in the middle of a step, the worker is lost, starts anew on another node, and the
round is done. JSON on stdout.
"""

import os
import secrets
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from environment import print_result
from pinfold.engine.interface import Job
from pinfold.engine.ray_engine import RayEngine
from pinfold.errors import WorkerLost

TABLE = "benchmarks.ray_steps:TABLE"
N_BYTES = 100_000_000


def seconds(work: Callable[[], Any], times: int) -> float:
    """The best of so many times."""
    found = []
    for _ in range(times):
        started = time.perf_counter()
        work()
        found.append(time.perf_counter() - started)
    return min(found)


def own_cluster(job: Job) -> dict[str, float]:
    """What this machine's own cluster costs."""
    started = time.perf_counter()
    engine = RayEngine(job, 2, TABLE)
    figures = {"start_seconds": time.perf_counter() - started}
    try:
        figures["run_ms"] = 1000 * seconds(lambda: engine.run("nothing"), 50)
        figures["exchange_ms"] = 1000 * seconds(lambda: engine.exchange("send", "receive", {"n": 1}), 50)
        spent = seconds(lambda: engine.exchange("send", "receive", {"n": N_BYTES}), 5)
        figures["moved_mb_per_second"] = 2 * N_BYTES / 1e6 / spent
        started = time.perf_counter()
        engine._kill(1)
        engine.revive()
        figures["revive_seconds"] = time.perf_counter() - started
    finally:
        started = time.perf_counter()
        engine.close()
    return {**figures, "close_seconds": time.perf_counter() - started}


def removed_node(job: Job) -> dict[str, Any]:
    """A machine goes away in the middle of a step."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        nodes = {node.node_id: node for node in (cluster.add_node(num_cpus=2) for _ in range(2))}
        started = time.perf_counter()
        engine = RayEngine(job, 2, TABLE, address=cluster.address, threads=1)
        figures: dict[str, Any] = {"connect_seconds": time.perf_counter() - started}
        try:
            before = engine.run("node")
            thread = threading.Timer(1.0, cluster.remove_node, [nodes[before[1]], False])
            thread.start()
            started = time.perf_counter()
            try:
                engine.run("nothing", {"seconds": 600})
            except WorkerLost as error:
                figures |= {"noticed_seconds": time.perf_counter() - started - 1, "said": str(error)}
            thread.join()
            started = time.perf_counter()
            engine.revive()
            figures["revive_seconds"] = time.perf_counter() - started
            after = engine.run("node")
            figures["moved_to_another"] = before[1] not in after
            figures["right"] = engine.exchange("send", "receive", {"n": 4096}) == [2, 2]
        finally:
            engine.close()
    finally:
        cluster.shutdown()
    return figures


def main() -> None:
    """Both."""
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    root = str(Path(__file__).parent.parent)
    os.environ["PYTHONPATH"] = os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])  # actors import the steps
    sys.path.insert(0, root)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        job = Job(place, place, place, 1, 1, 1, 0)
        print_result({"own": own_cluster(job), "removed_node": removed_node(job)})


if __name__ == "__main__":
    main()
