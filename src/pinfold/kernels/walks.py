"""Random walks with restart: item -> one of its users -> one of that user's items, many walks at a time.

A step is a chain of four reads that miss the cache on a large graph. One walk would wait for each of them; WIDTH walks
of as many sources, advanced one read at a time, wait together. A walk's draws depend on the seed, its source and the
number of the step alone, so neither the walks beside it nor threads change where it goes.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from pinfold.arrays import Doubles, Floats, Ints, Longs
from pinfold.kernels.negatives import GOLDEN, mix
from pinfold.kernels.parallel import over_rows
from pinfold.kernels.prefetch import prefetch

WIDTH = 128  # walks advanced together, so that as many reads are under way
ONE, HALF, LOW = np.uint64(1), np.uint64(32), np.uint64(0xFFFFFFFF)


class Table(NamedTuple):
    """One side's edges. Neither weights nor sums: every edge of a row is as likely."""

    ptr: Longs  # (R + 1,)
    ids: Ints  # (E,)
    weights: Floats  # (E,) or (0,)
    sums: Doubles  # (E,) or (0,): running sums of the weights within each row


class Sources(NamedTuple):
    """Where walks start: rows of `table`, whose columns are users."""

    begins: Longs  # (S,) first edge of each source
    ends: Longs  # (S,)
    table: Table  # the items' own table, or one of fresh items
    fresh: bool  # whether it is the latter
    selves: Ints  # (S,) each source's own item, whose visits do not count; -1 for a fresh one
    streams: Longs  # (S,) number of each source's stream of random numbers


def running_sums(ptr: Longs, weights: Floats) -> Doubles:
    """The sum of each row's weights up to and with each entry. Shape (E,)."""
    sums = np.empty(len(weights), np.float64)
    over_rows(len(ptr) - 1, lambda start, stop: _running_sums(ptr, weights, start, stop, sums))
    return sums


def walk_visits(
    items: Table, users: Table, sources: Sources, steps: int, restart: float, seed: int, width: int = WIDTH
) -> Ints:
    """The item after each step of each source's walk. Shape (S, steps); -1 for a source without users.

    Args:
        items: item -> users.
        users: user -> items, the same edges.
        sources: S of them.
        steps: of each source, all restarts together.
        restart: chance in (0, 1] to go back to the source after each step; 0 never goes back.
        seed: in [0, 2^63).
        width: walks advanced together; changes the speed and nothing else.
    """
    out = np.empty((len(sources.begins), steps), np.int32)
    chance, key = np.uint64(restart * 2.0**32), np.uint64(seed)
    over_rows(
        len(out),
        lambda start, stop: _visit(items, users, sources, chance, key, width, start, stop, out),
    )
    return out


@njit(nogil=True, cache=True)
def _running_sums(ptr: Longs, weights: Floats, start: int, stop: int, sums: Doubles) -> None:
    for row in range(start, stop):
        total = 0.0
        for edge in range(ptr[row], ptr[row + 1]):
            total += weights[edge]
            sums[edge] = total


@njit(nogil=True, cache=True)
def stream(key: np.uint64, number: int) -> np.uint64:
    """Where the stream of random numbers of this source starts."""
    return mix(key ^ mix(np.uint64(number)))


@njit(nogil=True, cache=True)
def pick_edge(table: Table, begin: np.uint64, end: np.uint64, draw: np.uint64) -> np.uint64:
    """One of the edges [begin, end): each as likely, by a multiplication instead of a division; or by weight."""
    if len(table.sums) == 0:
        return begin + ((draw >> HALF) * (end - begin) >> HALF)
    target = np.float64(draw >> np.uint64(11)) * 2.0**-53 * table.sums[end - ONE]
    low, high = begin, end - ONE
    while low < high:  # the first whose running sum is above the target
        middle = (low + high) >> ONE
        if table.sums[middle] > target:
            high = middle
        else:
            low = middle + ONE
    return low


@njit(nogil=True, cache=True)
def advance(
    items: Table, users: Table, sources: Sources, chance: np.uint64, key: np.uint64, group: Longs, visits: Ints
) -> None:
    """All steps of the walks of a group (G,) of sources that have users, into `visits` (G, steps).

    Four reads a step, each asked for a round before it is needed. Indices are unsigned: numba looks at the sign of
    others before each read.
    """
    n, table, fresh = len(group), sources.table, sources.fresh
    keys, draws, places = np.empty(n, np.uint64), np.empty(n, np.uint64), np.empty(n, np.uint64)
    begins, ends, home = np.empty(n, np.uint64), np.empty(n, np.uint64), np.ones(n, np.bool_)
    for w in range(n):
        keys[w] = stream(key, sources.streams[group[w]])
        begins[w], ends[w] = sources.begins[group[w]], sources.ends[group[w]]
        places[w] = pick_edge(table, begins[w], ends[w], mix(keys[w]))
    for step in range(visits.shape[1]):
        second, third = np.uint64(2 * step + 1) * GOLDEN, np.uint64(2 * step + 2) * GOLDEN
        for w in range(n):
            user = np.uint64(table.ids[places[w]] if fresh and home[w] else items.ids[places[w]])
            places[w] = user
            prefetch(users.ptr, user)
            prefetch(users.ptr, user + ONE)  # now and then on the next line of the cache
        for w in range(n):
            user, draws[w] = places[w], mix(keys[w] + second)
            places[w] = pick_edge(users, np.uint64(users.ptr[user]), np.uint64(users.ptr[user + ONE]), draws[w])
            prefetch(users.ids, places[w])
        for w in range(n):
            item = np.uint64(users.ids[places[w]])
            visits[w, step] = item
            places[w] = item
            prefetch(items.ptr, item)
            prefetch(items.ptr, item + ONE)
        for w in range(n):
            again, item = (draws[w] & LOW) < chance, places[w]
            begin = begins[w] if again else np.uint64(items.ptr[item])
            end = ends[w] if again else np.uint64(items.ptr[item + ONE])
            draw = mix(keys[w] + third)
            home[w] = again
            places[w] = pick_edge(table, begin, end, draw) if fresh and again else pick_edge(items, begin, end, draw)
            prefetch(items.ids, places[w])


@njit(nogil=True, cache=True)
def next_group(sources: Sources, row: int, stop: int, group: Longs) -> tuple[int, int]:
    """Fill `group` with the next sources that have users; how many, and the row after the last."""
    n = 0
    while n < len(group) and row < stop:
        if sources.ends[row] > sources.begins[row]:
            group[n] = row
            n += 1
        row += 1
    return n, row


@njit(nogil=True, cache=True)
def _visit(
    items: Table, users: Table, sources: Sources, chance: np.uint64, key: np.uint64, width: int,
    start: int, stop: int, out: Ints,
) -> None:  # fmt: skip
    group, visits = np.empty(width, np.int64), np.empty((width, out.shape[1]), np.int32)
    out[start:stop] = -1
    row = start
    while row < stop:
        n, row = next_group(sources, row, stop, group)
        advance(items, users, sources, chance, key, group[:n], visits)
        for w in range(n):
            out[group[w]] = visits[w]
