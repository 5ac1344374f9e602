"""Figures for Prometheus, as it would read them."""

from prometheus_client.parser import text_string_to_metric_families

from pinfold.serving.metrics import Metrics


def test_requests_freshness_and_what_was_accepted() -> None:
    metrics = Metrics()
    metrics.watch(lambda: 3)
    metrics.observe("GET", "/v1/items/{id}", 200, 0.004)
    metrics.observe("GET", "/v1/items/{id}", 404, 0.3)
    metrics.observe("MADE-UP", "(unknown)", 404, 0.001)
    metrics.item("put", 0.02)
    metrics.item("deleted")
    metrics.events(7)
    metrics.generation("first")
    metrics.generation("second")
    families = text_string_to_metric_families(metrics.text().decode())
    found = {(one.name, frozenset(one.labels.values())): one.value for family in families for one in family.samples}

    def value(name: str, *labels: str) -> float | None:
        return found.get((f"pinfold_{name}", frozenset(labels)))

    assert value("requests_total", "GET", "/v1/items/{id}", "200") == 1
    assert value("requests_total", "OTHER", "(unknown)", "404") == 1
    assert value("request_seconds_bucket", "/v1/items/{id}", "0.005") == 1
    assert value("request_seconds_count", "/v1/items/{id}") == 2
    assert value("requests_in_flight") == 3
    assert (value("freshness_seconds_bucket", "0.01"), value("freshness_seconds_bucket", "0.025")) == (0, 1)
    assert (value("items_total", "put"), value("items_total", "deleted")) == (1, 1)
    assert value("events_total") == 7
    assert (value("generation_info", "first"), value("generation_info", "second")) == (None, 1)
    assert metrics.n_requests == 3
