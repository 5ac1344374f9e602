"""Who took what: parallel columns of user rows, item rows, weights and times."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pinfold.arrays import Floats, Ints, Longs, check_array, spans

NO_TIME = np.iinfo(np.int64).min  # the time of an event that has none


@dataclass(frozen=True, slots=True)
class Interactions:
    """Events between `n_users` users and `n_items` items, one row each, checked once here.

    Raises:
        TypeError: a column of another dtype.
        ValueError: columns of different lengths, a row out of range, a weight that is not finite and positive, times
            of some events only.
    """

    users: Ints  # (E,) rows in [0, n_users)
    items: Ints  # (E,) rows in [0, n_items)
    weights: Floats  # (E,) positive
    times: Longs  # (E,) seconds since 1970 in UTC, or NO_TIME in every row
    n_users: int
    n_items: int

    def __post_init__(self) -> None:
        n = len(self.users)
        check_array("users", self.users, np.int32, n)
        check_array("items", self.items, np.int32, n)
        check_array("weights", self.weights, np.float32, n)
        check_array("times", self.times, np.int64, n)
        _check_range("users", self.users, self.n_users)
        _check_range("items", self.items, self.n_items)
        # a span at a time: the columns may be mapped and larger than memory
        if not all(_positive(self.weights[span]) for span in spans(n)):
            raise ValueError("weights must be finite and positive")
        if n and not all(((self.times[span] != NO_TIME) == self.timed).all() for span in spans(n)):
            raise ValueError("times must be there for every event or for none")

    def __len__(self) -> int:
        return len(self.users)

    @property
    def timed(self) -> bool:
        """Whether the events have times."""
        return len(self) > 0 and bool(self.times[0] != NO_TIME)

    def take(self, which: NDArray[np.bool_] | NDArray[np.integer]) -> "Interactions":
        """The events of a mask (E,) or of row numbers (any,), with the same users and items."""
        return Interactions(
            self.users[which], self.items[which], self.weights[which], self.times[which], self.n_users, self.n_items
        )

    def join(self, other: "Interactions") -> "Interactions":
        """These events and then the other ones, of the same users and items."""
        if (self.n_users, self.n_items) != (other.n_users, other.n_items):
            raise ValueError("only events of the same users and items can be joined")
        return Interactions(
            np.concatenate([self.users, other.users]),
            np.concatenate([self.items, other.items]),
            np.concatenate([self.weights, other.weights]),
            np.concatenate([self.times, other.times]),
            self.n_users,
            self.n_items,
        )

    def pairs(self) -> "Interactions":
        """The same pairs with weight 1 and without times."""
        return Interactions.of(self.users, self.items, self.n_users, self.n_items)

    @staticmethod
    def of(users: Ints, items: Ints, n_users: int, n_items: int) -> "Interactions":
        """Events of weight 1 without times."""
        n = len(users)
        return Interactions(users, items, np.ones(n, np.float32), np.full(n, NO_TIME, np.int64), n_users, n_items)


def _positive(weights: Floats) -> bool:
    return bool(np.isfinite(weights).all() and weights.min() > 0)


def _check_range(name: str, rows: Ints, n: int) -> None:
    if len(rows) and not (rows.min() >= 0 and rows.max() < n):
        raise ValueError(f"{name} must lie in [0, {n}), found {rows.min()} to {rows.max()}")
