"""Who takes what in a world that is made up: see data/pinterest.py, which builds the tables that are read here."""

from typing import NamedTuple

import numpy as np
from numba import njit

from pinfold.arrays import Doubles, Ints, Longs
from pinfold.kernels.negatives import GOLDEN, mix
from pinfold.kernels.parallel import over_rows

TRIES = 8  # draws by taste before a user who has most of what is near looks elsewhere
SEARCH = 24  # draws of any kind before the next free item is taken
BURST = 7200  # seconds that a burst lasts
PER_BURST = 6  # takes after which a user comes back once more
BURSTS = 8  # that a user has at most
NEAREST = 4  # places that an interest reaches to either side at least
JOINING = 0.9  # users join in this first part of the time
# Salts set the draws that hang off one state of a stream apart from the states that follow it.
POPULAR, TASTE, WHEN, SOON = np.uint64(0x51), np.uint64(0x52), np.uint64(0x53), np.uint64(0x54)


class World(NamedTuple):
    """The tables of a world. Users and items are numbered by place here: neighbors in place are alike."""

    seed: np.uint64
    span: int  # seconds
    share: float  # of draws that are by taste
    near: float  # of those, draws around an interest; the rest are from its whole community
    degrees: Ints  # (U,) edges of each user
    made: Longs  # (U + 1,) user u brings the items made[u]:made[u + 1] into the world
    births: Ints  # (I,) seconds; filled by `be_born`
    sums: Doubles  # (I + 1,) running sums of the items' popularity
    communities: Longs  # (C + 1,) item places where communities begin


def be_born(world: World) -> None:
    """Fill `births`: an item is born when the user who brings it first comes."""
    over_rows(len(world.degrees), lambda start, stop: _be_born(world, start, stop))


def take(world: World, users: Ints, ptr: Longs) -> tuple[Ints, Ints]:
    """What users take, and when; it depends on the world and the user alone.

    Args:
        world: with births.
        users: (B,) places of users.
        ptr: (B + 1,) running sums of their degrees.

    Returns:
        items: (E,) places, distinct for each user, those that the user brings first.
        times: (E,) seconds in [birth, span).
    """
    items, times = np.empty(ptr[-1], np.int32), np.empty(ptr[-1], np.int32)
    over_rows(len(users), lambda start, stop: _take(world, users, ptr, start, stop, items, times))
    return items, times


def interests(world: World, users: Ints) -> Ints:
    """The places that users' tastes lie around. Shape (B, 3), -1 where there are fewer."""
    found = np.full((len(users), 3), -1, np.int32)
    _all_interests(world, users, found)
    return found


@njit(nogil=True, cache=True)
def _all_interests(world: World, users: Ints, found: Ints) -> None:
    for row in range(len(users)):
        _interests(world, users[row], found[row])


@njit(nogil=True, cache=True)
def _be_born(world: World, start: int, stop: int) -> None:
    for user in range(start, stop):
        key = _key(world, user)
        for item in range(world.made[user], world.made[user + 1]):
            world.births[item] = _moment(world, key, np.uint64(0), mix(key + np.uint64(item)))


