"""Folders that are written whole or not at all, and checked byte by byte when they are read.

A folder is flat: `.npy` arrays, `.parquet` tables, `.safetensors`, `.faiss` indexes, `.json`, `.toml`, and a
`manifest.json` with the folder's kind, its format version, and size and SHA-256 of every file. Data sets, artifacts
and checkpoints are such folders. Nothing in them is ever unpickled.
"""

import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from glob import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pinfold.arrays import check_array
from pinfold.errors import ArtifactError
from pinfold.files import flush

FORMAT = 1  # raised when a reader of the old version could not read the new one
MANIFEST = "manifest.json"
FILE_NAME = re.compile(r"[a-z][a-z0-9_]*\.(npy|parquet|safetensors|json|toml|csv|faiss)")


class FolderWriter:
    """The files of a folder that does not exist yet."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, name: str) -> Path:
        """Where to write the file of this name."""
        if not FILE_NAME.fullmatch(name) or name == MANIFEST:
            raise ValueError(f"file name must match {FILE_NAME.pattern}, got {name!r}")
        return self._folder / name

    def array(self, name: str, array: NDArray[np.generic]) -> None:
        """Write one array as npy, row after row, so that a mapped row is one piece of the file."""
        np.save(self.path(name), np.asarray(array, order="C"), allow_pickle=False)

    def json(self, name: str, value: Mapping[str, Any]) -> None:
        """Write one object as JSON."""
        text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
        self.path(name).write_text(text, encoding="utf-8")

    def text(self, name: str, text: str) -> None:
        """Write one text file."""
        self.path(name).write_text(text, encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder whose files are all there and have the bytes that the manifest promises."""

    path: Path
    kind: str
    files: dict[str, str]  # name -> SHA-256

    def has(self, name: str) -> bool:
        """Whether the manifest lists this file."""
        return name in self.files

    def file(self, name: str) -> Path:
        """The path of a listed file.

        Raises:
            ArtifactError: the folder has no such file.
        """
        if name not in self.files:
            raise ArtifactError(f"{self.path}: has no {name}; it holds {', '.join(sorted(self.files))}")
        return self.path / name

    def array(self, name: str, dtype: type[np.generic], *shape: int) -> NDArray[Any]:
        """One array, memory-mapped and read-only, checked against dtype and shape (-1: any length)."""
        path = self.file(name)
        try:
            array: NDArray[Any] = np.lib.format.open_memmap(path, mode="r")  # refuses objects, so nothing is unpickled
        except Exception as error:  # numpy's header parser lets many kinds through; whatever it is, this is no array
            raise ArtifactError(f"{path}: not an npy array: {error}") from error
        try:
            check_array(name, array, dtype, *shape)
        except (TypeError, ValueError) as error:
            raise ArtifactError(f"{path}: {error}") from error
        return array

    def json(self, name: str) -> dict[str, Any]:
        """One JSON object."""
        return _read_object(self.file(name))

    def text(self, name: str) -> str:
        """One text file."""
        try:
            return self.file(name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ArtifactError(f"{self.path / name}: cannot be read: {error}") from error


@contextmanager
def writing(path: Path, kind: str, *, replace: bool = False) -> Iterator[FolderWriter]:
    """A writer for the folder `path`, which appears complete when the block ends and not before.

    Files are written into a hidden folder beside it, flushed to disk, listed in the manifest, then renamed.
    After an error nothing is left behind. Only a folder of the same kind that holds nothing else is replaced.

    Raises:
        ArtifactError: the folder exists and may not be replaced, or the file system refuses.
    """
    path = path.resolve()
    try:
        check_place(path, kind, replace=replace)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent))
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be written: {error}") from error
    try:
        yield FolderWriter(partial)
        _seal(partial, kind)
        check_place(path, kind, replace=replace)  # somebody may have been here meanwhile
        _swap(partial, path, replace=replace)
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be written: {error}{_where_older(path)}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def open_folder(path: Path, kind: str | None = None, wanted: Callable[[str], bool] = lambda _: True) -> Folder:
    """The folder at `path`, every file checked against its SHA-256; only the `wanted` ones where a caller says which.

    Raises:
        ArtifactError: names the file that is missing, truncated, damaged or of another format version.
    """
    manifest = _read_manifest(path)
    if kind is not None and manifest["kind"] != kind:
        raise ArtifactError(f"{path}: expected a {kind}, found a {manifest['kind']}")
    promises = {name: promise for name, promise in manifest["files"].items() if wanted(name)}
    with ThreadPoolExecutor(2) as pool:  # reading and hashing leave Python free
        list(pool.map(partial(_check_file, path), promises, promises.values()))
    return Folder(path, manifest["kind"], {name: promise["sha256"] for name, promise in promises.items()})


def remove_folder(path: Path) -> None:
    """Remove a folder that Pinfold wrote; nothing happens where there is none.

    Raises:
        ArtifactError: the folder holds anything that Pinfold did not write, or the file system refuses.
    """
    if not path.exists():
        return
    _check_ours(path)
    try:
        shutil.rmtree(path)
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be removed: {error}") from error


