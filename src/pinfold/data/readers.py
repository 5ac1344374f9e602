"""Import: event files or frames in, a Dataset out, every row accounted for.

import_files = read into `raw` -> reject what cannot be used -> number the ids -> sort -> merge -> write.
Memory stays within the limit of DuckDB plus a few blocks of records, whatever the size of the files. Parquet files are
not copied into `raw` but read where they are, once for each of these steps.
"""

import hashlib
import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from pinfold.artifacts import writing
from pinfold.config import options
from pinfold.data import attributes, staging
from pinfold.data.dataset import KIND, Dataset
from pinfold.data.loading import form_of, load_file, load_typed, stop_at_rejected, write_rejected
from pinfold.data.npy import NpyStream
from pinfold.data.shards import naming_shards, view_shards
from pinfold.data.sql import Connection, Limits, scalar, workspace
from pinfold.data.tables import read_table
from pinfold.data.times import KINDS
from pinfold.errors import ConfigError, DataError

Format = Literal["auto", "csv", "tsv", "parquet", "jsonl", "lists"]
Progress = Callable[[str], None]
RULES = {
    "sum": "the weights of a pair's events are added up, the time is the latest",
    "max": "a pair keeps its largest weight, the time is the latest",
    "last": "a pair keeps the weight of its latest event (the largest, if several are latest)",
    "count": "a pair weighs as many as it has events, the time is the latest",
}


@options
class ImportConfig:
    """How event files are read. One user-item pair becomes one edge."""

    format: Annotated[
        Format, Field(description="auto: by the file's ending; lists: lines `user item item ...` without a header")
    ] = "auto"
    user: Annotated[str, Field(min_length=1, description="column of the user id")] = "user"
    item: Annotated[str, Field(min_length=1, description="column of the item id")] = "item"
    weight: Annotated[str | None, Field(description="column of the weight; without it every event weighs 1")] = None
    time: Annotated[
        str | None,
        Field(
            description="column of the time: epoch seconds, ms, us or ns (told by size), or ISO 8601; "
            "with format lists, place: an item's place in its line, for lines in order of time"
        ),
    ] = None
    time_zone: Annotated[str, Field(description="zone of ISO times without an offset, such as Europe/Berlin")] = "UTC"
    duplicates: Annotated[
        Literal["sum", "max", "last", "count"],
        Field(description="the weight of a pair with several events; its time is always the latest"),
    ] = "sum"
    min_weight: Annotated[
        float | None, Field(description="leave out events that weigh less, such as ratings below 4")
    ] = None
    bad_rows: Annotated[
        Literal["stop", "skip"], Field(description="skip: leave bad rows out and list them in rejected.csv")
    ] = "stop"
    memory: Annotated[
        str, Field(pattern=r"^\d+(\.\d+)?\s*[KMGT]i?B$", description="memory of the database that sorts and joins")
    ] = "1GB"
    threads: Annotated[int, Field(ge=1, description="threads of the database; the result is the same on any")] = 1

    @property
    def columns(self) -> dict[str, str]:
        """Role -> column, for the roles in use."""
        roles = {"user": self.user, "item": self.item, "weight": self.weight, "time": self.time}
        return {role: name for role, name in roles.items() if name is not None}

    @property
    def limits(self) -> Limits:
        """What the workspace may use."""
        return Limits(self.memory, self.threads, self.time_zone)


