"""Actors of Ray do what workers in this process do; and whoever dies or hangs, the job goes on or says so."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("ray", reason="Ray is not installed: pip install 'pinfold[ray]'")

from tests.engine.toy_steps import TOY

from pinfold.artifacts import open_folder
from pinfold.engine import ray_cluster
from pinfold.engine.interface import Engine, Job
from pinfold.engine.local import LocalEngine
from pinfold.engine.ray_cluster import knock
from pinfold.engine.ray_engine import RayEngine
from pinfold.errors import ConfigError, DataError, EngineError, WorkerLost

TABLE = "tests.engine.toy_steps:TOY"


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path / "work", tmp_path, tmp_path, n_users=5, n_items=101, n_edges=0, seed=0)


@pytest.fixture(scope="module")
def shared(cluster: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayEngine]:
    """Starting workers takes seconds, so that most tests use the same ones."""
    folder = tmp_path_factory.mktemp("shared")
    made = RayEngine(Job(folder / "work", folder, folder, 5, 101, 0, 0), 2, TABLE, threads=1)
    yield made
    made.close()


@pytest.fixture
def engine(shared: RayEngine) -> RayEngine:
    shared.revive()
    shared.moved.clear()
    return shared


def _job(engine: Engine, **options: Any) -> list[Any]:
    return [engine.run("keep", options), engine.exchange("spread", "gather", options), engine.run("seal")]


def test_actors_do_what_workers_in_this_process_do(cluster: Any, job: Job) -> None:
    for size in (1, 3):
        ours, local = RayEngine(job, size, TABLE, threads=1), LocalEngine(job, size, TOY)
        try:
            assert _job(ours, factor=3) == _job(local, factor=3)
            assert ours.moved == local.moved
            assert (ours.moved["spread"] > 0) == (size > 1)
            assert len(set(ours.run("process"))) == size
            assert os.getpid() not in ours.run("process")
            assert ours.run("threads") == ["1"] * size
        finally:
            ours.close()
        folders = [open_folder(job.work / f"sums-{rank:04d}", "toy") for rank in range(size)]
        sums = [int(folder.array("sum.npy", np.int64, 1)[0]) for folder in folders]
        assert sum(sums) == 3 * 101 * 100 // 2
        with pytest.raises(EngineError, match="is closed"):
            ours.run("keep")


@pytest.mark.parametrize("at", ["keep", "spread", "gather"])
def test_a_killed_worker_is_noticed_and_replaced(engine: RayEngine, job: Job, tmp_path: Path, at: str) -> None:
    expected = _job(LocalEngine(job, 2, TOY))
    before = engine.run("process")
    harm = {"marker": str(tmp_path / "killed"), "at": "gather" if at == "gather" else "here"}
    started = time.monotonic()
    if at == "keep":
        harmed = partial(engine.run, "keep", harm)
    else:
        engine.run("keep")
        harmed = partial(engine.exchange, "spread", "gather", harm)
    with pytest.raises(WorkerLost, match=f"worker 2 of 2, step '{at}': the worker is lost: ActorDied"):
        harmed()
    assert time.monotonic() - started < 10
    engine.revive()
    after = engine.run("process")
    assert (after[0] == before[0], after[1] == before[1]) == (True, False)
    assert _job(engine, **harm) == expected


def test_revived_workers_remember_nothing(engine: RayEngine) -> None:
    engine.run("keep")
    engine.revive()
    with pytest.raises(EngineError, match="KeyError: 'rows'"):
        engine.exchange("spread", "gather")


def test_a_worker_that_never_answers_is_given_up(cluster: Any, job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pinfold.engine.ray_engine.FORGET_SECONDS", 0.5)
    engine = RayEngine(job, 2, TABLE, threads=1, deadline=1.5)
    try:
        hanging = engine.run("process")[1]
        with pytest.raises(WorkerLost, match="worker 2 of 2 has not answered step 'keep' in 2 s"):
            engine.run("keep", {"sleep": 600})
        engine.revive()
        assert hanging not in engine.run("process")
        assert _job(engine) == _job(LocalEngine(job, 2, TOY))
    finally:
        engine.close()


def test_errors_of_steps_come_out(engine: RayEngine) -> None:
    with pytest.raises(DataError) as caught:
        engine.run("refuse")
    assert str(caught.value) == "part 7 is short; import it again"
    assert "in refuse" in caught.value.__notes__[0]  # where it happened there
    with pytest.raises(EngineError, match="worker 2 of 2, step 'fail' failed: KeyError: 'seven'"):
        engine.run("fail")
    with pytest.raises(EngineError, match="step 'few' made 0 parts for 2 workers"):
        engine.exchange("few", "gather")
    with pytest.raises(EngineError, match="KeyError: 'unknown'"):
        engine.run("unknown")
    assert engine.run("keep") == [50, 51]  # none of this has cost a worker


def test_large_parts_go_from_worker_to_worker(engine: RayEngine) -> None:
    assert engine.exchange("weigh", "count", {"n": 5_000_000}) == [10_000_000] * 2
    assert engine.moved["weigh"] == 10_000_000


@pytest.mark.parametrize(
    ("table", "message"),
    [("tests.engine.nowhere:TOY", "No module named"), ("os:sep", "expected a table of steps, found str")],
)
def test_a_table_that_workers_do_not_have(cluster: Any, job: Job, table: str, message: str) -> None:
    with pytest.raises(EngineError, match=message):
        RayEngine(job, 1, table, threads=1)


def test_a_cluster_without_room(cluster: Any, job: Job) -> None:
    with pytest.raises(EngineError, match=r"1 of 1 workers have not started in 1 s; each wants 64 processors, .* 4 in"):
        RayEngine(job, 1, TABLE, threads=64, start_seconds=1)


def test_wrong_addresses(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "ray.py").write_text("open('run', 'w')")
    monkeypatch.chdir(tmp_path)
    for address in ("nowhere", "host:port", "ray://a:1", "a:0"):
        with pytest.raises(ConfigError, match="expected host:port"):
            knock(address, 1)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        monkeypatch.setattr(ray_cluster, "CONNECT_SECONDS", 2.0)
        with pytest.raises(EngineError, match="something listens there, but no Ray cluster let us in within 2 s"):
            ray_cluster._probe(address)
        assert not (tmp_path / "run").exists()  # what lies where the command is given is not run
    with pytest.raises(EngineError, match=f"--address {address}: nothing answers there"):
        knock(address, 1)


def test_an_old_ray_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_cluster, "version", lambda _: "2.51.1")
    with pytest.raises(ConfigError, match=r"needs Ray 2.52 or later; .* found 2\.51\.1"):
        ray_cluster._ray()


ALONE = """
import os, signal, sys
from pathlib import Path
from pinfold.engine.interface import Job
from pinfold.engine.ray_engine import RayEngine

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs are started without
here = Path(sys.argv[1])
engine = RayEngine(Job(here, here, here, 5, 101, 0, 0), 2, "tests.engine.toy_steps:TOY", threads=1)
try:
    (here / "said").write_text(" ".join(map(str, engine.run("process"))))
    (here / "said").rename(here / "processes")
    engine.run("keep", {"sleep": 600})
