"""Folders: written whole or not at all, and every kind of damage named when they are read."""

import errno
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from pinfold.artifacts import FolderWriter, is_folder, open_folder, remove_folder, writing
from pinfold.errors import ArtifactError

MANIFEST = "manifest.json"
FILES = ["numbers.npy", "note.toml", "plain.json"]
NUMBERS = np.arange(6, dtype=np.int32).reshape(2, 3)


def fill(folder: FolderWriter, version: int) -> None:
    folder.array("numbers.npy", NUMBERS + version)
    folder.json("plain.json", {"version": version, "text": "é😀"})
    folder.text("note.toml", f"version = {version}\n")


def write(path: Path, version: int = 1, *, replace: bool = False) -> Path:
    with writing(path, "thing", replace=replace) as folder:
        fill(folder, version)
    return path


def version_of(path: Path) -> int:
    """The version in a folder all of whose files agree about it."""
    folder = open_folder(path, "thing")
    version = folder.json("plain.json")["version"]
    assert (folder.array("numbers.npy", np.int32, 2, 3) == NUMBERS + version).all()
    assert folder.text("note.toml") == f"version = {version}\n"
    return int(version)


def names(path: Path) -> list[str]:
    return sorted(file.name for file in path.iterdir())


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)  # nobody pulls the plug; the killed writers do flush


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "out")


def manifest(folder: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((folder / MANIFEST).read_text("utf-8"))
    return value


def reseal(folder: Path, **changes: object) -> None:
    """Write a manifest that fits the files as they are now, as somebody who forges a folder would."""
    files = {
        file.name: {"bytes": file.stat().st_size, "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
        for file in sorted(folder.iterdir())
        if file.name != MANIFEST and file.is_file()
    }
    (folder / MANIFEST).write_text(json.dumps({"format": 1, "kind": "thing", "files": files} | changes), "utf-8")


# --- writing ---------------------------------------------------------------------------------------------------


def test_what_was_written_is_read(folder: Path) -> None:
    assert version_of(folder) == 1
    assert names(folder) == sorted([*FILES, MANIFEST])
    assert open_folder(folder).json("plain.json") == {"version": 1, "text": "é😀"}


def test_parents_are_made_and_nothing_is_left_beside(tmp_path: Path) -> None:
    write(tmp_path / "a" / "b" / "out")
    assert names(tmp_path / "a" / "b") == ["out"]


def test_an_array_is_stored_row_after_row(tmp_path: Path) -> None:
    # A transposed array would put the numbers of one row on as many pages as it has columns.
    with writing(tmp_path / "out", "thing") as folder:
        folder.array("numbers.npy", NUMBERS.T)
    found = open_folder(tmp_path / "out").array("numbers.npy", np.int32, 3, 2)
    assert found.flags.c_contiguous
    assert (found == NUMBERS.T).all()


def test_a_read_array_cannot_be_written(folder: Path) -> None:
    array = open_folder(folder).array("numbers.npy", np.int32, -1, 3)
    with pytest.raises(ValueError, match="read-only"):
        array[0, 0] = 7


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, ZeroDivisionError])
def test_an_error_in_the_block_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    with pytest.raises(error), writing(tmp_path / "out", "thing") as folder:  # noqa: PT012
        fill(folder, 1)
        raise error
    assert names(tmp_path) == []


def test_an_error_in_the_block_leaves_the_older_folder(folder: Path) -> None:
    with pytest.raises(ZeroDivisionError), writing(folder, "thing", replace=True) as writer:  # noqa: PT012
        fill(writer, 2)
        raise ZeroDivisionError
    assert version_of(folder) == 1
    assert names(folder.parent) == ["out"]


def test_an_existing_folder_is_refused_without_replace(folder: Path) -> None:
    with pytest.raises(ArtifactError, match="out: exists already; remove it, name another folder, or ask to replace"):
        write(folder, 2)
    assert version_of(folder) == 1


