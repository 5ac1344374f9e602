"""What a million nodes cost as graphs grow: from the logs of `pinterest.py`, as a plot and as costs for `scaling.py`.

    python benchmarks/pinterest_plot.py benchmarks/logs/pinterest-*.jsonl --svg docs/scale.svg --costs costs.json

A log's line `stages` has the seconds of each stage of `pinfold embed`.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from pinfold.studies.plots import Scale, spread

LINES = {
    "graph": ("graph",),
    "neighborhoods": ("neighborhoods",),
    "content": ("content",),
    "layers": ("project0", "convolve0", "project1", "convolve1", "vectors"),
    "users": ("users",),
    "index": ("index",),
}
COLORS = ("#1668b8", "#c0392b", "#2e7d32", "#8e44ad", "#b26a00", "#00707a")
ROUNDS = 2.9  # walks in rounds over a cut graph beside the kernel: 6.4 s and 2.2 for 200,000 items (docs/scale.md)
STYLE = "text{font:12px sans-serif;fill:#555}.grid{stroke:#ddd}polyline{fill:none;stroke-width:2}"
LEFT, RIGHT, TOP, BOTTOM = 60, 520, 24, 320


def read_log(path: Path) -> dict[str, Any]:
    """Nodes in millions, and the seconds of each line of the plot for a million of them."""
    steps = {line["step"]: line for line in map(json.loads, path.read_text().splitlines())}
    found = steps["stages"]
    millions = (found["users"] + found["items"]) / 1e6
    seconds = {line: sum(found["stages"][name] for name in names) for line, names in LINES.items()}
    return {"millions": millions, "found": found, "seconds": seconds} | {
        "each": {line: took / millions for line, took in seconds.items()}
    }


def plot(logs: list[dict[str, Any]]) -> str:
    """Seconds for a million nodes against millions of nodes, both logarithmic."""
    values = [value for log in logs for value in log["each"].values()]
    x = Scale(logs[0]["millions"], logs[-1]["millions"], LEFT + 10, RIGHT, log=True)
    y = Scale(min(values) * 0.8, max(values) * 1.25, BOTTOM, TOP, log=True)
    parts = []
    for mark in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100):
        if y.low < mark < y.high:
            parts.append(f'<line class="grid" x1="{LEFT}" x2="{RIGHT}" y1="{y(mark):.1f}" y2="{y(mark):.1f}"/>')
            parts.append(f'<text x="{LEFT - 6}" y="{y(mark) + 4:.1f}" text-anchor="end">{mark:g}</text>')
    for log in logs:
        at = x(log["millions"])
        parts.append(f'<text x="{at:.1f}" y="{BOTTOM + 18}" text-anchor="middle">{log["millions"]:.3g}</text>')
    ends: dict[str, tuple[float, str]] = {}
    for line, color in zip(LINES, COLORS, strict=True):
        points = [(x(log["millions"]), y(log["each"][line])) for log in logs]
        drawn = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
        parts.append(f'<polyline points="{drawn}" stroke="{color}"/>')
        parts += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3" fill="{color}"/>' for a, b in points]
        ends[line] = (points[-1][1], color)
    named = sorted(ends, key=lambda line: ends[line][0])
    for line, at in zip(named, spread([ends[line][0] for line in named], 15, TOP, BOTTOM), strict=True):
        parts.append(f'<text x="{RIGHT + 8}" y="{at + 4:.1f}" style="fill:{ends[line][1]}">{line}</text>')
    parts.append(f'<text x="290" y="{BOTTOM + 38}" text-anchor="middle">million nodes (logarithmic)</text>')
    parts.append('<text x="8" y="14">seconds for a million nodes (logarithmic), two cores; level is linear</text>')
    said = "; ".join(
        f"{log['millions']:.3g} million nodes: " + ", ".join(f"{line} {s:.2g}" for line, s in log["each"].items())
        for log in logs
    )
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 640 370">'
        f"<title>Seconds of each stage for a million nodes</title><desc>{said}</desc><style>{STYLE}</style>"
        f'<rect width="640" height="370" fill="#fff"/>{"".join(parts)}</svg>\n'
    )


def costs(log: dict[str, Any]) -> dict[str, Any]:
    """The costs of the largest log in the form that `scaling.py` reads: seconds of one core, two were at work."""
    found, stages = log["found"], log["found"]["stages"]
    edges, items = found["events"] / 1e6, found["items"] / 1e6
    per_edge = {"graph": stages["graph"], "users": stages["users"]}
    per_item = {
        "neighborhoods": ROUNDS * stages["neighborhoods"],
        "content": stages["content"],
        "project": (stages["project0"] + stages["project1"]) / 2,
        "convolve": (stages["convolve0"] + stages["convolve1"]) / 2,
        "vectors": stages["vectors"],
        "index": stages["index"],
    }
    seconds = {name: 2 * took / edges for name, took in per_edge.items()}
    seconds |= {name: 2 * took / items for name, took in per_item.items()}
    return {"seconds": seconds, "source": f"pinfold embed, {found['items']:,} items on two cores; walks times {ROUNDS}"}


def main() -> None:
    """Write what is asked for, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("logs", type=Path, nargs="+")
    parser.add_argument("--svg", type=Path)
    parser.add_argument("--costs", type=Path)
    arguments = parser.parse_args()
    logs = sorted(map(read_log, arguments.logs), key=lambda log: log["millions"])
    print(json.dumps([{"millions": log["millions"], **log["each"]} for log in logs], indent=1))
    if arguments.svg:
        arguments.svg.write_text(plot(logs))
    if arguments.costs:
        arguments.costs.write_text(json.dumps(costs(logs[-1]), indent=1))


if __name__ == "__main__":
    main()
