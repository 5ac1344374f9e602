"""Batches made ahead: a thread makes the next ones while the caller computes with this one."""

import threading
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from typing import Generic, Protocol, Self, TypeVar, runtime_checkable

T = TypeVar("T")


@runtime_checkable
class Waiting(Protocol):
    """An iterator that knows how long its consumer has waited for it, and that is to be closed after use."""

    waited: float  # seconds

    def close(self) -> None:
        """Let go of whatever makes the items."""
        ...


class Ahead(Iterator[T]):
    """The items of `source` in their order, made by one thread, at most `depth` of them before they are asked for.

    It pays off as far as the source releases the GIL, as kernels, large numpy calls and file reads do. The source
    must share nothing that changes, such as a random generator, with who consumes it; then the items are those of the
    bare source. An error in the source is raised where the item would have come, with its own traceback.

    The thread starts with the first item that is asked for, and ends after the last one, or once it has finished its
    item after `close`, the end of a `with` block, or when nobody holds the iterator any more. PinSage section 3.3,
    producer-consumer minibatch construction (Ying et al., KDD 2018).
    """

    def __init__(self, source: Iterable[T], depth: int = 2) -> None:
        """A source that nobody has begun.

        Raises:
            ValueError: a depth below 1.
        """
        if depth < 1:
            raise ValueError(f"depth must be at least 1, got {depth}")
        self.waited = 0.0  # seconds in which the consumer had nothing to do
        # the thread knows the shelf but not this object, so that it ends when this object is dropped
        self._shelf: _Shelf[T] = _Shelf(depth)
        self._thread = threading.Thread(
            target=_produce, args=(source, self._shelf), name="pinfold-ahead", daemon=True
        )  # a daemon, so that a forgotten iterator does not keep the process alive

    @property
    def worked(self) -> float:
        """Seconds that the thread has spent in the source; where it overlaps perfectly, `waited` stays near 0."""
        return self._shelf.worked

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        if self._thread.ident is None and not self._shelf.closed:
            self._thread.start()
        started = time.perf_counter()
        try:
            return self._shelf.take()
        finally:
            self.waited += time.perf_counter() - started

    def close(self) -> None:
        """End the thread and wait until it has ended; items that were not asked for are lost."""
        self._shelf.close()
        if self._thread.ident is not None:
            self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        # no join: the garbage collector may run in any thread, the producer's included
        shelf = getattr(self, "_shelf", None)
        if shelf is not None:
            shelf.close()


class _Shelf(Generic[T]):
    """What lies between the producer and the consumer."""

    def __init__(self, depth: int) -> None:
        self.closed = False  # the consumer wants no more
        self.worked = 0.0
        self._depth = depth
        self._items: deque[T] = deque()
        self._over = False  # the producer makes no more
        self._error: BaseException | None = None
        self._changed = threading.Condition()  # its lock is reentrant, as a destructor needs

    def has_room(self) -> bool:
        """Wait for room; False where no item is wanted any more."""
        with self._changed:
            self._changed.wait_for(lambda: self.closed or len(self._items) < self._depth)
            return not self.closed

    def put(self, item: T) -> None:
        with self._changed:
            if not self.closed:
                self._items.append(item)
            self._changed.notify_all()

    def end(self, error: BaseException | None) -> None:
        with self._changed:
            self._over, self._error = True, error
            self._changed.notify_all()

    def take(self) -> T:
        """The next item, the producer's error, or StopIteration."""
        with self._changed:
            self._changed.wait_for(lambda: self.closed or self._over or bool(self._items))
            if self._items:
                item = self._items.popleft()
                self._changed.notify_all()
                return item
            error, self._error = self._error, None  # raised once
        if error is None or self.closed:
            raise StopIteration
        try:
            raise error
        finally:
            del error  # it knows this frame, and would keep it alive

    def close(self) -> None:
        with self._changed:
            self.closed = True
            self._items.clear()
            self._changed.notify_all()


def _produce(source: Iterable[T], shelf: _Shelf[T]) -> None:
    """What the thread does."""
    error: BaseException | None = None
    items = iter(())  # type: Iterator[T]
    try:
        items = iter(source)
        while shelf.has_room():
            started = time.perf_counter()
            try:
                item = next(items)
            except StopIteration:
                break
            finally:
                shelf.worked += time.perf_counter() - started
            shelf.put(item)
            del item  # else this frame would hold it until the next one is made
    except BaseException as raised:  # whatever it is, the consumer is to hear of it
        error = raised
    finally:
        if isinstance(items, Generator):
            items.close()  # its own files and threads are let go of here, not at some later collection
        shelf.end(error)
        del error
