"""A trained PinSage applied to a whole data set: larger than memory, newer or larger than what it was trained on."""

import time
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from pinfold.artifacts import Folder, check_place, open_folder
from pinfold.config import options
from pinfold.data.stored import SIDES, DatasetFiles, open_dataset
from pinfold.embedding.artifact import FEATURES, KIND, USER_FEATURES
from pinfold.embedding.networks import read_network
from pinfold.engine.assemble import Assembly, More, assemble
from pinfold.engine.interface import Job
from pinfold.engine.job import Diary, Figures, check_apart, discard, go, keep_encoders, opened, seal_of, stays
from pinfold.engine.opening import DEADLINE, open_engine
from pinfold.engine.stages import stages
from pinfold.engine.trained import LAYERS
from pinfold.engine.walks import check_parts
from pinfold.errors import ArtifactError, ConfigError, DataError, PinfoldError, did_you_mean
from pinfold.features.encoders import Encoders
from pinfold.features.store import read_encoders
from pinfold.features.vectors import Vectors, read_vectors
from pinfold.graph.convolved import Growth, Network
from pinfold.graph.interests import InterestsConfig
from pinfold.memory import parse_bytes, peak_memory
from pinfold.progress import SILENT, Progress

STEPS = "pinfold.engine.steps:EMBED"
BASE = 600 * 10**6  # bytes of a process before its work: the interpreter, its libraries, compiled kernels
LEAST = 64 * 10**6  # bytes without which a worker's blocks get too small
USUAL = 10**9  # bytes of a worker when nobody says


@options
class EmbedConfig:
    """How a trained network is applied to a data set."""

    memory: Annotated[
        str | None,
        Field(description="what all workers of a machine may hold together, beside files that they map, such as 8GB"),
    ] = None
    half: Annotated[bool, Field(description="keep layers in half precision: half the disk; sums are not")] = False
    workers: Annotated[int, Field(ge=1, le=4096, description="partitions of users and items")] = 1
    engine: Annotated[Literal["local", "ray"], Field(description="local: in this process; ray: `pinfold[ray]`")] = (
        "local"
    )
    address: Annotated[str | None, Field(description="ray: host:port of the cluster's head; none: this machine")] = None
    deadline: Annotated[
        float, Field(gt=0, description="ray: seconds in a step after which a silent worker is given up, and replaced")
    ] = DEADLINE
    work: Annotated[
        str | None, Field(description="the work folder; none: a hidden one beside the artifact to make")
    ] = None
    degrees: Annotated[
        Literal["auto", "rescale", "keep"],
        Field(
            description="the mean and deviation by which degrees are scaled: rescale takes them from the whole data "
            "set, keep those of training; auto rescales where training had a sample (`pinfold sample`)"
        ),
    ] = "auto"
    vectors: Annotated[
        dict[str, str],
        Field(description="npy files with the rows of this data set for columns of vectors that stand in files"),
    ] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Embedding:
    """What is asked for, and what only those know who can read a run file."""

    artifact: Path
    data: Path
    out: Path
    config: EmbedConfig
    interests: InterestsConfig
    run: str  # run.toml of the new artifact
    metrics: Figures  # of training
    index: More

    @property
    def work(self) -> Path:
        """The work folder."""
        own = self.config.work
        return Path(own).resolve() if own else self.out.resolve().parent / f".{self.out.name}.work"

    @property
    def rescale(self) -> bool:
        """Whether degrees are scaled anew."""
        return self.config.degrees == "rescale" or (self.config.degrees == "auto" and "sample" in self.metrics)


