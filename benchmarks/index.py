"""The stored index on a large catalogue: seconds, bytes, recall, queries a second, filters that go with the vectors.

    taskset -c 0 python benchmarks/index.py
    taskset -c 0 python benchmarks/index.py --noise 0.8 --bits 8

The vectors are made here: 1 M of 64 numbers at length 1, in 10,000 clusters whose sizes fall as 1 / rank, each vector a
center plus noise of NOISE times its length. Recall is against scoring every item, of queries that did not choose the
probes: items (without themselves), and users, who are the mean of three items. Rates are queries in a second of
processor time on one core, asked one by one and in batches of 64; searches of faiss are told to use one thread.

Filters allow whole clusters, so that they go with the vectors as categories do; "plain" is what faiss finds when it is
given the same mask and the probes of the unfiltered search. A table on stderr, JSON on stdout.
"""

import argparse
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from environment import print_result
from pinfold.arrays import Bools, Embeddings, Floats, Ints, TopK, unit
from pinfold.artifacts import writing
from pinfold.embedding.artifact import KIND
from pinfold.index.config import IndexConfig
from pinfold.index.exact import ExactIndex
from pinfold.index.interface import Index
from pinfold.index.live import LiveIndex
from pinfold.index.stored import open_indexes, write_indexes

K = 10
SHARES = (0.5, 0.1, 0.01, 0.001)


def clustered(n: int, dim: int, n_clusters: int, noise: float, seed: int) -> tuple[Floats, Ints]:
    """Vectors (n, dim) of length 1 and the cluster (n,) of each."""
    rng = np.random.default_rng(seed)
    centers = unit(rng.standard_normal((n_clusters, dim), dtype=np.float32))
    chances = 1 / np.arange(1, n_clusters + 1)
    owners = rng.choice(n_clusters, n, p=chances / chances.sum()).astype(np.int32)
    scale = np.float32(noise / dim**0.5)
    return unit(centers[owners] + scale * rng.standard_normal((n, dim), dtype=np.float32)), owners


def people(items: Floats, n: int, seed: int) -> Floats:
    """Users (n, D): weighted means of three items, mostly near one of them."""
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, len(items), (n, 3))
    weights = rng.dirichlet((0.3, 0.3, 0.3), n).astype(np.float32)
    return np.asarray(np.einsum("nk,nkd->nd", weights, items[rows]), np.float32)


def found_share(found: TopK, truth: TopK) -> float:
    """The share of the true answers that was found, mean over queries."""
    hits = (found.ids[:, :, None] == truth.ids[:, None, :]) & (truth.ids >= 0)[:, None, :]
    return float((hits.sum(axis=(1, 2)) / np.maximum((truth.ids >= 0).sum(axis=1), 1)).mean())


def rate(search: Callable[[Floats], Any], queries: Floats, batch: int, rounds: int = 2) -> float:
    """Queries in a second of processor time; the best round counts."""
    taken = []
    for _ in range(rounds):
        started = time.process_time()
        for start in range(0, len(queries), batch):
            search(queries[start : start + batch])
        taken.append(time.process_time() - started)
    return len(queries) / min(taken)


def rates(search: Callable[[Floats], Any], queries: Floats, n: int) -> dict[str, float]:
    """One by one, and 64 at once."""
    return {"single": rate(search, queries[:n], 1), "batch": rate(search, queries[:n], 64)}


def filters(index: Index, plain: Any, items: Floats, owners: Ints, queries: Floats) -> list[dict[str, float]]:
    """Recall and rates under masks of whole clusters."""
    rng, exact, rows = np.random.default_rng(9), ExactIndex(items), []
    n_clusters = int(owners.max()) + 1
    for share in SHARES:
        allowed = mask_of(owners, rng.permutation(n_clusters), share)
        truth = exact.search(queries, K, None, allowed)
        row = {"share": share, "allowed": int(allowed.sum())}
        row["recall"] = found_share(index.search(queries, K, None, allowed), truth)
        settings = faiss.SearchParametersIVF(
            nprobe=index.shape.effort, sel=faiss.IDSelectorBitmap(np.packbits(allowed, bitorder="little"))
        )
        scores, ids = plain.search(queries, K, params=settings)
        row["recall_plain"] = found_share(TopK(ids.astype(np.int32), scores), truth)
        row |= rates(lambda part, allowed=allowed: index.search(part, K, None, allowed), queries, 200)
        row["exact"] = rate(lambda part, allowed=allowed: exact.search(part, K, None, allowed), queries[:32], 1, 1)
        tell("filter", row)
        rows.append(row)
    return rows


