"""Splits: which events a model may learn from, which select it, and which judge it once.

A split has a training part, a validation part and a test part. The test part is sealed: whoever opens it says
so by calling `unseal`, which happens in one place, the final evaluation (a test holds the source tree to that).
"""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from pinfold.arrays import Bools, Doubles, Ints, Longs
from pinfold.config import options
from pinfold.data.interactions import NO_TIME, Interactions
from pinfold.errors import DataError

ProtocolName = Literal[
    "random", "leave-last-out", "time-cut", "held-out-collections", "newest-collections", "files", "none"
]


@options
class SplitConfig:
    """How to divide the events."""

    protocol: Annotated[
        ProtocolName,
        Field(
            description="random: a share of each user's events; leave-last-out: each user's newest event; "
            "time-cut: the newest events of all; held-out-collections: whole users (collections), half of each one's "
            "events given; newest-collections: the same with those that came last, such as baskets; files: the test "
            "events are in data.test; none: learn from everything, judge nothing"
        ),
    ] = "random"
    test_share: Annotated[float, Field(gt=0, lt=1, description="share of events (or users) in the test part")] = 0.2
    valid_share: Annotated[
        float, Field(gt=0, lt=1, description="share of the remaining events (or users) in the validation part")
    ] = 0.1
    valid_by: Annotated[
        Literal["random", "time"],
        Field(
            description="which of a user's remaining events validate, with protocol random or files. random: any; "
            "time: the latest ones, which is right where the test events came last, too"
        ),
    ] = "random"
    min_events: Annotated[
        int,
        Field(
            ge=2,
            description="users with fewer events are only learnt from, never asked about; time-cut asks about whoever "
            "has events before the cut",
        ),
    ] = 5


@dataclass(frozen=True, slots=True)
class Part:
    """Questions with known answers: shown `given`, which items does each user in `target` take next?

    Given items count as seen and are not recommended. When `new_users` is true, nothing of these users was in
    the training part, and a model must fold them in from `given`.
    """

    given: Interactions
    target: Interactions
    new_users: bool

    def users(self) -> Ints:
        """The users who are asked about, ascending."""
        return np.unique(self.target.users)


class Sealed:
    """A part that stays closed until somebody says that this is the final evaluation."""

    def __init__(self, part: Part) -> None:
        self._part = part

    def unseal(self) -> Part:
        """The part. Call it once, after every choice has been made."""
        return self._part

    def peek_for_storage(self) -> Part:
        """The part, to be written to disk unread."""
        return self._part


@dataclass(frozen=True, slots=True)
class Split:
    """The three parts; `valid` and `test` are None where the protocol is "none"."""

    train: Interactions
    known: Interactions  # all events but the test part: what a final model may learn from
    valid: Part | None
    test: Sealed | None


def split_events(events: Interactions, config: SplitConfig, seed: int, test: Interactions | None = None) -> Split:
    """The events divided as `config` says; `test` holds the test events of the protocol "files".

    Raises:
        DataError: the protocol needs times that the events do not have, or a part comes out empty.
    """
    rng = np.random.default_rng([seed, 0x5EED])
    asked = np.bincount(events.users, minlength=events.n_users) >= config.min_events  # (U,)
    match config.protocol:
        case "none":
            return Split(events, events, None, None)
        case "held-out-collections" | "newest-collections":
            return _hold_out_users(events, config, rng)
        case "files":
            if test is None:
                raise DataError("split.protocol is 'files' but no test events are given; set data.test")
            left, target = events, _answerable(events, test)
        case protocol:
            chosen = _choose(events, config, config.test_share, asked, rng)
            left, target = events.take(~chosen), events.take(chosen)
            if protocol == "time-cut":
                target = target.take(np.isin(target.users, left.users))  # nothing is known of the others
    chosen = _choose_valid(left, config, asked, rng)
    train, valid = left.take(~chosen), left.take(chosen)
    if config.protocol == "time-cut":
        valid = valid.take(np.isin(valid.users, train.users))
    _check_filled(config, train, valid, target)
    return Split(train, left, Part(train, valid, new_users=False), Sealed(Part(left, target, new_users=False)))


def _answerable(events: Interactions, test: Interactions) -> Interactions:
    """The test events of users who have training events, without the pairs that these already hold."""
    pair = events.users.astype(np.int64) * events.n_items + events.items
    tested = test.users.astype(np.int64) * test.n_items + test.items
    return test.take(np.isin(test.users, events.users) & ~np.isin(tested, pair))


