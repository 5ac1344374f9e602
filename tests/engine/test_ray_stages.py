"""The embed job on Ray makes what it makes in this process, byte by byte, though a worker is killed in each stage."""

from dataclasses import replace
from typing import Any

import pytest
from tests.engine.conftest import Made, embedded
from tests.engine.test_going_on import digests

pytest.importorskip("ray", reason="Ray is not installed: pip install 'pinfold[ray]'")

from tests.engine.deadly_steps import WHERE

from pinfold.engine.job import Diary, retried
from pinfold.engine.ray_engine import RayEngine
from pinfold.engine.stages import stages


def test_a_worker_is_killed_in_each_stage_and_the_job_ends_right(cluster: Any, made: Made) -> None:
    job, _ = made(memory=20_000, block=40, layers=1)
    embedded(job, 2, n_layers=1)
    for name in ("markers", "deadly"):
        (job.work / name).mkdir()
    diary, ours = Diary(job.work, 0.0), replace(job, work=job.work / "deadly")
    engine = RayEngine(ours, 2, "tests.engine.deadly_steps:DEADLY", threads=1)
    try:
        for stage in stages(1):
            retried(engine, stage, {"markers": str(job.work / "markers")}, diary)
    finally:
        engine.close()
    assert digests(ours.work) == digests(job.work / "2")
    assert sorted(path.name for path in (job.work / "markers").iterdir()) == sorted(WHERE)
    assert len(diary.notes) == len(stages(1)) == len(WHERE)
    assert all("worker 2 of 2, step" in note and "the worker is lost" in note for note in diary.notes)


def test_an_undisturbed_job_moves_what_it_moves_in_this_process(cluster: Any, made: Made) -> None:
    job, _ = made()
    local = embedded(job, 2)
    (job.work / "ours").mkdir()
    engine = RayEngine(replace(job, work=job.work / "ours"), 2, "pinfold.engine.steps:EMBED", threads=1)
    try:
        for stage in stages(2):
            stage.run(engine, {})
        assert engine.moved == local.moved
    finally:
        engine.close()
    assert digests(job.work / "ours") == digests(job.work / "2")
