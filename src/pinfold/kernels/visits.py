"""What walks visited, counted: the most visited items of a source, or a draw from the ranks behind them."""

from typing import NamedTuple

import numpy as np
from numba import njit

from pinfold.arrays import Floats, Ints, Longs
from pinfold.kernels.negatives import mix
from pinfold.kernels.parallel import over_rows
from pinfold.kernels.ranks import WINDOW, draw_ranks, normalize
from pinfold.kernels.walks import WIDTH, Sources, Table, advance, next_group, stream

ROOM = 2**22  # visits of several walks that a thread keeps at most, 16 MiB
MOST_BITS = 11  # of a digit: a histogram of 16 KiB
TIES = np.uint64(2)  # sets the order of equal counts apart from a walk's draws


class Tally(NamedTuple):
    """Room for counting the visits of one walk after another, and what was found of the last one."""

    bits: int  # b, of a digit
    digits: Longs  # (P, 2^b) a histogram for each pass of the sort
    sorted: Ints  # (2, S)
    reached: Ints  # (S,) distinct items, ascending
    counts: Ints  # (S,) visits of each
    alike: Longs  # (S + 2,) a histogram of counts, zero between uses


def walk_top(
    items: Table, users: Table, sources: Sources, steps: int, restart: float, seed: int, size: int
) -> tuple[Ints, Floats]:
    """The most visited items of each source and their shares of the visits, as `walk_visits` walks.

    Returns:
        ids: (S, size) item rows, most visited first, of equal counts the lower one; -1 where fewer were reached.
        weights: (S, size) counts divided by the row's sum; 0 beside -1.
    """
    ids, weights = _empty(len(sources.begins), size)
    chance, key = np.uint64(restart * 2.0**32), np.uint64(seed)
    over_rows(
        len(ids),
        lambda start, stop: _walk_top(items, users, sources, steps, chance, key, start, stop, ids, weights),
    )
    return ids, weights


def walk_once(items: Table, users: Table, sources: Sources, steps: int, seed: int, size: int) -> tuple[Ints, Floats]:
    """The first `size` distinct items of `steps` single steps from each source, in the order drawn, equal weights.

    Returns:
        ids: (S, size) and weights: (S, size), as `walk_top` has them.
    """
    ids, weights = _empty(len(sources.begins), size)
    over_rows(
        len(ids),
        lambda start, stop: _walk_once(items, users, sources, steps, np.uint64(seed), start, stop, ids, weights),
    )
    return ids, weights


def walk_window(
    items: Table, users: Table, sources: Sources, steps: int, restart: float, seed: int, window: tuple[int, int, int]
) -> Ints:
    """Items drawn from the ranks [first, last) by visits, equal counts in random order; see `ranks.draw_ranks`.

    Args:
        window: first, last, and how many to draw (N).

    Returns:
        (S, N) item rows; -1 where there are none.
    """
    first, last, n = window
    out = np.empty((len(sources.begins), n), np.int32)
    chance, key = np.uint64(restart * 2.0**32), np.uint64(seed)
    over_rows(
        len(out),
        lambda start, stop: _walk_window(items, users, sources, steps, chance, key, first, last, start, stop, out),
    )
    return out


def _empty(n: int, size: int) -> tuple[Ints, Floats]:
    return np.empty((n, size), np.int32), np.empty((n, size), np.float32)


@njit(nogil=True, cache=True)
def _walk_top(
    items: Table, users: Table, sources: Sources, steps: int, chance: np.uint64, key: np.uint64,
    start: int, stop: int, ids: Ints, weights: Floats,
) -> None:  # fmt: skip
    group, visits, tally = _rooms(steps, len(items.ptr) - 1)
    ids[start:stop], weights[start:stop] = -1, 0
    row = start
    while row < stop:
        n, row = next_group(sources, row, stop, group)
        advance(items, users, sources, chance, key, group[:n], visits)
        for w in range(n):
            m = count_visits(visits[w], sources.selves[group[w]], tally)
            k = keep_most(tally, m, ids[group[w]], weights[group[w]])
            normalize(weights[group[w]], k)


@njit(nogil=True, cache=True)
def _walk_once(
    items: Table, users: Table, sources: Sources, steps: int, key: np.uint64,
    start: int, stop: int, ids: Ints, weights: Floats,
) -> None:  # fmt: skip
    group, visits, tally = _rooms(steps, len(items.ptr) - 1)
    ids[start:stop], weights[start:stop] = -1, 0
    row = start
    while row < stop:
        n, row = next_group(sources, row, stop, group)
        advance(items, users, sources, np.uint64(1) << np.uint64(32), key, group[:n], visits)
        for w in range(n):
            m = count_visits(visits[w], sources.selves[group[w]], tally)
            keep_first(visits[w], tally, m, ids[group[w]], weights[group[w]])


