"""The service killed by SIGKILL again and again while it is written to: is anything lost that was acknowledged?

    python benchmarks/service_kills.py --kills 50
    python benchmarks/service_kills.py --kills 50 --store postgresql://...

Four clients put, change and delete items and tell events without a pause; at a random moment within a second the
process is killed. It is started again on the same store, and every write that was acknowledged in that round is asked
for: an item with the attributes of its last acknowledged write, a deleted item's absence, an event in its user's
history. A write that was under way when the process died may be there or not. At the end the whole journal is read:
every acknowledged write of all rounds must be there, and sequences rise without a gap in what is acknowledged.

The artifact is content-kNN of the bundled data, trained first (seconds). JSON on stdout.
"""

import argparse
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from environment import print_result
from pinfold.serving.sql_store import open_store
from pinfold.serving.store import EventEntry, ItemEntry

RUN = '[data]\npath = "debian"\n[model]\nname = "content-knn"\n'
PINFOLD = str(Path(sys.executable).with_name("pinfold"))
CLIENTS = 4
ITEMS = 40  # ids that one client puts and deletes again and again
OLD = ("vim", "git", "python3-numpy", "gimp")  # items of the bundled data, for events


@dataclass
class Told:
    """What one client was told, by id: the last acknowledged state, and whether a later write was under way."""

    items: dict[str, str | None] = field(default_factory=dict)  # description, None: deleted
    open: dict[str, list[str | None]] = field(default_factory=dict)  # writes without an answer since then
    events: dict[tuple[str, str], int] = field(default_factory=dict)  # (user, item) -> acknowledged
    n_writes: int = 0