finally:
    engine.close()
    (here / "closed").write_text("")
"""


def test_nothing_is_printed_and_nothing_is_left_after_ctrl_c(tmp_path: Path) -> None:
    """In a process of its own, with a cluster of its own, which Ctrl-C reaches as a terminal sends it.

    Another cluster that the environment names has no part in it.
    """
    short = tempfile.mkdtemp(prefix="pf")  # sockets of Ray have names of at most 107 characters
    environment = {**os.environ, "TMPDIR": short, "RAY_ADDRESS": "127.0.0.1:9"}
    process = subprocess.Popen(
        [sys.executable, "-c", ALONE, str(tmp_path)], env=environment, start_new_session=True, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        until = time.monotonic() + 240  # a cluster starts in 7 s, or in minutes on a crowded machine
        while not (tmp_path / "processes").exists() and process.poll() is None and time.monotonic() < until:
            time.sleep(0.1)
        os.killpg(process.pid, 2)
        out, err = process.communicate(timeout=240)
        assert (tmp_path / "closed").exists(), err
        assert out == ""
        assert err.startswith("Traceback"), err
        assert "KeyboardInterrupt" in err
        assert not list(Path(short).glob("ray-*"))
        for pid in (tmp_path / "processes").read_text().split():
            assert not Path(f"/proc/{pid}").exists()
        assert not _of_session(process.pid)
    finally:
        with process:  # closes its pipes
            process.kill()
        shutil.rmtree(short, ignore_errors=True)


def _of_session(session: int) -> list[str]:
    """Commands of the processes that are left of a session."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, fields = stat.read_text().rsplit(")", 1)
        except OSError:
            continue
        if int(fields.split()[3]) == session:
            found.append(name)
    return found
