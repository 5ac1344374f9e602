"""Splits: what every protocol promises, checked on worlds small enough to count by hand and on random ones."""

from collections import Counter, defaultdict
from itertools import pairwise
from typing import get_args

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from pinfold.data.interactions import NO_TIME, Interactions
from pinfold.data.splits import Part, ProtocolName, Split, SplitConfig, split_events
from pinfold.errors import DataError

Pair = tuple[int, int]
# few random events can be split as asked: most are passed over, which is no fault of theirs
QUICK = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])


def events_of(rows: list[tuple[int, int, int]], n_users: int = 8, n_items: int = 12) -> Interactions:
    """Events from (user, item, time)."""
    table = np.array(rows, np.int64).reshape(-1, 3)
    return Interactions(
        table[:, 0].astype(np.int32), table[:, 1].astype(np.int32), np.ones(len(rows), np.float32),
        table[:, 2].copy(), n_users, n_items,
    )  # fmt: skip


def pairs(events: Interactions) -> list[Pair]:
    return list(zip(events.users.tolist(), events.items.tolist(), strict=True))


def parts(split: Split) -> tuple[Interactions, Part, Part]:
    assert split.valid is not None
    assert split.test is not None
    return split.train, split.valid, split.test.unseal()


def pieces(split: Split) -> list[Interactions]:
    """The parts without what one of them shows again of another."""
    train, valid, test = parts(split)
    given = [valid.given, test.given] if test.new_users else []
    return [train, valid.target, test.target, *given]


@st.composite
def random_events(draw: st.DrawFn) -> Interactions:
    """Distinct pairs in any order, with times of which several are equal."""
    cells = draw(st.sets(st.tuples(st.integers(0, 7), st.integers(0, 11)), min_size=10, max_size=60))
    order = draw(st.permutations(sorted(cells)))
    times = draw(st.lists(st.integers(0, 30), min_size=len(order), max_size=len(order)))
    return events_of([(user, item, time) for (user, item), time in zip(order, times, strict=True)])


@st.composite
def configs(draw: st.DrawFn, *protocols: ProtocolName) -> SplitConfig:
    shares = st.sampled_from([0.1, 0.2, 0.3, 0.5, 0.7])
    return SplitConfig(
        protocol=draw(st.sampled_from(protocols)),
        test_share=draw(shares),
        valid_share=draw(shares),
        min_events=draw(st.integers(2, 5)),
    )


def split_or_skip(events: Interactions, config: SplitConfig, seed: int = 0) -> Split:
    try:
        return split_events(events, config, seed)
    except DataError as error:
        assert "part empty" in str(error)  # noqa: PT017
        assume(False)
        raise


# --- every protocol ------------------------------------------------------------------------------------------------


@QUICK
@given(
    random_events(),
    configs("random", "leave-last-out", "held-out-collections", "newest-collections"),
    st.integers(0, 9),
)
def test_parts_are_disjoint_and_together_complete(events: Interactions, config: SplitConfig, seed: int) -> None:
    split = split_or_skip(events, config, seed)
    together = [pair for piece in pieces(split) for pair in pairs(piece)]
    assert sorted(together) == sorted(pairs(events))  # the pairs of `events` are distinct, so no part repeats any


@QUICK
@given(random_events(), configs("time-cut"))
def test_time_cut_leaves_out_only_users_who_are_new_after_the_cut(events: Interactions, config: SplitConfig) -> None:
    split = split_or_skip(events, config)
    train, valid, test = parts(split)
    together = [pair for piece in (train, valid.target, test.target) for pair in pairs(piece)]
    assert len(set(together)) == len(together)
    left_out = set(pairs(events)) - set(together)
    assert not {user for user, _ in left_out} & set(train.users.tolist())
    assert set(valid.users().tolist()) <= set(train.users.tolist())
    assert set(test.users().tolist()) <= set(split.known.users.tolist())


ALL = configs("random", "leave-last-out", "time-cut", "held-out-collections", "newest-collections")


@QUICK
@given(random_events(), ALL)
def test_what_is_known_is_everything_but_the_test_part(events: Interactions, config: SplitConfig) -> None:
    split = split_or_skip(events, config)
    train, valid, test = parts(split)
    assert not set(pairs(split.known)) & set(pairs(test.target))
    assert set(pairs(train)) <= set(pairs(split.known))
    assert set(pairs(valid.target)) <= set(pairs(split.known))
    assert not set(pairs(train)) & (set(pairs(valid.target)) | set(pairs(test.target)))
    for part in (valid, test):
        assert not set(pairs(part.given)) & set(pairs(part.target))
        assert set(part.users().tolist()) <= set(part.given.users.tolist())  # nobody is asked out of nothing
    if not test.new_users:
        assert pairs(valid.given) == pairs(train)
        assert pairs(test.given) == pairs(split.known)