def main() -> None:
    """Kill, restart, check; then print what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--store", help="a URL; else a SQLite file in a temporary folder")
    parser.add_argument("--artifact", type=Path, help="a folder with vectors for new items; else one is trained")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        artifact = options.artifact or train(work)
        found = kill_loop(artifact, options.store or str(work / "state"), options.kills, options.seed, say=True)
    print_result(found)
    sys.exit(1 if found["lost"] else 0)


def train(work: Path) -> Path:
    """An artifact that takes new items by their attributes."""
    (work / "run.toml").write_text(RUN)
    subprocess.run([PINFOLD, "train", work / "run.toml", work / "out"], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=300)  # fmt: skip
    return work / "out"


def kill_loop(artifact: Path, store: str, kills: int, seed: int, *, say: bool = False) -> dict[str, Any]:
    """So many rounds of writing, killing, starting and checking."""
    rng = random.Random(seed)
    clients = [Told() for _ in range(CLIENTS)]
    lost: list[str] = []
    starts: list[float] = []
    for kill in range(kills + 1):
        process, url, seconds = start(artifact, store)
        starts.append(seconds)
        lost += [what for told in clients for what in check(url, told)]
        for told in clients:
            told.open.clear()
        if kill < kills:
            write_until_killed(process, url, clients, rng, kill)
        else:
            process.terminate()
            process.wait(20)
        if say:
            print(
                f"{kill} kills, {sum(told.n_writes for told in clients)} acknowledged, {len(lost)} lost",
                file=sys.stderr,
            )
    lost += journal_faults(store, clients)
    return {
        "kills": kills, "acknowledged_writes": sum(told.n_writes for told in clients), "lost": len(lost),
        "first_lost": lost[:5], "seconds_to_ready": sorted(starts)[len(starts) // 2],
    }  # fmt: skip


def start(artifact: Path, store: str) -> tuple["subprocess.Popen[bytes]", str, float]:
    """A server that answers, its address, and how long that took."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    began = time.perf_counter()
    command = [PINFOLD, "serve", str(artifact), "--state", store, "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    url = f"http://127.0.0.1:{port}"
    while time.perf_counter() - began < 60:
        if process.poll() is not None:
            said = process.stderr.read().decode() if process.stderr else ""
            raise RuntimeError(f"the server ended at its start: {said}")
        try:
            if httpx.get(f"{url}/readyz", timeout=1).status_code == 200:
                return process, url, time.perf_counter() - began
        except httpx.TransportError:
            time.sleep(0.02)
    process.kill()
    raise RuntimeError("the server did not start within a minute")


def write_until_killed(
    process: "subprocess.Popen[bytes]", url: str, clients: list[Told], rng: random.Random, kill: int
) -> None:
    """All clients write; after up to a second the server is killed."""
    threads = [
        threading.Thread(target=write, args=(url, told, n, kill, random.Random(rng.random())))
        for n, told in enumerate(clients)
    ]
    for thread in threads:
        thread.start()
    time.sleep(rng.uniform(0.05, 1.0))
    process.kill()
    process.wait(20)
    for thread in threads:
        thread.join(60)


def write(url: str, told: Told, n: int, kill: int, rng: random.Random) -> None:
    """Write until nobody answers, noting what was acknowledged."""
    with httpx.Client(base_url=url, timeout=20) as client:
        for step in range(1_000_000):
            try:
                write_once(client, told, f"{kill}.{step}", n, rng)
            except httpx.TransportError:
                return


def write_once(client: httpx.Client, told: Told, text: str, n: int, rng: random.Random) -> None:
    """One write: an event, a deletion, or an item put."""
    name, chance = f"new-{n}-{rng.randrange(ITEMS)}", rng.random()
    if chance < 0.3:
        pair = (f"user-{n}-{text}", rng.choice(OLD))
        client.post(
            "/v1/events", json={"events": [{"user": pair[0], "item": pair[1], "id": f"{n}/{text}"}]}
        ).raise_for_status()
        told.events[pair] = 1
    elif chance < 0.5 and told.items.get(name) is not None and name not in told.open:
        told.open.setdefault(name, []).append(None)
        client.delete(f"/v1/items/{name}").raise_for_status()
        told.items[name] = None
        del told.open[name]
    else:
        description = f"a package for kill and step {text}"
        told.open.setdefault(name, []).append(description)
        body = {"attributes": {"description": description}, "collections": []}
        client.put(f"/v1/items/{name}", json=body).raise_for_status()
        told.items[name] = description
        del told.open[name]
    told.n_writes += 1


def check(url: str, told: Told) -> list[str]:
    """What was acknowledged and is not there."""
    lost = []
    with httpx.Client(base_url=url, timeout=20) as client:
        for name, last in told.items.items():
            answer = client.get(f"/v1/items/{name}")
            there = answer.json()["attributes"]["description"] if answer.status_code == 200 else None
            if there != last and there not in told.open.get(name, []):
                lost.append(f"item {name}: {there!r} instead of {last!r}")
            told.items[name] = there  # what was under way has been decided
        for user, item in list(told.events)[-50:]:
            history = client.get(f"/v1/users/{user}")
            if history.status_code != 200 or item not in [one["id"] for one in history.json()["history"]]:
                lost.append(f"event {user} {item}")
    return lost


def journal_faults(store: str, clients: list[Told]) -> list[str]:
    """What the journal lacks of all that was ever acknowledged, and whether its sequences rise."""
    opened = open_store(store if "://" in store else str(Path(store) / "pinfold.db"))
    faults, last = [], 0
    items: dict[str, ItemEntry] = {}
    events: set[tuple[str, str]] = set()
    for entry in opened.entries():
        if entry.sequence <= last:
            faults.append(f"sequence {entry.sequence} after {last}")
        last = entry.sequence
        if isinstance(entry, EventEntry):
            events.add((entry.user, entry.item))
        else:
            items[entry.id] = entry
    opened.close()
    for told in clients:
        faults += [f"event {pair} not in the journal" for pair in told.events if pair not in events]
        for name, last_told in told.items.items():
            entry = items.get(name)
            there = None if entry is None or entry.deleted else entry.attributes["description"]
            if there != last_told:
                faults.append(f"item {name} in the journal: {there!r} instead of {last_told!r}")
    return faults


if __name__ == "__main__":
    main()
