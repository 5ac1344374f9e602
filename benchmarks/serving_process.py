"""`pinfold serve` as a process of its own: started, asked over loopback, measured from outside, and always stopped."""

import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HOST = "127.0.0.1"
READY = 180  # seconds that a service has to become ready
COMMAND = Path(sys.executable).with_name("pinfold")
JSON = {"Content-Type": "application/json"}


@dataclass(slots=True)
class Served:
    """A service that runs."""

    port: int
    pid: int
    ready_seconds: float  # from the start of the process to the first 200 of /readyz
    _connection: http.client.HTTPConnection = field(init=False)

    def __post_init__(self) -> None:
        self._connection = http.client.HTTPConnection(HOST, self.port, timeout=60)

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Status and JSON of one answer, on a connection that stays open."""
        raw = None if body is None else json.dumps(body)
        self._connection.request(method, path, raw, JSON if raw is not None else {})
        answer = self._connection.getresponse()
        return answer.status, json.loads(answer.read())

    def memory(self) -> dict[str, int]:
        """Bytes that the service holds: with what it maps (rss), its own alone (uss, anonymous), and the peak."""
        kept = ("Rss", "Pss", "Private_Clean", "Private_Dirty")
        found = _kilobytes(Path(f"/proc/{self.pid}/smaps_rollup"))
        peak = _kilobytes(Path(f"/proc/{self.pid}/status"))["VmHWM"]
        own = found["Private_Clean"] + found["Private_Dirty"]
        anonymous = found.get("Pss_Anon", 0)
        return {**{name.lower(): found[name] for name in kept}, "uss": own, "anonymous": anonymous, "peak_rss": peak}

    def has_torch(self) -> bool:
        """Whether any library of torch is in the process."""
        maps = Path(f"/proc/{self.pid}/maps").read_text()
        return "libtorch" in maps or "libc10" in maps

    def processor_seconds(self) -> float:
        """Seconds of processor time so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def serving(
    artifact: Path, state: Path | None = None, cores: str | None = None, more: Sequence[str] = ()
) -> Iterator[Served]:
    """A service of this artifact that answers; it ends with the block.

    Args:
        artifact: the folder.
        state: of the service; None: a new one that is thrown away.
        cores: which processors it may use, as taskset names them.
        more: options of the command.

    Raises:
        RuntimeError: it ended, or was not ready in time; its output stands in the message.
    """
    with tempfile.TemporaryDirectory() as folder:
        port, log = free_port(), Path(folder) / "log"
        place = state or Path(folder) / "state"
        command = [str(COMMAND), "serve", str(artifact), "--state", str(place), "--port", str(port)]
        command = [*(("taskset", "-c", cores) if cores else ()), *command, *more]
        with log.open("wb") as output:
            started = time.perf_counter()
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
            try:
                yield Served(port, process.pid, _until_ready(process, port, started, log))
            finally:
                stop(process)


def stop(process: "subprocess.Popen[bytes]") -> None:
    """End a process that we started: politely, then not."""
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(20)


def free_port() -> int:
    """A port that nobody has at the moment."""
    with socket.socket() as asked:
        asked.bind((HOST, 0))
        return int(asked.getsockname()[1])


def load_average() -> float:
    """Processes that want to run, over the last minute."""
    return round(os.getloadavg()[0], 2)


def _until_ready(process: "subprocess.Popen[bytes]", port: int, started: float, log: Path) -> float:
    while time.perf_counter() - started < READY:
        if process.poll() is not None:
            break
        try:
            connection = http.client.HTTPConnection(HOST, port, timeout=5)
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                return time.perf_counter() - started
        except OSError:
            time.sleep(0.01)
        finally:
            connection.close()
    raise RuntimeError(f"the service was not ready after {time.perf_counter() - started:.0f} s:\n{log.read_text()}")


def _kilobytes(path: Path) -> dict[str, int]:
    lines = [line.split() for line in path.read_text().splitlines() if line.endswith(" kB")]
    return {words[0].rstrip(":"): int(words[1]) * 1024 for words in lines}
