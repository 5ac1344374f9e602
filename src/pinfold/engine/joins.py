"""The join: what a worker needs of other workers' rows, asked for and answered in rounds.

A worker's work is a generator: it yields the rows that it needs, sorted and distinct, and is sent their values. What
it needs at once is bounded by itself. A round is two exchanges: who needs what, and the values. With one worker
nothing is sent: its own table, mapped, is read.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from pinfold.arrays import Floats, Ints
from pinfold.engine.interface import Engine, Options, Part, Shard
from pinfold.engine.partition import Ranges
from pinfold.engine.parts import Values, wide
from pinfold.graph.csr import Csr
from pinfold.kernels.products import multiply

Joining = Generator[Ints, Values, None]
NONE: Ints = np.empty(0, np.int32)


@dataclass(slots=True)
class Table:
    """The rows that this worker answers with."""

    rows: Values  # (n, D), mapped
    ranges: Ranges
    made: Callable[[Values], Values] | None = None  # what is done to rows before they are sent


@dataclass(slots=True)
class Join:
    """A worker's join under way."""

    table: Table
    work: Joining | None  # None: this worker needs nothing any more
    needed: Ints = field(default_factory=lambda: NONE)
    asked: list[Ints] = field(default_factory=list)  # rows that each worker wants of this one


def begin(shard: Shard, table: Table, work: Joining | None) -> bool:
    """Take up a worker's work; whether it needs rows of others. With one worker, all of it is done at once."""
    join = Join(table, work)
    if shard.size == 1 and work is not None:
        _step(join, None)
        while join.work is not None:
            _step(join, _taken(table, join.needed))
        return False
    shard.kept["join"] = join
    _step(join, None)
    return join.work is not None


def run(engine: Engine, first: str, options: Options) -> None:
    """All rounds of the join that the step `first` begins."""
    needing = engine.run(first, options)
    while any(needing):
        engine.exchange("join.ask", "join.asked", options)
        needing = engine.exchange("join.answer", "join.take", options)


def ask(shard: Shard, options: Options) -> list[Part]:  # noqa: ARG001
    """To each worker the rows of its own that are needed here."""
    join: Join = shard.kept["join"]
    ends = np.searchsorted(join.needed, join.table.ranges.bounds())
    return [{"rows": join.needed[a:b]} for a, b in pairwise(ends.tolist())]


def asked(shard: Shard, options: Options, parts: list[Part]) -> None:  # noqa: ARG001
    """Remember who wants what."""
    shard.kept["join"].asked = [part["rows"] for part in parts]


def answer(shard: Shard, options: Options) -> list[Part]:  # noqa: ARG001
    """To each worker the values of the rows that it asked for."""
    join: Join = shard.kept["join"]
    first = join.table.ranges.start(shard.rank)
    parts: list[Part] = [{"values": _taken(join.table, rows - first)} for rows in join.asked]
    join.asked = []
    return parts


def take(shard: Shard, options: Options, parts: list[Part]) -> bool:  # noqa: ARG001
    """Go on with what came; whether more is needed. Ranges ascend, so answers stand in the order of the rows."""
    join: Join = shard.kept["join"]
    if join.work is not None:
        _step(join, np.concatenate([part["values"] for part in parts]))
    return join.work is not None


def _taken(table: Table, rows: Ints) -> Values:
    values = table.rows[rows]
    return values if table.made is None else table.made(values)


def _step(join: Join, values: Values | None) -> None:
    if join.work is None:
        return
    try:
        join.needed = next(join.work) if values is None else join.work.send(values)
    except StopIteration:
        join.work, join.needed = None, NONE


def named(ids: Ints, n: int, memory: int) -> tuple[Ints, Ints]:
    """The distinct ones of some rows (E,) in [0, n), ascending, and the place of each among these (E,)."""
    if 20 * n > memory:
        near, places = np.unique(ids, return_inverse=True)
        return near, places.astype(np.int32)
    there = np.zeros(n, np.bool_)  # many times as fast as sorting, and small beside what is asked for
    there[ids] = True
    near = np.flatnonzero(there).astype(np.int32)
    place = np.empty(n, np.int32)
    place[near] = np.arange(len(near), dtype=np.int32)
    return near, place[ids]


def summed(csr: Csr, start: int, stop: int, width: int, memory: int) -> Generator[Ints, Values, Floats]:
    """For the rows [start, stop) of a matrix, the sum of the foreign rows that their entries name. Shape (n, width).

    An entry counts once, whatever its weight, or not at all where that is 0. Entries are taken as many at a time as
    fit, so that a row may have more of them than that.
    """
    sums = np.zeros((stop - start, width), np.float32)
    most = max(1, memory // (24 * width + 64))
    for begin in range(int(csr.ptr[start]), int(csr.ptr[stop]), most):
        end = min(begin + most, int(csr.ptr[stop]))
        near, places = named(csr.ids[begin:end], csr.n_columns, memory)
        values = wide((yield near))
        ptr = np.asarray(csr.ptr[start : stop + 1])
        first = int(np.searchsorted(ptr, begin, side="right")) - 1
        last = int(np.searchsorted(ptr, end))
        inside = np.clip(ptr[first : last + 1], begin, end) - begin
        sums[first:last] += multiply(inside, places, np.sign(csr.weights[begin:end]), values)
    return sums
