"""An import by shards whose workers are lost, or whose disk is full: sealed parts count, and nothing is left behind."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.engine.test_importing import BAD, content, number_rows, shards, text_rows

from pinfold.data.readers import ImportConfig, Sources, import_files
from pinfold.engine.import_steps import IMPORT
from pinfold.engine.importing import Workers, import_shards
from pinfold.engine.interface import Options, Shard, Steps
from pinfold.engine.local import LocalEngine
from pinfold.engine.opening import TRIES
from pinfold.engine.parts import making
from pinfold.errors import PinfoldError, WorkerLost

TABLES: tuple[Mapping[str, Any], ...] = (IMPORT.run, IMPORT.send, IMPORT.receive)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pinfold.artifacts.flush", lambda _: None)  # of many small parts; no plug is pulled


def losing(step: str, times: int) -> Steps:
    """The steps, of which one loses the last worker so many times."""
    lost: list[str] = []

    def fail(shard: Shard, options: Options, *parts: Any) -> Any:
        if shard.rank == shard.size - 1 and len(lost) < times:
            lost.append(step)
            raise WorkerLost(f"{step}, {len(lost)} times")
        return next(table[step] for table in TABLES if step in table)(shard, options, *parts)

    run, send, receive = ({**table, step: fail} if step in table else table for table in TABLES)
    return Steps(run, send, receive)


@pytest.mark.parametrize(
    ("step", "times", "sealed_before"),
    [("read", 1, 1), ("ids.send", 1, 2), ("number", 2, 3), ("answered", 1, 4), ("events.take", 1, 6), ("merge", 3, 7)],
)
def test_a_lost_worker_costs_no_sealed_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, times: int, sealed_before: int
) -> None:
    """The second worker is lost in the step, once or several times; each part is made once, the folder is the same."""
    sealed: Counter[str] = Counter()
    before: list[int] = []

    def counting(shard: Shard, stage: str) -> Any:
        sealed[f"{stage}-{shard.rank}"] += 1
        return making(shard, stage)

    class Noting(LocalEngine):
        def revive(self) -> None:
            before.append(len(sealed))
            super().revive()

    for module in ("import_events", "import_ids", "import_edges"):
        monkeypatch.setattr(f"pinfold.engine.{module}.making", counting)
    sources, config = Sources(shards(tmp_path, number_rows(50), 3)), ImportConfig(time="time")
    steps = losing(step, times)
    import_shards(sources, tmp_path / "out", config, Workers(size=2), start=lambda job: Noting(job, 2, steps))
    assert before == [sealed_before] * times
    assert sealed == {f"{stage}-{rank}": 1 for stage in ("read", "numbered", "rows", "edges") for rank in (0, 1)}
    import_files(sources, tmp_path / "plain", config)
    assert content(tmp_path / "out") == content(tmp_path / "plain")


def test_workers_lost_too_often_end_the_import(tmp_path: Path) -> None:
    sources, steps = Sources(shards(tmp_path, number_rows(50))), losing("read", 99)
    with pytest.raises(WorkerLost, match=f"read, {TRIES} times"):
        import_shards(
            sources,
            tmp_path / "out",
            ImportConfig(),
            Workers(size=2),
            start=lambda job: LocalEngine(job, 2, steps),
        )
    assert sorted(left.name for left in tmp_path.iterdir()) == [path.name for path in sources.events]


def test_a_full_disk_is_said_and_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> Any:
        raise OSError(28, "No space left on device")

    paths = shards(tmp_path, number_rows(50))
    for place in ("pinfold.engine.importing.spans", "pathlib.Path.mkdir"):
        with monkeypatch.context() as patch:
            patch.setattr(place, lambda path, *_, **__: None if path == tmp_path else full())
            with pytest.raises(PinfoldError, match=r"cannot be written.*No space left on device"):
                import_shards(Sources(paths), tmp_path / "out", ImportConfig(), Workers(size=2))
        assert sorted(left.name for left in tmp_path.iterdir()) == [path.name for path in paths]


def test_on_ray_though_a_worker_is_killed(tmp_path: Path, cluster: Any) -> None:
    from tests.engine.deadly_import import WHERE

    from pinfold.engine.ray_engine import RayEngine

    sources = Sources(shards(tmp_path, text_rows(600) + BAD, 3))
    config = ImportConfig(weight="weight", time="time", bad_rows="skip")
    import_files(sources, tmp_path / "plain", config)
    import_shards(
        sources, tmp_path / "out", config, Workers("ray", 2),
        start=lambda job: RayEngine(job, 2, "tests.engine.deadly_import:DEADLY", threads=1),
    )  # fmt: skip
    assert content(tmp_path / "out") == content(tmp_path / "plain")
    assert sorted(path.name for path in tmp_path.glob("killed-*")) == sorted(f"killed-{step}" for step in WHERE)
    assert not list(tmp_path.glob(".*"))
