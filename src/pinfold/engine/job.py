"""The embed job: a trained PinSage applied to a whole data set, in stages, in a work folder that outlives a kill."""

import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pinfold.artifacts import MANIFEST, Folder, open_folder, writing
from pinfold.embedding.artifact import FEATURES, USER_FEATURES, link
from pinfold.engine.interface import Engine, Job, Options, Shard
from pinfold.engine.opening import again
from pinfold.engine.stages import Go, Stage, degree_scale
from pinfold.errors import ArtifactError, ConfigError, PinfoldError
from pinfold.files import write_json
from pinfold.memory import peak_memory
from pinfold.progress import SILENT, Progress

ENCODERS = "encoders"  # the folder, and its kind
Figures = dict[str, Any]


@dataclass(slots=True)
class Diary:
    """What the job's stages took, over all the times that it was begun."""

    work: Path
    started: float  # seconds since 1970, when it was first begun
    stages: dict[str, Figures] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, name: str, seconds: float, moved: int = 0) -> None:
        """Remember one more try of a stage, on disk too."""
        before = self.stages.get(name, {"seconds": 0.0, "moved_bytes": 0, "peak_memory_bytes": 0})
        self.stages[name] = {
            "seconds": round(before["seconds"] + seconds, 3),
            "moved_bytes": before["moved_bytes"] + moved,
            "peak_memory_bytes": max(before["peak_memory_bytes"], peak_memory()),  # of this process, so far
        }
        write_json(self.work / "diary.json", {"started": self.started, "stages": self.stages, "notes": self.notes})