@njit(nogil=True, cache=True)
def _take(world: World, users: Ints, ptr: Longs, start: int, stop: int, items: Ints, times: Ints) -> None:
    room = np.empty(1024, np.int32)
    anchors = np.empty(3, np.int32)
    for row in range(start, stop):
        user, at, end = users[row], ptr[row], ptr[row + 1]
        size = 8
        while size < 2 * (end - at):
            size *= 2
        if size > len(room):
            room = np.empty(size, np.int32)
        taken = room[:size]
        taken[:] = -1
        key = _key(world, user)
        for item in range(world.made[user], world.made[user + 1]):
            _add(taken, np.int32(item))
            items[at], times[at] = item, world.births[item]
            at += 1
        n = _interests(world, user, anchors)
        n_bursts = np.uint64(min(BURSTS, 1 + world.degrees[user] // PER_BURST))
        state = mix(key ^ GOLDEN)
        while at < end:
            found, state = _new(world, user, anchors[:n], taken, state)
            state = mix(state)
            time, born = _moment(world, key, _below(state, n_bursts), mix(state ^ WHEN)), world.births[found]
            if time < born:  # what is new is taken soon
                time = np.int32(born + (world.span - born) * _unit(mix(state ^ SOON)) ** 3)
            items[at], times[at] = found, min(time, np.int32(world.span - 1))
            at += 1


@njit(nogil=True, cache=True)
def _new(world: World, user: int, anchors: Ints, taken: Ints, state: np.uint64) -> tuple[np.int32, np.uint64]:
    """An item that the user has not taken yet, and the state of the stream behind it."""
    item = np.int32(0)
    for attempt in range(SEARCH):
        state = mix(state)
        if attempt < TRIES and _unit(state) < world.share:
            state = mix(state)
            anchor = anchors[np.int64(len(anchors) * _unit(state) ** 2)]  # the first interest is the strongest
            item = _by_taste(world, anchor, world.degrees[user], mix(state ^ TASTE))
        else:
            item = _popular(world, 0, len(world.births), mix(state ^ POPULAR))
        if _add(taken, item):
            return item, state
    while not _add(taken, item):
        item = np.int32(0) if item + 1 == len(world.births) else np.int32(item + 1)
    return item, state


@njit(nogil=True, cache=True)
def _by_taste(world: World, anchor: int, degree: int, state: np.uint64) -> np.int32:
    """An item of an interest: one near to it, or a popular one of the community."""
    community = np.searchsorted(world.communities, anchor, side="right") - 1
    begin, end = world.communities[community], world.communities[community + 1]
    if _unit(state) >= world.near:
        return _popular(world, begin, end, mix(state))
    # Those who take much reach far. A community is a ring, so that it has no poor ends.
    reach = max(NEAREST, degree // 2)
    step = np.int64(_below(mix(state), np.uint64(2 * reach + 1)))
    return np.int32(begin + (anchor - begin + step - reach) % (end - begin))


@njit(nogil=True, cache=True)
def _popular(world: World, begin: int, end: int, state: np.uint64) -> np.int32:
    """An item of begin:end, in proportion to its popularity."""
    low, high = world.sums[begin], world.sums[end]
    goal = low + (high - low) * _unit(state)
    place = begin + int(np.searchsorted(world.sums[begin + 1 : end + 1], goal, side="right"))
    return np.int32(min(place, end - 1))


@njit(nogil=True, cache=True)
def _interests(world: World, user: int, anchors: Ints) -> int:
    """Fill in one to three places, the first where the user's own items stand; how many."""
    state = mix(_key(world, user) + np.uint64(1))
    n = 1 + int(_below(state, np.uint64(3)))
    for place in range(n):
        state = mix(state)
        anchors[place] = min(world.made[user], len(world.births) - 1)
        if place:
            anchors[place] = np.int64(_unit(state) * len(world.births))
    return n


@njit(nogil=True, cache=True)
def _moment(world: World, key: np.uint64, burst: np.uint64, state: np.uint64) -> np.int32:
    """A second within a burst of a user; the first burst is when the user joins."""
    joined = int(_unit(mix(key ^ np.uint64(2))) * JOINING * world.span)
    begin = joined
    if burst:
        begin += int(_unit(mix(key + burst * GOLDEN)) * (world.span - joined))
    return np.int32(min(begin + int(_below(state, np.uint64(BURST))), world.span - 1))


@njit(nogil=True, cache=True)
def _add(taken: Ints, item: np.int32) -> bool:
    """Add an item to an open-addressed set with room; false where it was there."""
    mask = np.uint64(len(taken) - 1)
    place = mix(np.uint64(item)) & mask
    while taken[place] >= 0:
        if taken[place] == item:
            return False
        place = (place + np.uint64(1)) & mask
    taken[place] = item
    return True


@njit(nogil=True, cache=True)
def _key(world: World, user: int) -> np.uint64:
    return mix(world.seed ^ mix(np.uint64(user)))


@njit(nogil=True, cache=True)
def _unit(state: np.uint64) -> float:
    """A number in [0, 1)."""
    return np.float64(state >> np.uint64(11)) * 2.0**-53


@njit(nogil=True, cache=True)
def _below(state: np.uint64, n: np.uint64) -> np.uint64:
    """A whole number in [0, n)."""
    return ((state >> np.uint64(32)) * n) >> np.uint64(32)
