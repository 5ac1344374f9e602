"""Batches made ahead: the same items in the same order, whoever is slow, and no thread left over."""

import gc
import os
import signal
import threading
import time
import traceback
from collections.abc import Generator, Iterator
from dataclasses import replace

import numpy as np
import pytest

from pinfold.graph.bipartite import BipartiteGraph
from pinfold.sampling.ahead import Ahead, Waiting
from pinfold.sampling.pairs import SamplingConfig, pair_batches

PAUSE = 0.02  # seconds


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    deadline = time.monotonic() + 5
    while producers() and time.monotonic() < deadline:
        time.sleep(0.001)
    assert not producers()


def producers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "pinfold-ahead"]


def slow(n: int) -> Iterator[int]:
    for k in range(n):
        time.sleep(PAUSE)
        yield k


class Watched:
    """A source of numbers that writes down what it was asked for, and that it was closed."""

    def __init__(self, n: int, fails_at: int | None = None) -> None:
        self.n, self.fails_at = n, fails_at
        self.made: list[int] = []
        self.closed = threading.Event()

    def __iter__(self) -> Iterator[int]:
        try:
            for k in range(self.n):
                if k == self.fails_at:
                    raise ZeroDivisionError(f"item {k}")
                self.made.append(k)
                yield k
        finally:
            self.closed.set()


def settled(source: Watched, n: int) -> list[int]:
    """What the source was asked for, once that is n items or a while has passed."""
    deadline = time.monotonic() + 5
    while len(source.made) < n and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(PAUSE)  # long enough for an item too many
    return list(source.made)


@pytest.mark.parametrize("depth", [1, 2, 50])
def test_all_items_in_order(depth: int) -> None:
    source = Watched(20)
    assert list(Ahead(source, depth)) == list(range(20))
    assert source.closed.is_set()
    assert list(Ahead([], depth)) == []


def test_the_end_stays_the_end() -> None:
    items = Ahead([1])
    assert list(items) == [1]
    assert list(items) == []
    with pytest.raises(StopIteration):
        next(items)


def test_batches_are_those_of_the_bare_iterator(graph: BipartiteGraph) -> None:
    config = replace(SamplingConfig(), batch_by="edges", batch_size=64, n_negatives=5, shared=False)
    bare = list(pair_batches(graph, config, np.random.default_rng(3)))
    ahead = list(Ahead(pair_batches(graph, config, np.random.default_rng(3))))
    assert len(ahead) == len(bare) > 3
    for one, other in zip(ahead, bare, strict=True):
        np.testing.assert_array_equal(one.users, other.users)
        np.testing.assert_array_equal(one.positives, other.positives)
        np.testing.assert_array_equal(one.negatives, other.negatives)


def test_a_slow_producer_is_waited_for() -> None:
    items = Ahead(slow(5))
    started = time.perf_counter()
    assert list(items) == [0, 1, 2, 3, 4]
    seconds = time.perf_counter() - started
    assert 4 * PAUSE < items.waited <= seconds
    assert items.worked >= 5 * PAUSE


def test_a_slow_consumer_hardly_waits() -> None:
    items = Ahead(slow(6))
    computed, started = 0.0, time.perf_counter()
    for _ in items:
        begun = time.perf_counter()
        time.sleep(2 * PAUSE)
        computed += time.perf_counter() - begun
    assert items.worked >= 6 * PAUSE
    assert items.waited < items.worked / 2  # about a sixth: for the first item alone
    assert time.perf_counter() - started < computed + items.worked / 2  # side by side, not one after the other


def test_no_more_than_depth_items_are_made_ahead() -> None:
    source = Watched(100)
    with Ahead(source, 3) as items:
        assert next(items) == 0
        assert settled(source, 4) == [0, 1, 2, 3]
        assert next(items) == 1
        assert settled(source, 5) == [0, 1, 2, 3, 4]


def test_nothing_is_made_before_it_is_asked_for() -> None:
    source = Watched(3)
    with Ahead(source) as items:
        assert not producers()
    assert list(items) == []
    assert source.made == []


def test_an_error_comes_after_the_items_before_it_and_names_its_place() -> None:
    items: Ahead[int] = Ahead(Watched(10, fails_at=4))
    found: list[int] = []
    with pytest.raises(ZeroDivisionError, match="item 4") as caught:
        found.extend(items)
    assert found == [0, 1, 2, 3]
    frames = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert "test_an_error_comes_after_the_items_before_it_and_names_its_place" in frames
    assert frames[-1] == "__iter__"  # of the source
    assert list(items) == []  # raised once


def test_a_source_that_cannot_begin() -> None:
    class Broken:
        def __iter__(self) -> Iterator[int]:
            raise OSError("no such file")

    with pytest.raises(OSError, match="no such file"):
        next(Ahead(Broken()))


def test_leaving_early_ends_the_thread_and_closes_the_source() -> None:
    source = Watched(10**9)
    with Ahead(source) as items:
        for item in items:
            if item == 5:
                break
    assert not producers()  # `with` has waited for it
    assert source.closed.is_set()
    assert len(source.made) <= 8  # 0 .. 5 and two ahead
    assert list(items) == []


def test_an_error_of_the_consumer_ends_the_thread() -> None:
    def consume() -> None:
        with Ahead(source) as items:
            for item in items:
                1 / item

    source = Watched(10**9)
    with pytest.raises(ZeroDivisionError):
        consume()
    assert not producers()
    assert source.closed.is_set()


def test_ctrl_c_reaches_a_consumer_who_waits() -> None:
    def consume() -> None:
        with Ahead(endless()) as items:
            next(items)

    def endless() -> Iterator[int]:
        waits.set()
        go_on.wait(60)  # longer than any busy machine holds up the other thread
        yield 0

    def press() -> None:
        waits.wait(60)
        time.sleep(PAUSE)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(PAUSE)
        go_on.set()

    waits, go_on = threading.Event(), threading.Event()
    presser = threading.Thread(target=press)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs have none
    try:
        presser.start()
        with pytest.raises(KeyboardInterrupt):
            consume()
        presser.join()
    finally:
        signal.signal(signal.SIGINT, before)
    assert not producers()


def test_a_producer_in_the_middle_of_an_item_is_waited_for() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def source() -> Iterator[int]:
        yield 0
        begun.set()
        go_on.wait(5)
        yield 1

    items = Ahead(source())
    next(items)
    begun.wait(5)
    threading.Timer(PAUSE, go_on.set).start()
    items.close()
    assert not producers()
    assert list(items) == []


def test_a_dropped_iterator_ends_its_thread() -> None:
    source = Watched(10**9)

    def generator() -> Generator[int, None, None]:
        yield from Ahead(source)

    consumer = generator()
    next(consumer)
    assert producers()
    consumer.close()  # GeneratorExit, as when a `for` over it ends early
    del consumer
    gc.collect()
    assert source.closed.wait(5)


def test_an_error_while_closing_early_is_not_raised_later() -> None:
    with Ahead(Watched(10, fails_at=1)) as items:
        next(items)
    assert list(items) == []


def test_closing_twice_and_a_depth_of_nothing() -> None:
    items = Ahead([1, 2, 3])
    next(items)
    items.close()
    items.close()
    with pytest.raises(ValueError, match="depth must be at least 1, got 0"):
        Ahead([1], depth=0)


def test_who_counts_waiting() -> None:
    assert isinstance(Ahead([1]), Waiting)
    assert not isinstance(slow(1), Waiting)