@contextmanager
def opened(work: Path, identity: Figures) -> Iterator[Diary]:
    """The work folder, made or gone on with, and what was written of the job; nobody else has it meanwhile.

    Args:
        work: the folder.
        identity: plain values that decide what its parts are.

    Raises:
        ConfigError: it is of another job, or of no job, or another process works on it.
        ArtifactError: the file system refuses.
    """
    try:
        _begin(work, identity)
        lock = os.open(work / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise ArtifactError(f"{work}: cannot be used as the work folder: {error}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise ConfigError(f"{work}: another process works on this job; wait for it, or name another --work") from error
    try:
        yield _diary(work)
    finally:
        os.close(lock)  # which lets it go


def _begin(work: Path, identity: Figures) -> None:
    if not work.exists():
        work.mkdir(parents=True)
    if not (work / "job.json").exists():
        if any(work.iterdir()):
            raise ConfigError(f"{work}: holds something that no embed job wrote; name another folder with --work")
        write_json(work / "job.json", identity)
    found = _read_json(work / "job.json")
    other = sorted(name for name in {*found, *identity} if found.get(name) != identity.get(name))
    if other:
        what = ", ".join(other)
        raise ConfigError(
            f"{work}: is of another job, whose {what} differ; ask for the same to go on with it, or remove the folder, "
            "or name another with --work"
        )


def _diary(work: Path) -> Diary:
    found = _read_json(work / "diary.json")
    return Diary(work, found.get("started", time.time()), found.get("stages", {}), found.get("notes", []))


def check_apart(work: Path, out: Path) -> None:
    """Raise unless neither folder lies in the other: the work folder is removed with all that is in it.

    Raises:
        ConfigError: one does.
    """
    inner, outer = work.resolve(), out.resolve()
    if inner.is_relative_to(outer) or outer.is_relative_to(inner):
        raise ConfigError(f"--work {work}: lies in --out {out}, or the other way round; name a folder beside it")


def discard(work: Path) -> None:
    """Remove the work folder of a job that is done."""
    shutil.rmtree(work, ignore_errors=True)


def keep_encoders(artifact: Folder, work: Path, vectors: dict[str, Path]) -> Path:
    """A folder with the artifact's encoders, those of `vectors` reading other npy files.

    Raises:
        ConfigError: one of `vectors` is no column of vectors.
        ArtifactError: the file system refuses.
    """
    place, name = work / ENCODERS, f"{FEATURES}encoders.json"
    if place.exists():
        try:
            return open_folder(place, ENCODERS).path
        except ArtifactError:
            shutil.rmtree(place)
    form = artifact.json(name)
    known = [str(column["name"]) for column in form["columns"] if column["kind"] == "vector"]
    for column in vectors:
        if column not in known:
            listed = ", ".join(known) or "none"
            raise ConfigError(f"--vectors {column}: the artifact has no such column of vectors (known: {listed})")
    for column in form["columns"]:
        if column["name"] in vectors:
            column["path"] = str(vectors[column["name"]].resolve())
    with writing(place, ENCODERS) as folder:
        for file in artifact.files:
            if file.startswith((FEATURES, USER_FEATURES)) and file != name:
                link(artifact.file(file), folder.path(file))
        folder.json(name, form)
    return place


def go(
    engine: Engine, job: Job, options: Figures, names: Sequence[Stage], diary: Diary,
    *, rescale: bool, progress: Progress = SILENT,
) -> tuple[float, float] | None:  # fmt: skip
    """All stages in their order; what is finished is not made again.

    Returns:
        Mean and deviation of log(1 + degree) where they were taken from the whole graph.

    Raises:
        PinfoldError: a stage cannot be done; what was sealed stays.
    """
    scale, users = None, used_by(names)
    with progress.task("embed", len(names)) as task:
        for stage in names:
            task.advance(0, note=stage.name)
            started, moved = time.perf_counter(), engine.moved.total()
            before = _seals(job, stage, engine.size)
            try:
                retried(engine, replace(stage, run=_unless_used(stage, users)), options, diary)
                if stage.name == "graph" and rescale:
                    scale = _scale(engine, options, diary)
                    options |= {"degree_mean": scale[0], "degree_deviation": scale[1]}
            except PinfoldError as error:
                raise type(error)(f"stage {stage.name}: {error}{stays(job.work)}") from error
            except OSError as error:
                raise ArtifactError(f"stage {stage.name}: {error}{stays(job.work)}") from error
            after = _seals(job, stage, engine.size)
            damaged = sorted(path.name for path, seal in before.items() if after.get(path) != seal)
            diary.notes += [f"the part {name} was damaged and has been made again" for name in damaged]
            for name in (name for name, user in users.items() if user == stage.name):
                for rank in range(engine.size):
                    shutil.rmtree(Shard(rank, engine.size, job).place(name), ignore_errors=True)
            diary.add(stage.name, time.perf_counter() - started, engine.moved.total() - moved)
            task.advance(1, note=stage.name)
    return scale


def _scale(engine: Engine, options: Figures, diary: Diary) -> tuple[float, float]:
    """What `degree_scale` finds, asked again when workers were lost."""
    found: list[tuple[float, float]] = []
    retried(engine, Stage("degrees", lambda engine, _: found.append(degree_scale(engine)), ()), options, diary)
    return found[0]


def used_by(names: Sequence[Stage]) -> dict[str, str]:
    """The stages whose parts only one other needs, and which: when that is done they go, for they are large.

    What items send goes when they have been pooled, and what the last convolution made when there are vectors of it.
    """
    known = [stage.name for stage in names]
    found = {name: f"convolve{name.removeprefix('project')}" for name in known if name.startswith("project")}
    last = f"convolve{len(found) - 1}"
    return found | ({last: "vectors"} if last in known else {})


def _unless_used(stage: Stage, users: Mapping[str, str]) -> Go:
    """The stage, which does nothing where what is made of its parts is there."""

    def go_on(engine: Engine, options: Options) -> None:
        name = stage.name
        while name in users:
            name = users[name]
            if all(engine.run("is_whole", {**options, "stage": name})):
                return
        stage.run(engine, options)

    return go_on


def retried(engine: Engine, stage: Stage, options: Figures, diary: Diary) -> None:
    """One stage, begun again with new workers when some were lost.

    Raises:
        WorkerLost: TRIES times, one after another.
    """
    again(
        engine,
        lambda: stage.run(engine, options),
        lambda error: diary.notes.append(f"stage {stage.name} began again: {error}"),
    )


def stays(work: Path) -> str:
    """What to tell who reads an error."""
    return f"; what is finished stays in {work}, and the same command goes on there"


def seal_of(folder: Path) -> str:
    """The SHA-256 of a folder's manifest, which says what every file in it is.

    Raises:
        ArtifactError: there is none.
    """
    try:
        return hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()
    except OSError as error:
        raise ArtifactError(f"{folder}: is no folder that Pinfold wrote: {error}") from error


def _seals(job: Job, stage: Stage, size: int) -> dict[Path, int]:
    """When each part of a stage that is there was sealed."""
    places = [Shard(rank, size, job).place(name) for name in stage.parts for rank in range(size)]
    return {place: (place / MANIFEST).stat().st_mtime_ns for place in places if (place / MANIFEST).exists()}


def _read_json(path: Path) -> Figures:
    try:
        found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path}: cannot be read: {error}; remove the work folder and begin again") from error
    if not isinstance(found, dict):
        raise ArtifactError(f"{path}: holds no object; remove the work folder and begin again")
    return found
