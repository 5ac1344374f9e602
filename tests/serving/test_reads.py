"""Threads that are waited for, and the order of events."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from pinfold.serving.checks import Taken
from pinfold.serving.reads import _by_time, in_pool


def test_work_that_is_waited_for_no_more_is_withdrawn_or_keeps_its_thread() -> None:
    begun, free, done = threading.Event(), threading.Event(), []

    def work(name: str) -> None:
        begun.set()
        free.wait(10)
        done.append(name)

    async def ask() -> None:
        with ThreadPoolExecutor(1) as pool:
            first = asyncio.create_task(in_pool(pool, lambda: work("first")))
            second = asyncio.create_task(in_pool(pool, lambda: work("second")))
            await asyncio.to_thread(begun.wait, 10)
            for task in (first, second):
                task.cancel()
            for task in (first, second):
                with pytest.raises(asyncio.CancelledError):
                    await task
            free.set()
            assert await in_pool(pool, lambda: "third") == "third"

    asyncio.run(ask())
    assert done == ["first"]


def test_events_are_put_in_the_order_of_time_where_all_have_one() -> None:
    events = (Taken("a", 200), Taken("b", 100), Taken("a", 50))
    assert _by_time(events) == (("a", "b", "a"), True)
    assert _by_time((*events, Taken("c"))) == (("a", "b", "a", "c"), False)
