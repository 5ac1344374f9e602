"""How soon what was told to the service is in its answers, while it answers others.

A new item is put with the title, the category and some of the users of an old one, under words of its own. It counts as
found once it stands in the answer to `similar` of an old item, the one that it is itself most like.
"""

import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any
from urllib.parse import quote

import numpy as np

from pinfold.embedding.artifact import Artifact, read_artifact
from serving_load import has_wrk, similar_paths, wrk
from serving_process import Served, load_average

READS = 200  # a second, beside the writes
K = 100  # answers among which the new item is looked for; beyond them it is asked for again with the most there may be
MOST_K = 1000
BURST = 8  # puts that are sent at once
PATIENCE = 5.0  # seconds after which an item counts as not found


def item_path(name: str, rest: str = "") -> str:
    """The address of an item, or of what is said about it."""
    return f"/v1/items/{quote(name, safe='')}{rest}"


def freshness(served: Served, artifact: Path, n_items: int, n_events: int, seed: int = 0) -> dict[str, Any]:
    """Put items one by one and in bursts, tell events, delete items again; each step is looked for in the answers."""
    known = read_artifact(artifact)
    rng = random.Random(seed)
    paths = similar_paths([str(one) for one in known.items.all[:200_000]], 10, seed)
    with reads(served, paths) as figures:
        old = [rng.randrange(len(known.items)) for _ in range(n_items)]
        puts = [(f"fresh-{n}", like(known, row, rng)) for n, row in enumerate(old)]
        n_single = n_items * 3 // 4
        single = [put(served, *one) for one in puts[:n_single]]
        burst = list(bursts(served, puts[n_single:]))
        told = [tell(served, known, [name for name, _ in puts], rng, n) for n in range(n_events)]
        gone = [delete(served, name, near) for name, near in near_of(single)]
    return {
        "puts": len(puts), "one_by_one": spread(single), "in_bursts_of_8": spread(burst),
        "events": tally(told), "deletes": tally(gone), "reads": dict(figures), "load_average": load_average(),
    }  # fmt: skip


def like(known: Artifact, row: int, rng: random.Random) -> dict[str, Any]:
    """What is put: the attributes of an old item, and up to five of its users."""
    attributes = {name: plain(column[row]) for name, column in known.item_table.columns.items()}
    users = known.users.ids(known.graph.item_users.row(row)).tolist()
    return {
        "attributes": {name: value for name, value in attributes.items() if value is not None},
        "collections": rng.sample(users, min(len(users), rng.randint(0, 5))),
    }


def plain(value: Any) -> Any:
    """A value of a table as JSON has it."""
    return value.item() if isinstance(value, np.generic) else value


def put(served: Served, name: str, body: dict[str, Any]) -> dict[str, Any]:
    """Put one item: seconds until it is acknowledged, and until it stands in the answer about an old one."""
    sent = time.perf_counter()
    status, stored = served.ask("PUT", item_path(name), body)
    acknowledged = time.perf_counter() - sent
    if status not in (200, 201) or not stored["findable"]:
        return {"name": name, "failed": f"{status}: {stored}"}
    near, found = seen_near(served, name, sent)
    return {"name": name, "near": near, "acknowledged": acknowledged, "found": found}


def seen_near(served: Served, name: str, sent: float) -> tuple[str | None, float | None]:
    """The old item that is most like a new one, and seconds until the answer about it holds the new one."""
    while time.perf_counter() - sent < PATIENCE:
        own = ids(served.ask("GET", item_path(name, "/similar?k=20")))
        near = next((one for one in own if not one.startswith("fresh-")), None)
        if near is None:
            continue
        for k in (K, MOST_K):
            if name in ids(served.ask("GET", item_path(near, f"/similar?k={k}"))):
                return near, time.perf_counter() - sent
    return None, None


def ids(answer: tuple[int, Any]) -> list[str]:
    """The items of an answer, the best first."""
    status, found = answer
    return [one["id"] for one in found["items"]] if status == 200 else []


