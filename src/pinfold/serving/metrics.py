"""What Prometheus is told: requests by route, freshness, what was accepted, which generation answers."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

CONTENT_TYPE = CONTENT_TYPE_LATEST
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
LATENCIES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)  # seconds
FRESHNESS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)  # seconds


class Metrics:
    """The figures of one service, in a registry of its own: several may run in one process.

    Labels are methods, statuses and route templates; never an id, a path or anything else that a client chooses.
    """

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self._requests = Counter(
            "pinfold_requests",
            "requests answered, also those refused",
            ["method", "route", "status"],
            registry=registry,
        )
        self._seconds = Histogram(
            "pinfold_request_seconds", "from the headers to the answer", ["route"], buckets=LATENCIES, registry=registry
        )
        self._in_flight = Gauge("pinfold_requests_in_flight", "requests at work", registry=registry)
        self._freshness = Histogram(
            "pinfold_freshness_seconds",
            "from an item's acceptance until it is in answers",
            buckets=FRESHNESS,
            registry=registry,
        )
        self._items = Counter("pinfold_items", "items accepted", ["change"], registry=registry)
        self._events = Counter("pinfold_events", "events accepted", registry=registry)
        self._generation = Gauge("pinfold_generation_info", "the generation that answers", ["name"], registry=registry)
        self._counts: dict[tuple[str, str, int], Counter] = {}  # looking labels up costs more than counting
        self._clocks: dict[str, Histogram] = {}
        self.n_requests = 0

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """One request was answered; status 0: the client left first."""
        key = (method if method in METHODS else "OTHER", route, status)
        count = self._counts.get(key)
        if count is None:
            count = self._counts[key] = self._requests.labels(key[0], route, str(status))
        clock = self._clocks.get(route)
        if clock is None:
            clock = self._clocks[route] = self._seconds.labels(route)
        count.inc()
        clock.observe(seconds)
        self.n_requests += 1

    def watch(self, at_work: Callable[[], int]) -> None:
        """Where to read how many requests are at work."""
        self._in_flight.set_function(at_work)

    def item(self, change: str, seconds: float | None = None) -> None:
        """An item was "put" or "deleted", and found its way into answers within so many seconds."""
        self._items.labels(change).inc()
        if seconds is not None:
            self._freshness.observe(seconds)

    def events(self, n_events: int) -> None:
        """So many events were accepted for the first time."""
        self._events.inc(n_events)

    def generation(self, name: str) -> None:
        """This generation answers from now on."""
        self._generation.clear()
        self._generation.labels(name).set(1)

    def text(self) -> bytes:
        """All figures, in the text format of Prometheus (`CONTENT_TYPE`)."""
        return generate_latest(self._registry)
