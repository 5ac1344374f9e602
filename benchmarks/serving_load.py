"""Requests by a public load generator, wrk: as many as the service answers, at a rate, and far too many.

wrk keeps a number of connections open; each asks again when it has its answer. At a rate, each connection waits before
it asks again, on average so long that all together ask that often, by an exponential distribution: arrivals are then
nearly those of many independent clients, and a slow answer holds up one connection only.
"""

import json
import random
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

from serving_process import HOST, Served, load_average

PATHS = 100_000  # distinct requests, drawn at random
SCRIPT = """
local paths = {}
for line in io.lines(@paths@) do paths[#paths + 1] = line end
local n = 0
function setup(thread) n = n + 1; thread:set("number", n) end
function init(args)
  math.randomseed(@seed@ * 100 + number)
  for place, path in ipairs(paths) do paths[place] = wrk.format("GET", path) end  -- with Host, which is known by now
end
function request() return paths[math.random(#paths)] end
@delay@
function done(summary, latency, requests)
  local out = io.open(@out@, "w")
  out:write(string.format('{"requests": %d, "microseconds": %d, "not_2xx": %d, "socket_errors": %d',
    summary.requests, summary.duration, summary.errors.status,
    summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout))
  for name, percent in pairs({p50 = 50, p90 = 90, p99 = 99, p999 = 99.9}) do
    out:write(string.format(', "%s": %f', name, latency:percentile(percent) / 1e6))
  end
  out:write(string.format(', "max": %f}', latency.max / 1e6))
  out:close()
end
"""
DELAY = "function delay() return math.floor(-math.log(1 - math.random()) * %f + 0.5) end"


def has_wrk() -> bool:
    """Whether the generator is there: `apt-get install wrk`."""
    return shutil.which("wrk") is not None


def similar_paths(ids: list[str], k: int, seed: int = 0) -> list[str]:
    """Questions for what is like each of some random items."""
    chosen = random.Random(seed).sample(ids, min(PATHS, len(ids)))
    return [f"/v1/items/{quote(one, safe='')}/similar?k={k}" for one in chosen]


def wrk(
    served: Served, paths: list[str], seconds: float, connections: int, *,
    rate: float | None = None, cores: str | None = None, seed: int = 0,
) -> dict[str, Any]:  # fmt: skip
    """One run of wrk, one thread of it: requests a second, seconds of latency, what went wrong.

    Args:
        served: the service.
        paths: are asked at random.
        seconds: of the run.
        connections: open at the same time.
        rate: requests a second of all of them; None: each asks again at once.
        cores: which processors wrk may use.
        seed: of the order.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "paths").write_text("\n".join(paths) + "\n")
        delay = DELAY % (1000 * connections / rate) if rate else ""
        script = SCRIPT
        for word, text in (("paths", json.dumps(str(folder / "paths"))), ("out", json.dumps(str(folder / "out.json"))),
                           ("seed", str(seed + 1)), ("delay", delay)):  # fmt: skip
            script = script.replace(f"@{word}@", text)
        (folder / "ask.lua").write_text(script)
        command = [*(("taskset", "-c", cores) if cores else ()), "wrk", "-t1", f"-c{connections}",
                   f"-d{max(1, round(seconds))}s", "--timeout", "10s", "-s", str(folder / "ask.lua"),
                   f"http://{HOST}:{served.port}"]  # fmt: skip
        used = served.processor_seconds()
        subprocess.run(command, check=True, timeout=seconds + 60, stdin=subprocess.DEVNULL, capture_output=True)
        used = served.processor_seconds() - used
        found = json.loads((folder / "out.json").read_text())
    taken = found.pop("microseconds") / 1e6
    return {
        "connections": connections, "rate_asked": rate, "requests_per_second": found["requests"] / taken,
        **found, "service_cores": used / taken,
        "service_seconds": used / max(found["requests"], 1), "load_average": load_average(),
    }  # fmt: skip


def best_of(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """The run with the most good answers a second; what it was best of stands beside it."""
    best = max(runs, key=lambda run: (run["requests"] - run["not_2xx"]) / run["requests"] * run["requests_per_second"])
    return {**best, "all_requests_per_second": [round(run["requests_per_second"]) for run in runs]}