def _choose(events: Interactions, config: SplitConfig, share: float, asked: Bools, rng: np.random.Generator) -> Bools:
    """Mask (E,) of the events that the next part takes."""
    match config.protocol:
        case "leave-last-out":
            _need_times(events, f"split.protocol {config.protocol!r}")
            return _last(events, asked)
        case "time-cut":
            _need_times(events, f"split.protocol {config.protocol!r}")
            return events.times > np.quantile(events.times, 1 - share, method="lower")
        case _:
            return _share_of_each(events, config.min_events, share, rng.random(len(events)))


def _choose_valid(left: Interactions, config: SplitConfig, asked: Bools, rng: np.random.Generator) -> Bools:
    """Mask (E,) of the events that validate."""
    if config.valid_by == "time" and config.protocol in ("random", "files"):
        _need_times(left, "split.valid_by 'time'")
        newest_first = np.empty(len(left))
        newest_first[np.argsort(left.times, kind="stable")[::-1]] = np.arange(len(left))
        return _share_of_each(left, config.min_events, config.valid_share, newest_first)
    return _choose(left, config, config.valid_share, asked, rng)


def _share_of_each(events: Interactions, min_events: int, share: float, order: Doubles) -> Bools:
    """Mask of the first `share` of each user's events by `order`: rounded, at least one, never all."""
    sort = np.lexsort((order, events.users))
    counts = np.bincount(events.users, minlength=events.n_users)
    wanted = np.clip(np.rint(counts * share), 1, np.maximum(counts - 1, 0))
    wanted[counts < min_events] = 0
    chosen = np.zeros(len(events), np.bool_)
    chosen[sort] = _place(events.users[sort], counts) < wanted[events.users[sort]]
    return chosen


def _last(events: Interactions, asked: Bools) -> Bools:
    """Mask of each asked user's newest event, unless it is the only one; of equal times the later row is newer."""
    sort = np.lexsort((events.times, events.users))  # stable: equal times stay in the order of rows
    users = events.users[sort]
    counts = np.bincount(users, minlength=events.n_users)
    chosen = np.zeros(len(events), np.bool_)
    chosen[sort] = (_place(users, counts) == counts[users] - 1) & (counts[users] >= 2) & asked[users]
    return chosen


def _place(sorted_users: Ints, counts: Longs) -> Longs:
    """0, 1, 2, ... within each user's run of a sorted column."""
    starts = np.cumsum(counts) - counts
    return np.arange(len(sorted_users)) - starts[sorted_users]


def _hold_out_users(events: Interactions, config: SplitConfig, rng: np.random.Generator) -> Split:
    """Whole users leave the training part; half of each one's events are given, the others are to be found."""
    counts = np.bincount(events.users, minlength=events.n_users)
    able = rng.permutation(np.flatnonzero(counts >= config.min_events))
    if config.protocol == "newest-collections":
        _need_times(events, f"split.protocol {config.protocol!r}")
        newest = np.full(events.n_users, NO_TIME)
        np.maximum.at(newest, events.users, events.times)
        able = able[np.argsort(-newest[able], kind="stable")]
    n_test = round(len(able) * config.test_share)
    n_valid = round((len(able) - n_test) * config.valid_share)
    hidden = _share_of_each(events, config.min_events, 0.5, rng.random(len(events)))
    kinds = np.zeros(events.n_users, np.int8)
    kinds[able[:n_test]] = 2
    kinds[able[n_test : n_test + n_valid]] = 1
    kind = kinds[events.users]

    def part(number: int) -> Part:
        mine = kind == number
        return Part(events.take(mine & ~hidden), events.take(mine & hidden), new_users=True)

    train, valid, test = events.take(kind == 0), part(1), part(2)
    _check_filled(config, train, valid.target, test.target)
    return Split(train, events.take(kind != 2), valid, Sealed(test))


def _need_times(events: Interactions, option: str) -> None:
    if not events.timed:
        raise DataError(
            f"{option} needs times, and the events have none; import them with --time COLUMN, or choose 'random' or "
            "'held-out-collections'"
        )


def _check_filled(config: SplitConfig, train: Interactions, valid: Interactions, test: Interactions) -> None:
    for name, part in (("training", train), ("validation", valid), ("test", test)):
        if not len(part):
            raise DataError(
                f"split.protocol {config.protocol!r} leaves the {name} part empty; there are {train.n_users} users and "
                f"min_events is {config.min_events}: use more data, another share, or a lower min_events"
            )
