"""The service against what its OpenAPI says of it: schemathesis asks every operation over HTTP, rightly and wrongly."""

import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from tests.serving.shop import Shop

from pinfold.serving.described import EXAMPLE_ITEM, EXAMPLE_USER
from pinfold.serving.tokens import Tokens

schemathesis = pytest.importorskip("schemathesis")

TOKEN = "w" * 32
EXAMPLES = 12  # of each operation, when guessing; what covers the schema is as many as it takes
CHECKS = {
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance",
    "response_headers_conformance", "ignored_auth", "negative_data_rejection", "unsupported_method",
    "allow_header_conformance",
}  # fmt: skip
CONFIG: dict[str, Any] = {
    "seed": 0,
    "headers": {"Authorization": f"Bearer {TOKEN}"},
    "generation": {"max-examples": EXAMPLES, "deterministic": True, "database": "none"},
    "checks": {
        "positive_data_acceptance": {"enabled": False},  # most ids are nobody's, and NUL is text in a schema
        "negative_data_rejection": {"expected-statuses": [400, 404, 409, 413, 414, 415, 422]},
        # a call that a link of schemathesis's own invention says must work: it does not know what an id is
        "ensure_resource_availability": {"enabled": False},
    },
    "phases": {
        "coverage": {"unexpected-methods": ["PATCH", "PUT", "POST"]},  # others have no body, and one of it is 400
        "stateful": {"generation": {"max-examples": 4}},
    },
}
LIMITS: dict[str, Any] = {  # small, or most of the time goes into making lists that are too long
    "max_history": 6, "max_filter_ids": 5, "max_values": 4, "max_text": 60, "max_collections": 4, "max_conditions": 3,
    "max_attributes": 10, "max_batch": 5, "max_k": 100,
}  # fmt: skip


@pytest.fixture(scope="module", params=["pinsage", "gf-cf"])
def url(
    request: pytest.FixtureRequest, trained: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A service on a port of this machine that knows what the examples name, and the shortest ids."""
    listening = socket.create_server(("127.0.0.1", 0))
    state = tmp_path_factory.mktemp("schema") / "store.db"
    with Shop(trained(request.param), state, **LIMITS) as shop:
        for item in (EXAMPLE_ITEM, "0", "1"):
            shop.put(item, {"title": f"even thing {item}"}, ["user0"])
        shop.take((EXAMPLE_USER, "item0"), (EXAMPLE_USER, "item4"), ("0", "item1"), ("0", EXAMPLE_ITEM))
        shop.restart(Tokens(None, TOKEN))
        settings = uvicorn.Config(
            shop.app, http="httptools", ws="none", lifespan="off", access_log=False, log_level="error"
        )
        server = uvicorn.Server(settings)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join(20)


def run(url: str) -> tuple[Counter[str], Counter[tuple[str, str]], list[str]]:
    """Requests by phase, checks by name and result, and what failed."""
    from schemathesis.config import SchemathesisConfig
    from schemathesis.engine import events, from_schema

    config = SchemathesisConfig.from_dict(CONFIG)
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json", config=config, headers=CONFIG["headers"])
    cases, checks, failures = Counter[str](), Counter[tuple[str, str]](), list[str]()
    operations = set()
    for event in from_schema(schema).execute():
        if isinstance(event, events.NonFatalError | events.FatalError):
            failures.append(repr(getattr(event, "value", None) or getattr(event, "exception", None)))
        elif isinstance(event, events.ScenarioFinished):
            cases[event.phase.name.lower()] += len(event.recorder.cases)
            operations.add(event.label)
            for node in (node for nodes in event.recorder.checks.values() for node in nodes):
                checks[node.name, node.status.name.lower()] += 1
                if node.failure_info is not None:
                    failed = node.failure_info
                    failures.append(
                        f"{event.label}: {node.name}: {failed.failure.message}\n{failed.code_sample[:2000]}"
                    )
    cases["operations"] = schema.statistic.operations.total
    return cases, checks, failures


@pytest.mark.filterwarnings("default::DeprecationWarning:schemathesis")
@pytest.mark.filterwarnings("default::ResourceWarning:schemathesis")
def test_every_operation_is_as_described(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    cases, checks, failures = run(url)
    with capsys.disabled():
        n_failed = sum(count for (_, status), count in checks.items() if status == "failure")
        phases = ", ".join(f"{name} {n}" for name, n in sorted(cases.items()) if name != "operations")
        print(f"\nschemathesis: {cases['operations']} operations, requests: {phases}; {checks.total()} checks, "  # noqa: T201
              f"{n_failed} failed")  # fmt: skip
    assert not failures, "\n\n".join(failures[:5])
    assert cases["operations"] == 20
    assert cases["coverage"] > 300
    assert cases["fuzzing"] > 100
    assert {name for name, status in checks if status == "success"} >= CHECKS


def test_the_description_is_of_every_route(calm: Shop) -> None:
    described: dict[str, Any] = calm.get("/openapi.json")
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            assert operation["summary"], (method, path)
            assert {"401", "403", "422", "429", "503"} <= set(operation["responses"]), (method, path)
            if method in ("post", "put") and path != "/v1/generations/rollback":
                assert operation["requestBody"]["content"]["application/json"]["example"], (method, path)
            assert operation.get("security") == ([] if path in ("/healthz", "/readyz") else None)
    assert described["security"] == [{"token": []}]
    names = [operation["operationId"] for some in described["paths"].values() for operation in some.values()]
    assert len(set(names)) == len(names) == 20
