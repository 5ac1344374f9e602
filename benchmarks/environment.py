"""What a figure depends on beside the code: written into every benchmark's JSON."""

import json
import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any


def environment() -> dict[str, Any]:
    """Commit, machine and versions."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False).stdout
    names = ("torch", "numpy", "numba", "scipy", "duckdb", "torch_geometric")
    return {
        "commit": commit.strip(),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "versions": {name: _version(name) for name in names},
        "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
    }


def print_result(result: dict[str, Any]) -> None:
    """JSON on stdout."""
    print(json.dumps({**result, "environment": environment()}, indent=1), flush=True)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
