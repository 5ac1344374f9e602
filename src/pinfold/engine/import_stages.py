"""The stages of an import by shards: the rounds of steps that all workers go through, and what the driver decides.

A stage makes the parts that are missing and no others; after `WorkerLost` and `revive` it is called again.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

from pinfold.engine.interface import Engine
from pinfold.engine.opening import again

Figures = dict[str, Any]
Stage = Callable[[Engine, Figures], list[Any]]  # what the workers answer last


def retried(engine: Engine, stage: Stage, options: Figures) -> list[Any]:
    """One stage, begun again with new workers when some were lost; sealed parts are not made again.

    Raises:
        WorkerLost: TRIES times, one after another.
    """
    return again(engine, lambda: stage(engine, options))


def look(engine: Engine, options: Figures) -> list[Any]:
    """How many times there are of each kind."""
    return engine.run("look", options)


def read(engine: Engine, options: Figures) -> list[Any]:
    """The part `read` of all workers: good rows counted, their ids, the rejected rows."""
    return engine.run("read", options)


def number(engine: Engine, options: Figures) -> list[Any]:
    """The part `numbered`: how many users and items each range has. options["bounds"] are the ranges."""
    own = {**options, "stage": "numbered"}
    engine.run("begin", own)
    for turn in range(max(engine.run("ids.rounds", own))):
        engine.exchange("ids.send", "ids.take", {**own, "round": turn})
    return engine.run("number", own)


def rows(engine: Engine, options: Figures) -> list[Any]:
    """The part `rows`, events by number: how many rounds each worker takes to send them. Needs options["offsets"]."""
    engine.exchange("answer", "answered", options)
    return engine.run("rows", options)


def edges(engine: Engine, options: Figures) -> list[Any]:
    """The part `edges`: how many each owner has. Needs options["n_users"] and options["rounds"]."""
    own = {**options, "stage": "edges"}
    engine.run("begin", own)
    for turn in range(options["rounds"]):
        engine.exchange("events.send", "events.take", {**own, "round": turn})
    return engine.run("merge", own)


def most_of(found: list[dict[str, int]]) -> str | None:
    """The kind of most times of all workers, as staging.time_kind chooses it."""
    counts: Counter[str] = Counter()
    for one in found:
        counts.update(one)
    return min(counts, key=lambda kind: (-counts[kind], kind), default=None)


def bounds_of(sides: list[tuple[int, list[str]]], size: int) -> list[str]:
    """The first ids of the ranges after the first, so that ranges get about as many ids each.

    Args:
        sides: for each worker how many ids it has, and some of them, evenly spaced.
        size: P. Shape of the answer (P - 1,).
    """
    samples = sorted((id_, n / len(ids)) for n, ids in sides for id_ in ids)
    before = np.cumsum([weight for _, weight in samples])
    ends = before[-1] * np.arange(1, size) / size
    return [samples[place][0] for place in np.searchsorted(before, ends)]