def embed(asked: Embedding, *, replace_old: bool = False, progress: Progress = SILENT) -> Figures:
    """Make the artifact of the whole data set; killed and called again, it goes on where it was.

    Returns:
        metrics.json's "embedding": seconds, bytes moved and peak memory of each stage, and nodes per second.

    Raises:
        PinfoldError: artifact, data set, options or folders are not as they should be, or a stage cannot be done.
    """
    config, began = asked.config, time.perf_counter()
    check_place(asked.out, KIND, replace=replace_old)
    check_apart(asked.work, asked.out)
    if config.address is not None and config.engine == "local":
        raise ConfigError("--address goes with --engine ray")
    memory = split_memory(config)
    trained = open_folder(asked.artifact, KIND, _is_of_network)
    network, growth = checked_network(trained)
    check_parts(growth.neighborhood, config.workers)
    dataset = open_dataset(asked.data)
    with opened(asked.work, _identity(asked)) as diary:
        encoders = _checked_encoders(asked, trained, dataset, diary)
        job = Job(
            asked.work, asked.data.resolve(), asked.artifact.resolve(), dataset.n_users, dataset.n_items,
            len(dataset.interactions), growth.seed, config.half, memory, 1 << max(16, memory.bit_length() - 13),
        )  # fmt: skip
        names = [one for one in stages(len(network.convolutions)) if one.name != "users" or _means(asked)]
        diary.add("open", time.perf_counter() - began)
        with closing(open_engine(job, config.workers, STEPS, config.engine, config.address, config.deadline)) as engine:
            scale = go(engine, job, {"encoders": str(encoders)}, names, diary, rescale=asked.rescale, progress=progress)
        if scale is not None:
            growth = replace(growth, degree_mean=scale[0], degree_deviation=scale[1])
        figures = _assembled(asked, job, dataset, growth, encoders, diary, replace_old=replace_old, progress=progress)
    discard(asked.work)
    return figures


def _checked_encoders(asked: Embedding, trained: Folder, dataset: DatasetFiles, diary: Diary) -> Path:
    """The folder of encoders, which fit the data set; where they do not, a new work folder goes away again."""
    try:
        encoders = keep_encoders(trained, asked.work, {name: Path(path) for name, path in asked.config.vectors.items()})
        check_columns(encoders, dataset)
    except PinfoldError:
        if not diary.stages:
            discard(asked.work)
        raise
    return encoders


def split_memory(config: EmbedConfig) -> int:
    """The bytes that each worker may use for blocks and buffers.

    Raises:
        ConfigError: the size cannot be read, or is too small; says the least that works.
    """
    if config.memory is None:
        return USUAL
    try:
        whole = parse_bytes(config.memory)
    except ValueError as error:
        raise ConfigError(f"--memory: {error}") from error
    least = BASE + LEAST * config.workers
    if whole < least:
        raise ConfigError(
            f"--memory {config.memory}: too little for {config.workers} workers; at least {-(-least // 10**6)}MB: "
            f"{BASE // 10**6} MB for the program and {LEAST // 10**6} MB for each worker's blocks"
        )
    return (whole - BASE) // config.workers


def checked_network(folder: Folder) -> tuple[Network, Growth]:
    """The trained layers of an artifact.

    Raises:
        ConfigError: it is of another model, or its items have vectors of their own.
        ArtifactError: it is damaged.
    """
    if not folder.has("network.json"):
        raise ConfigError(
            f"{folder.path}: only PinSage has layers that make vectors of other items and users; train this model on "
            "the data set itself: pinfold train RUN.toml OUT --set data.path=DATA"
        )
    network, growth, _ = read_network(folder, "")
    if growth.n_ids:
        raise ConfigError(
            f"{folder.path}: was trained with model.ids = {growth.n_ids}, vectors of each item's own, which other "
            "items do not have; train with model.ids = 0 to embed other data, or train on the data set itself: pinfold "
            "train RUN.toml OUT --set data.path=DATA"
        )
    return network, growth


