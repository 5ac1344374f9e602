"""What a store does when a disk is full, a statement fails, bits flip, files are cut or go missing."""

import os
import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
import psycopg
import pytest
from sqlalchemy import Engine, event

from pinfold.errors import StoreError
from pinfold.serving.sql_store import SqlStore, open_store
from pinfold.serving.store import Entry, EventEntry, NewEvent, Store


def filled(place: str | Path, n: int = 6) -> list[Entry]:
    """A closed store that holds something, and what it holds."""
    store = open_store(place)
    for k in range(n):
        store.put_item(f"item{k}", {"title": f"Title {k}"}, [f"user{k % 3}"], k, ("g", np.ones(3, np.float32)))
    store.add_events([NewEvent(f"user{k % 3}", f"item{k}", k, f"event{k}") for k in range(3 * n)], n)
    store.set_meta("generation", "one")
    entries = list(store.entries())
    store.close()
    return entries


def engine_of(store: Store) -> Engine:
    return cast(SqlStore, store)._database.engine


@contextmanager
def failing(engine: Engine, at: int, error: Callable[[], Exception]) -> Iterator[list[str]]:
    """The statement with this number fails, or the commit when no statement is left; yields what was reached."""
    reached: list[str] = []

    def before(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        reached.append(statement)
        if len(reached) == at + 1:
            raise error()

    def commit(_c: Any) -> None:
        before(None, None, "COMMIT")

    event.listen(engine, "before_cursor_execute", before)
    event.listen(engine, "commit", commit)
    try:
        yield reached
    finally:
        event.remove(engine, "before_cursor_execute", before)
        event.remove(engine, "commit", commit)


CALLS: dict[str, Callable[[Store], object]] = {
    "new item": lambda s: s.put_item("new", {"a": 1}, ["u"], 9.0, ("g", np.zeros(3, np.float32))),
    "changed item": lambda s: s.put_item("item3", {"a": 1}, ["u"], 9.0, ("h", np.zeros(2, np.float32))),
    "deleted item": lambda s: s.delete_item("item4", 9.0),
    "events": lambda s: s.add_events([NewEvent("u", "i", 1, "new"), NewEvent("user0", "item0", 0, "event0")], 9.0),
    "setting": lambda s: s.set_meta("generation", "two"),
    "vectors": lambda s: s.save_vectors("h", ["a", "b"], np.ones((2, 3), np.float32)),
    "vectors removed": lambda s: s.delete_vectors("g"),
}
FAULTS: dict[str, Callable[[], Exception]] = {
    "disk": lambda: OSError(28, "No space left on device"),
    "sqlite": lambda: sqlite3.OperationalError("disk I/O error"),
    "postgresql": lambda: psycopg.errors.IoError("disk I/O error"),
}


@pytest.mark.parametrize("fault", ["disk", "driver"])
@pytest.mark.parametrize("name", CALLS)
def test_a_failure_at_any_statement_changes_nothing_and_the_store_goes_on(place: str, name: str, fault: str) -> None:
    if fault == "driver":
        fault = "postgresql" if place.startswith("postgresql") else "sqlite"
    before = filled(place)
    store = open_store(place)
    nearest = store.nearest("g", np.ones(3, np.float32), 99)
    n_faults = 0
    while True:
        with failing(engine_of(store), n_faults, FAULTS[fault]) as reached:
            words = ""
            try:
                CALLS[name](store)
            except StoreError as error:
                words = str(error)
        if not words:
            break
        assert "No space left" in words or "I/O error" in words
        n_faults += 1
        assert len(reached) == n_faults
        assert list(store.entries()) == before
        assert store.meta("generation") == "one"
        assert store.nearest("g", np.ones(3, np.float32), 99) == nearest
        assert store.nearest("h", np.ones(3, np.float32), 99) == []
    assert n_faults >= 4  # begin or totals, the write, the totals back, the commit
    after = list(store.entries())
    assert after == before or after[-1].sequence > before[-1].sequence
    store.close()


def test_a_failure_while_reading_is_told_and_passes(place: str) -> None:
    before = filled(place)
    store = open_store(place)
    for call in (store.last_sequence, lambda: store.meta("generation"), lambda: list(store.entries())):
        at = 1 if place.endswith(".db") else 0  # SQLite's BEGIN counts
        with failing(engine_of(store), at, FAULTS["disk"]), pytest.raises(StoreError, match="full; make room"):
            call()
    assert list(store.entries()) == before
    store.close()


def test_a_database_that_may_not_grow(tmp_path: Path) -> None:
    before = filled(tmp_path / "s.db")
    store = open_store(tmp_path / "s.db")
    engine = engine_of(store)
    with engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    limit: Callable[..., None] = lambda c, _record: c.execute(f"PRAGMA max_page_count = {pages}").close()  # noqa: E731
    event.listen(engine, "connect", limit)
    engine.dispose()
    with pytest.raises(StoreError, match="the disk is full; make room"):
        store.put_item("large", {"text": "x" * 100_000}, [], 1.0)
    assert list(store.entries()) == before
    event.remove(engine, "connect", limit)
    engine.dispose()
    assert store.put_item("large", {"text": "x" * 100_000}, [], 1.0).sequence == before[-1].sequence + 1
    store.close()


FULL_DISK = """
import resource, signal, sys
from pinfold.errors import StoreError
from pinfold.serving.sql_store import open_store
from pinfold.serving.store import NewEvent
store = open_store(sys.argv[1])
kept = [store.put_item("first", {}, [], 0.0).sequence]
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
refused = 0
for n in range(200):
    try:
        events = [NewEvent("u" * 900, f"i{n}-{m}") for m in range(5)]
        kept += [entry.sequence for entry in store.add_events(events, 1.0)]
    except StoreError as error:
        refused += 1
        assert "disk" in str(error), error
    assert [entry.sequence for entry in store.entries()] == kept
    if refused > 5:
        break
assert refused > 5, refused
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
kept.append(store.put_item("last", {}, [], 2.0).sequence)
assert kept == list(range(1, len(kept) + 1)), kept
store.close()
store = open_store(sys.argv[1])
assert [entry.sequence for entry in store.entries()] == kept
print(len(kept), refused)
"""


def test_a_full_disk_refuses_and_space_makes_it_go_on(tmp_path: Path) -> None:
    """A limit on the size of files, which stops the log in the middle of a write as a full disk does."""
    code = [sys.executable, "-c", FULL_DISK, str(tmp_path / "s.db")]
    done = subprocess.run(code, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[0]) > 20


def works(place: Path, entries: list[Entry]) -> bool:
    """Whether all is there and repeated events are known; False where a StoreError says that something is wrong."""
    words = ""
    try:
        store = open_store(place)
        try:
            assert list(store.entries()) == entries
            assert store.last_sequence() == entries[-1].sequence
            assert store.meta("generation") == "one"
            again = [NewEvent(e.user, e.item, e.time, e.event) for e in entries if isinstance(e, EventEntry)]
            assert store.add_events(again, 99.0) == [None] * len(again)
        finally:
            store.close()
    except StoreError as error:
        words = str(error)
    assert not words or str(place) in words
    return not words


def copied(tmp_path: Path, name: str, source: Path) -> Path:
    folder = tmp_path / name
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(source, folder)
    return folder / "s.db"


@pytest.mark.parametrize("file", ["s.db", "s.db-wal", "s.db.lock"])
@pytest.mark.parametrize("kind", ["flip", "cut", "zeros"])
def test_damaged_files_are_noticed_or_do_no_harm(
    tmp_path: Path, live: tuple[Path, list[Entry]], file: str, kind: str
) -> None:
    source, entries = live
    rng = random.Random(f"{file} {kind}")
    noticed = 0
    rounds = 25 if kind == "flip" else 8
    for n in range(rounds):
        place = copied(tmp_path, "copy", source)
        path = place.with_name(file)
        data = bytearray(path.read_bytes())
        at = rng.randrange(len(data))
        if kind == "flip":
            data[at] ^= 1 << rng.randrange(8)
        elif kind == "cut":
            data = data[: at if n else 0]
        else:
            data[at : at + 512] = bytes(len(data[at : at + 512]))
        path.write_bytes(data)
        noticed += not works(place, entries)
    assert noticed or (file, kind) == ("s.db.lock", "cut")


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Entry]]:
    """The files of a store as a killed server leaves them: some commits in the database, some in the log."""
    folder = tmp_path_factory.mktemp("live")
    place = folder / "open" / "s.db"
    filled(place, 12)
    store = open_store(place)
    for k in range(100, 112):
        store.put_item(f"item{k}", {"title": f"Title {k}"}, [], k)
        store.add_events([NewEvent("user", f"item{k}-{m}", k, f"event{k}-{m}") for m in range(3)], k)
    entries = list(store.entries())
    shutil.copytree(folder / "open", folder / "left")
    store.close()
    (folder / "left" / "s.db-shm").unlink()
    return folder / "left", entries


