"""What only a store in PostgreSQL can meet: lost connections, a server that is not there, nothing to reach it with."""

import sys
from collections.abc import Callable

import numpy as np
import psycopg
import pytest

from pinfold.errors import StoreError
from pinfold.serving.sql_store import open_store
from pinfold.serving.store import NewEvent

CUT = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = 'postgres'"


def cut(url: str) -> None:
    """End every connection but the one that asks, as a restart of the server does."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(CUT)


def test_lost_connections_are_made_again(new_database: Callable[[], str]) -> None:
    url = new_database()
    store = open_store(url)
    store.put_item("a", {}, [], 1.0)
    for n in range(2):
        cut(url)
        assert store.add_events([NewEvent("u", "a", n)], 2.0) != []
        cut(url)
        assert store.last_sequence() == n + 2
    store.close()


def test_a_connection_lost_in_a_stream_is_told(new_database: Callable[[], str]) -> None:
    url = new_database()
    store = open_store(url)
    store.add_events([NewEvent("u", f"i{n}") for n in range(3000)], 1.0)
    stream = store.entries()
    next(stream)
    cut(url)
    with pytest.raises(StoreError, match=r"postgresql://.*connection"):
        list(stream)
    assert len(list(store.entries())) == 3000
    store.close()


def test_of_two_servers_the_later_one_writes(new_database: Callable[[], str]) -> None:
    """The lock is lost with its connection; a second server comes before the first has noticed."""
    url = new_database()
    first = open_store(url)
    first.put_item("a", {}, [], 1.0)
    cut(url)
    second = open_store(url)
    assert second.put_item("b", {}, [], 2.0).sequence == 2
    with pytest.raises(StoreError, match="another server has taken it over"):
        first.put_item("c", {}, [], 3.0)
    assert len(list(second.entries())) == 2
    first.close()
    second.close()


def test_vectors_are_there_for_people_who_ask_by_sql(new_database: Callable[[], str]) -> None:
    url = new_database()
    store = open_store(url)
    table = np.random.default_rng(0).standard_normal((500, 8)).astype(np.float32)
    store.save_vectors("g", [f"i{n}" for n in range(500)], table)
    store.put_item("new", {}, [], 1.0, ("g", 9 * table[0]))
    with psycopg.connect(url) as connection:
        connection.execute("SET enable_seqscan = off")
        asked = "SELECT id FROM pinfold_vectors_1 ORDER BY vector <#> %s::vector LIMIT 2"
        vector, best = str(table[0].tolist()), f"i{np.argmax(table @ table[0])}"
        assert [row[0] for row in connection.execute(asked, [vector])] == ["new", best]
        plan = " ".join(row[0] for row in connection.execute(f"EXPLAIN {asked}".encode(), [vector]))
    assert "Index Scan" in plan
    store.close()


def test_a_server_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StoreError, match=r"postgresql://127\.0\.0\.1/there: .*refused") as refused:
        open_store("postgresql://me:secret@127.0.0.1:1/there?application_name=x&password=secret")
    assert "secret" not in str(refused.value)
    monkeypatch.setitem(sys.modules, "pinfold.serving.postgres", None)
    with pytest.raises(StoreError, match=r"pip install 'pinfold\[postgres\]'"):
        open_store("postgresql://me:secret@127.0.0.1:1/there")


def test_a_database_that_is_not_there(new_database: Callable[[], str]) -> None:
    with pytest.raises(StoreError, match='database "nowhere" does not exist'):
        open_store(new_database().replace("/postgres?", "/nowhere?"))