def test_a_replaced_folder_is_the_new_one_and_nothing_is_left_beside(folder: Path) -> None:
    assert version_of(write(folder, 2, replace=True)) == 2
    assert names(folder.parent) == ["out"]


def test_two_writers_do_not_replace_each_other_unasked(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="exists already"), writing(tmp_path / "out", "thing") as slow:  # noqa: PT012
        fill(slow, 1)
        write(tmp_path / "out", 2)
    assert version_of(tmp_path / "out") == 2
    assert names(tmp_path) == ["out"]


def test_a_link_to_a_folder_keeps_being_a_link(folder: Path) -> None:
    link = folder.parent / "link"
    link.symlink_to(folder)
    write(link, 2, replace=True)
    assert link.is_symlink()
    assert version_of(folder) == 2


@pytest.mark.parametrize(
    ("found", "content"),
    [
        ("letter.txt", "dear"),
        (MANIFEST, '{"name": "a web page", "icons": []}'),  # browsers use the same name
        (MANIFEST, "[]"),
        (MANIFEST, "not JSON"),
    ],
)
def test_a_foreign_folder_is_neither_replaced_nor_removed(tmp_path: Path, found: str, content: str) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / found).write_text(content)
    with pytest.raises(ArtifactError, match="out"):
        write(out, replace=True)
    with pytest.raises(ArtifactError, match="out"):
        remove_folder(out)
    assert (out / found).read_text() == content
    assert names(tmp_path) == ["out"]


def test_a_file_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("dear")
    with pytest.raises(ArtifactError, match="was not written by Pinfold"):
        write(tmp_path / "out", replace=True)
    assert (tmp_path / "out").read_text() == "dear"


def test_a_folder_with_somebodys_notes_is_neither_replaced_nor_removed(folder: Path) -> None:
    (folder / "notes.md").write_text("dear")
    with pytest.raises(ArtifactError, match=r"holds notes\.md, which Pinfold did not write"):
        write(folder, 2, replace=True)
    with pytest.raises(ArtifactError, match=r"holds notes\.md"):
        remove_folder(folder)
    assert version_of(folder) == 1


def test_notes_that_came_while_writing_are_kept(folder: Path) -> None:
    with pytest.raises(ArtifactError, match=r"notes\.md"), writing(folder, "thing", replace=True) as writer:  # noqa: PT012
        fill(writer, 2)
        (folder / "notes.md").write_text("dear")
    assert (folder / "notes.md").read_text() == "dear"
    assert version_of(folder) == 1


def test_a_folder_of_another_kind_is_not_replaced(folder: Path) -> None:
    message = "out: is a thing; it is not replaced by a dataset"
    with pytest.raises(ArtifactError, match=message), writing(folder, "dataset", replace=True):
        pytest.fail("the block must not begin")
    assert version_of(folder) == 1


def test_a_folder_of_an_older_format_may_be_replaced(folder: Path) -> None:
    reseal(folder, format=0)
    assert version_of(write(folder, 2, replace=True)) == 2


def test_a_place_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("dear")
    with pytest.raises(ArtifactError, match="cannot be written"):
        write(tmp_path / "file" / "out")


def test_a_name_that_is_too_long_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="cannot be written"):
        write(tmp_path / ("x" * 300))


@pytest.mark.parametrize(
    "name",
    ["", "x", "X.npy", "1.npy", "_x.npy", "a b.npy", "x.pkl", "x.npy.gz", "x.npy\n", "../x.npy", "/x.npy", "a/x.npy",
     "..", "manifest.json", "é.npy", ".x.npy"],
)  # fmt: skip
def test_odd_file_names_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="file name must match"), writing(tmp_path / "out", "thing") as folder:
        folder.path(name)
    assert names(tmp_path) == []