def check_columns(encoders: Path, dataset: DatasetFiles) -> None:
    """Raise unless the data set has all that features are made of, before any work is done.

    Raises:
        DataError: a column is missing, or an npy file has not a row for each item.
    """
    folder = open_folder(encoders)
    for prefix, side in zip((USER_FEATURES, FEATURES), SIDES, strict=True):
        if not folder.has(f"{prefix}encoders.json"):
            continue
        found: Encoders = read_encoders(folder, prefix)
        columns, n_rows = dataset.columns[side], dataset.n_rows(side)
        for name, block in found.columns.items():
            path = block.encoder.path if isinstance(block.encoder, Vectors) else None
            if path is not None:
                _check_vectors(name, path, n_rows, side)
            elif name not in columns:
                raise DataError(
                    f"{dataset.path}: its {side} have no column {name!r}{did_you_mean(name, columns)}, which the "
                    f"artifact makes features of (found: {', '.join(columns) or 'none'}); import it with "
                    f"--{side[:-1]}-table"
                )


def _check_vectors(name: str, path: str, n_rows: int, side: str) -> None:
    try:
        read_vectors(path, n_rows)
    except DataError as error:
        raise DataError(
            f"features of {side}, column {name!r}: {error}; name the file of this data set: --vectors {name}=FILE.npy"
        ) from error


def _assembled(
    asked: Embedding, job: Job, dataset: DatasetFiles, growth: Growth, encoders: Path, diary: Diary,
    *, replace_old: bool, progress: Progress,
) -> Figures:  # fmt: skip
    """Write the artifact; what its metrics.json says of the embedding."""
    figures: list[Figures] = []
    began = [time.perf_counter()]

    def took(name: str) -> None:
        diary.add(name, time.perf_counter() - began[-1])
        began.append(time.perf_counter())

    def indexing(folder: Any, learned: Any) -> None:
        took("assemble")
        with progress.task("index"):
            asked.index(folder, learned)
        took("index")

    def metrics() -> Figures:
        figures.append(_figures(asked, job, diary))
        training: Figures = {name: asked.metrics[name] for name in ("training", "sample") if name in asked.metrics}
        return {
            "created": diary.started, "seconds": figures[-1]["seconds"], "peak_memory_bytes": peak_memory(),
            "test_openings": 0, **training, "embedding": figures[-1],
        }  # fmt: skip

    made = Assembly(job, asked.config.workers, encoders, growth, asked.interests, asked.run, metrics)
    try:
        assemble(asked.out, made, dataset, indexing, replace=replace_old)
    except ArtifactError as error:
        raise ArtifactError(f"{error}{stays(job.work)}") from error
    return figures[-1]


def _figures(asked: Embedding, job: Job, diary: Diary) -> Figures:
    seconds = sum(stage["seconds"] for stage in diary.stages.values())
    config = asked.config
    return {
        "artifact": str(job.artifact), "engine": config.engine, "workers": config.workers, "half": config.half,
        "memory": config.memory, "rescaled": asked.rescale, "users": job.n_users, "items": job.n_items,
        "events": job.n_edges, "seconds": round(seconds, 3),
        "nodes_per_second": round((job.n_users + job.n_items) / max(seconds, 1e-9), 1),
        "peak_memory_bytes": peak_memory(), "stages": diary.stages, "notes": diary.notes,
    }  # fmt: skip


def _identity(asked: Embedding) -> Figures:
    """What decides the parts: a job that differs in any of it is another one."""
    files = {name: (Path(path).resolve(), Path(path)) for name, path in asked.config.vectors.items()}
    missing = [str(path) for _, path in files.values() if not path.is_file()]
    if missing:
        raise DataError(f"--vectors: {missing[0]}: no such file")
    stats = {name: (str(real), path.stat().st_size, path.stat().st_mtime_ns) for name, (real, path) in files.items()}
    return {
        "artifact": seal_of(asked.artifact), "data set": seal_of(asked.data), "workers": asked.config.workers,
        "half": asked.config.half, "degrees": "rescale" if asked.rescale else "keep", "memory": asked.config.memory,
        "vectors": {name: list(values) for name, values in stats.items()},
    }  # fmt: skip


def _means(asked: Embedding) -> bool:
    return asked.interests.users == "mean"


def _is_of_network(name: str) -> bool:
    return bool(LAYERS.fullmatch(name)) or name.startswith((FEATURES, USER_FEATURES))
