"""Random walks on a graph larger than the cache, beside what memory allows: steps a second and a core.

    python benchmarks/walks.py
    python benchmarks/walks.py --peer-python cluster-venv/bin/python

The graph is made here: 2 M items, 1 M users, 18 M edges, degrees on both sides by a power law, rows in random order. A
step (item -> user -> item) has four reads that depend on each other, so the limit is a quarter of the independent
random reads a second, measured in turn with the walks, round by round, on as many bytes as the graph has. Single-core
figures are steps in a second of processor time, the best round counts; the table of all items is timed by the clock.

- bare: walks whose visits are kept and not counted, without restart and with restart 0.5
- plain: one walk at a time; its visits must be equal, bit by bit
- counted: 500 steps a source, visits counted, the best 50 with their shares
- table: neighborhoods of all items (T = 50, 500 steps), on all threads, in blocks; with --write also to disk

`--peer-python` names a python that has torch_cluster; without it that row is left out. A table on stderr, JSON on
stdout.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from environment import print_result
from pinfold.arrays import Ints, Longs
from pinfold.graph.bipartite import BipartiteGraph
from pinfold.graph.csr import from_pairs
from pinfold.graph.neighborhood_files import build_neighborhoods
from pinfold.graph.neighborhoods import NeighborhoodConfig, neighborhood_blocks, walk_tables
from pinfold.kernels.parallel import n_threads
from pinfold.kernels.visits import walk_top
from pinfold.kernels.walks import Sources, Table, walk_visits
from walk_limits import dependent_reads, independent_reads, plain_walks, prefetched_reads

READS = 4  # of a step, each dependent on the one before
CONFIG = NeighborhoodConfig(size=50, steps=500)
BARE_STEPS = 100
N_READS = 4_096_000
EXPONENT = 0.6  # degree by rank ** -EXPONENT: the largest has some 20,000 edges


def power_law(n_users: int, n_items: int, n_edges: int, seed: int) -> BipartiteGraph:
    """Edges whose ends are drawn by rank ** -EXPONENT, repeated ones left out."""
    rng = np.random.default_rng(seed)
    ends = [_draw(n, n_edges, rng) for n in (n_users, n_items)]
    keys = np.unique(ends[0].astype(np.int64) * n_items + ends[1])
    users, items = (keys // n_items).astype(np.int32), (keys % n_items).astype(np.int32)
    user_items = from_pairs(users, items, np.ones(len(keys), np.float32), (n_users, n_items))
    return BipartiteGraph(user_items, user_items.transpose())


def _draw(n: int, n_edges: int, rng: np.random.Generator) -> Ints:
    sums = np.cumsum(np.arange(1, n + 1) ** -EXPONENT)
    ranks = np.searchsorted(sums, rng.random(n_edges) * sums[-1])
    return rng.permutation(n).astype(np.int32)[ranks]


def best(rounds: list[float], work: int) -> float:
    """Units of work a second in the fastest round."""
    return work / min(rounds)


def seconds(work: Callable[[], Any]) -> float:
    """Processor time of this process."""
    started = time.process_time()
    work()
    return time.process_time() - started


def sources_of(items: Table, rows: Longs) -> Sources:
    """These items of the graph."""
    return Sources(items.ptr[rows], items.ptr[rows + 1], items, False, rows.astype(np.int32), rows)


def single_core(graph: BipartiteGraph, rows: Longs, rounds: int) -> dict[str, float]:
    """Reads and steps a second, all kinds in turn in each round."""
    tables = walk_tables(graph, CONFIG)
    items, users = tables.items, tables.users
    n_bytes = sum(array.nbytes for table in (items, users) for array in (table.ptr, table.ids))
    values = np.random.default_rng(0).integers(0, 2**31 - 1, n_bytes // 4, dtype=np.int32)
    few, many = rows[: len(rows) // 5], rows
    found = {
        restart: walk_visits(items, users, sources_of(items, few), BARE_STEPS, restart, 0) for restart in (0.0, 0.5)
    }
    visits = np.empty_like(found[0.0])
    key = np.uint64(1)

    def plain(restart: float) -> None:
        plain_walks(items.ptr, items.ids, users.ptr, users.ids, few, restart, 0, visits)

    def bare(restart: float) -> None:
        walk_visits(items, users, sources_of(items, many), BARE_STEPS, restart, 0)

    def counted(chosen: Longs) -> None:
        walk_top(items, users, sources_of(items, chosen), CONFIG.steps, CONFIG.restart, 0, CONFIG.size)

    for restart in (0.0, 0.5):
        plain(restart)
        if not np.array_equal(visits, walk_visits(items, users, sources_of(items, few), BARE_STEPS, restart, 0)):
            raise SystemExit("walks in lockstep and one at a time went different ways")
    kinds: dict[str, tuple[Callable[[], Any], int]] = {
        "independent reads": (lambda: independent_reads(values, N_READS, key), N_READS),
        "prefetched reads": (lambda: prefetched_reads(values, N_READS, key), N_READS),
        "dependent reads": (lambda: dependent_reads(values, N_READS // 16, key), N_READS // 16),
        "bare, no restart": (lambda: bare(0.0), len(many) * BARE_STEPS),
        "bare, restart 0.5": (lambda: bare(0.5), len(many) * BARE_STEPS),
        "counted": (lambda: counted(few), len(few) * CONFIG.steps),
        "plain, no restart": (lambda: plain(0.0), len(few) * BARE_STEPS),
        "plain, restart 0.5": (lambda: plain(0.5), len(few) * BARE_STEPS),
    }
    for work, _ in kinds.values():  # compiled, and the pages touched
        work()
    taken: dict[str, list[float]] = {name: [] for name in kinds}
    for _ in range(rounds):
        for name, (work, _) in kinds.items():
            taken[name].append(seconds(work))
    return {name: best(taken[name], amount) for name, (_, amount) in kinds.items()}


def whole_table(graph: BipartiteGraph, write: Path | None) -> dict[str, float]:
    """Seconds for the neighborhoods of all items, by the clock."""
    started, n_found = time.perf_counter(), 0
    for block in neighborhood_blocks(graph, CONFIG, 0):
        n_found += int((block.ids >= 0).sum())
    found = {"seconds": time.perf_counter() - started, "mean_neighbors": n_found / graph.n_items}
    if write is not None:
        with tempfile.TemporaryDirectory(dir=write) as folder:
            started = time.perf_counter()
            build_neighborhoods(Path(folder) / "table", graph, CONFIG, 0)
            found["seconds_to_disk"] = time.perf_counter() - started
    return found


def peer(python: str, graph: BipartiteGraph, rows: Longs, rounds: int) -> dict[str, Any]:
    """torch-cluster's walks in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        for name, array in {
            "item_ptr": graph.item_users.ptr, "item_users": graph.item_users.ids,
            "user_ptr": graph.user_items.ptr, "user_items": graph.user_items.ids, "rows": rows,
        }.items():  # fmt: skip
            np.save(Path(folder) / f"{name}.npy", array, allow_pickle=False)
        script = Path(__file__).with_name("walks_peer.py")
        numbers = [str(number) for number in (len(rows), BARE_STEPS, rounds)]
        command = [python, "-W", "ignore", str(script), folder, *numbers]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def print_table(rates: dict[str, float]) -> None:
    """Every kind in ns, and as a share of the limit."""
    limit = rates["independent reads"] / READS
    for name, rate in rates.items():
        reads = "reads" in name
        share = rate / READS / limit if reads else rate / limit
        print(f"{name:<22}{1e9 / rate:>9.1f} ns {rate / 1e6:>8.1f} M/s {share:>7.0%} of the limit", file=sys.stderr)