@dataclass(frozen=True, slots=True)
class Sources:
    """The files of one import. Attribute tables join on a column named like the event column, or `id`."""

    events: Sequence[Path]
    user_table: Path | None = None
    item_table: Path | None = None

    def __post_init__(self) -> None:
        if not self.events:
            raise ConfigError("no event file is named; expected at least one")
        twice = [path for path, n in Counter(path.resolve() for path in self.events).items() if n > 1]
        if twice:
            raise ConfigError(f"{twice[0]}: is named twice; its events would count double")

    @property
    def all(self) -> list[Path]:
        """Every file, in an order that is not the order they were named in."""
        tables = [table for table in (self.user_table, self.item_table) if table is not None]
        return sorted([*self.events, *tables])

    @property
    def tables(self) -> dict[str, object]:
        """Noun -> attribute table, for the tables that there are."""
        tables = {"user": self.user_table, "item": self.item_table}
        return {noun: table for noun, table in tables.items() if table is not None}


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What became of every row: rows = kept + rejected + light, and kept = edges + merged."""

    rows: int  # events found
    kept: int
    rejected: int  # rows that could not be used
    light: int  # below min_weight
    merged: int  # events beyond the first of their pair
    edges: int
    users: int
    items: int
    unused_attributes: dict[str, int]  # noun -> rows of its attribute table without events; they are left out
    time: str | None  # how times were read
    seconds: float
    rejected_file: Path | None  # the list of the rejected rows


def import_files(
    sources: Sources, out: Path, config: ImportConfig, *, replace: bool = False, progress: Progress | None = None
) -> ImportReport:
    """Write the dataset folder `out`: one edge per user-item pair, ids in the order of their bytes.

    The folder depends on the rows alone, not on the order of files or the number of threads. Rows left out stand
    in its rejected.csv, the rules and counts in its source.json. `progress` is told the name of each stage.

    Raises:
        DataError: a file or (unless bad_rows is "skip") a row is not what it should be.
        ConfigError: options that contradict each other.
        ArtifactError: `out` exists, or the file system refuses.
    """
    check_config(config)
    began = time.perf_counter()
    say = progress or _silent
    with writing(out, KIND, replace=replace) as folder, workspace(config.limits, out.resolve().parent) as connection:
        labels = [str(path) for path in sources.events]
        if all(form_of(path, config.format) == "parquet" for path in sources.events):
            say(f"looking at {len(labels)} Parquet files")
            staging.create_tables(connection, raw=False)
            view_shards(connection, sources.events, config.columns)
            with naming_shards(connection, sources.events, config.columns):
                counts = _stage(connection, sources.tables, config, labels, say, view=True)
        else:
            load_files(connection, sources.events, config, say)
            counts = _stage(connection, sources.tables, config, labels, say)
        say("writing edges")
        names = ("users.npy", "items.npy", "weights.npy", "times.npy")
        with NpyStream(*(folder.path(name) for name in names)) as stream:
            for piece in staging.merged_edges(connection, config.duplicates):
                stream.append(*piece)
        say("writing users and items")
        for noun in ("user", "item"):
            attributes.write_things(
                connection, noun, folder.path(f"{noun}s.parquet"), attributes=noun in sources.tables
            )
        if counts["rejected"]:
            write_rejected(connection, folder.path("rejected.csv"), labels)
        counts |= {"edges": stream.length, "merged": counts["kept"] - stream.length}
        files = [fingerprint(path) for path in sources.all]
        folder.json("source.json", {"files": files} | source_of(counts, config))
    rejected = out / "rejected.csv" if counts["rejected"] else None
    return ImportReport(**counts, seconds=time.perf_counter() - began, rejected_file=rejected)


def read_frame(
    events: object, config: ImportConfig, *, user_table: object | None = None, item_table: object | None = None
) -> Dataset:
    """The Dataset of a DataFrame, an Arrow table (anything with `__arrow_c_stream__`) or a dict of arrays.

    Raises:
        DataError: a column is missing or a row (unless bad_rows is "skip") cannot be used.
        TypeError: an object that is no table.
    """
    check_config(config)
    tables = {noun: table for noun, table in (("user", user_table), ("item", item_table)) if table is not None}
    with workspace(config.limits) as connection:
        staging.create_tables(connection)
        source = attributes.as_source(connection, "frame", events)
        load_typed(connection, 0, "the events", source, config.columns)
        counts = _stage(connection, tables, config, ["the events"], _silent)
        pairs = staging.read_interactions(connection, config.duplicates, counts["users"], counts["items"])
        path = Path(scalar(connection, "SELECT current_setting('temp_directory')")) / "things.parquet"
        things = []
        for noun in ("user", "item"):
            attributes.write_things(connection, noun, path, attributes=noun in tables)
            things.append(read_table(path, noun))
    counts |= {"edges": len(pairs), "merged": counts["kept"] - len(pairs)}
    (users, user_columns), (items, item_columns) = things
    return Dataset(pairs, users, items, user_columns, item_columns, source_of(counts, config))


def load_files(connection: Connection, paths: Sequence[Path], config: ImportConfig, say: Progress) -> None:
    """Fill `raw` and `rejected` from the files; file n of the tables is paths[n].

    Raises:
        DataError: a file is missing, empty, of no known ending, or lacks a column.
    """
    staging.create_tables(connection)
    for file, path in enumerate(paths):
        say(f"reading {path.name}")
        load_file(connection, file, path, config.format, config.columns)


def settle(connection: Connection, config: ImportConfig, *, view: bool = False) -> dict[str, Any]:
    """Turn `raw` into `rejected` and `events`, and count: rows, rejected, light, kept, time."""
    kind = staging.time_kind(connection) if config.time is not None else None
    good = staging.reject(connection, config.columns, kind)
    weighted, least = config.weight is not None, config.min_weight
    light = staging.settle(connection, good, weighted=weighted, kind=kind, min_weight=least, view=view)
    kept = int(scalar(connection, "SELECT count(*) FROM events"))
    rejected = int(scalar(connection, "SELECT count(*) FROM rejected"))
    how = KINDS[kind] if kind else None
    return {"rows": kept + light + rejected, "kept": kept, "rejected": rejected, "light": light, "time": how}


def _stage(
    connection: Connection,
    tables: dict[str, object],
    config: ImportConfig,
    labels: Sequence[str],
    say: Progress,
    *,
    view: bool = False,
) -> dict[str, Any]:
    """From `raw` to sorted `edges`; the counts of the report so far. With `view`, raw is one and events becomes one."""
    say("checking rows")
    counts = settle(connection, config, view=view)
    if not view:
        connection.execute("DROP TABLE raw")
    if config.bad_rows == "stop" or not counts["kept"]:
        stop_at_rejected(connection, labels, skip=config.bad_rows == "skip")
    if not counts["kept"]:
        raise DataError(f"none of the {counts['rows']} events weighs at least min_weight = {config.min_weight}")
    counts["unused_attributes"] = {}
    for noun, column in (("user", config.user), ("item", config.item)):
        say(f"numbering {noun}s")
        counts[f"{noun}s"] = staging.number(connection, f"{noun}s", f"{noun}_id")
        if noun in tables:
            say(f"reading attributes of {noun}s")
            attributes.load_attributes(connection, noun, tables[noun], column)
            counts["unused_attributes"][noun] = attributes.unused_attributes(connection, noun)
    say("sorting edges")
    staging.sort_edges(connection, config.columns)
    connection.execute(f"DROP {'VIEW' if view else 'TABLE'} events")
    return counts


def check_config(config: ImportConfig) -> None:
    """Raise where options contradict each other.

    Raises:
        ConfigError: names the option to add or to change.
    """
    twice = [name for name, n in Counter(config.columns.values()).items() if n > 1]
    if twice:
        roles = " and ".join(role for role, name in config.columns.items() if name == twice[0])
        raise ConfigError(f"{roles} are both to be read from column {twice[0]!r}; name a column for each")
    if config.min_weight is not None and not math.isfinite(config.min_weight):
        raise ConfigError(f"min_weight = {config.min_weight}: expected a finite number")
    if config.duplicates == "last" and config.time is None:
        raise ConfigError(
            "duplicates = 'last' needs to know which event is the latest; name the time column with --time"
        )
    if config.min_weight is not None and config.weight is None:
        raise ConfigError("min_weight needs weights; name their column with --weight")


def source_of(counts: dict[str, Any], config: ImportConfig) -> dict[str, Any]:
    """Where a dataset came from. Without the seconds: the same rows give the same folder, byte for byte."""
    said = {name: value for name, value in asdict(config).items() if name not in ("memory", "threads")}
    return {"config": said, "duplicates": RULES[config.duplicates], "report": counts}


def fingerprint(path: Path) -> dict[str, Any]:
    """Name, length and SHA-256 of a file that was imported."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"name": path.name, "bytes": path.stat().st_size, "sha256": digest}


def _silent(_: str) -> None:
    """Nobody listens."""