@njit(nogil=True, cache=True)
def _walk_window(
    items: Table, users: Table, sources: Sources, steps: int, chance: np.uint64, key: np.uint64,
    first: int, last: int, start: int, stop: int, out: Ints,
) -> None:  # fmt: skip
    group, visits, tally = _rooms(steps, len(items.ptr) - 1)
    values = np.empty(steps)
    out[start:stop] = -1
    row = start
    while row < stop:
        n, row = next_group(sources, row, stop, group)
        advance(items, users, sources, chance, key, group[:n], visits)
        for w in range(n):
            own = stream(key, sources.streams[group[w]])
            m = count_visits(visits[w], sources.selves[group[w]], tally)
            for place in range(m):  # many have the same count, and the lower rows would always win
                tie = mix(mix(own ^ TIES) ^ np.uint64(tally.reached[place]))
                values[place] = tally.counts[place] + np.float64(tie >> np.uint64(32)) * 2.0**-32
            draw_ranks(values, tally.reached, m, first, last, mix(own ^ WINDOW), out[group[w]])


@njit(nogil=True, cache=True)
def _rooms(steps: int, n_items: int) -> tuple[Longs, Ints, Tally]:
    """A group of walks, their visits, and how they are counted."""
    width = max(1, min(WIDTH, ROOM // steps))
    return np.empty(width, np.int64), np.empty((width, steps), np.int32), new_tally(steps, n_items)


@njit(nogil=True, cache=True)
def new_tally(steps: int, n_items: int) -> Tally:
    """Room for walks of so many steps over so many items."""
    bits = 1
    while n_items > 1 << bits:
        bits += 1
    passes = (bits + MOST_BITS - 1) // MOST_BITS
    bits = (bits + passes - 1) // passes
    return Tally(
        bits, np.empty((passes, 1 << bits), np.int64), np.empty((2, steps), np.int32), np.empty(steps, np.int32),
        np.empty(steps, np.int32), np.zeros(steps + 2, np.int64),
    )  # fmt: skip


@njit(nogil=True, cache=True)
def count_visits(visits: Ints, own: int, tally: Tally) -> int:
    """Fill `reached` and `counts` of the tally; returns how many items were reached. Visits of `own` do not count.

    A radix sort, then a pass over equal neighbors: some 4 ns a visit, where a hash table took 9.
    """
    line = visits
    mask = np.uint64((1 << tally.bits) - 1)
    for turn in range(len(tally.digits)):
        shift = np.uint64(turn * tally.bits)
        digits, target = tally.digits[turn], tally.sorted[turn % 2]
        digits[:] = 0
        for item in line:
            digits[(np.uint64(item) >> shift) & mask] += 1
        place = 0
        for digit in range(len(digits)):
            place, digits[digit] = place + digits[digit], place
        for item in line:
            own_digit = (np.uint64(item) >> shift) & mask
            target[np.uint64(digits[own_digit])] = item
            digits[own_digit] += 1
        line = target
    n, last = 0, np.int32(-1)
    for item in line:
        if item != last:
            tally.reached[n], tally.counts[n] = item, 0
            n += item != own
            last = item
        if item != own:
            tally.counts[n - 1] += 1
    return n


@njit(nogil=True, cache=True)
def keep_first(visits: Ints, tally: Tally, n: int, ids: Ints, weights: Floats) -> None:
    """The first of the `n` reached in the order of the visits, after `count_visits`, into ids (T,) and weights (T,)."""
    n_kept, size = 0, min(n, len(ids))
    for item in visits:
        place = np.searchsorted(tally.reached[:n], item)
        if n_kept < size and tally.reached[place] == item and tally.counts[place] > 0:
            ids[n_kept], weights[n_kept] = item, 1 / size
            tally.counts[place] = 0
            n_kept += 1


@njit(nogil=True, cache=True)
def keep_most(tally: Tally, n: int, ids: Ints, weights: Floats) -> int:
    """The most visited of the first `n` reached, with their counts; equal counts by ascending id. Returns how many.

    A counting sort by counts: items come in ascending order, and keep it.

    Args:
        tally: after `count_visits`.
        n: what that returned.
        ids: (T,) and weights: (T,), filled here as far as there are items.
    """
    starts, size, most = tally.alike, len(ids), 0
    for count in tally.counts[:n]:
        starts[count] += 1
        most = max(most, count)
    place = 0
    for count in range(most, 0, -1):  # where those of each count begin
        place, starts[count] = place + starts[count], place
    for one in range(n):
        count = tally.counts[one]
        place = starts[count]
        if place < size:
            ids[place], weights[place] = tally.reached[one], count
        starts[count] += 1
    starts[: most + 1] = 0
    return min(n, size)