def test_objects_are_not_written_as_arrays(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Object arrays cannot be saved"), writing(tmp_path / "out", "thing") as folder:
        folder.array("x.npy", np.array([{}], dtype=object))
    assert names(tmp_path) == []


def test_json_has_no_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Out of range float"), writing(tmp_path / "out", "thing") as folder:
        folder.json("x.json", {"x": float("nan")})
    assert names(tmp_path) == []


def test_remove_folder(folder: Path) -> None:
    remove_folder(folder)
    remove_folder(folder)  # there is none, so nothing happens
    assert names(folder.parent) == []


# --- a file system that refuses ----------------------------------------------------------------------------------

POINTS = [(os, "fsync"), (Path, "rename"), (np, "save"), (Path, "write_text"), (Path, "mkdir")]


def full_disk(
    monkeypatch: pytest.MonkeyPatch, point: tuple[ModuleType | type, str], number: int, *, for_good: bool
) -> Callable[[], int]:
    """Call `number` of a function, from 0, says that the disk is full, and so do the later ones if `for_good`."""
    owner, name = point
    real: Callable[..., Any] = getattr(owner, name)
    calls = 0

    def refusing(*args: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == number + 1 or (for_good and calls > number):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(*args, **options)

    monkeypatch.setattr(owner, name, refusing)
    return lambda: calls


@pytest.mark.parametrize("replace", [False, True])
@pytest.mark.parametrize("point", POINTS, ids=lambda point: point[1])
def test_a_full_disk_at_any_point_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: tuple[ModuleType | type, str], replace: bool
) -> None:
    # The call that fails moves on until the write succeeds, so every call of the function has failed once.
    failures = 0
    for number in range(30):
        place = tmp_path / str(number)
        place.mkdir()
        out = place / "out"
        if replace:
            write(out, 1)
        with monkeypatch.context() as patch:
            full_disk(patch, point, number, for_good=False)
            try:
                write(out, 2, replace=replace)
            except ArtifactError as error:
                assert "out: cannot be written: [Errno 28] No space left" in str(error)  # noqa: PT017
            else:
                break
        failures += 1
        assert names(place) == (["out"] if replace else [])
        if replace:
            assert version_of(out) == 1
    assert version_of(out) == 2
    assert names(place) == ["out"]
    assert failures >= {"rename": 1 + replace, "fsync": 6, "save": 1, "write_text": 3, "mkdir": 1}[point[1]]


def test_when_even_going_back_fails_the_message_says_where_the_older_folder_is(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        full_disk(patch, (Path, "rename"), 1, for_good=True)
        with pytest.raises(ArtifactError, match=r"cannot be written.*the older one is") as caught:
            write(folder, 2, replace=True)
    [older] = folder.parent.iterdir()
    assert str(older) in str(caught.value)
    older.rename(folder)
    assert version_of(folder) == 1


def test_an_unreadable_file_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full_disk(monkeypatch, (Path, "open"), 1, for_good=True)  # the manifest is read, the first file is not
    with pytest.raises(ArtifactError, match=r"note\.toml: cannot be read"):
        open_folder(folder)


# --- killed ------------------------------------------------------------------------------------------------------

KILLED = """
import os, signal, sys
from pathlib import Path
import numpy as np
from pinfold import artifacts

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

out, point = Path(sys.argv[1]), sys.argv[2]
if point == "swap":  # the older folder has stepped aside, the new one is not yet in its place
    rename, calls = Path.rename, []
    Path.rename = lambda *args: die() if calls else (calls.append(1), rename(*args))
if point == "seal":
    os.fsync = die
if point == "clean":
    artifacts.shutil.rmtree = die
with artifacts.writing(out, "thing", replace=True) as folder:
    folder.array("numbers.npy", np.arange(6, dtype=np.int32).reshape(2, 3) + 2)
    if point == "block":
        die()
    folder.json("plain.json", {"version": 2})
    folder.text("note.toml", "version = 2\\n")
"""


def kill_while_writing(out: Path, point: str) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(out), point], check=False, timeout=60)
    assert done.returncode == -9


@pytest.mark.parametrize("point", ["block", "seal"])
def test_a_killed_writer_leaves_the_older_folder(folder: Path, point: str) -> None:
    kill_while_writing(folder, point)
    assert version_of(folder) == 1
    assert version_of(write(folder, 3, replace=True)) == 3


