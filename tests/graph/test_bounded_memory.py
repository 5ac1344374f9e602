"""Graphs and neighborhoods of data larger than the memory that the system allows, and disks that are full.

The way in memory fails within the same limit, so a limit that bounds nothing would be noticed.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pinfold.artifacts import writing
from pinfold.data.interactions import Interactions
from pinfold.graph.bipartite import build_graph, write_graph
from pinfold.graph.building import build_graph_files
from pinfold.graph.csr import Csr

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems do not keep to these limits")

EDGES, USERS, ITEMS = 4_000_000, 30_000, 50_000
MEMORY = 8_000_000  # bytes, of --memory
SLACK = 12_000_000  # bytes, for the parser of headers, Python objects, fragments

BEFORE = """
import resource, sys
from pathlib import Path
import numpy as np
import pinfold.graph.neighborhood_files as files
import pinfold.graph.neighborhoods as checks
from pinfold.artifacts import open_folder
from pinfold.data.interactions import Interactions
from pinfold.errors import ArtifactError
from pinfold.graph.bipartite import build_graph, read_graph
from pinfold.graph.building import build_graph_files, load_graph
from pinfold.graph.neighborhoods import NeighborhoodConfig, neighborhoods
from pinfold.memory import memory_marks

folder, how, limit = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
columns = [np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("users", "items", "weights", "times")]
few = Interactions(*(column[:9] for column in columns), 30_000, 50_000)
CONFIG = NeighborhoodConfig(method="uniform", size=200, steps=200)
"""

GRAPH = """
build_graph_files(folder / f"warm_{how}", few, 9000)  # kernels compile
build_graph(few)
resource.setrlimit(resource.RLIMIT_AS, (memory_marks()["VmSize"] + limit, resource.RLIM_INFINITY))
events = Interactions(*columns, 30_000, 50_000)
try:
    graph = build_graph(events) if how == "held" else build_graph_files(folder / how, events, 8_000_000)
    print(graph.n_edges)
except MemoryError:
    print("does not fit")
"""

TABLE = """
graph = read_graph(open_folder(folder / "graph"))
neighborhoods(graph, CONFIG, 0, np.arange(9, dtype=np.int32))
files.BLOCK = checks.BLOCK = 2048
data = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmData"))
resource.setrlimit(resource.RLIMIT_DATA, (int(data.split()[1]) * 1024 + limit, resource.RLIM_INFINITY))
try:
    if how == "held":
        found = neighborhoods(graph, CONFIG, 0)
    else:
        found = files.build_neighborhoods(folder / how, graph, CONFIG, 0, work=folder / "work")
    print(found.ids.shape)
except MemoryError:
    print("does not fit")
"""

FULL = """
build_graph_files(folder / "warm", few, 9000)
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
try:
    build_graph_files(folder / "graph", Interactions(*columns, 30_000, 50_000), 8_000_000, replace=True)
except ArtifactError as error:
    print(error)
"""


def run(script: str, folder: Path, how: str, limit: int) -> str:
    done = subprocess.run(
        [sys.executable, "-c", BEFORE + script, str(folder), how, str(limit)], capture_output=True, text=True,
        check=False, env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Columns of distinct edges in no order, with weights."""
    place = tmp_path_factory.mktemp("large")
    rng = np.random.default_rng(0)
    users = np.arange(EDGES) * USERS // EDGES
    steps = rng.integers(1, 2 * ITEMS // (EDGES // USERS) - 1, EDGES)
    items = np.cumsum(steps) % ITEMS
    mixed = rng.permutation(EDGES)
    np.save(place / "users.npy", users[mixed].astype(np.int32))
    np.save(place / "items.npy", items[mixed].astype(np.int32))
    np.save(place / "weights.npy", (rng.random(EDGES) + 0.1).astype(np.float32))
    np.save(place / "times.npy", np.zeros(EDGES, np.int64))
    return place


def mapped(n_edges: int) -> int:
    """Addresses of a graph that is mapped from both sides."""
    return 2 * 8 * n_edges + 8 * (USERS + ITEMS + 2)


def test_a_graph_within_addresses(folder: Path) -> None:
    """RLIMIT_AS counts mapped files, so the limit has room for the graph that is mapped in the end, once."""
    limit = mapped(EDGES) + MEMORY + SLACK
    n_edges = int(run(GRAPH, folder, "built", limit))
    assert EDGES - 1000 < n_edges <= EDGES
    assert run(GRAPH, folder, "held", limit) == "does not fit"


def test_a_table_within_data(folder: Path) -> None:
    """RLIMIT_DATA counts what is no file's. The table has 80 MB, the limit is 30."""
    users, items = (np.load(folder / f"{name}.npy")[:100_000] for name in ("users", "items"))
    with writing(folder / "graph", "graph") as writer:
        write_graph(writer, build_graph(Interactions.of(users, items, USERS, ITEMS)))
    limit = 30_000_000
    assert run(TABLE, folder, "table", limit) == f"({ITEMS}, 200)"
    assert run(TABLE, folder, "held", limit) == "does not fit"


@pytest.mark.parametrize("limit", [50_000, 5_000_000])  # bytes a file: of a bucket, of columns
def test_a_full_disk(folder: Path, tmp_path: Path, limit: int) -> None:
    for name in ("users", "items", "weights", "times"):
        (tmp_path / f"{name}.npy").symlink_to(folder / f"{name}.npy")
    events = Interactions.of(np.array([0, 1], np.int32), np.array([1, 0], np.int32), 2, 2)
    old = build_graph_files(tmp_path / "graph", events, MEMORY)
    said = run(FULL, tmp_path, "graph", limit)
    assert "File too large" in said
    assert str(tmp_path) in said
    assert ("edges cannot be put there for sorting" in said) == (limit == 50_000)
    left = sorted(one.name for one in tmp_path.iterdir() if one.suffix != ".npy")
    assert left == ["graph", "warm"]
    assert isinstance(old.user_items, Csr)
    assert old.user_items.ids.tolist() == [1, 0]
