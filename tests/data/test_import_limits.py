"""Imports within limits that the system enforces: memory that is obeyed, a disk that is full in the middle."""

import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="macOS does not enforce these limits")

PROGRAM = """
import resource, sys
from pathlib import Path
from pinfold.data.readers import ImportConfig, Sources, import_files
from pinfold.errors import PinfoldError
from pinfold.memory import memory_marks

folder, name, memory, kind, limit = Path(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4], int(sys.argv[5])
tiny = Sources([folder / ("tiny" + Path(name).suffix)])
import_files(tiny, folder / "tiny", ImportConfig(memory=memory))  # loads and compiles what any import needs
which = {"addresses": resource.RLIMIT_AS, "file": resource.RLIMIT_FSIZE}[kind]
limit += memory_marks()["VmSize"] if kind == "addresses" else 0
resource.setrlimit(which, (limit, resource.RLIM_INFINITY))
try:
    print(import_files(Sources([folder / name]), folder / "out", ImportConfig(memory=memory)).edges)
except PinfoldError as error:
    print(type(error).__name__, error)
"""


def events(folder: Path, name: str, n: int, users: int, items: int, length: int) -> None:
    """n events between users and items whose ids have some `length`, and a tiny file of the same format."""
    form = "parquet" if name.endswith("parquet") else "csv, header"
    user = f"lpad(CAST(i * 7919 % {users} AS VARCHAR), {length}, 'u')"
    item = f"lpad(CAST(i * 104729 % {items} AS VARCHAR), {length}, 'i')"
    with duckdb.connect() as connection:
        connection.execute("SET threads = 1")
        for path, rows in ((folder / name, n), (folder / f"tiny{Path(name).suffix}", 2)):
            query = f'SELECT {user} AS "user", {item} AS item FROM range({rows}) t(i)'
            connection.execute(f"COPY ({query}) TO '{path}' (FORMAT {form})")


def attempt(folder: Path, name: str, memory: str, kind: str, limit: int) -> str:
    command = [sys.executable, "-c", PROGRAM, str(folder), name, memory, kind, str(limit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("name", "n", "length"),
    [("events.parquet", 1_000_000, 150), ("events.csv", 150_000, 300)],  # as records 300 MB, and 90 MB held twice
)
def test_the_memory_option_is_obeyed(tmp_path: Path, name: str, n: int, length: int) -> None:
    events(tmp_path, name, n, 20_011 if n > 10**6 else 2011, 30_011 if n > 10**6 else 3011, length)
    assert attempt(tmp_path, name, "60MB", "addresses", 60_000_000 + 190_000_000) == str(n)


def test_a_limit_that_is_too_small_is_said_and_nothing_is_left(tmp_path: Path) -> None:
    events(tmp_path, "events.parquet", 300_000, 100_003, 100_019, 200)
    said = attempt(tmp_path, "events.parquet", "20MB", "addresses", 1_000_000_000)
    assert said == "DataError the data needs more than memory = 20MB; allow more with --memory"
    assert sorted(left.name for left in tmp_path.iterdir()) == ["events.parquet", "tiny", "tiny.parquet"]


@pytest.mark.parametrize("limit", [20_000, 1_500_000])
def test_a_disk_that_is_full_in_the_middle(tmp_path: Path, limit: int) -> None:
    """While edges are spilled or written, or a table: said with its file, and nothing is left."""
    events(tmp_path, "events.parquet", 300_000, 100_003, 100_019, 40)
    said = attempt(tmp_path, "events.parquet", "60MB", "file", limit)
    assert said.startswith(f"ArtifactError {tmp_path}")
    assert "cannot be written: " in said
    assert "File too large" in said
    assert sorted(left.name for left in tmp_path.iterdir()) == ["events.parquet", "tiny", "tiny.parquet"]