def test_a_writer_killed_before_it_cleaned_up_leaves_the_new_folder(folder: Path) -> None:
    kill_while_writing(folder, "clean")
    assert version_of(folder) == 2


def test_a_writer_killed_between_the_renames_leaves_word_of_the_older_folder(folder: Path) -> None:
    kill_while_writing(folder, "swap")
    [older] = folder.parent.glob(".out.*.old")
    message = f"out: no such folder; its replacement was interrupted, the older one is {older}: rename it back"
    with pytest.raises(ArtifactError, match=message):
        open_folder(folder)
    with pytest.raises(ArtifactError, match=message):  # or training would silently start afresh
        is_folder(folder)
    older.rename(folder)
    assert version_of(folder) == 1


def test_an_interrupted_neighbor_is_not_mistaken_for_the_folder(tmp_path: Path) -> None:
    write(tmp_path / ".out.checkpoint.abcd1234.old")
    assert not is_folder(tmp_path / "out")
    with pytest.raises(ArtifactError, match=r"out: no such folder$"):
        open_folder(tmp_path / "out")


def test_a_stale_partial_of_another_writer_is_left_alone(folder: Path) -> None:
    partial = folder.parent / ".out.abcd1234.partial"
    partial.mkdir()
    write(folder, 2, replace=True)
    assert partial.is_dir()


