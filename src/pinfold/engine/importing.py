"""Import by shards: workers read their own Parquet files, number the ids, and merge the events of their own users.

look -> read -> numbered -> rows -> edges -> the data set folder, which is what `data.readers.import_files` makes of the
same files, byte by byte; what each stage does say import_events, import_ids and import_edges. The parts that a stage
has sealed outlive a lost worker, the work folder ends with the import.
"""

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from tempfile import TemporaryDirectory

from pinfold.arrays import spans
from pinfold.artifacts import Folder, FolderWriter, check_place, open_folder, writing
from pinfold.data import attributes, staging
from pinfold.data.dataset import KIND
from pinfold.data.loading import form_of, stop_at_rejected, write_rejected
from pinfold.data.npy import DTYPES, NpyStream
from pinfold.data.readers import ImportConfig, ImportReport, Progress, Sources, check_config, fingerprint, source_of
from pinfold.data.sql import Connection, parquet_table, workspace
from pinfold.data.times import KINDS
from pinfold.engine.import_edges import FILES
from pinfold.engine.import_events import SIDES, Summary
from pinfold.engine.import_stages import Figures, bounds_of, edges, look, most_of, number, read, retried, rows
from pinfold.engine.interface import Engine, Job, Shard
from pinfold.engine.opening import open_engine
from pinfold.errors import ArtifactError, ConfigError, DataError
from pinfold.memory import parse_bytes

Start = Callable[[Job], Engine]


@dataclass(frozen=True, slots=True)
class Workers:
    """What carries out an import by shards."""

    engine: str = "local"  # or "ray"
    size: int = 1
    address: str | None = None  # ray: host:port of the cluster's head; None: this machine

    def __post_init__(self) -> None:
        if self.engine not in ("local", "ray"):
            raise ConfigError(f"--engine {self.engine}: expected local or ray")
        if self.size < 1:
            raise ConfigError(f"--workers {self.size}: expected at least 1")
        if self.address is not None and self.engine == "local":
            raise ConfigError("--address goes with --engine ray")

    def start(self, job: Job) -> Engine:
        """The workers of a job.

        Raises:
            ConfigError: Ray is wanted and is not there.
            EngineError: the cluster cannot be reached.
        """
        return open_engine(job, self.size, "pinfold.engine.import_steps:IMPORT", self.engine, self.address)


@dataclass(frozen=True, slots=True)
class Making:
    """What an import by shards works with."""

    engine: Engine
    job: Job
    connection: Connection  # the driver's own workspace
    folder: FolderWriter
    sources: Sources
    config: ImportConfig
    say: Progress
    options: Figures  # of the steps, to which stages add what they have decided


def import_shards(
    sources: Sources, out: Path, config: ImportConfig, workers: Workers,
    *, replace: bool = False, progress: Progress = lambda _: None, start: Start | None = None,
) -> ImportReport:  # fmt: skip
    """Write the data set folder `out` as `import_files` does, by workers that share files, ids and users.

    Each worker's database has an equal part of config.memory; the driver joins the attribute tables within all of it.

    Args:
        sources: Parquet files of events, and attribute tables. Workers find all files by the same absolute paths.
        out: the folder to make; the work folder stands beside it.
        config: how files are read.
        workers: how many, and what runs them.
        replace: replace an older data set.
        progress: is told the name of each stage.
        start: makes the engine of a job; `workers.start` without it.

    Raises:
        DataError: a file or (unless bad_rows is "skip") a row is not what it should be.
        ConfigError: options that contradict each other, or files that are no Parquet.
        ArtifactError: `out` exists, or the file system refuses.
        EngineError: workers cannot be started, or are lost too often.
    """
    check_config(config)
    _check_forms(sources, config)
    check_place(out, KIND, replace=replace)
    began = time.perf_counter()
    with (
        writing(out, KIND, replace=replace) as folder,
        _work(out) as work,
        workspace(config.limits, work) as connection,
    ):
        job = _job(work, out, config, workers.size)
        with closing((start or workers.start)(job)) as engine:
            counts = _import(
                Making(engine, job, connection, folder, sources, config, progress, _options(sources, config))
            )
    rejected = out / "rejected.csv" if counts["rejected"] else None
    return ImportReport(**counts, seconds=time.perf_counter() - began, rejected_file=rejected)


def _check_forms(sources: Sources, config: ImportConfig) -> None:
    for path in sources.events:
        form = form_of(path, config.format)
        if form != "parquet":
            raise ConfigError(
                f"{path}: workers read Parquet files, not {form}; leave --engine away, or write the events as Parquet"
            )


@contextmanager
def _work(out: Path) -> Iterator[Path]:
    """The work folder, beside the data set so that the workers of a cluster find it too."""
    try:
        made = TemporaryDirectory(
            prefix=".pinfold.", suffix=".work", dir=out.resolve().parent, ignore_cleanup_errors=True
        )
    except OSError as error:
        raise ArtifactError(f"{out.parent}: cannot be written: {error}") from error
    with made as place:
        yield Path(place)