def main() -> None:
    """Single core, table, peer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=2_000_000)
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--edges", type=int, default=18_400_000, help="drawn; repeated ones are left out")
    parser.add_argument("--sources", type=int, default=40_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--without-table", action="store_true")
    parser.add_argument("--write", type=Path, help="also write the table, into this folder, and remove it")
    parser.add_argument("--peer-python", help="of an environment with torch_cluster")
    arguments = parser.parse_args()
    graph = power_law(arguments.users, arguments.items, arguments.edges, 0)
    degrees = graph.item_counts(), graph.user_items.degrees()
    rows = np.random.default_rng(1).permutation(np.flatnonzero(degrees[0]))[: arguments.sources]
    rates = single_core(graph, rows, arguments.rounds)
    result: dict[str, Any] = {
        "edges": graph.n_edges,
        "largest_degrees": [int(side.max()) for side in degrees],
        "per_second": rates,
        "share_of_limit": {name: READS * rate / rates["independent reads"] for name, rate in rates.items()},
    }
    if arguments.peer_python:
        result["torch_cluster"] = peer(arguments.peer_python, graph, rows, arguments.rounds)
        rates["torch-cluster"] = result["torch_cluster"]["steps_per_second"]
    print_table(rates)
    if not arguments.without_table:
        result["table"] = {"threads": n_threads(), **whole_table(graph, arguments.write)}
        print(f"table: {result['table']}", file=sys.stderr)
    result["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print_result(result)


if __name__ == "__main__":
    main()