# --- damaged -----------------------------------------------------------------------------------------------------


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def extend(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


def replace_by_link(path: Path) -> None:
    copy = path.parent.parent / "copy"
    path.rename(copy)
    path.symlink_to(copy)


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def replace_by_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "bit flipped": (flip, "damaged: its SHA-256 is not the one in the manifest"),
    "truncated": (truncate, "bytes, the manifest says .*: truncated or replaced"),
    "emptied": (empty, "has 0 bytes"),
    "extended": (extend, "truncated or replaced"),
    "removed": (Path.unlink, "is missing"),
    "replaced by a link": (replace_by_link, "not a plain file"),
    "replaced by a folder": (replace_by_folder, "not a plain file"),
    "replaced by a pipe": (replace_by_pipe, "not a plain file"),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("how", DAMAGE)
def test_a_damaged_file_is_named(folder: Path, name: str, how: str) -> None:
    hurt, message = DAMAGE[how]
    hurt(folder / name)
    with pytest.raises(ArtifactError, match=f"{name}: .*{message}"):
        open_folder(folder, "thing")


@pytest.mark.parametrize(
    "how", ["truncated", "emptied", "extended", "removed", "replaced by a folder", "replaced by a pipe"]
)
def test_a_damaged_manifest_is_named(folder: Path, how: str) -> None:
    DAMAGE[how][0](folder / MANIFEST)
    with pytest.raises(ArtifactError, match=r"manifest\.json"):
        open_folder(folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("\ufeff{}", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ('{"a":' * 100_000, "not JSON"),
        ("[]", "expected a JSON object, found list"),
        ("3", "expected a JSON object, found int"),
        ("null", "expected a JSON object, found NoneType"),
        ("{}", "format version None, this Pinfold reads 1"),
        ('{"format": 2}', "format version 2, this Pinfold reads 1"),
        ('{"format": "1"}', "format version '1', this Pinfold reads 1"),
        ('{"format": 1}', "damaged: expected 'kind' and 'files'"),
        ('{"format": 1, "kind": 3, "files": {}}', "damaged: expected 'kind' and 'files'"),
        ('{"format": 1, "kind": "thing", "files": []}', "damaged: expected 'kind' and 'files'"),
        ('{"format": 1, "kind": "thing", "files": {"x.npy": []}}', r"damaged: the entry of x\.npy lacks 'bytes'"),
        ('{"format": 1, "kind": "thing", "files": {"x.npy": {"bytes": 1}}}', r"damaged: the entry of x\.npy lacks"),
        ('{"format": 1' + "0" * 5000 + "}", "not JSON"),
    ],
    ids=lambda value: value[:30],
)
def test_a_manifest_that_is_none_is_named(folder: Path, text: str, message: str) -> None:
    (folder / MANIFEST).write_text(text, "utf-8")
    with pytest.raises(ArtifactError, match=rf"manifest\.json: {message}"):
        open_folder(folder)


@pytest.mark.parametrize("data", [b"\xff\xfe", b'{"format": "\xff"}', b"\0\0\0"])
def test_a_manifest_that_is_not_text_is_named(folder: Path, data: bytes) -> None:
    (folder / MANIFEST).write_bytes(data)
    with pytest.raises(ArtifactError, match=r"manifest\.json: not JSON"):
        open_folder(folder)


@pytest.mark.parametrize(
    "name", ["../x.npy", "/etc/passwd", "a/../x.npy", "..", "", "manifest.json", "x.pkl", "x.npy\0", "X.npy"]
)
def test_a_manifest_that_points_outside_is_refused(folder: Path, name: str) -> None:
    (folder.parent / "x.npy").write_bytes(b"secret")
    entry = {"bytes": 6, "sha256": hashlib.sha256(b"secret").hexdigest()}
    reseal(folder, files=manifest(folder)["files"] | {name: entry})
    with pytest.raises(ArtifactError, match="not a file name that Pinfold writes"):
        open_folder(folder)


@pytest.mark.parametrize("promise", [-1, 1e999, None, "152", [], 2**80])
def test_a_size_that_cannot_be_is_refused(folder: Path, promise: object) -> None:
    entries = manifest(folder)["files"]
    entries["numbers.npy"]["bytes"] = promise
    reseal(folder, files=entries)
    with pytest.raises(ArtifactError, match=r"numbers\.npy: has 152 bytes, the manifest says"):
        open_folder(folder)


@pytest.mark.parametrize("promise", ["", None, 3, [], "0" * 64])
def test_a_checksum_that_cannot_be_is_refused(folder: Path, promise: object) -> None:
    entries = manifest(folder)["files"]
    entries["numbers.npy"]["sha256"] = promise
    reseal(folder, files=entries)
    with pytest.raises(ArtifactError, match=r"numbers\.npy: damaged"):
        open_folder(folder)


def test_a_folder_that_is_missing_or_foreign_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"nowhere: no such folder$"):
        open_folder(tmp_path / "nowhere")
    with pytest.raises(ArtifactError, match=r"has no manifest\.json, so it is not a folder that Pinfold finished"):
        open_folder(tmp_path)
    assert not is_folder(tmp_path)
    assert not is_folder(tmp_path / "nowhere")


def test_another_kind_is_refused(folder: Path) -> None:
    with pytest.raises(ArtifactError, match="out: expected a dataset, found a thing"):
        open_folder(folder, "dataset")
    assert open_folder(folder).kind == "thing"


def test_a_file_that_the_manifest_does_not_list_is_not_read(folder: Path) -> None:
    np.save(folder / "extra.npy", NUMBERS)
    opened = open_folder(folder)
    assert not opened.has("extra.npy")
    with pytest.raises(ArtifactError, match=r"out: has no extra\.npy; it holds note\.toml, numbers\.npy, plain\.json"):
        opened.array("extra.npy", np.int32, 2, 3)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (NUMBERS.astype(np.int64), r"numbers\.npy must have dtype int32, got int64"),
        (NUMBERS.astype(">i4"), r"must have dtype int32, got >i4"),
        (NUMBERS.astype(np.float32), r"must have dtype int32, got float32"),
        (NUMBERS[:, :2], r"must have shape \(-1, 3\) \(-1: any\), got \(2, 2\)"),
        (NUMBERS[0], r"must have shape \(-1, 3\) \(-1: any\), got \(3,\)"),
        (np.zeros((0, 4), np.int32), r"must have shape"),
    ],
)
def test_an_array_of_another_type_or_shape_is_refused(tmp_path: Path, array: Any, message: str) -> None:
    with writing(tmp_path / "out", "thing") as folder:
        folder.array("numbers.npy", array)
    with pytest.raises(ArtifactError, match=rf"numbers\.npy: .*{message}"):
        open_folder(tmp_path / "out").array("numbers.npy", np.int32, -1, 3)