def _options(sources: Sources, config: ImportConfig) -> Figures:
    return {
        "files": [str(path.resolve()) for path in sources.events], "columns": config.columns, "kind": None,
        "weighted": config.weight is not None, "min_weight": config.min_weight, "time_zone": config.time_zone,
        "threads": config.threads, "duplicates": config.duplicates,
    }  # fmt: skip


def _job(work: Path, out: Path, config: ImportConfig, size: int) -> Job:
    return Job(work, out, out, 0, 0, 0, 0, memory=max(1, parse_bytes(config.memory) // size))


def _import(making: Making) -> Figures:
    """All stages; the counts of the report."""
    engine, config, options, say = making.engine, making.config, making.options, making.say
    if config.time is not None:
        say(f"looking at {len(making.sources.events)} Parquet files")
        options["kind"] = most_of(retried(engine, look, options))
    say("checking rows")
    summaries: list[Summary] = retried(engine, read, options)
    counts: Figures = {name: sum(one[name] for one in summaries) for name in ("rows", "kept", "rejected", "light")}
    counts["time"] = KINDS[options["kind"]] if options["kind"] else None
    _rejected(making, counts)
    say("numbering users and items")
    options["bounds"] = {side: bounds_of([one[side] for one in summaries], engine.size) for side in SIDES}
    numbered = dict(zip(SIDES, zip(*retried(engine, number, options), strict=True), strict=True))
    options["offsets"] = {side: [0, *accumulate(numbered[side])][:-1] for side in SIDES}
    options["n_users"] = sum(numbered["users"])
    counts["unused_attributes"] = {}
    for noun, column in (("user", config.user), ("item", config.item)):
        counts[f"{noun}s"] = _things(making, noun, column, numbered[f"{noun}s"], counts["unused_attributes"])
    say("sorting edges")
    options["rounds"] = max(retried(engine, rows, options))
    retried(engine, edges, options)
    say("writing edges")
    counts["edges"] = _join_edges(making)
    counts["merged"] = counts["kept"] - counts["edges"]
    making.folder.json("source.json", {"files": _fingerprints(making, summaries)} | source_of(counts, config))
    return counts


def _rejected(making: Making, counts: Figures) -> None:
    """Write the rejected rows of all workers, or raise where there should be none, or where nothing else is left."""
    labels, skip = [str(path) for path in making.sources.events], making.config.bad_rows == "skip"
    staging.create_tables(making.connection, raw=False)
    for part in _parts(making, "read"):
        source = parquet_table(part.file("rejected.parquet"))
        making.connection.execute(f"INSERT INTO rejected SELECT * FROM {source}")
    if not skip or not counts["kept"]:
        stop_at_rejected(making.connection, labels, skip=skip)
    if not counts["kept"]:
        raise DataError(f"none of the {counts['rows']} events weighs at least min_weight = {making.config.min_weight}")
    if counts["rejected"]:
        write_rejected(making.connection, making.folder.path("rejected.csv"), labels)


def _things(making: Making, noun: str, column: str, n_ids: Sequence[int], unused: dict[str, int]) -> int:
    """Write users.parquet or items.parquet, the ranges' ids one after another with their attributes; how many."""
    connection, tables, things = making.connection, making.sources.tables, f"{noun}s"
    connection.execute(f"CREATE TABLE {things} (row INTEGER, id VARCHAR)")
    starts = [0, *accumulate(n_ids)]
    for part, start in zip(_parts(making, "numbered"), starts, strict=False):
        source = parquet_table(part.file(f"{things}.parquet"))
        connection.execute(f"INSERT INTO {things} SELECT {start} + file_row_number, id FROM {source}")
    if noun in tables:
        making.say(f"reading attributes of {things}")
        attributes.load_attributes(connection, noun, tables[noun], column)
        unused[noun] = attributes.unused_attributes(connection, noun)
    path = making.folder.path(f"{things}.parquet")
    attributes.write_things(connection, noun, path, attributes=noun in tables)
    connection.execute(f"DROP TABLE {things}")
    return starts[-1]


def _join_edges(making: Making) -> int:
    """Write the edges of all owners one after another; how many there are."""
    for rank in range(making.engine.size):
        shutil.rmtree(_place(making, "rows", rank), ignore_errors=True)  # room for what is written now
    with NpyStream(*(making.folder.path(name) for name in FILES)) as stream:
        for part in _parts(making, "edges"):
            columns = [part.array(name, dtype, -1) for name, dtype in zip(FILES, DTYPES, strict=True)]
            for span in spans(len(columns[0])):
                stream.append(*(column[span] for column in columns))
    return stream.length


def _fingerprints(making: Making, summaries: list[Summary]) -> list[Figures]:
    """Of all files: those of events by their readers, who had every size-th, those of attributes here."""
    size, events = making.engine.size, making.sources.events
    own = {path: summaries[n % size]["files"][n // size] for n, path in enumerate(events)}
    return [own.get(path) or fingerprint(path) for path in making.sources.all]


def _parts(making: Making, stage: str) -> Iterator[Folder]:
    """The sealed parts of a stage, one worker's after another, checked."""
    return (open_folder(_place(making, stage, rank), stage) for rank in range(making.engine.size))


def _place(making: Making, stage: str, rank: int) -> Path:
    return Shard(rank, making.engine.size, making.job).place(stage)
