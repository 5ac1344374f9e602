"""What every store promises, asked of both databases."""

import itertools
import random
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from pinfold.arrays import Floats
from pinfold.errors import ConflictError, PinfoldError, StoreError
from pinfold.serving.sql_store import open_store
from pinfold.serving.store import MAX_ID_BYTES, Entry, EventEntry, ItemEntry, NewEvent, Store

ODD_IDS = [
    "a",
    " ",
    "é",
    "e\u0301",
    "\u202e",
    "𝄞",
    "'; DROP TABLE pinfold_items; --",
    "%(x)s",
    ":x",
    "\\",
    "\n",
    "\uffff",
]


@pytest.fixture
def store(place: str) -> Iterator[Store]:
    opened = open_store(place)
    yield opened
    opened.close()


def everything(store: Store) -> list[Entry]:
    return list(store.entries())


def vectors(n: int, dim: int = 4) -> Floats:
    return np.random.default_rng(0).standard_normal((n, dim)).astype(np.float32)


def test_what_was_told_comes_back_in_order_and_after_a_restart(place: str) -> None:
    store = open_store(place)
    assert everything(store) == []
    assert store.last_sequence() == 0
    attributes = {"title": "Zoë", "price": 1.5, "tags": ["a", {"b": None}], "big": 10**30, "nul": "\0"}
    told: list[Entry | None] = [store.put_item("a", attributes, ["u", "v"], 1.5)]
    told += store.add_events(
        [NewEvent("u", "a", 7, "e1"), NewEvent("v", "a"), NewEvent("u", "a", -(2**63), "e2")], 2.25
    )
    told += [store.delete_item("b", 3.0)]
    assert told == [
        ItemEntry(1, "a", attributes, ("u", "v"), False, 1.5),
        EventEntry(2, "u", "a", 7, "e1", 2.25),
        EventEntry(3, "v", "a", None, None, 2.25),
        EventEntry(4, "u", "a", -(2**63), "e2", 2.25),
        ItemEntry(5, "b", {}, (), True, 3.0),
    ]
    for _ in range(2):
        assert everything(store) == told
        assert list(store.entries(3)) == told[3:]
        assert list(store.entries(5)) == []
        assert store.last_sequence() == 5
        store.close()
        store = open_store(place)
    store.close()


def test_an_item_keeps_its_newest_entry_and_no_sequence_comes_twice(place: str) -> None:
    store = open_store(place)
    for n in range(3):
        assert store.put_item("a", {"n": n}, [], n).sequence == 2 * n + 1
        assert store.delete_item("b", n).sequence == 2 * n + 2
    store.close()
    store = open_store(place)
    assert [(entry.sequence, entry.id) for entry in everything(store) if isinstance(entry, ItemEntry)] == [
        (5, "a"),
        (6, "b"),
    ]
    assert store.put_item("b", {"back": True}, [], 9).sequence == 7
    newest = everything(store)[-1]
    assert isinstance(newest, ItemEntry)
    assert not newest.deleted
    store.close()


def test_events_told_again_are_known_by_their_id(store: Store) -> None:
    first = store.add_events([NewEvent("u", "a", 1, "x"), NewEvent("u", "a", 1, "x"), NewEvent("u", "a", 1)], 1.0)
    assert [entry and entry.sequence for entry in first] == [1, None, 2]
    again = store.add_events([NewEvent("u", "a", 1, "x"), NewEvent("u", "a", 1), NewEvent("u", "a", 1, "y")], 2.0)
    assert [entry and entry.sequence for entry in again] == [None, 3, 4]
    assert store.add_events([NewEvent("u", "a", 1, "x")], 3.0) == [None]
    assert store.add_events([], 3.0) == []
    assert len(everything(store)) == 4