class Bomb:
    """Unpickling this runs code."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return pytest.exit, ("unpickled",)


def forged_pickle(path: Path) -> None:
    np.save(path, np.array([Bomb()], dtype=object), allow_pickle=True)


def forged_magic(path: Path) -> None:
    path.write_bytes(b"\x93NUMPZ" + bytes(100))


def forged_zip(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, NUMBERS)


def forged_header(header: str) -> Callable[[Path], None]:
    def forge(path: Path) -> None:
        text = header.encode().ljust(117) + b"\n"
        path.write_bytes(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + bytes(24))

    return forge


FORGED: dict[str, Callable[[Path], None]] = {
    "empty": empty,
    "pickled objects": forged_pickle,
    "a zip archive": forged_zip,
    "more rows than bytes": forged_header("{'descr': '<i4', 'fortran_order': False, 'shape': (9, 3)}"),
    "rows without end": forged_header(f"{{'descr': '<i4', 'fortran_order': False, 'shape': ({2**70}, 3)}}"),
    "negative rows": forged_header("{'descr': '<i4', 'fortran_order': False, 'shape': (-2, 3)}"),
    "an unclosed bracket": forged_header("{'descr': '<i4', 'fortran_order': False, 'shape': (2, 3}"),
    "code in the header": forged_header("{'descr': '<i4', 'fortran_order': exit(), 'shape': (2, 3)}"),
    "an unknown type": forged_header("{'descr': 'z9', 'fortran_order': False, 'shape': (2, 3)}"),
    "objects in a record": forged_header("{'descr': [('x', '|O')], 'fortran_order': False, 'shape': (2, 3)}"),
    "nesting without end": forged_header("(" * 110),
    "another magic": forged_magic,
}


@pytest.mark.parametrize("how", FORGED)
def test_a_forged_array_is_refused_and_never_unpickled(folder: Path, how: str) -> None:
    FORGED[how](folder / "numbers.npy")
    reseal(folder)
    with pytest.raises(ArtifactError, match=r"numbers\.npy: not an npy array"):
        open_folder(folder).array("numbers.npy", np.int32, -1, 3)


@pytest.mark.parametrize(
    ("text", "message"), [("[]", "expected a JSON object"), ("{", "not JSON"), ("[" * 99_999, "not JSON")]
)
def test_a_forged_json_file_is_refused(folder: Path, text: str, message: str) -> None:
    (folder / "plain.json").write_text(text)
    reseal(folder)
    with pytest.raises(ArtifactError, match=rf"plain\.json: {message}"):
        open_folder(folder).json("plain.json")


def test_a_forged_text_file_is_refused(folder: Path) -> None:
    (folder / "note.toml").write_bytes(b"\xff")
    reseal(folder)
    with pytest.raises(ArtifactError, match=r"note\.toml: cannot be read"):
        open_folder(folder).text("note.toml")


def every_file(folder: Path) -> Iterator[Path]:
    yield from (folder / name for name in [*FILES, MANIFEST])


def test_each_bit_counts(folder: Path) -> None:
    # Any flipped bit of any file is found, or the folder still says the same (such as a space in the manifest).
    for path in every_file(folder):
        whole = path.read_bytes()
        for position in range(0, len(whole), 3):
            hurt = bytearray(whole)
            hurt[position] ^= 1 << position % 8
            path.write_bytes(hurt)
            try:
                assert version_of(folder) == 1
            except ArtifactError as error:
                assert str(folder) in str(error)  # noqa: PT017
            else:
                assert path.name == MANIFEST
        path.write_bytes(whole)
    assert version_of(folder) == 1