def test_the_untouched_copy_works(tmp_path: Path, live: tuple[Path, list[Entry]]) -> None:
    source, entries = live
    assert (source / "s.db-wal").stat().st_size
    assert works(copied(tmp_path, "copy", source), entries)


def test_bytes_behind_the_last_commit_do_no_harm(tmp_path: Path, live: tuple[Path, list[Entry]]) -> None:
    """What a kill in the middle of a write leaves: half a frame, or frames without a commit."""
    source, entries = live
    for tail in (b"\0" * 100, b"half a frame" * 20, os.urandom(4096 + 24), os.urandom(10_000)):
        place = copied(tmp_path, "copy", source)
        with place.with_name("s.db-wal").open("ab") as log:
            log.write(tail)
        assert works(place, entries)


def test_a_missing_log_is_noticed_and_the_way_on_is_named(tmp_path: Path, live: tuple[Path, list[Entry]]) -> None:
    source, entries = live
    place = copied(tmp_path, "copy", source)
    place.with_name("s.db-wal").unlink()
    for _ in range(2):
        with pytest.raises(StoreError, match=r"holds \d+ commits, but \d+ were acknowledged.*remove .*s\.db\.lock"):
            open_store(place)
    place.with_name("s.db.lock").unlink()
    store = open_store(place)
    kept = list(store.entries())
    assert kept == entries[: len(kept)]
    store.close()


