"""What is known of items from events up to a moment: how often, how lately, since when."""

from dataclasses import dataclass

import numpy as np

from pinfold.arrays import Doubles, Floats, Longs, check_array
from pinfold.data.interactions import Interactions
from pinfold.graph.csr import Csr, from_pairs

WINDOWS = (0.2, 0.05, 0.01)  # shares of all events, the newest: time measured by what happens in it
COLUMNS = 1 + len(WINDOWS) + 2


@dataclass(frozen=True, slots=True)
class ItemStatistics:
    """Numbers of each item. Time is counted in events: 0 is now, 1 the beginning of the data."""

    counts: Floats  # (I,) how many users took it
    recent: Floats  # (I, W) how many of these within the newest share of all events; NaN without times
    since_last: Floats  # (I,) share of all events that came after its last one; NaN without times or events
    since_first: Floats  # (I,) share that came after its first one

    def __post_init__(self) -> None:
        check_array("counts", self.counts, np.float32, -1)
        check_array("recent", self.recent, np.float32, len(self.counts), len(WINDOWS))
        check_array("since_last", self.since_last, np.float32, len(self.counts))
        check_array("since_first", self.since_first, np.float32, len(self.counts))

    def trend(self) -> Floats | None:
        """Counts of the second window (I,), None without times."""
        return None if np.isnan(self.recent).any() else self.recent[:, 1]

    def table(self) -> Floats:
        """All numbers as one array (I, COLUMNS), for storage."""
        return np.column_stack([self.counts, self.recent, self.since_last, self.since_first]).astype(np.float32)


def from_table(table: Floats) -> ItemStatistics:
    """What `table` returned."""
    n = len(WINDOWS)
    columns = np.ascontiguousarray(table.T)
    return ItemStatistics(columns[0], np.ascontiguousarray(columns[1 : 1 + n].T), columns[1 + n], columns[2 + n])


def item_statistics(events: Interactions) -> ItemStatistics:
    """The numbers of every item from these events alone, which must all lie before what they are to predict.

    Of a window that begins within events of one time all of these count.
    """
    n_items, n = events.n_items, len(events)
    counts = np.bincount(events.items, minlength=n_items).astype(np.float32)
    unknown = np.full(n_items, np.nan, np.float32)
    if not events.timed:
        return ItemStatistics(counts, np.full((n_items, len(WINDOWS)), np.nan, np.float32), unknown, unknown)
    behind = _n_later(events.times, events.times)
    recent = [np.bincount(events.items[behind < max(round(share * n), 1)], minlength=n_items) for share in WINDOWS]
    later = behind / n
    last, first = np.full(n_items, np.inf), np.full(n_items, -np.inf)
    np.minimum.at(last, events.items, later)
    np.maximum.at(first, events.items, later)
    met = counts > 0
    return ItemStatistics(
        counts,
        np.column_stack(recent).astype(np.float32),
        np.where(met, last, np.nan).astype(np.float32),
        np.where(met, first, np.nan).astype(np.float32),
    )


def later_share(times: Longs, asked: Longs) -> Doubles:
    """Which share of the events with these times (E,) came after each of the asked times (n,)."""
    return _n_later(times, asked) / max(len(times), 1)


def _n_later(times: Longs, asked: Longs) -> Longs:
    return np.asarray(len(times) - np.searchsorted(np.sort(times), asked, side="right"), np.int64)


def latest_items(events: Interactions, n: int) -> Csr | None:
    """The n latest items (U, I) of each user, with weights 1, 2, ... in the order of time; None without times.

    Of equal times the later row of `events` is later.
    """
    if not events.timed:
        return None
    order = np.lexsort((events.times, events.users))  # stable
    users = events.users[order]
    counts = np.bincount(users, minlength=events.n_users)
    from_end = np.repeat(np.cumsum(counts), counts) - np.arange(len(users))  # 1 for the latest
    kept = from_end <= n
    weights = (n + 1 - from_end[kept]).astype(np.float32)
    return from_pairs(users[kept], events.items[order][kept], weights, (events.n_users, events.n_items))
