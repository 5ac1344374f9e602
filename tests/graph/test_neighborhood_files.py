"""Tables of neighborhoods on disk: killed and gone on with, full disks, damage in between."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pinfold.data.interactions import Interactions
from pinfold.errors import ArtifactError
from pinfold.graph.bipartite import BipartiteGraph, build_graph
from pinfold.graph.neighborhood_files import build_neighborhoods
from pinfold.graph.neighborhoods import NeighborhoodConfig, neighborhoods
from pinfold.progress import Silent

SMALL = NeighborhoodConfig(size=5, steps=60)

CHILD = """
import os, resource, signal, sys
from pathlib import Path
import pinfold.graph.neighborhood_files as files
from pinfold.data.synthetic import two_tastes
from pinfold.errors import ArtifactError
from pinfold.graph.bipartite import build_graph
from pinfold.graph.neighborhoods import NeighborhoodConfig
from pinfold.progress import Silent

files.BLOCK, files.PART = 4, 2
folder, end = Path(sys.argv[1]), sys.argv[2]

class Ending(Silent):
    done = 0

    def advance(self, steps=1, note=""):
        self.done += steps
        if self.done == 28 and end == "killed":  # after a block that is in no part yet
            os.kill(os.getpid(), signal.SIGKILL)
        if self.done == 28 and end == "full":
            resource.setrlimit(resource.RLIMIT_FSIZE, (700, resource.RLIM_INFINITY))

try:
    graph = build_graph(two_tastes().interactions)
    files.build_neighborhoods(folder / "table", graph, NeighborhoodConfig(size=5, steps=60), 7, Ending(),
                              work=folder / "work")
except ArtifactError as error:
    sys.exit(str(error))
"""


class Counted(Silent):
    """Remembers the steps that it was told of."""

    def __init__(self) -> None:
        self.steps: list[int] = []

    def advance(self, steps: int = 1, note: str = "") -> None:  # noqa: ARG002
        self.steps.append(steps)


def run(folder: Path, end: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", CHILD, str(folder), end], capture_output=True, text=True, check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip


@pytest.fixture
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pinfold.graph.neighborhood_files.BLOCK", 4)
    monkeypatch.setattr("pinfold.graph.neighborhood_files.PART", 2)


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a build left that was killed with SIGKILL when 28 of 40 items were done, 24 of them in parts."""
    folder = tmp_path_factory.mktemp("killed")
    assert run(folder, "killed").returncode == -signal.SIGKILL
    assert not (folder / "table").exists()
    return folder


@pytest.fixture
def left(killed: Path, tmp_path: Path) -> Path:
    """The same for one test."""
    shutil.copytree(killed / "work", tmp_path / "work")
    return tmp_path


def go_on(left: Path, graph: BipartiteGraph, config: NeighborhoodConfig = SMALL, seed: int = 7) -> list[int]:
    """Build again; the steps that were told. The result must be that of a build at one go."""
    counted = Counted()
    found = build_neighborhoods(left / "table", graph, config, seed, counted, work=left / "work")
    expected = neighborhoods(graph, config, seed)
    np.testing.assert_array_equal(found.ids, expected.ids)
    np.testing.assert_array_equal(found.weights, expected.weights)
    build_neighborhoods(left / "at_one_go", graph, config, seed)
    for name in ("neighbor_ids.npy", "neighbor_weights.npy"):
        assert (left / "table" / name).read_bytes() == (left / "at_one_go" / name).read_bytes()
    assert sorted(path.name for path in left.iterdir()) == ["at_one_go", "table"]
    return counted.steps


@pytest.mark.usefixtures("_small_parts")
def test_a_killed_build_goes_on(left: Path, graph: BipartiteGraph) -> None:
    assert go_on(left, graph) == [24, 4, 4, 4, 4]