def test_a_damaged_log_is_kept(tmp_path: Path, live: tuple[Path, list[Entry]]) -> None:
    source, entries = live
    place = copied(tmp_path, "copy", source)
    log = place.with_name("s.db-wal")
    whole = log.read_bytes()
    log.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(StoreError, match=r"s\.db-wal\.damaged"):
        open_store(place)
    assert place.with_name("s.db-wal.damaged").read_bytes() == whole[: len(whole) // 2]
    log.write_bytes(whole)
    assert works(place, entries)


def test_a_missing_database_is_noticed(tmp_path: Path) -> None:
    place = tmp_path / "s.db"
    filled(place)
    place.unlink()
    with pytest.raises(StoreError, match=r"is missing or empty, but s\.db\.lock .* remove s\.db\.lock"):
        open_store(place)
    place.with_name("s.db.lock").unlink()
    store = open_store(place)
    assert list(store.entries()) == []
    store.close()


def test_places_that_are_no_store(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "text").write_text("not a database " * 1000)
    (tmp_path / "file").touch()
    other = sqlite3.connect(tmp_path / "other")
    other.execute("CREATE TABLE theirs (x)")
    other.commit()
    other.close()
    for name, words in {
        "folder": "is not a file",
        "text": "no SQLite database",
        "other": r"of something else \(table theirs\)",
        "file/below": "File exists|Not a directory",
        "x" * 300: "File name too long",
    }.items():
        with pytest.raises(StoreError, match=words):
            open_store(tmp_path / name)
    for url in (
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///x?mode=ro",
        "mysql://u:secret@h/d",
        "://",
        "postgres://secret@h:x/d",
    ):
        with pytest.raises(StoreError, match="expected a path") as refused:
            open_store(url)
        assert "secret" not in str(refused.value)
    store = open_store(f"sqlite:///{tmp_path}/by-url.db")
    store.close()
    assert (tmp_path / "by-url.db").exists()
    assert (tmp_path / "by-url.db").stat().st_mode & 0o077 == 0


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    filled(tmp_path / "s.db")
    if os.geteuid() == 0:
        shown = ["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(tmp_path)]
        if subprocess.run(shown, capture_output=True, check=False).returncode:
            pytest.skip("root may write everywhere, and may not mount here")
        try:
            with pytest.raises(StoreError, match="Read-only file system"):
                open_store(tmp_path / "s.db")
        finally:
            subprocess.run(["umount", str(tmp_path)], check=True)
        return
    tmp_path.chmod(0o500)
    (tmp_path / "s.db.lock").chmod(0o400)
    try:
        with pytest.raises(StoreError, match="Permission denied"):
            open_store(tmp_path / "s.db")
    finally:
        tmp_path.chmod(0o700)


def test_a_newer_store_is_refused(place: str) -> None:
    filled(place, 2)
    store = open_store(place)
    from pinfold.serving.schema import write_meta

    with cast(SqlStore, store)._writing() as (connection, _):
        write_meta(connection, "schema", "2")
    store.close()
    with pytest.raises(StoreError, match="have version 2, this Pinfold reads 1"):
        open_store(place)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE pinfold_items SET attributes = '{}' WHERE sequence = 3",
        "UPDATE pinfold_items SET deleted = 1 WHERE sequence = 3",
        "UPDATE pinfold_events SET item_id = 'other' WHERE sequence = 8",
        "UPDATE pinfold_events SET time = 5 WHERE sequence = 8",
        "DELETE FROM pinfold_items WHERE sequence = 3",
        "DELETE FROM pinfold_events WHERE sequence = 8",
        "UPDATE pinfold_totals SET sequence = 1",
        "DELETE FROM pinfold_totals",
        "UPDATE pinfold_meta SET value = 'two' WHERE key = 'generation'",
    ],
)
def test_changed_and_missing_rows_are_noticed(place: str, change: str) -> None:
    filled(place)
    store = open_store(place)
    with engine_of(store).begin() as connection:
        connection.exec_driver_sql(change)
    with pytest.raises(StoreError, match="damaged"):
        [*store.entries(), store.meta("generation")]
    store.close()


def test_a_server_that_was_taken_over_writes_no_more(place: str) -> None:
    """As after a lost connection to PostgreSQL, with which its lock is lost."""
    store = open_store(place)
    store.put_item("a", {}, [], 1.0)
    with cast(SqlStore, store)._writing() as (_, found):
        found.owner = "another"
    with pytest.raises(StoreError, match="another server has taken it over"):
        store.put_item("b", {}, [], 1.0)
    with pytest.raises(StoreError, match="another server has taken it over"):
        store.set_meta("generation", "x")
    assert len(list(store.entries())) == 1
    store.close()