@QUICK
@given(random_events(), ALL, st.integers(0, 99))
def test_the_seed_decides(events: Interactions, config: SplitConfig, seed: int) -> None:
    first, again = (split_or_skip(events, config, seed) for _ in range(2))
    assert [pairs(piece) for piece in pieces(first)] == [pairs(piece) for piece in pieces(again)]


@pytest.mark.parametrize("protocol", ["random", "held-out-collections"])
def test_another_seed_gives_another_split(protocol: ProtocolName) -> None:
    events = events_of([(u, i, 0) for u in range(8) for i in range(12)])
    seen = {str([pairs(p) for p in pieces(split_events(events, SplitConfig(protocol=protocol), s))]) for s in range(5)}
    assert len(seen) == 5


@pytest.mark.parametrize("protocol", ["leave-last-out", "time-cut"])
def test_time_needs_no_seed(protocol: ProtocolName) -> None:
    events = events_of([(u, i, 100 * i + u) for u in range(8) for i in range(12)])
    seen = {str([pairs(p) for p in pieces(split_events(events, SplitConfig(protocol=protocol), s))]) for s in range(5)}
    assert len(seen) == 1


# --- random --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "share", "min_events", "hidden"),
    [
        (10, 0.2, 5, 2),
        (12, 0.2, 5, 2),  # 2.4
        (8, 0.2, 5, 2),  # 1.6
        (5, 0.2, 5, 1),
        (4, 0.2, 5, 0),  # too few to be asked about
        (4, 0.01, 4, 1),  # at least one
        (2, 0.8, 2, 1),  # never all
    ],
)
def test_random_hides_a_share_of_each_user(n: int, share: float, min_events: int, hidden: int) -> None:
    rows = [(0, i, 0) for i in range(n)] + [(u, i, 0) for u in range(1, 5) for i in range(12)]
    config = SplitConfig(test_share=share, valid_share=0.5, min_events=min_events)
    _, _, test = parts(split_events(events_of(rows), config, seed=3))
    assert int((test.target.users == 0).sum()) == hidden


@QUICK
@given(random_events(), configs("random"))
def test_random_only_learns_from_users_with_few_events(events: Interactions, config: SplitConfig) -> None:
    train, valid, test = parts(split_or_skip(events, config))
    counts = Counter(events.users.tolist())
    asked = set(valid.users().tolist()) | set(test.users().tolist())
    assert all(counts[user] >= config.min_events for user in asked)
    assert set(train.users.tolist()) == set(counts)  # everybody keeps something to be known by
    assert set(test.users().tolist()) == {user for user, n in counts.items() if n >= config.min_events}


# --- leave-last-out ------------------------------------------------------------------------------------------------


@QUICK
@given(random_events(), configs("leave-last-out"))
def test_the_newest_is_test_and_the_second_newest_valid(events: Interactions, config: SplitConfig) -> None:
    histories: dict[int, list[tuple[int, int, int]]] = defaultdict(list)
    for row, (user, item, time) in enumerate(zip(events.users, events.items, events.times, strict=True)):
        histories[int(user)].append((int(time), row, int(item)))  # of equal times the later row is newer
    train, valid, test = parts(split_or_skip(events, config))
    asked = {user: sorted(history) for user, history in histories.items() if len(history) >= config.min_events}
    assert sorted(pairs(test.target)) == sorted((user, history[-1][2]) for user, history in asked.items())
    assert sorted(pairs(valid.target)) == sorted((u, h[-2][2]) for u, h in asked.items() if len(h) > 2)
    assert set(train.users.tolist()) == set(histories)


def test_leave_last_out_tells_times_apart_that_a_float_does_not() -> None:
    late = 2**60  # nanoseconds of 2006
    rows = [(0, 0, late + 1), (0, 1, late + 3), (0, 2, late + 2), (0, 3, late)]
    _, valid, test = parts(split_events(events_of(rows), SplitConfig(protocol="leave-last-out", min_events=2), 0))
    assert pairs(test.target) == [(0, 1)]
    assert pairs(valid.target) == [(0, 2)]


# --- time-cut ------------------------------------------------------------------------------------------------------