@pytest.mark.usefixtures("_small_parts")
@pytest.mark.parametrize("name", ["neighbor_ids.npy", "neighbor_weights.npy"])
@pytest.mark.parametrize("damage", ["turned", "cut", "gone"])
def test_a_damaged_part_and_those_behind_it_are_made_again(
    left: Path, graph: BipartiteGraph, name: str, damage: str
) -> None:
    file = left / "work" / name
    content = bytearray(file.read_bytes())
    content[128 + 12 * 5 * 4] ^= 1  # item 12, in the second part
    match damage:
        case "turned":
            file.write_bytes(content)
        case "cut":
            file.write_bytes(content[: 128 + 12 * 5 * 4])
        case "gone":
            file.unlink()
    assert go_on(left, graph)[0] == (0 if damage == "gone" else 8)


@pytest.mark.usefixtures("_small_parts")
@pytest.mark.parametrize("text", ["", "nonsense", "[]", "{}", '{"parts": 3}'])
def test_a_damaged_journal_means_to_begin_anew(left: Path, graph: BipartiteGraph, text: str) -> None:
    (left / "work" / "journal.json").write_text(text)
    assert go_on(left, graph)[0] == 0


@pytest.mark.usefixtures("_small_parts")
@pytest.mark.parametrize("other", ["size", "steps", "seed", "graph"])
def test_parts_of_another_table_are_not_used(left: Path, graph: BipartiteGraph, other: str) -> None:
    config = {"size": NeighborhoodConfig(size=4, steps=60), "steps": NeighborhoodConfig(size=5, steps=61)}
    events = Interactions.of(np.array([0, 0, 1], np.int32), np.array([0, 39, 3], np.int32), 60, 40)
    it = build_graph(events) if other == "graph" else graph
    assert go_on(left, it, config.get(other, SMALL), 8 if other == "seed" else 7)[0] == 0


@pytest.mark.usefixtures("_small_parts")
def test_a_kill_after_the_last_part_does_not_let_two_tables_share_a_file(tmp_path: Path, graph: BipartiteGraph) -> None:
    """Work folder and table are links to the same files until the work folder goes."""
    build_neighborhoods(tmp_path / "first", graph, SMALL, 7)
    (tmp_path / "work").mkdir()
    for name in ("neighbor_ids.npy", "neighbor_weights.npy"):
        (tmp_path / "work" / name).hardlink_to(tmp_path / "first" / name)
    before = (tmp_path / "first" / "neighbor_ids.npy").read_bytes()
    build_neighborhoods(tmp_path / "second", graph, SMALL, 8, work=tmp_path / "work")
    assert (tmp_path / "first" / "neighbor_ids.npy").read_bytes() == before
    assert (tmp_path / "second" / "neighbor_ids.npy").read_bytes() != before


@pytest.mark.usefixtures("_small_parts")
def test_a_full_disk_loses_nothing(tmp_path: Path, graph: BipartiteGraph) -> None:
    done = run(tmp_path, "full")
    assert "work: neighborhoods cannot be written: [Errno 27] File too large" in done.stderr
    assert "call again, and the work goes on" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["work"]
    assert go_on(tmp_path, graph)[0] == 24


def test_what_stands_there_is_seen_before_the_work(tmp_path: Path, graph: BipartiteGraph) -> None:
    (tmp_path / "table").mkdir()
    counted = Counted()
    with pytest.raises(ArtifactError, match="exists already"):
        build_neighborhoods(tmp_path / "table", graph, SMALL, 0, counted, work=tmp_path / "work")
    assert not counted.steps
    assert not (tmp_path / "work").exists()


def test_no_items(tmp_path: Path) -> None:
    nothing = np.zeros(0, np.int32)
    graph = build_graph(Interactions.of(nothing, nothing, 2, 0))
    found = build_neighborhoods(tmp_path / "table", graph, SMALL, 0, work=tmp_path / "work")
    assert found.ids.shape == (0, 5)


def test_other_things_in_the_work_folder_stay(tmp_path: Path, graph: BipartiteGraph) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "mine.txt").write_text("mine")
    build_neighborhoods(tmp_path / "table", graph, SMALL, 0, work=tmp_path / "work")
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["mine.txt"]