def bursts(served: Served, puts: list[tuple[str, dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    """Put items BURST at a time, each on a connection of its own."""
    clients = [Served(served.port, served.pid, 0.0) for _ in range(BURST)]
    with ThreadPoolExecutor(BURST) as threads:
        for start in range(0, len(puts), BURST):
            part = puts[start : start + BURST]
            yield from threads.map(lambda one: put(one[0], *one[1]), zip(clients, part, strict=False))


def tell(served: Served, known: Artifact, fresh: list[str], rng: random.Random, n: int) -> str | None:
    """Tell that somebody took what was recommended, or a new item: the next answer knows. What went wrong."""
    user = f"newcomer-{n}" if n % 2 else str(known.users.all[rng.randrange(len(known.users))])
    path = f"/v1/users/{quote(user, safe='')}"
    before = served.ask("GET", f"{path}/recommendations?k=20")
    item = rng.choice(ids(before) or fresh)
    status, said = served.ask("POST", "/v1/events", {"events": [{"user": user, "item": item, "id": f"event-{n}"}]})
    if status != 200:
        return f"{user}, {item}: {status} {said}"
    status, after = served.ask("GET", f"{path}/recommendations?k=20")
    if status != 200 or item in {one["id"] for one in after["items"]}:
        return f"{user}: {item} is still recommended"
    if before[0] == 200 and [one["score"] for one in before[1]["items"]] == [one["score"] for one in after["items"]]:
        return f"{user}: nothing has changed after {item}"
    _, view = served.ask("GET", path)
    return None if view["history"][0]["id"] == item else f"{user}: {item} is not the latest in the history"


def near_of(puts: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """The new items that were found, and the old ones that they were found by."""
    return ((one["name"], one["near"]) for one in puts if one.get("near"))


def delete(served: Served, name: str, near: str) -> str | None:
    """Delete an item that was just found: the next answer has it no more. What went wrong."""
    status, said = served.ask("DELETE", item_path(name))
    if status != 200:
        return f"{name}: {status} {said}"
    if name in ids(served.ask("GET", item_path(near, f"/similar?k={MOST_K}"))):
        return f"{name} is still in the answer about {near}"
    status, _ = served.ask("GET", item_path(name, "/similar"))
    return None if status == 404 else f"{name}: {status} instead of 404"


def tally(checks: list[str | None]) -> dict[str, Any]:
    """How many were checked, how many were wrong, and the first few of these."""
    wrong = [check for check in checks if check is not None]
    return {"checked": len(checks), "wrong": len(wrong), "first": wrong[:3]}


def spread(puts: list[dict[str, Any]]) -> dict[str, Any]:
    """Seconds from sending a PUT until it is acknowledged, and until the item is found."""
    figures: dict[str, Any] = {"puts": len(puts)}
    for name in ("acknowledged", "found"):
        values = [one[name] for one in puts if one.get(name) is not None]
        if values:
            quantiles = np.quantile(values, [0.5, 0.99]).tolist()
            figures[name] = {"n": len(values), "p50": quantiles[0], "p99": quantiles[1], "max": max(values)}
    figures["failed"] = [one["failed"] for one in puts if "failed" in one][:3]
    figures["never_found"] = sum(one.get("found", 0) is None for one in puts)
    return figures


@contextmanager
def reads(served: Served, paths: list[str]) -> Iterator[dict[str, Any]]:
    """Keep READS questions a second coming while the block runs; what came of them is there when it has ended."""
    figures: dict[str, Any] = {}
    ended = Event()
    thread = Thread(target=_read, args=(served, paths, ended, figures))
    thread.start()
    try:
        yield figures
    finally:
        ended.set()
        thread.join()


def _read(served: Served, paths: list[str], ended: Event, figures: dict[str, Any]) -> None:
    if has_wrk():
        runs = []
        while not ended.is_set():  # runs of a few seconds, so that the last one ends soon after the block
            runs.append(wrk(served, paths, 5, 32, rate=READS, seed=len(runs)))
        figures["requests_per_second"] = sum(run["requests_per_second"] for run in runs) / len(runs)
        figures["p99"] = max(run["p99"] for run in runs)
        figures["errors"] = sum(run["not_2xx"] + run["socket_errors"] for run in runs)
        return
    client, started, n, errors = Served(served.port, served.pid, 0.0), time.perf_counter(), 0, 0
    while not ended.is_set():
        errors += client.ask("GET", paths[n % len(paths)])[0] != 200
        n += 1
        time.sleep(max(0.0, started + n / READS - time.perf_counter()))
    figures |= {"requests_per_second": n / (time.perf_counter() - started), "errors": errors}