@QUICK
@given(random_events(), configs("time-cut"))
def test_every_test_event_is_newer_than_all_that_is_learnt_from(events: Interactions, config: SplitConfig) -> None:
    split = split_or_skip(events, config)
    train, valid, test = parts(split)
    assert train.times.max() < valid.target.times.min()
    assert split.known.times.max() < test.target.times.min()


def test_time_cut_takes_the_share() -> None:
    events = events_of([(i % 2, i // 2, 1000 - i) for i in range(20)])
    train, valid, test = parts(split_events(events, SplitConfig(protocol="time-cut", valid_share=0.25), 0))
    assert sorted(test.target.times.tolist()) == [997, 998, 999, 1000]
    assert sorted(valid.target.times.tolist()) == [993, 994, 995, 996]
    assert len(train) == 12


def test_time_cut_does_not_part_events_of_one_moment() -> None:
    events = events_of([(0, i, i // 4) for i in range(12)])  # 0 0 0 0 1 1 1 1 2 2 2 2
    with pytest.raises(DataError, match="part empty"):  # a fifth would be two of the last four
        split_events(events, SplitConfig(protocol="time-cut"), 0)
    config = SplitConfig(protocol="time-cut", test_share=0.4, valid_share=0.6)
    train, valid, test = parts(split_events(events, config, 0))
    assert {*train.times.tolist()} == {0}
    assert {*valid.target.times.tolist()} == {1}
    assert {*test.target.times.tolist()} == {2}


# --- held-out-collections ------------------------------------------------------------------------------------------


@QUICK
@given(random_events(), configs("held-out-collections", "newest-collections"))
def test_held_out_users_are_whole_and_half_given(events: Interactions, config: SplitConfig) -> None:
    split = split_or_skip(events, config)
    train, valid, test = parts(split)
    assert valid.new_users
    assert test.new_users
    groups = [set(train.users.tolist()), set(valid.users().tolist()), set(test.users().tolist())]
    assert not groups[0] & groups[1]
    assert not groups[0] & groups[2]
    assert not groups[1] & groups[2]
    counts = Counter(events.users.tolist())
    for part in (valid, test):
        given, hidden = Counter(part.given.users.tolist()), Counter(part.target.users.tolist())
        assert set(given) == set(hidden)
        for user, n in counts.items():
            if user in given:
                assert n >= config.min_events
                assert given[user] + hidden[user] == n
                assert abs(given[user] - hidden[user]) <= 1
    able = sum(n >= config.min_events for n in counts.values())
    assert len(groups[2]) == round(able * config.test_share)
    assert len(groups[1]) == round((able - len(groups[2])) * config.valid_share)


# --- newest-collections --------------------------------------------------------------------------------------------


@QUICK
@given(random_events(), configs("newest-collections"), st.integers(0, 9))
def test_the_newest_collections_are_asked_about(events: Interactions, config: SplitConfig, seed: int) -> None:
    """A collection is as old as its last event; those of test are the newest, those of validation the next."""
    train, valid, test = parts(split_or_skip(events, config, seed))
    counts = Counter(events.users.tolist())
    last = {user: int(events.times[events.users == user].max()) for user in counts}
    able = {user for user, n in counts.items() if n >= config.min_events}
    groups = [set(part.users().tolist()) for part in (test, valid)] + [set(train.users.tolist()) & able]
    for newer, older in pairwise(groups):
        if newer and older:
            assert min(last[user] for user in newer) >= max(last[user] for user in older)


def test_the_newest_collections_by_hand() -> None:
    """User 0 came back last; user 1 has too few events to be asked about; the others are as old as their number."""
    rows = [(user, item, user) for user in range(8) for item in range(2 if user == 1 else 6)]
    events = events_of([*rows, (0, 7, 99), (1, 8, 98)])
    config = SplitConfig(protocol="newest-collections", test_share=0.4, valid_share=0.3)
    for seed in range(5):
        train, valid, test = parts(split_events(events, config, seed))
        assert test.users().tolist() == [0, 6, 7]
        assert valid.users().tolist() == [5]
        assert np.unique(train.users).tolist() == [1, 2, 3, 4]
        assert Counter(test.given.users.tolist()) == {0: 3, 6: 3, 7: 3}
        assert Counter(test.target.users.tolist()) == {0: 4, 6: 3, 7: 3}


def test_of_equally_new_collections_the_seed_chooses() -> None:
    """As for baskets of one day: not those at the end of the table."""
    events = events_of([(user, item, 5) for user in range(8) for item in range(6)])
    config = SplitConfig(protocol="newest-collections")
    chosen = {tuple(parts(split_events(events, config, seed))[2].users().tolist()) for seed in range(10)}
    assert len(chosen) > 1


# --- files and none ------------------------------------------------------------------------------------------------

FULL = events_of([(u, i, u + i) for u in range(8) for i in range(6)])


def test_files_asks_for_the_given_events_and_divides_the_others() -> None:
    test_events = events_of([(u, 7, 0) for u in range(3)])
    split = split_events(FULL, SplitConfig(protocol="files"), 0, test_events)
    train, valid, test = parts(split)
    assert pairs(test.target) == [(0, 7), (1, 7), (2, 7)]
    assert pairs(test.given) == pairs(split.known) == pairs(FULL)
    assert sorted(pairs(train) + pairs(valid.target)) == sorted(pairs(FULL))
    assert Counter(valid.target.users.tolist()) == dict.fromkeys(range(8), 1)


@pytest.mark.parametrize("protocol", ["random", "files"])
def test_the_latest_events_of_each_user_validate(protocol: ProtocolName) -> None:
    rows = [(user, item, (item * 3 + user) % 10) for user in range(3) for item in range(10)]
    left, tested = events_of(rows), events_of([(0, 11, 99), (1, 11, 99), (2, 11, 99)])
    config = SplitConfig(protocol=protocol, valid_share=0.2, valid_by="time", test_share=0.01)
    known, valid, _ = parts(split_events(left, config, 0, tested))
    for user in range(3):
        latest = max(known.times[known.users == user].tolist())
        mine = valid.target.times[valid.target.users == user].tolist()
        assert len(mine) == 2
        assert min(mine) > latest


def test_the_latest_events_need_times() -> None:
    events = events_of([(0, item, NO_TIME) for item in range(10)])
    with pytest.raises(DataError, match=r"split\.valid_by 'time' needs times"):
        split_events(events, SplitConfig(valid_by="time"), 0)


def test_files_needs_test_events() -> None:
    with pytest.raises(DataError, match=r"'files' but no test events are given; set data\.test"):
        split_events(FULL, SplitConfig(protocol="files"), 0)


def test_none_learns_from_everything() -> None:
    split = split_events(FULL, SplitConfig(protocol="none"), 0)
    assert split.train is split.known is FULL
    assert split.valid is None
    assert split.test is None


# --- refused -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["leave-last-out", "time-cut", "newest-collections"])
def test_protocols_of_time_need_times(protocol: ProtocolName) -> None:
    timeless = Interactions.of(FULL.users, FULL.items, FULL.n_users, FULL.n_items)
    assert (timeless.times == NO_TIME).all()
    with pytest.raises(DataError, match=f"split.protocol '{protocol}' needs times, and the events have none"):
        split_events(timeless, SplitConfig(protocol=protocol), 0)


@pytest.mark.parametrize("protocol", [name for name in get_args(ProtocolName) if name not in ("files", "none")])
def test_an_empty_part_is_refused(protocol: ProtocolName) -> None:
    few = events_of([(0, 0, 5), (1, 1, 5)])
    with pytest.raises(DataError, match=f"split.protocol '{protocol}' leaves the .* part empty; there are 8 users"):
        split_events(few, SplitConfig(protocol=protocol), 0)


@pytest.mark.parametrize("protocol", get_args(ProtocolName))
@settings(QUICK, max_examples=5)
@given(st.integers(0, 9))
def test_users_are_asked_in_order(protocol: ProtocolName, seed: int) -> None:
    rows = [(u, i, 100 * i + u) for u in range(8) for i in range(12)]
    test = [(5, 1, 0), (2, 1, 0), (5, 0, 0)]
    kept = [row for row in rows if protocol != "files" or row[:2] not in {t[:2] for t in test}]
    split = split_events(events_of(kept), SplitConfig(protocol=protocol), seed, events_of(test))
    for part in (split.valid, split.test.unseal() if split.test else None):
        if part:
            assert part.users().tolist() == sorted(set(part.target.users.tolist()))


def test_given_test_events_that_cannot_be_asked_about_are_left_out() -> None:
    rows = [(u, i, 0) for u in range(7) for i in range(6)]
    # (0, 0) is known already, user 7 has no training events, (1, 7) is a question
    split = split_events(
        events_of(rows), SplitConfig(protocol="files"), 0, events_of([(0, 0, 0), (7, 1, 0), (1, 7, 0)])
    )
    assert split.test is not None
    target = split.test.unseal().target
    assert list(zip(target.users.tolist(), target.items.tolist(), strict=True)) == [(1, 7)]
