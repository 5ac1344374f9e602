"""Walks over a graph that lies in parts: the same walks as `walks.advance` takes, cut where they go home.

Whether a walk goes home after a step depends on its draws alone. So a walk of many steps is a row of segments that
can be taken at the same time, each from the source, and as many rounds as the longest of them has steps are enough.
A walker is (where it stands, its source, the number of its next step); its draws follow from the last two.
"""

import numpy as np
from numba import njit

from pinfold.arrays import Bools, Floats, Ints, Longs
from pinfold.kernels.negatives import GOLDEN, mix
from pinfold.kernels.parallel import over_rows
from pinfold.kernels.prefetch import prefetch
from pinfold.kernels.ranks import normalize
from pinfold.kernels.visits import count_visits, keep_first, keep_most, new_tally
from pinfold.kernels.walks import LOW, ONE, Table, pick_edge, stream

WIDTH = 128  # walkers whose reads are under way together


def cut_walks(items: Table, first: int, rows: Ints, steps: int, chance: int, seed: int) -> tuple[Ints, Ints, Ints]:
    """The segments of the walks of some items, one step of each taken.

    Args:
        items: item -> users, from the item `first` on.
        first: the first row of the table.
        rows: (S,) items of the table.
        steps: of each item's walk.
        chance: of 2^32, to go home after a step.
        seed: in [0, 2^63).

    Returns:
        users: (W,) where each segment's walker stands; sources: (W,) items; numbers: (W,) of the segment's first step.
        None for items without users.
    """
    counts, key, most = np.empty(len(rows), np.int64), np.uint64(seed), np.uint64(chance)
    over_rows(len(rows), lambda a, b: _count_segments(items.ptr, first, rows, steps, most, key, a, b, counts))
    ends = np.cumsum(counts)
    n = int(ends[-1]) if len(ends) else 0
    users, sources, numbers = (np.empty(n, np.int32) for _ in range(3))
    starts = ends - counts
    over_rows(len(rows), lambda a, b: _cut(items, first, rows, steps, most, key, starts, a, b, users, sources, numbers))
    return users, sources, numbers


def hop(table: Table, first: int, rows: Ints, sources: Ints, numbers: Ints, seed: int, parity: int) -> Ints:
    """Where walkers (W,) stand after an edge of their row.

    Args:
        table: the edges of the rows from `first` on.
        first: the first row of the table.
        rows: (W,) of the table.
        sources: (W,) items.
        numbers: (W,) of the steps.
        seed: in [0, 2^63).
        parity: 0 from an item to a user, 1 from a user to an item.
    """
    out = np.empty(len(rows), np.int32)
    key, odd = np.uint64(seed), np.uint64(parity)
    over_rows(len(rows), lambda a, b: _hop(table, first, rows, sources, numbers, key, odd, a, b, out))
    return out


def going_on(sources: Ints, numbers: Ints, steps: int, chance: int, seed: int) -> Bools:
    """Whether walkers (W,) go on after this step, neither home nor at their end."""
    out = np.empty(len(sources), np.bool_)
    most, key = np.uint64(chance), np.uint64(seed)
    over_rows(len(out), lambda a, b: _going_on(sources, numbers, steps, most, key, a, b, out))
    return out


def grouped(rows: Ints, bounds: Longs, kept: Bools, one: Ints, other: Ints) -> tuple[Ints, Ints, Ints, Longs]:
    """Three columns (W,) of walkers by the range that `rows` lies in.

    Args:
        rows: (W,), in [bounds[0], bounds[-1]).
        bounds: (P + 1,) where each of P equal ranges begins, and where the last one ends.
        kept: (W,) the others are left out.
        one: (W,) and other: (W,), whatever belongs to them.

    Returns:
        The columns `rows`, `one` and `other`, and (P + 1,) where each range begins in them.
    """
    found: dict[int, Longs] = {}

    def count(start: int, stop: int) -> None:
        found[start] = _count_owners(rows, bounds, kept, start, stop)

    over_rows(len(rows), count)
    counts = np.array([found[start] for start in sorted(found)])  # (threads, size)
    ends = np.concatenate([[0], np.cumsum(counts.sum(axis=0))]).astype(np.int64)
    places = ends[:-1] + np.cumsum(counts, axis=0) - counts
    begins = dict(zip(sorted(found), places, strict=True))
    out = tuple(np.empty(ends[-1], np.int32) for _ in range(3))
    over_rows(len(rows), lambda a, b: _group(rows, bounds, kept, one, other, begins[a], a, b, *out))
    return (*out, ends)  # type: ignore[return-value]


def place_visits(visits: Ints, first: int, sources: Ints, numbers: Ints, items: Ints) -> None:
    """Write each visited item to its source's row of `visits` (S, steps), the first of which is the source `first`."""
    over_rows(len(sources), lambda a, b: _place(visits, first, sources, numbers, items, a, b))


def count_walks(visits: Ints, rows: Ints, walked: Bools, n_items: int, size: int, *, once: bool) -> tuple[Ints, Floats]:
    """The neighborhoods that `walk_top` gives, or with `once` `walk_once`, from the visits (S, steps) of items `rows`.

    Args:
        visits: items in the order of steps.
        rows: (S,) the sources, whose own visits do not count.
        walked: (S,) whether the source has users.
        n_items: I.
        size: T.
        once: the first T distinct items, all of one weight.
    """
    ids, weights = np.full((len(rows), size), -1, np.int32), np.zeros((len(rows), size), np.float32)
    over_rows(len(rows), lambda a, b: _count(visits, rows, walked, n_items, once, a, b, ids, weights))
    return ids, weights


