"""A job that was broken off: finished parts stay, damaged and missing ones are made again, to the same bytes."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.engine.conftest import Made, embedded, run_stages

from pinfold.engine.interface import Engine, Options, Shard, Steps
from pinfold.engine.local import LocalEngine
from pinfold.engine.stages import Stage, degree_scale, stages
from pinfold.engine.steps import EMBED
from pinfold.errors import WorkerLost

TABLES: tuple[Mapping[str, Any], ...] = (EMBED.run, EMBED.send, EMBED.receive)


def digests(work: Path) -> dict[str, str]:
    files = sorted(path for path in work.rglob("*") if path.is_file())
    return {str(path.relative_to(work)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize("size", [1, 3])
def test_damaged_and_missing_parts_alone_are_made_again(made: Made, size: int) -> None:
    job, _ = made()
    engine = embedded(job, size)
    work = job.work / f"{size}"
    before, times = digests(work), {}
    last = size - 1
    for stage in stages(2):
        for rank in range(size):
            times[stage.name, rank] = (work / f"{stage.name}-{rank:04d}" / "manifest.json").stat().st_mtime_ns
    broken = {"graph", "neighborhoods", "convolve0", "vectors", "users"}
    for name in broken:
        place = work / f"{name}-{last:04d}"
        for path in place.glob("*.npy"):
            path.write_bytes(path.read_bytes()[:-1])
    engine.revive()
    run_stages(engine)
    assert digests(work) == before
    made_again = {
        one
        for one, time in times.items()
        if (work / f"{one[0]}-{one[1]:04d}" / "manifest.json").stat().st_mtime_ns != time
    }
    assert made_again == {(name, last) for name in broken}


def losing(step: str, lost: list[str]) -> Steps:
    """The steps, of which one loses the last worker once."""

    def fail(shard: Shard, options: Options, *parts: Any) -> Any:
        done = next(table[step] for table in TABLES if step in table)
        if not lost and shard.rank == shard.size - 1:
            lost.append(step)
            raise WorkerLost(step)
        return done(shard, options, *parts)

    run, send, receive = ({**table, step: fail} if step in table else table for table in TABLES)
    return Steps(run, send, receive)


def scale(engine: Engine, options: Options) -> None:
    degree_scale(engine)


def test_a_worker_lost_in_any_step(made: Made) -> None:
    """The last worker is lost in the step; the stage begins again, and the parts are those of an undisturbed job."""
    job, _ = made(memory=100_000, block=60, layers=1)
    embedded(job, 2, 1)
    expected = digests(job.work / "2")
    for step in (*EMBED.run, *EMBED.send, *EMBED.receive):
        work, lost = job.work / step, list[str]()
        work.mkdir()
        engine = LocalEngine(replace(job, work=work), 2, losing(step, lost))
        for stage in (*stages(1), Stage("degrees", scale, ())):
            try:
                stage.run(engine, {})
            except WorkerLost:
                engine.revive()
                stage.run(engine, {})
        assert lost == [step]
        assert digests(work) == expected, step
