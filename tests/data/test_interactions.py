"""Interactions: the door, subsets, and joins."""

from typing import Any

import numpy as np
import pytest

from pinfold.data.interactions import NO_TIME, Interactions

GOOD: dict[str, Any] = {
    "users": np.array([0, 1, 1], np.int32),
    "items": np.array([2, 0, 1], np.int32),
    "weights": np.array([1, 2, 0.5], np.float32),
    "times": np.array([30, 10, 20], np.int64),
    "n_users": 2,
    "n_items": 3,
}
NOTHING = np.zeros(0, np.int32)


@pytest.mark.parametrize(
    ("column", "value", "error", "message"),
    [
        ("users", np.array([0, 1, 1]), TypeError, "users must have dtype int32, got int64"),
        ("items", np.array([2, 0, 1], np.uint32), TypeError, "items must have dtype int32"),
        ("weights", np.ones(3), TypeError, "weights must have dtype float32"),
        ("times", np.ones(3, np.int32), TypeError, "times must have dtype int64"),
        ("items", np.array([2, 0], np.int32), ValueError, "items must have shape"),
        ("times", np.zeros((3, 1), np.int64), ValueError, "times must have shape"),
        ("users", np.zeros((3, 1), np.int32), ValueError, "users must have shape"),
        ("users", np.array([0, 1, 2], np.int32), ValueError, r"users must lie in \[0, 2\), found 0 to 2"),
        ("items", np.array([-1, 0, 1], np.int32), ValueError, r"items must lie in \[0, 3\), found -1 to 1"),
        ("n_users", 0, ValueError, r"users must lie in \[0, 0\)"),
        ("weights", np.array([1, 0, 1], np.float32), ValueError, "weights must be finite and positive"),
        ("weights", np.array([1, -1, 1], np.float32), ValueError, "weights must be finite and positive"),
        ("weights", np.array([1, np.nan, 1], np.float32), ValueError, "weights must be finite and positive"),
        ("weights", np.array([1, np.inf, 1], np.float32), ValueError, "weights must be finite and positive"),
        ("times", np.array([1, NO_TIME, 1]), ValueError, "times must be there for every event or for none"),
        ("times", np.array([NO_TIME, 1, 1]), ValueError, "times must be there for every event or for none"),
    ],
)
def test_the_door(column: str, value: object, error: type[Exception], message: str) -> None:
    Interactions(**GOOD)
    with pytest.raises(error, match=message):
        Interactions(**GOOD | {column: value})


def test_events_without_times() -> None:
    events = Interactions.of(GOOD["users"], GOOD["items"], 2, 3)
    assert not events.timed
    assert events.weights.tolist() == [1, 1, 1]
    assert Interactions(**GOOD).timed


def test_no_events() -> None:
    events = Interactions.of(NOTHING, NOTHING, 2, 3)
    assert len(events) == 0
    assert not events.timed
    assert Interactions.of(NOTHING, NOTHING, 0, 0).n_users == 0


def columns(events: Interactions) -> list[tuple[float, ...]]:
    return list(zip(*(c.tolist() for c in (events.users, events.items, events.weights, events.times)), strict=True))


@pytest.mark.parametrize(
    ("which", "kept"),
    [
        (np.array([True, False, True]), [(0, 2, 1, 30), (1, 1, 0.5, 20)]),
        (np.array([2, 0, 2]), [(1, 1, 0.5, 20), (0, 2, 1, 30), (1, 1, 0.5, 20)]),
        (np.array([False, False, False]), []),
        (np.array([], np.int64), []),
    ],
)
def test_take_keeps_whole_rows_in_the_asked_order(which: Any, kept: list[tuple[float, ...]]) -> None:
    taken = Interactions(**GOOD).take(which)
    assert columns(taken) == kept
    assert (taken.n_users, taken.n_items) == (2, 3)


def test_take_refuses_a_mask_of_another_length() -> None:
    with pytest.raises(IndexError, match="boolean"):
        Interactions(**GOOD).take(np.array([True, False]))


def test_join_puts_the_others_behind() -> None:
    events = Interactions(**GOOD)
    assert columns(events.join(events.take(np.array([1])))) == [*columns(events), (1, 0, 2, 10)]


def test_join_refuses_events_of_others() -> None:
    events = Interactions(**GOOD)
    with pytest.raises(ValueError, match="same users and items"):
        events.join(Interactions(**GOOD | {"n_items": 4}))
    with pytest.raises(ValueError, match="for every event or for none"):
        events.join(Interactions.of(GOOD["users"], GOOD["items"], 2, 3))


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("weights", 0, "weights must be finite and positive"),
        ("weights", np.nan, "weights must be finite and positive"),
        ("times", NO_TIME, "times must be there for every event or for none"),
    ],
)
@pytest.mark.parametrize("place", range(8))
def test_the_door_looks_at_every_span(
    monkeypatch: pytest.MonkeyPatch, column: str, value: float, message: str, place: int
) -> None:
    monkeypatch.setattr("pinfold.arrays.spans.__defaults__", (3,))
    rows = np.zeros(8, np.int32)
    columns: dict[str, Any] = {"weights": np.ones(8, np.float32), "times": np.arange(8)}
    Interactions(rows, rows, columns["weights"], columns["times"], 1, 1)
    columns[column][place] = value
    with pytest.raises(ValueError, match=message):
        Interactions(rows, rows, columns["weights"], columns["times"], 1, 1)
