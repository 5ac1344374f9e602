"""What an update costs and how close it comes to a rebuild, on a graph like Pinterest's.

    pinfold generate --users 100000 --items 200000 --edges 1800000 --out RAW
    python benchmarks/update.py --raw RAW --folder FOLDER

The newest hundredth of the edges and a random hundredth are taken away, a network is trained on the rest, and each
part is brought in by `pinfold update` with several settings. The rebuild without training is measured beside it: import
of all events, graph, neighborhoods, inference, users and index, all from nothing; then its arrays are compared, in the
same rows. Every update is a process of its own, memory is what it held at most. Results: benchmarks/README.md.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from environment import print_result
from pinfold.arrays import Floats, unit
from pinfold.artifacts import writing
from pinfold.embedding.artifact import Artifact, read_artifact
from pinfold.graph.bipartite import build_graph
from pinfold.graph.convolve import embed_all
from pinfold.graph.convolved import Convolved
from pinfold.graph.interests import InterestsConfig, make_users
from pinfold.graph.neighborhoods import Neighborhoods, neighborhoods
from pinfold.index.stored import write_indexes
from pinfold.run import stored_run
from pinfold.updating.drift import overlap
from pinfold.updating.scratch import cosines

SETTINGS = ((0.0, 0.0), (0.05, 0.0), (0.05, 0.05), (0.1, 0.1), (0.2, 0.2))
PAIRS = 40_000  # that the network learns from: enough for vectors that say something
PINFOLD = str(Path(sys.executable).with_name("pinfold"))
RUN = """seed = 0
data.path = "{folder}/data"
data.pairs = "{folder}/pairs.csv"
split.protocol = "none"
features.items.look = {{kind = "vector", path = "{folder}/base.npy"}}

[model]
name = "pinsage"
hidden = {dim}
dim = {dim}
unit = true
neighborhood = {{size = 50, steps = 500}}
loss = {{name = "softmax", temperature = 0.1, log_q = true}}
pairs.source = "file"

[train]
epochs = {epochs}
learning_rate = 0.01
"""


def run(*words: object) -> dict[str, Any]:
    """The seconds of a pinfold command, and what it printed as JSON."""
    started = time.perf_counter()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([PINFOLD, *map(str, words)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    found = json.loads(done.stdout) if "--json" in words else {}
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {**found, "process_cpu_seconds": round(cpu, 2), "process_seconds": round(time.perf_counter() - started, 2)}


def divide(raw: Path, folder: Path, share: float) -> None:
    """Files of the events that there were, and of those that came: the newest, or random ones; new items' features."""
    with duckdb.connect() as db:
        db.execute("SET threads = 1")
        db.execute(
            f"CREATE TABLE e AS SELECT *, row_number() OVER (ORDER BY time, user, item) AS place, "
            f"hash(user, item) % 100000 < {share} * 100000 AS drawn FROM read_parquet('{raw}/events-*.parquet')"
        )
        n = db.execute("SELECT count(*) FROM e").fetchall()[0][0]
        cut = n - round(share * n)
        parts = {
            "base": f"place <= {cut} AND NOT drawn",
            "newest": f"place > {cut}",
            "random": f"place <= {cut} AND drawn",
        }
        for name, where in parts.items():
            db.execute(
                f"COPY (SELECT user, item, time FROM e WHERE {where} ORDER BY place) TO '{folder}/{name}.parquet'"
            )
        for name in ("newest", "random"):
            query = f"SELECT user, item, time FROM read_parquet(['{folder}/base.parquet', '{folder}/{name}.parquet'])"
            db.execute(f"COPY ({query}) TO '{folder}/all-{name}.parquet'")
        drawn = (
            "SELECT user, arg_min(item, hash(item, 1)) AS query, arg_min(item, hash(item, 2)) AS item "
            f"FROM read_parquet('{folder}/base.parquet') GROUP BY user HAVING query <> item "
            f"ORDER BY hash(user) LIMIT {PAIRS}"
        )
        db.execute(f"COPY (SELECT query, item FROM ({drawn})) TO '{folder}/pairs.csv' (HEADER)")
        items = db.execute(f"SELECT item FROM read_parquet('{raw}/items.parquet') ORDER BY item").fetchnumpy()["item"]
        had = db.execute(f"SELECT DISTINCT item FROM read_parquet('{folder}/base.parquet')").fetchnumpy()["item"]
        features, known = np.load(raw / "features.npy", mmap_mode="r"), np.isin(items, had)
        np.save(folder / "base.npy", np.asarray(features[known], np.float32))
        looks = [row.tolist() for row in np.asarray(features[~known], np.float32)]
        told = {"item": items[~known], "look": np.array([*looks, None], dtype=object)[:-1]}
        db.register("told", told)
        db.execute(f"COPY (SELECT item, look::FLOAT[] AS look FROM told) TO '{folder}/new-items.parquet'")


