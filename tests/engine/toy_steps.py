"""Steps of a small job for the tests of engines: a module of its own, because actors must be able to import it."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np

from pinfold.artifacts import writing
from pinfold.engine.interface import Options, Part, Shard, Steps
from pinfold.errors import DataError


def keep(shard: Shard, options: Options) -> int:
    """Own rows, kept for `spread`."""
    _harm(shard, options)
    ranges = shard.items
    shard.kept["rows"] = np.arange(ranges.start(shard.rank), ranges.stop(shard.rank)) * int(options.get("factor", 1))
    return len(shard.kept["rows"])


def process(shard: Shard, options: Options) -> int:
    """Which process this is."""
    return os.getpid()


def threads(shard: Shard, options: Options) -> str:
    """How many the libraries are told to use."""
    return os.environ["OMP_NUM_THREADS"]


def refuse(shard: Shard, options: Options) -> None:
    """An error raised on purpose."""
    if shard.rank == 1:
        raise DataError("part 7 is short; import it again")


def fail(shard: Shard, options: Options) -> None:
    """An error that nobody foresaw."""
    if shard.rank == 1:
        raise KeyError("seven")


def seal(shard: Shard, options: Options) -> str:
    """A folder that outlives the worker."""
    with writing(shard.place("sums"), "toy", replace=True) as folder:
        folder.array("sum.npy", np.array([shard.kept["sum"]]))
    return str(shard.place("sums").name)


def spread(shard: Shard, options: Options) -> list[Part]:
    """To each its rows by remainder."""
    _harm(shard, options)
    rows = shard.kept["rows"]
    return [{"rows": rows[rows % shard.size == to], "from": np.array([shard.rank])} for to in range(shard.size)]


def gather(shard: Shard, options: Options, parts: list[Part]) -> list[int]:
    """What came, and from whom."""
    if options.get("at") == "gather":
        _harm(shard, {**options, "at": "here"})
    rows = np.concatenate([part["rows"] for part in parts])
    shard.kept["sum"] = int(rows.sum())
    return [shard.kept["sum"], *(int(part["from"][0]) for part in parts)]


def weigh(shard: Shard, options: Options) -> list[Part]:
    """Many bytes to each."""
    return [{"bytes": np.zeros(int(options["n"]), np.uint8)} for _ in range(shard.size)]


def count(shard: Shard, options: Options, parts: list[Part]) -> int:
    """How many came."""
    return sum(part["bytes"].nbytes for part in parts)


def few(shard: Shard, options: Options) -> list[Part]:
    """Too few parts."""
    return []


def _harm(shard: Shard, options: Options) -> None:
    """What goes wrong in worker 1: once, as the file `marker` remembers."""
    if shard.rank != 1 or options.get("at", "here") != "here":
        return
    if "sleep" in options:
        time.sleep(float(options["sleep"]))
    if "marker" in options:
        marker = Path(options["marker"])
        if not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)


def _table() -> dict[str, Any]:
    return {"keep": keep, "process": process, "threads": threads, "refuse": refuse, "fail": fail, "seal": seal}


TOY = Steps(_table(), {"spread": spread, "weigh": weigh, "few": few}, {"gather": gather, "count": count})
