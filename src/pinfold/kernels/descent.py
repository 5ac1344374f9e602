"""SLIM's regressions: a non-negative elastic net for each item, by coordinate descent."""

import numpy as np
from numba import njit

from pinfold.arrays import Doubles, Floats, Ints, Longs
from pinfold.kernels.parallel import over_rows

MOST_SWEEPS = 200  # over the coordinates; 10 to 30 are usual
TOLERANCE = 1e-4  # largest change of a weight in the last sweep, as a share of the largest weight


def regress(item_ptr: Longs, item_users: Ints, n_users: int, ptr: Longs, ids: Ints, l1: float, l2: float) -> Floats:
    """How much each candidate says about its item, given the other candidates.

    Row i minimizes |x_i - X_c w|^2 / 2 + l2 |w|^2 / 2 + l1 |w|_1 over w >= 0, where x_i (U,) is one at the users of i
    and the columns of X_c are those of its candidates.

    Args:
        item_ptr: (I + 1,) and item_users: (E,) the users of each item.
        n_users: U.
        ptr: (I + 1,) and ids: (C,) the candidates of each item, without the item itself.
        l1: in users: a candidate that shares no more users with the item than this gets no weight.
        l2: in users, added to how many took the candidate.

    Returns:
        weights: (C,) beside `ids`, many of them 0.
    """
    weights = np.zeros(len(ids), np.float32)
    over_rows(
        len(ptr) - 1,
        lambda start, stop: _regress(item_ptr, item_users, n_users, ptr, ids, l1, l2, start, stop, weights),
    )
    return weights


@njit(nogil=True, cache=True)
def _regress(
    item_ptr: Longs, item_users: Ints, n_users: int, ptr: Longs, ids: Ints, l1: float, l2: float,
    start: int, stop: int, weights: Floats,
) -> None:  # fmt: skip
    newest = np.full(n_users, -1, np.int64)
    for item in range(start, stop):
        begin, n = ptr[item], ptr[item + 1] - ptr[item]
        items = np.empty(n + 1, np.int32)  # the candidates, and the item itself as the last
        for place in range(n):
            items[place] = ids[begin + place]
        items[n] = item
        gram = _gram(item_ptr, item_users, items, newest)
        _descend(gram, l1, l2, weights[begin : begin + n])


@njit(nogil=True, cache=True)
def _gram(item_ptr: Longs, item_users: Ints, items: Ints, newest: Longs) -> Doubles:
    """How many users each two of these items share. `newest` (U,) is -1 everywhere, before and after."""
    n_entries = 0
    for item in items:
        n_entries += item_ptr[item + 1] - item_ptr[item]
    owner = np.empty(n_entries, np.int32)  # place of the item that an entry stands for
    older = np.empty(n_entries, np.int64)  # the same user's entry before: each user has a chain of items
    gram = np.zeros((len(items), len(items)))
    entry = 0
    for place in range(len(items)):
        for at in range(item_ptr[items[place]], item_ptr[items[place] + 1]):
            user = item_users[at]
            owner[entry], older[entry] = place, newest[user]
            newest[user] = entry
            other = entry
            while other >= 0:
                gram[place, owner[other]] += 1
                other = older[other]
            entry += 1
    for item in items:
        for at in range(item_ptr[item], item_ptr[item + 1]):
            newest[item_users[at]] = -1
    for row in range(len(items)):
        for column in range(row):
            gram[column, row] = gram[row, column]
    return gram


@njit(nogil=True, cache=True)
def _descend(gram: Doubles, l1: float, l2: float, weights: Floats) -> None:
    """Write the weights (C,) >= 0 that minimize w'Gw / 2 - s'w + l2 |w|^2 / 2 + l1 |w|_1, one coordinate at a time.

    G (C, C) are the candidates' rows of `gram` (C + 1, C + 1), s (C,) its last one.
    """
    n = len(weights)
    exact = np.zeros(n)
    unexplained = gram[n].copy()  # s - G w
    for _ in range(MOST_SWEEPS):
        change = largest = 0.0
        for place in range(n):
            old = exact[place]
            above = unexplained[place] + gram[place, place] * old - l1
            new = above / (gram[place, place] + l2) if above > 0 else 0.0
            step = new - old
            if step != 0:
                exact[place] = new
                for other in range(n):
                    unexplained[other] -= step * gram[place, other]
            change, largest = max(change, abs(step)), max(largest, new)
        if change <= TOLERANCE * largest:
            break
    for place in range(n):
        weights[place] = exact[place]