@pytest.mark.parametrize(
    "other", [NewEvent("w", "a", 1, "x"), NewEvent("u", "b", 1, "x"), NewEvent("u", "a", None, "x")]
)
def test_an_id_with_other_content_is_refused_with_the_whole_batch(store: Store, other: NewEvent) -> None:
    with pytest.raises(ConflictError, match=r"events\[1\]: id 'x'") as in_batch:
        store.add_events([NewEvent("u", "a", 1, "x"), other], 1.0)
    assert in_batch.value.position == 1
    assert everything(store) == []
    store.add_events([NewEvent("u", "a", 1, "x")], 1.0)
    with pytest.raises(ConflictError, match=r"events\[2\]: id 'x' was accepted as user 'u', item 'a', time 1"):
        store.add_events([NewEvent("u", "c"), NewEvent("u", "d"), other], 2.0)
    assert len(everything(store)) == 1
    assert isinstance(in_batch.value, PinfoldError)


def test_a_thousand_events_are_one_transaction_and_more_than_one_lookup(store: Store) -> None:
    events = [NewEvent(f"u{n}", f"i{n}", n, f"e{n}") for n in range(2500)]
    accepted = store.add_events(events, 1.0)
    assert [entry.sequence for entry in accepted if entry] == list(range(1, 2501))
    assert store.add_events(events, 2.0) == [None] * 2500
    assert [(e.user, e.item, e.time, e.event) for e in everything(store) if isinstance(e, EventEntry)] == [
        (e.user, e.item, e.time, e.event) for e in events
    ]


