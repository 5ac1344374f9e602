"""How often each client may ask: a bucket of requests that fills steadily and holds two seconds' worth."""

import math
from collections import OrderedDict
from collections.abc import Callable
from time import monotonic

MAX_CLIENTS = 10_000  # remembered; whoever has not asked for longest is forgotten, with a full bucket


class Rates:
    """One bucket a client address.

    Args:
        rate: requests a second, for as long as one likes.
        now: seconds; a test brings its own clock.
    """

    def __init__(self, rate: float, now: Callable[[], float] = monotonic) -> None:
        self._rate = rate
        self._size = max(1.0, 2 * rate)
        self._now = now
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # requests left, and when
        self.wait = max(1, math.ceil(1 / rate))  # seconds until there is one more

    def take(self, client: str) -> bool:
        """Whether this client may ask now; counts it if so."""
        now = self._now()
        left, since = self._buckets.pop(client, (self._size, now))
        left = min(self._size, left + (now - since) * self._rate)
        allowed = left >= 1
        self._buckets[client] = (left - 1 if allowed else left, now)  # the last one asked
        if len(self._buckets) > MAX_CLIENTS:
            self._buckets.popitem(last=False)
        return allowed