@njit(nogil=True, cache=True)
def _home(key: np.uint64, number: int, chance: np.uint64) -> bool:
    return bool((mix(key + np.uint64(2 * number + 1) * GOLDEN) & LOW) < chance)


@njit(nogil=True, cache=True)
def _count_segments(
    ptr: Longs, first: int, rows: Ints, steps: int, chance: np.uint64, seed: np.uint64,
    start: int, stop: int, counts: Longs,
) -> None:  # fmt: skip
    for one in range(start, stop):
        row = rows[one] - first
        counts[one] = 0
        if ptr[row + 1] > ptr[row]:
            key = stream(seed, rows[one])
            counts[one] = 1
            for number in range(steps - 1):
                counts[one] += _home(key, number, chance)


@njit(nogil=True, cache=True)
def _cut(
    items: Table, first: int, rows: Ints, steps: int, chance: np.uint64, seed: np.uint64, starts: Longs,
    start: int, stop: int, users: Ints, sources: Ints, numbers: Ints,
) -> None:  # fmt: skip
    for one in range(start, stop):
        row, place = rows[one] - first, starts[one]
        begin, end = np.uint64(items.ptr[row]), np.uint64(items.ptr[row + 1])
        if begin == end:
            continue
        key = stream(seed, rows[one])
        for number in range(steps):
            if number == 0 or _home(key, number - 1, chance):
                draw = mix(key + np.uint64(2 * number) * GOLDEN)
                users[place] = items.ids[pick_edge(items, begin, end, draw)]
                sources[place], numbers[place] = rows[one], number
                place += 1


@njit(nogil=True, cache=True)
def _hop(
    table: Table, first: int, rows: Ints, sources: Ints, numbers: Ints, seed: np.uint64, odd: np.uint64,
    start: int, stop: int, out: Ints,
) -> None:  # fmt: skip
    places = np.empty(WIDTH, np.uint64)
    for begin in range(start, stop, WIDTH):
        n = min(WIDTH, stop - begin)
        for w in range(n):
            row = np.uint64(rows[begin + w] - first)
            prefetch(table.ptr, row)
            prefetch(table.ptr, row + ONE)
        for w in range(n):
            row = np.uint64(rows[begin + w] - first)
            key = stream(seed, sources[begin + w])
            draw = mix(key + (np.uint64(2 * numbers[begin + w]) + odd) * GOLDEN)
            places[w] = pick_edge(table, np.uint64(table.ptr[row]), np.uint64(table.ptr[row + ONE]), draw)
            prefetch(table.ids, places[w])
        for w in range(n):
            out[begin + w] = table.ids[places[w]]


@njit(nogil=True, cache=True)
def _going_on(
    sources: Ints, numbers: Ints, steps: int, chance: np.uint64, seed: np.uint64, start: int, stop: int, out: Bools
) -> None:
    for w in range(start, stop):
        out[w] = numbers[w] + 1 < steps and not _home(stream(seed, sources[w]), numbers[w], chance)


@njit(nogil=True, cache=True)
def _owner(row: int, bounds: Longs, scale: float) -> int:
    """The range of a row: guessed, as ranges are equal but for one row; a division would take longer."""
    owner = min(int(row * scale), len(bounds) - 2)
    while row < bounds[owner]:
        owner -= 1
    while row >= bounds[owner + 1]:
        owner += 1
    return owner


@njit(nogil=True, cache=True)
def _count_owners(rows: Ints, bounds: Longs, kept: Bools, start: int, stop: int) -> Longs:
    counts, scale = np.zeros(len(bounds) - 1, np.int64), (len(bounds) - 1) / max(bounds[-1], 1)
    for w in range(start, stop):
        if kept[w]:
            counts[_owner(rows[w], bounds, scale)] += 1
    return counts


@njit(nogil=True, cache=True)
def _group(
    rows: Ints, bounds: Longs, kept: Bools, one: Ints, other: Ints, places: Longs, start: int, stop: int,
    out: Ints, out_one: Ints, out_other: Ints,
) -> None:  # fmt: skip
    scale = (len(bounds) - 1) / max(bounds[-1], 1)
    for w in range(start, stop):
        if kept[w]:
            owner = _owner(rows[w], bounds, scale)
            place = places[owner]
            out[place], out_one[place], out_other[place] = rows[w], one[w], other[w]
            places[owner] = place + 1


@njit(nogil=True, cache=True)
def _place(visits: Ints, first: int, sources: Ints, numbers: Ints, items: Ints, start: int, stop: int) -> None:
    for w in range(start, stop):
        visits[sources[w] - first, numbers[w]] = items[w]


@njit(nogil=True, cache=True)
def _count(
    visits: Ints, rows: Ints, walked: Bools, n_items: int, once: bool, start: int, stop: int,
    ids: Ints, weights: Floats,
) -> None:  # fmt: skip
    tally = new_tally(visits.shape[1], n_items)
    for row in range(start, stop):
        if not walked[row]:
            continue
        m = count_visits(visits[row], rows[row], tally)
        if once:
            keep_first(visits[row], tally, m, ids[row], weights[row])
        else:
            normalize(weights[row], keep_most(tally, m, ids[row], weights[row]))