def mask_of(owners: Ints, order: Ints, share: float) -> Bools:
    """Whole clusters in this order, as long as the share is not passed; at least one."""
    sizes = np.bincount(owners, minlength=len(order))[order]
    kept = order[np.cumsum(sizes) <= share * len(owners)]
    while not len(kept) or sizes[np.isin(order, kept)].sum() < share * len(owners) / 2:  # a cluster that is too large
        fits = [c for c, size in zip(order, sizes, strict=True) if c not in kept and size <= share * len(owners)]
        kept = np.append(kept, fits[0])
    return np.isin(owners, kept)


def changes(base: Index, items: Floats, seed: int) -> dict[str, float]:
    """Microseconds to put and to delete beside a base, and searches a second afterwards."""
    live, rng = LiveIndex(base, items), np.random.default_rng(seed)
    new = unit(rng.standard_normal((10_000, items.shape[1]), dtype=np.float32))
    found = {"single_nothing_changed": rate(lambda part: live.search(part, K), items[:1000], 1)}
    for name, rows in {"new": len(items) + np.arange(9_000), "changed": rng.permutation(len(items))[:1_000]}.items():
        started = time.process_time()
        for row, vector in zip(rows.tolist(), new, strict=False):
            live.put(row, vector)
        found[f"put_{name}_us"] = 1e6 * (time.process_time() - started) / len(rows)
    started = time.process_time()
    for row in rng.permutation(len(items))[:1_000].tolist():
        live.delete(row)
    found["delete_us"] = 1e6 * (time.process_time() - started) / 1_000
    return found | {"single_10000_put_1000_deleted": rate(lambda part: live.search(part, K), items[:1000], 1)}


def run(items: Floats, owners: Ints, users: Floats, config: IndexConfig, folder: Path) -> dict[str, Any]:
    """Everything about one kind of index."""
    learned = Embeddings(users, items, items)
    started, used = time.perf_counter(), time.process_time()
    with writing(folder, KIND) as writer:
        result: dict[str, Any] = {"index": write_indexes(writer, learned, config, 0)}
    result["seconds_in_all"] = {"clock": time.perf_counter() - started, "processor": time.process_time() - used}
    tell("built, measured and written", result["seconds_in_all"] | result["index"])
    started = time.perf_counter()
    indexes = open_indexes(folder, learned)
    result["open_seconds"] = time.perf_counter() - started
    if indexes is None:
        raise SystemExit("there is no index")
    rows = np.random.default_rng(7).integers(0, len(items), 2000)
    tell("opened", {"seconds": result["open_seconds"]})
    for name, queries in {"users": users[:2000], "alike": np.ascontiguousarray(items[rows])}.items():
        result[f"rates_{name}"] = rates(partial(indexes.alike.search, k=K), queries, 1000)
        tell(f"queries a second, {name}", result[f"rates_{name}"])
    plain = faiss.read_index(str(folder / "index_users.faiss"), faiss.IO_FLAG_MMAP_IFC)
    if config.kind == "ivf":
        result["filters"] = filters(indexes.alike, plain, items, owners, np.ascontiguousarray(items[rows[:300]]))
    result["changes"] = changes(indexes.alike, items, 8)
    tell("changes", result["changes"])
    return result


def tell(name: str, figures: dict[str, Any]) -> None:
    """A line for a person, as soon as there is one."""
    shown = (f"{key} {value:,.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in figures.items())
    print(f"{name}: {', '.join(shown)}", file=sys.stderr, flush=True)


def main() -> None:
    """One kind of index after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--clusters", type=int, default=10_000)
    parser.add_argument("--noise", type=float, default=0.65)
    parser.add_argument("--kinds", default="ivf-32,ivf-8", help="kind-bits, separated by commas: ivf, hnsw, flat")
    parser.add_argument("--folder", type=Path, help="where index files are made and removed")
    arguments = parser.parse_args()
    items, owners = clustered(arguments.items, arguments.dim, arguments.clusters, arguments.noise, 0)
    users = people(items, 4000, 1)
    result: dict[str, Any] = {"noise": arguments.noise, "items": len(items), "dim": arguments.dim, "kinds": {}}
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        for name in arguments.kinds.split(","):
            kind, bits = name.split("-")
            config = IndexConfig(kind=kind, bits=int(bits))
            tell(name, {"load average": os.getloadavg()})
            result["kinds"][name] = run(items, owners, users, config, Path(folder) / name)
    result["load_average"] = os.getloadavg()
    result["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print_result(result)


if __name__ == "__main__":
    main()
