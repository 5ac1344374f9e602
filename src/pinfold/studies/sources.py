"""What `pinfold reproduce` knows by name: the run files of the package, and public data by their hashes."""

import gzip
import hashlib
import os
import tomllib
import urllib.request
import zlib
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPException
from importlib.resources import files
from pathlib import Path
from typing import BinaryIO, cast

from pinfold.errors import ConfigError, DataError, did_you_mean
from pinfold.progress import SILENT, Progress, Task

BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file of a public data set; the hashes are those of the unpacked file."""

    url: str
    md5: str  # the one that papers' authors and issue threads quote; sha256 is what is checked
    sha256: str


@dataclass(frozen=True, slots=True)
class Source:
    """A public data set: lines `user item item ...`, in the files train.txt and test.txt."""

    name: str
    about: str
    train: SourceFile
    test: SourceFile


AUTHORS = "https://raw.githubusercontent.com/kuandeng/LightGCN/master/Data"
SOURCES: dict[str, Source] = {
    "gowalla": Source(
        "gowalla",
        "Gowalla check-ins (Cho et al., KDD 2011) in the split of NGCF and LightGCN",
        SourceFile(
            f"{AUTHORS}/gowalla/train.txt",
            "5eec1eb2edb8dd648377d348b8e136cf",
            "7244696fdeb23911319cf7b689f2e15a3c4c92549c873a5677b44e3f13cc3e62",
        ),
        SourceFile(
            f"{AUTHORS}/gowalla/test.txt",
            "c04e2c4bcd2389f53ed8281816166149",
            "099a2a73924e4b754dc6efd730d764f492321b53c38eb93298850c83acf57be3",
        ),
    ),
}


def known_runs() -> dict[str, Path]:
    """The run files that come with Pinfold and say what they reproduce, by name."""
    packed = Path(str(files("pinfold"))) / "runs"
    folder = packed if packed.is_dir() else Path(str(files("pinfold"))).parents[1] / "runs"  # in a work tree
    found = {path.stem: path for path in sorted(folder.glob("*.toml"))}
    told = {"reproduce", "study"}
    return {name: path for name, path in found.items() if told & tomllib.loads(path.read_text("utf-8")).keys()}


def find_run(name: str) -> Path:
    """The run file of this name in the package, or at this path.

    Raises:
        ConfigError: there is none; says which ones there are.
    """
    if name.endswith(".toml"):
        return Path(name)
    known = known_runs()
    if name not in known:
        near = did_you_mean(name, known)
        raise ConfigError(f"{name!r}: no run file of that name{near} (known: {', '.join(known)}); or name a .toml file")
    return known[name]


def known_source(name: str) -> Source:
    """The public data set of this name.

    Raises:
        ConfigError: there is none; says which ones there are.
    """
    if name not in SOURCES:
        near = did_you_mean(name, SOURCES)
        raise ConfigError(f"reproduce.data: unknown data set {name!r}{near} (known: {', '.join(SOURCES)})")
    return SOURCES[name]


def find_files(source: Source, folder: Path | None, progress: Progress = SILENT) -> dict[str, Path]:
    """`train` and `test` of a source, their hashes checked: in `folder`, else in the cache, else fetched into it.

    Raises:
        DataError: a file is not there, is not to be had, or is not the one that the source names.
    """
    wanted: Mapping[str, SourceFile] = {"train": source.train, "test": source.test}
    if folder is None:
        return {part: _fetched(source, part, file, progress) for part, file in wanted.items()}
    return {part: _given(folder, part, file) for part, file in wanted.items()}


def cache_folder() -> Path:
    """Where fetched files are kept (XDG Base Directory Specification)."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if Path(base).is_absolute() else Path.home() / ".cache") / "pinfold" / "data"


def _given(folder: Path, part: str, file: SourceFile) -> Path:
    """The file in a folder of the user's, plain or gzipped."""
    for path in (folder / f"{part}.txt", folder / f"{part}.txt.gz"):
        if path.is_file():
            _check(path, file, "--data")
            return path
    raise DataError(f"{folder}: has neither {part}.txt nor {part}.txt.gz; they are to be had at {file.url}")


def _fetched(source: Source, part: str, file: SourceFile, progress: Progress) -> Path:
    """The file in the cache; fetched beside it, checked and renamed where it is not there yet."""
    path = cache_folder() / source.name / f"{part}.txt"
    if path.is_file():
        _check(path, file, "the cache; remove it to have it fetched anew")
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.partial")
    try:
        with progress.task(f"fetching {source.name} {part}") as task:
            _download(file.url, partial, task)
        _check(partial, file, file.url)
        partial.replace(path)
    except (OSError, HTTPException) as error:
        raise DataError(
            f"{file.url}: cannot be fetched: {error}. Where there is no network, put train.txt and test.txt "
            f"(SHA-256 of {part}.txt {file.sha256}) into a folder and name it with --data"
        ) from error
    finally:
        partial.unlink(missing_ok=True)
    return path


def _download(url: str, path: Path, task: Task) -> None:
    with closing(urllib.request.urlopen(url, timeout=60)) as response, path.open("wb") as out:  # noqa: S310 - ours
        done = 0
        while block := response.read(BLOCK):
            out.write(block)
            done += len(block)
            task.advance(0, f"{done / 2**20:.1f} MiB")
        out.flush()
        os.fsync(out.fileno())


def _check(path: Path, file: SourceFile, where: str) -> None:
    """Raise unless the unpacked file has the bytes that the source promises."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as opened:
            stream = cast("BinaryIO", opened)
            digest = hashlib.sha256()
            while block := stream.read(BLOCK):
                digest.update(block)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
    if digest.hexdigest() != file.sha256:
        raise DataError(
            f"{path} ({where}): is another file: its SHA-256 is {digest.hexdigest()}, expected {file.sha256} "
            f"(MD5 {file.md5}) as at {file.url}"
        )
