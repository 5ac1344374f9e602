"""The service as a process: how it starts, what it refuses, how it ends."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from pinfold.client import Client

PINFOLD = str(Path(sys.executable).with_name("pinfold"))
TOKEN = "a-token-of-forty-characters-for-the-tests"


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


class Server:
    """A `pinfold serve` that is ended with its test."""

    def __init__(self, *words: str, environment: dict[str, str] | None = None) -> None:
        self.port = free_port()
        command = [PINFOLD, "serve", *words, "--port", str(self.port)]
        environment = {**os.environ, **(environment or {})}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
        self.url = f"http://127.0.0.1:{self.port}"

    def ready(self) -> "Server":
        until = time.monotonic() + 60
        while time.monotonic() < until and self.process.poll() is None:
            try:
                if httpx.get(f"{self.url}/readyz").status_code == 200:
                    return self
            except httpx.TransportError:
                time.sleep(0.02)
        raise AssertionError(f"not ready: {self.refusal()}")

    def refusal(self) -> str:
        """What is said by a server that ends by itself."""
        _, said = self.process.communicate(timeout=60)
        return said.decode()

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(how)
        try:
            self.process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        return self.process.returncode


@pytest.fixture(scope="module")
def server(artifact: Path) -> Iterator[Server]:
    running = Server(str(artifact)).ready()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artifact of a run file and a data set that are made here."""
    folder = tmp_path_factory.mktemp("server")
    rows = [f"u{user},i{item}" for user in range(30) for item in range(20) if (user + item) % 2 == 0 and user != item]
    (folder / "events.csv").write_text("user,item\n" + "\n".join(rows) + "\n")
    titles = [f"i{n},{'odd' if n % 2 else 'even'} thing {n}" for n in range(20)]
    (folder / "items.csv").write_text("id,title\n" + "\n".join(titles) + "\n")
    (folder / "run.toml").write_text('[data]\npath = "data"\n[model]\nname = "content-knn"\n')
    for words in (["import", "events.csv", "--item-table", "items.csv", "--out", "data"], ["train", "run.toml", "out"]):
        subprocess.run([PINFOLD, *words], cwd=folder, check=True, capture_output=True)
    return folder / "out"


def test_torch_is_never_loaded(server: Server) -> None:
    with Client(server.url) as client:
        assert client.similar("i0", 3).items
        client.put_item("fresh", {"title": "even thing"})
        assert client.similar("fresh", 3).items
    mapped = Path(f"/proc/{server.process.pid}/maps").read_text()
    assert "libtorch" not in mapped
    assert "faiss" not in mapped  # nor is what only large catalogues need


def test_the_page_and_what_machines_ask_for(server: Server) -> None:
    assert httpx.get(server.url).headers["content-type"].startswith("text/html")
    assert httpx.get(f"{server.url}/openapi.json").json()["info"]["title"] == "Pinfold"
    assert "pinfold_requests_total" in httpx.get(f"{server.url}/metrics").text


def test_a_second_server_on_the_same_state_is_refused(server: Server, artifact: Path) -> None:
    assert "another server has it open" in Server(str(artifact)).refusal()
    assert httpx.get(f"{server.url}/readyz").status_code == 200


def test_a_port_that_is_taken_is_named(server: Server, artifact: Path, tmp_path: Path) -> None:
    command = [PINFOLD, "serve", str(artifact), "--state", str(tmp_path), "--port", str(server.port)]
    found = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert found.returncode == 1
    assert f"port {server.port}" in found.stderr


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_other_machines_are_let_in_with_a_token_alone(artifact: Path, tmp_path: Path, host: str) -> None:
    assert "there is no token" in Server(str(artifact), "--state", str(tmp_path), "--host", host).refusal()


def test_a_token_is_asked_for_and_printed_nowhere(artifact: Path, tmp_path: Path) -> None:
    running = Server(str(artifact), "--state", str(tmp_path), environment={"PINFOLD_WRITE_TOKEN": TOKEN}).ready()
    assert httpx.get(f"{running.url}/v1/status").status_code == 401
    with Client(running.url, TOKEN) as client:
        assert client.status().n_items == 20
    running.process.terminate()
    out, err = running.process.communicate(timeout=20)
    assert TOKEN.encode() not in out + err


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_stopped_it_ends_in_order_and_goes_on_where_it_was(artifact: Path, tmp_path: Path, how: signal.Signals) -> None:
    running = Server(str(artifact), "--state", str(tmp_path)).ready()
    with Client(running.url) as client:
        client.put_item("kept", {"title": "odd thing"})
    assert running.stop(how) in (0, -how, 130)
    again = Server(str(artifact), "--state", str(tmp_path)).ready()
    with Client(again.url) as client:
        assert client.similar("kept", 3).items
    again.stop()


def test_no_artifact_is_no_service(tmp_path: Path) -> None:
    assert "make one with" in Server(str(tmp_path / "nothing")).refusal()


def test_killed_again_and_again_it_loses_nothing(artifact: Path, tmp_path: Path) -> None:
    told: dict[str, str] = {}
    for kill in range(3):
        running = Server(str(artifact), "--state", str(tmp_path)).ready()
        with Client(running.url) as client:
            for name, title in told.items():
                assert client.similar(name, 1).items, title
            for n in range(5):
                client.put_item(f"new-{kill}-{n}", {"title": f"even thing {n}"})
                told[f"new-{kill}-{n}"] = f"even thing {n}"
        running.stop(signal.SIGKILL)