def test_any_text_is_an_id(store: Store) -> None:
    ids = [*ODD_IDS, "x" * MAX_ID_BYTES, "é" * (MAX_ID_BYTES // 2)]
    for name in ids:
        store.put_item(name, {name: name}, [name], 1.0, ("g", np.ones(2, np.float32)))
        store.add_events([NewEvent(name, name, None, name)], 1.0)
    store.set_meta("odd", "".join(ODD_IDS))
    items = [entry for entry in everything(store) if isinstance(entry, ItemEntry)]
    assert [entry.id for entry in items] == ids
    assert all(entry.collections == (entry.id,) and entry.attributes == {entry.id: entry.id} for entry in items)
    assert [e.event for e in everything(store) if isinstance(e, EventEntry)] == ids
    assert store.meta("odd") == "".join(ODD_IDS)


@pytest.mark.parametrize(
    "bad", ["", "a\0b", "\ud800", "x" * (MAX_ID_BYTES + 1), "é" * (MAX_ID_BYTES // 2 + 1), 7, None]
)
def test_text_that_cannot_be_stored_is_refused_and_nothing_changes(store: Store, bad: Any) -> None:
    for call in (
        lambda: store.put_item(bad, {}, [], 1.0),
        lambda: store.put_item("a", {}, ["u", bad], 1.0),
        lambda: store.delete_item(bad, 1.0),
        lambda: store.add_events([NewEvent("u", "a"), NewEvent(bad, "a")], 1.0),
        lambda: store.add_events([NewEvent("u", bad)], 1.0),
        lambda: store.set_meta(bad, "x"),
        lambda: store.save_vectors("g", ["a", bad], vectors(2)),
        lambda: store.save_vectors(bad, ["a", "b"], vectors(2)),
        lambda: store.put_item("a", {}, [], 1.0, (bad, vectors(1)[0])),
    ):
        with pytest.raises(ValueError, match=r"must|bytes of UTF-8"):
            call()
    if bad is not None:
        with pytest.raises(ValueError, match=r"events\[0\].event"):
            store.add_events([NewEvent("u", "a", None, bad)], 1.0)
    assert everything(store) == []


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "bad", [float("nan"), float("inf"), "\udfff", {1, 2}, b"x", nested(100_000), 10**5000], ids=lambda b: str(type(b))
)
def test_attributes_that_are_no_json_are_refused(store: Store, bad: Any) -> None:
    with pytest.raises(ValueError, match="attributes cannot be stored as JSON"):
        store.put_item("a", {"x": bad}, [], 1.0)
    assert everything(store) == []


@pytest.mark.parametrize("bad", [2**63, -(2**63) - 1, 1.5, True, "1"])
def test_times_that_are_no_64_bit_seconds_are_refused(store: Store, bad: Any) -> None:
    with pytest.raises(ValueError, match=r"events\[0\].time must be whole unix seconds"):
        store.add_events([NewEvent("u", "a", bad)], 1.0)
    with pytest.raises(ValueError, match="accepted must be finite"):
        store.put_item("a", {}, [], float("nan"))


def test_settings(place: str) -> None:
    store = open_store(place)
    assert store.meta("generation") is None
    store.set_meta("generation", "one")
    store.set_meta("generation", "two")
    store.set_meta("empty", "")
    store.close()
    store = open_store(place)
    assert (store.meta("generation"), store.meta("empty"), store.meta("other")) == ("two", "", None)
    with pytest.raises(ValueError, match="the store's own"):
        store.set_meta("schema", "2")
    with pytest.raises(ValueError, match="NUL"):
        store.set_meta("x", "\0")
    assert store.last_sequence() == 0
    store.close()


def test_a_second_server_is_refused_until_the_first_has_closed(place: str) -> None:
    store = open_store(place)
    for _ in range(2):
        with pytest.raises(StoreError, match="another server has it open"):
            open_store(place)
    store.put_item("a", {}, [], 1.0)
    store.close()
    store.close()
    for call in (store.last_sequence, lambda: store.put_item("b", {}, [], 1.0), lambda: everything(store)):
        with pytest.raises(StoreError, match="was closed"):
            call()
    again = open_store(place)
    assert len(everything(again)) == 1
    again.close()


def test_entries_are_those_of_one_moment(store: Store) -> None:
    store.add_events([NewEvent("u", f"i{n}") for n in range(1500)], 1.0)
    stream = store.entries()
    first = [next(stream) for _ in range(10)]
    store.put_item("new", {}, [], 2.0)
    store.delete_item("i3", 2.0)
    assert [entry.sequence for entry in [*first, *stream]] == list(range(1, 1501))
    assert store.last_sequence() == 1502
    half = store.entries()
    next(half)
    store.close()
    with pytest.raises(StoreError, match="was closed"):
        list(half)


def test_writers_and_readers_in_many_threads(store: Store) -> None:
    n_threads, n_rounds = 4, 8
    faults: list[Exception] = []
    taken: list[list[int]] = [[] for _ in range(n_threads)]

    def write(t: int) -> None:
        try:
            for n in range(n_rounds):
                taken[t].append(store.put_item(f"i{(t + n) % 4}", {"t": t}, [], n).sequence)
                same = [NewEvent(f"u{t}", "i", n, f"e{n}-{t}"), NewEvent("all", "i", n, f"same{n}")]
                taken[t] += [entry.sequence for entry in store.add_events(same, n) if entry]
        except Exception as error:
            faults.append(error)

    def read() -> None:
        try:
            for _ in range(n_rounds):
                found = [entry.sequence for entry in store.entries()]
                assert found == sorted(set(found))
                store.last_sequence()
        except Exception as error:
            faults.append(error)

    threads = [threading.Thread(target=write, args=(t,)) for t in range(n_threads)]
    threads += [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert all(mine == sorted(mine) for mine in taken)
    assert sorted(itertools.chain(*taken)) == list(range(1, n_threads * n_rounds * 2 + n_rounds + 1))
    assert len([e for e in everything(store) if isinstance(e, EventEntry)]) == n_rounds * (n_threads + 1)


def test_nearest_is_by_inner_product(store: Store) -> None:
    table, query = vectors(300, 8), vectors(1, 8)[0]
    ids = [f"i{n}" for n in range(300)]
    assert store.nearest("g", query, 5) == []
    store.save_vectors("g", ids, table)
    store.save_vectors("other", ["x"], vectors(1, 3))
    scores = table @ query
    for k in (1, 10, 150, 400):
        order = np.argsort(-scores)[:k]
        found = store.nearest("g", query, k)
        assert [name for name, _ in found] == [ids[n] for n in order]
        np.testing.assert_allclose([score for _, score in found], scores[order], rtol=1e-5, atol=1e-6)
    assert [name for name, _ in store.nearest("other", np.ones(3, np.float32), 9)] == ["x"]


def test_vectors_are_replaced_removed_and_kept_over_a_restart(place: str) -> None:
    store = open_store(place)
    query = np.array([1, 0], np.float32)
    store.save_vectors("g", ["a", "b"], np.array([[1, 0], [2, 0]], np.float32))
    store.save_vectors("g", ["b", "c"], np.array([[0.5, 0], [3, 0]], np.float32))
    store.put_item("a", {}, [], 1.0, ("g", np.array([9, 0], np.float32)))
    store.put_item("a", {}, [], 1.0, ("h", np.array([7, 0, 0], np.float32)))
    store.put_item("c", {"without": "a vector"}, [], 1.0)
    store.close()
    store = open_store(place)
    assert store.nearest("g", query, 5) == [("a", 9), ("c", 3), ("b", 0.5)]
    store.delete_item("a", 2.0)
    assert store.nearest("g", query, 5) == [("c", 3), ("b", 0.5)]
    assert store.nearest("h", np.ones(3, np.float32), 5) == []
    store.delete_vectors("g")
    store.delete_vectors("never there")
    assert store.nearest("g", query, 5) == []
    store.save_vectors("g", ["z"], np.ones((1, 5), np.float32))
    assert store.nearest("g", np.ones(5, np.float32), 5) == [("z", 5)]
    store.close()


def test_vectors_that_do_not_fit_are_refused_with_their_item(store: Store) -> None:
    store.save_vectors("g", ["a"], vectors(1))
    with pytest.raises(ValueError, match="have 4 numbers, got 3"):
        store.put_item("b", {}, [], 1.0, ("g", vectors(1, 3)[0]))
    with pytest.raises(ValueError, match="must be finite"):
        store.put_item("b", {}, [], 1.0, ("g", np.array([1, 2, 3, np.nan], np.float32)))
    with pytest.raises(ValueError, match="must not repeat"):
        store.save_vectors("g", ["b", "b"], vectors(2))
    with pytest.raises(ValueError, match="have 4 numbers, got 5"):
        store.nearest("g", vectors(1, 5)[0], 3)
    with pytest.raises(ValueError, match="k must be at least 1"):
        store.nearest("g", vectors(1)[0], 0)
    assert everything(store) == []
    assert len(store.nearest("g", vectors(1)[0], 9)) == 1
    store.save_vectors("nothing", [], np.empty((0, 4), np.float32))
    assert store.nearest("nothing", vectors(1)[0], 1) == []


def test_both_databases_give_the_same_answers(tmp_path: Any, new_database: Any) -> None:
    """The same random calls, one store beside the other."""
    stores = [open_store(str(tmp_path / "a.db")), open_store(new_database())]
    rng = random.Random(0)
    for n in range(60):
        name = f"i{rng.randrange(8)}"
        vector = np.array([rng.gauss(0, 1) for _ in range(3)], np.float32)
        events = [NewEvent(f"u{rng.randrange(3)}", name, rng.randrange(2), f"e{rng.randrange(30)}") for _ in range(3)]
        calls: Any = rng.choice(
            [
                lambda store, v=vector, i=name, n=n: store.put_item(i, {"n": n}, ["u"], n, ("g", v)),
                lambda store, i=name, n=n: store.delete_item(i, n),
                lambda store, e=events, n=n: store.add_events(e, n),
                lambda store, v=vector: [name for name, _ in store.nearest("g", v, 4)],
            ]
        )
        outcomes = []
        for store in stores:
            try:
                outcomes.append(calls(store))
            except (ConflictError, ValueError) as error:
                outcomes.append(str(error))
        assert outcomes[0] == outcomes[1]
    assert everything(stores[0]) == everything(stores[1])
    for store in stores:
        store.close()
