"""The service on what was embedded: how long it takes to start and to answer, and what it holds."""

import json
import socket
import subprocess
import time
import urllib.request
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from pinterest_quality import ids_of

QUESTIONS = 500
PATIENCE = 900.0  # seconds to start


def answers(pinfold: list[str], artifact: Path, rng: np.random.Generator) -> dict[str, Any]:
    """Start it, ask for the nearest of random items one after another over one connection, stop it."""
    ids = rng.choice(ids_of(artifact), QUESTIONS, replace=False)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    began = time.perf_counter()
    with TemporaryDirectory() as folder:
        command = [*pinfold, "serve", str(artifact), "--port", str(port), "--state", f"{folder}/state"]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        try:
            started = _await(server, f"http://127.0.0.1:{port}/readyz", began)
            took = []
            for item in ids:
                asked = time.perf_counter()
                found = json.load(urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/items/{item}/similar?k=10"))
                took.append(time.perf_counter() - asked)
                if len(found["items"]) != 10:
                    raise SystemExit(f"item {item} has {len(found['items'])} neighbors: {found}")
            status = Path(f"/proc/{server.pid}/status").read_text()
            held = int(status.partition("VmHWM:")[2].split()[0]) * 1024
        finally:
            server.terminate()
            server.wait()
    p50, p99 = np.quantile(took, [0.5, 0.99]) * 1000
    told = {"start_seconds": started, "p50_ms": p50, "p99_ms": p99, "peak_gb": held / 1e9}
    return {name: round(value, 2) for name, value in told.items()}


def _await(server: subprocess.Popen[str], url: str, began: float) -> float:
    """Seconds until the service is ready."""
    while time.perf_counter() - began < PATIENCE:
        if server.poll() is not None:
            raise SystemExit(f"the service ended: {server.stderr.read() if server.stderr else ''}")
        try:
            urllib.request.urlopen(url)
            return time.perf_counter() - began
        except OSError:
            time.sleep(0.2)
    raise SystemExit("the service did not start")