def is_folder(path: Path) -> bool:
    """Whether `path` looks like a folder that Pinfold wrote.

    Raises:
        ArtifactError: it does not, but only because its replacement was interrupted.
    """
    older = _where_older(path)
    if older:
        raise ArtifactError(f"{path}: no such folder{older}")
    return (path / MANIFEST).is_file()


def check_place(path: Path, kind: str, *, replace: bool) -> None:
    """Raise unless nothing is at `path`, or only a folder of this kind that may be replaced. Before long work, too.

    Raises:
        ArtifactError: says what is there.
    """
    if not path.exists():
        return
    if not replace:
        raise ArtifactError(f"{path}: exists already; remove it, name another folder, or ask to replace it")
    found = _check_ours(path)
    if found != kind:
        raise ArtifactError(f"{path}: is a {found}; it is not replaced by a {kind}")


def _check_ours(path: Path) -> str:
    """The kind of the folder at `path`; raises if Pinfold did not write it, or not all that is in it."""
    manifest = _read_object(path / MANIFEST) if (path / MANIFEST).is_file() else {}
    if not isinstance(manifest.get("kind"), str) or not isinstance(manifest.get("files"), dict):
        raise ArtifactError(f"{path}: was not written by Pinfold; it is neither replaced nor removed")
    strange = sorted({file.name for file in path.iterdir()} - {MANIFEST, *manifest["files"]})
    if strange:
        raise ArtifactError(f"{path}: holds {strange[0]}, which Pinfold did not write; move it away first")
    return str(manifest["kind"])


def _where_older(path: Path) -> str:
    """Where the older folder is, if nothing is at `path` because its replacement was interrupted; else empty."""
    path = path.resolve()
    older = [] if path.exists() else sorted(path.parent.glob(f".{escape(path.name)}.{'[a-z0-9_]' * 8}.old"))
    return (
        f"; its replacement was interrupted, the older one is {older[0]}: rename it back or remove it" if older else ""
    )


def _read_manifest(path: Path) -> dict[str, Any]:
    if not path.is_dir():
        raise ArtifactError(f"{path}: no such folder{_where_older(path)}")
    if not (path / MANIFEST).is_file():
        raise ArtifactError(f"{path}: has no {MANIFEST}, so it is not a folder that Pinfold finished writing")
    manifest = _read_object(path / MANIFEST)
    found = manifest.get("format")
    if found != FORMAT:
        raise ArtifactError(f"{path / MANIFEST}: format version {found!r}, this Pinfold reads {FORMAT}")
    if not isinstance(manifest.get("kind"), str) or not isinstance(manifest.get("files"), dict):
        raise ArtifactError(f"{path / MANIFEST}: damaged: expected 'kind' and 'files'")
    return manifest


def _check_file(folder: Path, name: str, promise: object) -> None:
    if not FILE_NAME.fullmatch(name) or name == MANIFEST:
        raise ArtifactError(f"{folder / MANIFEST}: lists {name!r}, which is not a file name that Pinfold writes")
    if not isinstance(promise, dict) or set(promise) != {"bytes", "sha256"}:
        raise ArtifactError(f"{folder / MANIFEST}: damaged: the entry of {name} lacks 'bytes' and 'sha256'")
    path = folder / name
    if path.is_symlink() or not path.is_file():
        raise ArtifactError(f"{path}: is missing (or not a plain file); restore the folder from its source")
    try:
        size = path.stat().st_size
        if size != promise["bytes"]:
            raise ArtifactError(
                f"{path}: has {size} bytes, the manifest says {promise['bytes']}: truncated or replaced"
            )
        if _sha256(path) != promise["sha256"]:
            raise ArtifactError(f"{path}: damaged: its SHA-256 is not the one in the manifest")
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read: {error}") from error


def _read_object(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ArtifactError(f"{path}: not JSON: {error}") from error
    if not isinstance(value, dict):
        raise ArtifactError(f"{path}: expected a JSON object, found {type(value).__name__}")
    return value


def _seal(folder: Path, kind: str) -> None:
    """Flush every file to disk and write the manifest."""
    paths = sorted(folder.iterdir())
    with ThreadPoolExecutor(2) as pool:
        hashes = [said for _, said in zip(map(flush, paths), pool.map(_sha256, paths), strict=True)]
    files = {p.name: {"bytes": p.stat().st_size, "sha256": said} for p, said in zip(paths, hashes, strict=True)}
    manifest = {"format": FORMAT, "kind": kind, "files": files}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")
    flush(folder / MANIFEST)
    folder.chmod(0o755)
    flush(folder)


def _swap(partial: Path, path: Path, *, replace: bool) -> None:
    """Put `partial` in the place of `path`; an older folder steps aside first and goes away last.

    Killed between the two renames, nothing is at `path`, and `_where_older` finds what stepped aside.
    """
    old = partial.with_suffix(".old")
    try:
        if replace and path.exists():
            path.rename(old)
        partial.rename(path)
        flush(path.parent)
    except BaseException:
        if not partial.exists():
            path.rename(partial)
        if old.exists():
            old.rename(path)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
