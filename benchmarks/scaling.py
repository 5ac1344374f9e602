"""What the paper's 3 billion nodes would need by our stages, on 1 to 400 machines: a simulation, not a measurement.

    python benchmarks/scaling.py [--costs costs.json] [--svg docs/scaling.svg] [--price 1.0]

`--costs` holds measured seconds of one core, for a million edges (graph, users) or a million items (other stages):
{"seconds": {"graph": ..., ...}, "source": "where they were measured"}. Without it they come from two seconds of
calibration here, and the output says so. A table on stderr, JSON on stdout.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from html import escape
from pathlib import Path
from typing import Any

from environment import print_result
from pinfold.planning.scaling import (
    ASSUMPTIONS,
    PAPER,
    STAGES,
    Costs,
    Machine,
    StageTime,
    Work,
    held,
    moved,
    needed_machines,
    nodes_per_second,
    paper_rate,
    placeholder_costs,
    simulate,
)
from pinfold.planning.speeds import calibrate
from pinfold.studies.plots import Scale

MACHINES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 400)
STYLE = (
    "text{font:12px sans-serif;fill:#555}.grid{stroke:#ccc}.ideal{stroke:#999;stroke-dasharray:4 4;fill:none}"
    ".line{stroke:#1668b8;stroke-width:2;fill:none}.least{stroke:#c0392b;stroke-dasharray:2 3}"
)


def read_costs(path: Path | None, work: Work) -> Costs:
    """Measured costs, or placeholders."""
    if path is None:
        return placeholder_costs(work, calibrate(None, time.process_time))
    found = json.loads(path.read_text())
    return Costs({name: float(value) for name, value in found["seconds"].items()}, True, str(found.get("source", path)))


def row(work: Work, machine: Machine, costs: Costs, n: int) -> dict[str, Any]:
    """One number of machines."""
    times = simulate(work, machine, costs, n)
    seconds = sum(one.seconds for one in times)
    return {
        "machines": n,
        "hours": seconds / 3600,
        "money": seconds / 3600 * n * machine.price,
        "nodes_per_second_of_a_machine": nodes_per_second(work, times, n),
        "fits": n >= needed_machines(work, machine),
        "moved_bytes": {name: moved(name, work, n) for name in STAGES if moved(name, work, n)},
        "stages": {one.name: asdict(one) | {"seconds": one.seconds} for one in times},
    }


def print_table(rows: Sequence[dict[str, Any]], costs: Costs, work: Work, machine: Machine) -> None:
    """Hours, money, and where the time goes."""
    print(f"costs: {'measured' if costs.measured else 'PLACEHOLDERS'}: {costs.source}", file=sys.stderr)
    print(
        f"{'machines':>8} {'hours':>9} {'money':>9} {'nodes/s each':>13} {'sending':>8} {'waiting':>8}", file=sys.stderr
    )
    for one in rows:
        parts = [StageTime(**{k: v for k, v in s.items() if k != "seconds"}) for s in one["stages"].values()]
        whole = sum(part.seconds for part in parts)
        sending, waiting = (sum(getattr(part, name) for part in parts) / whole for name in ("sending", "waiting"))
        told = "" if one["fits"] else "  too little memory"
        print(
            f"{one['machines']:>8} {one['hours']:>9.2f} {one['money']:>9.0f} "
            f"{one['nodes_per_second_of_a_machine']:>13.0f} {sending:>8.0%} {waiting:>8.0%}{told}",
            file=sys.stderr,
        )
    biggest = {name: f"{size / 1e12:.2f} TB" for name, size in held(work, 1).items()}
    print(f"read at random by all together: {biggest}", file=sys.stderr)
    print(f"machines needed by memory: {needed_machines(work, machine)}", file=sys.stderr)
    print(
        f"the paper: {PAPER['machines']} machines, {PAPER['hours']} h: {paper_rate():.0f} nodes/s each", file=sys.stderr
    )


def plot(rows: Sequence[dict[str, Any]], least: int, costs: Costs) -> str:
    """Hours against machines, both logarithmic: simulated, and without any cost of being many."""
    hours = [one["hours"] for one in rows]
    ideal = [hours[0] / one["machines"] for one in rows]
    x = Scale(1, MACHINES[-1], 60, 600, log=True)
    y = Scale(min(ideal) * 0.8, max(hours) * 1.2, 320, 20, log=True)
    parts = []
    power = 10.0**-2
    while power < y.high:
        if power > y.low:
            parts.append(f'<line class="grid" x1="60" x2="600" y1="{y(power):.1f}" y2="{y(power):.1f}"/>')
            parts.append(f'<text x="54" y="{y(power) + 4:.1f}" text-anchor="end">{power:g}</text>')
        power *= 10
    parts += [f'<text x="{x(n):.1f}" y="338" text-anchor="middle">{n}</text>' for n in MACHINES]
    for kind, values in (("ideal", ideal), ("line", hours)):
        points = " ".join(f"{x(n):.1f},{y(v):.1f}" for n, v in zip(MACHINES, values, strict=True))
        parts.append(f'<polyline class="{kind}" points="{points}"/>')
    if least <= MACHINES[-1]:
        parts.append(f'<line class="least" x1="{x(least):.1f}" x2="{x(least):.1f}" y1="20" y2="320"/>')
        parts.append(f'<text x="{x(least) + 4:.1f}" y="32">{least}: memory is enough</text>')
    parts.append('<text x="330" y="358" text-anchor="middle">machines (logarithmic)</text>')
    parts.append('<text x="8" y="14">hours (logarithmic); dashed: without any cost of being many</text>')
    source = "measured costs" if costs.measured else "placeholder costs, not measured"
    parts.append(f'<text x="600" y="374" text-anchor="end">simulated from {escape(source)}</text>')
    said = "; ".join(f"{one['machines']} machines {one['hours']:.3g} hours" for one in rows)
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 640 380">'
        f"<title>Simulated hours for 3 billion nodes</title><desc>{escape(said)}</desc><style>{STYLE}</style>"
        f'<rect width="640" height="380" fill="#fff"/>{"".join(parts)}</svg>\n'
    )


def main() -> None:
    """Table, plot, JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--costs", type=Path)
    parser.add_argument("--svg", type=Path)
    parser.add_argument("--price", type=float, default=Machine().price, help="of a machine's hour")
    parser.add_argument("--cores", type=int, default=Machine().cores)
    parser.add_argument("--memory", type=float, default=Machine().memory, help="bytes of a machine")
    parser.add_argument("--network", type=float, default=Machine().network, help="bytes a second")
    arguments = parser.parse_args()
    work = Work()
    given = {name: getattr(arguments, name) for name in ("price", "cores", "memory", "network")}
    machine = replace(Machine(), **given)
    costs = read_costs(arguments.costs, work)
    rows = [row(work, machine, costs, n) for n in MACHINES]
    print_table(rows, costs, work, machine)
    least = needed_machines(work, machine)
    if arguments.svg:
        arguments.svg.write_text(plot(rows, least, costs))
    print_result({
        "assumptions": ASSUMPTIONS, "work": asdict(work), "machine": asdict(machine),
        "costs": {"seconds": dict(costs.seconds), "measured": costs.measured, "source": costs.source},
        "machines_needed_by_memory": least, "at_that": row(work, machine, costs, least),
        "paper_nodes_per_second_of_a_machine": paper_rate(), "rows": rows, "load": os.getloadavg(),
    })  # fmt: skip


if __name__ == "__main__":
    main()
