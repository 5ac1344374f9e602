"""Who owns what: users and items are cut into contiguous ranges of rows, one for each worker."""

from dataclasses import dataclass

import numpy as np

from pinfold.arrays import Ints, Longs


@dataclass(frozen=True, slots=True)
class Ranges:
    """Rows [0, n) in P contiguous ranges of as equal a length as can be; where n < P some are empty."""

    n: int
    size: int  # P

    def start(self, rank: int) -> int:
        """The first row of a range."""
        return self.n * rank // self.size

    def stop(self, rank: int) -> int:
        """The row after its last."""
        return self.n * (rank + 1) // self.size

    def count(self, rank: int) -> int:
        """How many rows it has."""
        return self.stop(rank) - self.start(rank)

    def bounds(self) -> Longs:
        """Where ranges start and the last one ends. Shape (P + 1,)."""
        return np.array([self.start(rank) for rank in range(self.size + 1)], np.int64)

    def owners(self, rows: Ints | Longs) -> Ints:
        """The range that each row lies in, in the shape of `rows`."""
        return (np.searchsorted(self.bounds(), rows, side="right") - 1).astype(np.int32)


def by_owner(ranges: Ranges, rows: Ints | Longs) -> tuple[Longs, Longs]:
    """Rows grouped by their owners.

    Returns:
        order: (n,) such that `rows[order]` stands by owner, within one in the given order.
        ends: (P + 1,) owner p has the places ends[p] .. ends[p + 1] - 1 of `order`.
    """
    owners = ranges.owners(rows)
    # numpy sorts 16 bits by counting, wider ones by merging
    order = np.argsort(owners.astype(np.uint16) if ranges.size <= 1 << 16 else owners, kind="stable")
    counts = np.bincount(owners, minlength=ranges.size)
    return order, np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