def rebuilt(artifact: Artifact, folder: Path, name: str) -> tuple[dict[str, float], Neighborhoods, Floats]:
    """Seconds of a rebuild without training, and its neighborhoods and vectors, in the artifact's rows."""
    learned, graph, seconds = artifact.learned, artifact.graph, {}
    assert isinstance(learned, Convolved)

    def timed(stage: str, work: Callable[[], Any]) -> Any:
        started, cpu = time.perf_counter(), time.process_time()
        made = work()
        seconds[stage] = round(time.perf_counter() - started, 2)
        seconds[f"{stage} cpu"] = round(time.process_time() - cpu, 2)
        return made

    imported = run("import", folder / f"all-{name}.parquet", "--time", "time", "--out", folder / "all", "--replace")
    seconds["import"], seconds["import cpu"] = imported["process_seconds"], imported["process_cpu_seconds"]
    growth = learned.growth
    timed("graph", lambda: build_graph(artifact.known()))
    near = timed("neighborhoods", lambda: neighborhoods(graph, growth.neighborhood, growth.seed))
    content = np.asarray(learned.inputs[0])
    items, _ = timed("layers", lambda: embed_all(learned.network, content, near))
    vectors = timed("users", lambda: make_users(items, graph.user_items, None, InterestsConfig()))
    config = stored_run(artifact.run, folder).index

    def index() -> None:
        with writing(folder / "index", "index", replace=True) as writer:
            write_indexes(writer, vectors, config, 0)

    timed("index", index)
    return seconds, near, items


def closeness(artifact: Artifact, near: Neighborhoods, items: Floats) -> dict[str, float]:
    """How much of an update is what the rebuild gives."""
    learned = artifact.learned
    assert isinstance(learned, Convolved)
    assert learned.neighborhoods is not None
    mine = np.asarray(learned.neighborhoods.ids)
    alike = cosines(np.asarray(learned.vectors.items), items)
    shared = [len(np.intersect1d(one[one >= 0], two[two >= 0])) / max((two >= 0).sum(), 1)
              for one, two in zip(mine[::97], near.ids[::97], strict=True)]  # fmt: skip
    return {
        "neighborhoods_equal": round(float((mine == near.ids).all(axis=1).mean()), 4),
        "neighbors_shared": round(float(np.mean(shared)), 4),
        "cosine_mean": round(float(alike.mean()), 5),
        "cosine_p1": round(float(np.percentile(alike, 1)), 5),
        "cosine_worst": round(float(alike.min()), 5),
        "overlap@10": round(overlap(unit(np.asarray(learned.vectors.items)), unit(items), 0), 4),
    }


def main() -> None:
    """One JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raw", type=Path, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--share", type=float, default=0.01)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--train", type=int, default=0, help="also updates that train so many epochs more")
    asked = parser.parse_args()
    folder: Path = asked.folder
    folder.mkdir(parents=True, exist_ok=True)
    seconds = {}
    if not (folder / "model").exists():
        divide(asked.raw, folder, asked.share)
        run("import", folder / "base.parquet", "--time", "time", "--out", folder / "data", "--replace")
        (folder / "run.toml").write_text(RUN.format(folder=folder, dim=asked.dim, epochs=asked.epochs))
        seconds["train"] = run("train", folder / "run.toml", folder / "model")["process_seconds"]
    result: dict[str, Any] = {"seconds": seconds, "share": asked.share}
    for name in ("newest", "random"):
        words = ("update", folder / "model", folder / f"{name}.parquet", "--time", "time", "--item-table",
                 folder / "new-items.parquet", "--out", folder / "next", "--replace", "--json")  # fmt: skip
        rows, rebuild = [], None
        for theta, tolerance in SETTINGS:
            told = run(*words, "--theta", theta, "--tolerance", tolerance)
            artifact = read_artifact(folder / "next")
            if rebuild is None:
                rebuild = rebuilt(artifact, folder, name)
                print(json.dumps({name: rebuild[0]}), file=sys.stderr, flush=True)
            rows.append({**told, "close": closeness(artifact, *rebuild[1:])})
            print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
        result[name] = {"rebuild_seconds": rebuild[0] if rebuild else {}, "updates": rows}
        if asked.train:
            result[name]["trained"] = run(*words, "--train", asked.train)
    print_result(result)


if __name__ == "__main__":
    main()
