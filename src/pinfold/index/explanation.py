"""Why an item is recommended: its score as a sum over what somebody took."""

from dataclasses import dataclass

import numpy as np

from pinfold.arrays import Floats, Ints, check_array


@dataclass(frozen=True, slots=True)
class Explanation:
    """A score, taken apart: the sum of `terms` and `own` is the score that the recommender gives."""

    items: Ints  # (h,) the history: item rows, ascending
    terms: Floats  # (h,) what each of them adds to the score, or takes from it
    own: float = 0.0  # what a known user's own vector adds beyond their history

    def __post_init__(self) -> None:
        check_array("items", self.items, np.int32, -1)
        check_array("terms", self.terms, np.float32, len(self.items))

    @property
    def score(self) -> float:
        """The sum."""
        return float(self.terms.sum(dtype=np.float64)) + self.own


def checked_user(user: int, n_users: int) -> int:
    """The user's row.

    Raises:
        ValueError: it is out of range.
    """
    if not 0 <= user < n_users:
        raise ValueError(f"user must lie in [0, {n_users}), got {user}")
    return user


def checked_history(history: Ints, item: int, n_items: int) -> Ints:
    """The distinct items of a history (h,), ascending.

    Raises:
        ValueError: the item or one of the history is out of range.
    """
    items = np.unique(history).astype(np.int32)
    if not 0 <= item < n_items:
        raise ValueError(f"item must lie in [0, {n_items}), got {item}")
    if len(items) and not (items[0] >= 0 and items[-1] < n_items):
        raise ValueError(f"history must lie in [0, {n_items}), found {items[0]} to {items[-1]}")
    return items
