"""Personalized PageRank by forward push on the chain item -> user -> item (Andersen, Chung and Lang, FOCS 2006).

What a walk with restart visits in the limit of many steps, without chance: probability arrives at a node, waits there
as a *residual*, and is pushed on to the neighbors as soon as it is worth the work.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from pinfold.arrays import Doubles, Floats, Ints
from pinfold.kernels.negatives import mix
from pinfold.kernels.parallel import over_rows
from pinfold.kernels.ranks import WINDOW, draw_ranks, keep_best, normalize
from pinfold.kernels.walks import Sources, Table, stream


def push_top(
    items: Table, users: Table, sources: Sources, restart: float, epsilon: float, size: int
) -> tuple[Ints, Floats]:
    """The items that walks from each source visit most, and their shares.

    A share of all steps is found too low, by at most 2 epsilon times the number of the item's users; with weights, the
    shares of all items together by at most 2 epsilon E. Work: at most 2 / (restart epsilon) edges a source.

    Args:
        items: item -> users.
        users: user -> items, the same edges.
        sources: S of them.
        restart: chance in (0, 1] to go back to the source after each step.
        epsilon: above 0; a node is pushed when more than this times its number of neighbors waits there.
        size: T.

    Returns:
        ids: (S, T) item rows, the largest share first, of equal ones the lower row; -1 where fewer were reached.
        weights: (S, T) shares divided by the row's sum; 0 beside -1.
    """
    n = len(sources.begins)
    ids, weights = np.full((n, size), -1, np.int32), np.zeros((n, size), np.float32)
    over_rows(n, lambda start, stop: _push_top(items, users, sources, restart, epsilon, start, stop, ids, weights))
    return ids, weights


def push_window(
    items: Table, users: Table, sources: Sources, restart: float, epsilon: float, seed: int,
    window: tuple[int, int, int],
) -> Ints:  # fmt: skip
    """Items drawn from the ranks [first, last) by share; see `ranks.draw_ranks`.

    Args:
        window: first, last, and how many to draw (N).

    Returns:
        (S, N) item rows; -1 where there are none.
    """
    first, last, n = window
    out = np.full((len(sources.begins), n), -1, np.int32)
    key = np.uint64(seed)
    over_rows(
        len(out),
        lambda start, stop: _push_window(items, users, sources, restart, epsilon, key, first, last, start, stop, out),
    )
    return out


SHARE, WAITING, LIMIT = 0, 1, 2


class _Room(NamedTuple):
    """What one thread works in. The figures of a node stand side by side, because they are needed together."""

    items: Doubles  # (I, 3) SHARE of all steps; what is WAITING here; the LIMIT above which that is pushed
    users: Doubles  # (U, 3) the same, but SHARE is 1 where the user was reached
    reached: Ints  # (I,) items with a share
    reached_users: Ints  # (U,)
    front: Ints  # (I + 1,) items to push next
    front_users: Ints  # (U + 1,)


@njit(nogil=True, cache=True)
def _room(items: Table, users: Table, epsilon: float) -> _Room:
    n_items, n_users = len(items.ptr) - 1, len(users.ptr) - 1
    room = _Room(
        np.zeros((n_items, 3)), np.zeros((n_users, 3)), np.empty(n_items, np.int32), np.empty(n_users, np.int32),
        np.empty(n_items + 1, np.int32), np.empty(n_users + 1, np.int32),
    )  # fmt: skip
    for item in range(n_items):
        room.items[item, LIMIT] = epsilon * (items.ptr[item + 1] - items.ptr[item])
    for user in range(n_users):
        room.users[user, LIMIT] = epsilon * (users.ptr[user + 1] - users.ptr[user])
    return room


@njit(nogil=True, cache=True)
def _push_top(
    items: Table, users: Table, sources: Sources, restart: float, epsilon: float,
    start: int, stop: int, ids: Ints, weights: Floats,
) -> None:  # fmt: skip
    room = _room(items, users, epsilon)
    values, best = np.empty(len(room.items)), np.empty(ids.shape[1])
    for row in range(start, stop):
        m = _push(items, users, sources, row, restart, room, values)
        k = keep_best(values, room.reached, m, best, ids[row])
        normalize(best, k)
        weights[row] = best


@njit(nogil=True, cache=True)
def _push_window(
    items: Table, users: Table, sources: Sources, restart: float, epsilon: float, key: np.uint64,
    first: int, last: int, start: int, stop: int, out: Ints,
) -> None:  # fmt: skip
    room = _room(items, users, epsilon)
    values = np.empty(len(room.items))
    for row in range(start, stop):
        m = _push(items, users, sources, row, restart, room, values)
        own = mix(stream(key, sources.streams[row]) ^ WINDOW)
        draw_ranks(values, room.reached, m, first, last, own, out[row])


@njit(nogil=True, cache=True)
def _push(items: Table, users: Table, sources: Sources, row: int, restart: float, room: _Room, values: Doubles) -> int:
    """One source: its items stand in `room.reached`, their shares in `values` (I,), without the source; how many.

    Users and items are pushed in turns; within a turn what waits at the pushed side does not change.
    """
    begin, end = sources.begins[row], sources.ends[row]
    if begin == end:
        return 0
    _, n_users = _to_users(sources.table, begin, end, 1.0, room, 0, 0)
    n_front, n_items = n_users, 0
    room.front_users[:n_users] = room.reached_users[:n_users]  # the source's own are pushed in any case
    while n_front > 0:
        n_next = 0
        for place in range(n_front):
            user = room.front_users[place]
            mass, room.users[user, 1] = room.users[user, WAITING], 0.0
            n_next, n_items = _to_items(users, user, mass, restart, room, n_next, n_items)
        n_front = 0
        for place in range(n_next):
            item = room.front[place]
            mass, room.items[item, 1] = room.items[item, WAITING], 0.0
            n_front, n_users = _to_users(items, items.ptr[item], items.ptr[item + 1], mass, room, n_front, n_users)
    return _harvest(sources.selves[row], n_users, n_items, room, values)


@njit(nogil=True, cache=True)
def _to_users(
    table: Table, begin: int, end: int, mass: float, room: _Room, n_front: int, n_reached: int
) -> tuple[int, int]:
    """What waited at an item arrives at its users."""
    even = mass / (end - begin)
    for edge in range(begin, end):
        user = np.uint64(table.ids[edge])  # unsigned: no look at the sign before each read
        before = room.users[user, WAITING]
        after = before + (_part(table, end, edge, mass) if len(table.sums) else even)
        room.users[user, WAITING] = after
        limit = room.users[user, LIMIT]
        room.front_users[n_front] = user  # and stays only if counted: nobody could foretell a branch
        n_front += (before <= limit) & (after > limit)
        if room.users[user, SHARE] == 0:
            room.users[user, SHARE] = 1
            room.reached_users[n_reached] = user
            n_reached += 1
    return n_front, n_reached


@njit(nogil=True, cache=True)
def _to_items(
    users: Table, user: int, mass: float, restart: float, room: _Room, n_front: int, n_reached: int
) -> tuple[int, int]:
    """What waited at a user arrives at its items: a visit; some of it goes back to the source, the rest waits."""
    begin, end = users.ptr[user], users.ptr[user + 1]
    even = mass / (end - begin)
    for edge in range(begin, end):
        item = np.uint64(users.ids[edge])
        amount = _part(users, end, edge, mass) if len(users.sums) else even
        before = room.items[item, WAITING]
        after = before + (1 - restart) * amount
        room.items[item, WAITING] = after
        limit = room.items[item, LIMIT]
        room.front[n_front] = item  # and stays only if counted: nobody could foretell a branch
        n_front += (before <= limit) & (after > limit)
        share = room.items[item, SHARE]
        if share == 0:
            room.reached[n_reached] = item
            n_reached += 1
        room.items[item, SHARE] = share + restart * amount
    return n_front, n_reached


@njit(nogil=True, cache=True)
def _part(table: Table, end: int, edge: int, mass: float) -> float:
    """What of the mass goes along this edge by its weight."""
    return float(mass * (table.weights[edge] / table.sums[end - 1]))


@njit(nogil=True, cache=True)
def _harvest(own: int, n_users: int, n_items: int, room: _Room, values: Doubles) -> int:
    """Shares side by side, without the source's own; the room is swept for the next source."""
    m = 0
    for place in range(n_items):
        item = room.reached[place]
        if item != own:
            room.reached[m], values[m] = item, room.items[item, SHARE]
            m += 1
        room.items[item, :LIMIT] = 0
    for place in range(n_users):
        room.users[room.reached_users[place], :LIMIT] = 0
    return m
