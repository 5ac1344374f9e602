"""Import of 20 million events from CSV: seconds and peak memory, as JSON.

    python benchmarks/import_20m.py [--rows 20000000] [--memory 1GB] [--threads 1]

The file is made first: seeded, string ids, Zipf-like items, a weight and an epoch time. The import runs in a
process of its own, so that the peak is its own.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb
import numpy as np

import pinfold

USERS, ITEMS = 1_000_000, 200_000
IMPORT = """
import sys
from dataclasses import asdict
from pathlib import Path
from time import perf_counter
from pinfold.data.readers import ImportConfig, Sources, import_files
config = ImportConfig(weight="weight", time="time", memory=sys.argv[3], threads=int(sys.argv[4]))
began = perf_counter()
say = lambda stage: print(f"{perf_counter() - began:7.1f} s  {stage}", file=sys.stderr)
report = import_files(Sources([Path(sys.argv[1])]), Path(sys.argv[2]), config, progress=say)
print(report, file=sys.stderr)
"""


def main() -> None:
    """Make the file, import it, print the figures."""
    parser = argparse.ArgumentParser(description="seconds and peak memory of an import")
    parser.add_argument("--rows", type=int, default=20_000_000)
    parser.add_argument("--memory", default="1GB")
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        events, out = Path(folder) / "events.csv", Path(folder) / "out"
        write_events(events, asked.rows)
        size = events.stat().st_size
        began = time.perf_counter()
        command = [sys.executable, "-c", IMPORT, str(events), str(out), asked.memory, str(asked.threads)]
        subprocess.run(command, check=True)
        seconds = time.perf_counter() - began
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        report = json.loads((out / "source.json").read_text())["report"]
    figures = {
        "rows": asked.rows,
        "csv_mb": round(size / 1e6),
        "seconds": round(seconds, 1),
        "peak_mb": round(peak),
        "memory": asked.memory,
        "threads": asked.threads,
        "edges": report["edges"],
        "users": report["users"],
        "items": report["items"],
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "versions": {
            "pinfold": pinfold.__version__,
            "python": platform.python_version(),
            "duckdb": duckdb.__version__,
            "numpy": np.__version__,
        },
    }
    print(json.dumps(figures, indent=1))


def write_events(path: Path, rows: int) -> None:
    """Events of a Zipf-like catalogue; the same on every machine."""
    rng = np.random.default_rng(0)
    step = 1_000_000
    path.write_text("user,item,weight,time\n")
    for start in range(0, rows, step):
        n = min(step, rows - start)
        chunk = {
            "u": rng.integers(0, USERS, n),
            "i": np.floor(ITEMS ** rng.random(n)).astype(np.int64),
            "w": rng.integers(1, 6, n),
            "t": rng.integers(1_500_000_000, 1_700_000_000, n),
        }
        part = path.with_suffix(".part")
        with duckdb.connect() as connection:
            connection.execute("SET threads = 1")
            connection.register("chunk", chunk)
            query = "COPY (SELECT 'u' || u, 'i' || i, w, t FROM chunk) TO $path (FORMAT csv, HEADER false)"
            connection.execute(query, {"path": str(part)})
        with path.open("ab") as whole:
            whole.write(part.read_bytes())
        part.unlink()


if __name__ == "__main__":
    main()
