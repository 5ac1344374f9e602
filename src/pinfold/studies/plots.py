"""Small plots as SVG text: they take their colors from the page, and say in words what they show."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from pinfold.evaluation.intervals import Interval

WIDTH, HEIGHT = 720, 380
LEFT, RIGHT, TOP, BOTTOM = 58, 118, 18, 52  # margins; names of models stand at the right
LINE = 15  # least distance of two labels
ROOM = 90  # pixels that a label takes to the right of its mark
SHAPES = 6  # marks and colors that differ


@dataclass(frozen=True, slots=True)
class Point:
    """A model at a place of the horizontal axis."""

    name: str
    x: float
    y: Interval


@dataclass(frozen=True, slots=True)
class Scale:
    """From values to pixels; logarithmic if `log`."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """The pixel of a value."""
        low, high, at = (math.log10(x) if self.log else x for x in (self.low, self.high, value))
        return self.start + (at - low) / (high - low) * (self.end - self.start)


def against_time(points: Sequence[Point], metric: str) -> str:
    """Quality of each model against its seconds to learn, on a logarithmic axis, with bars for the intervals."""
    seconds = [max(point.x, 0.01) for point in points]
    low, high = math.floor(math.log10(min(seconds))), math.floor(math.log10(max(seconds))) + 1
    x = Scale(10.0**low, 10.0**high, LEFT + 16, WIDTH - RIGHT, log=True)
    y, marks = _vertical([point.y for point in points])
    parts = [_grid(y, marks), *(_x_tick(x(10.0**n), f"{10.0**n:,g} s") for n in range(low, high + 1))]
    parts.append(_axis_names("seconds to learn (logarithmic)", metric))
    for number, point in enumerate(points):
        parts.append(_mark(number, x(max(point.x, 0.01)), point.y, y, point.name))
    labels = sorted((x(max(p.x, 0.01)), y(p.y.mean), p.name) for p in points)
    crowds: list[list[tuple[float, float, str]]] = []
    for label in labels:  # only those that stand above each other need be moved apart
        if crowds and label[0] - crowds[-1][-1][0] < ROOM:
            crowds[-1].append(label)
        else:
            crowds.append([label])
    parts += [text for crowd in crowds for text in _labels(crowd)]
    said = "; ".join(f"{p.name} {p.y.mean:.3f} after {p.x:.3g} seconds" for p in points)
    return _svg(f"{metric} against seconds to learn", said, parts)


def by_group(lines: Sequence[tuple[str, Sequence[Interval]]], groups: Sequence[str], metric: str, axis: str) -> str:
    """A line for each model over ordered groups of users."""
    x = Scale(-0.3, len(groups) - 0.7, LEFT, WIDTH - RIGHT)
    y, marks = _vertical([interval for _, line in lines for interval in line])
    parts = [_grid(y, marks), *(_x_tick(x(n), group) for n, group in enumerate(groups)), _axis_names(axis, metric)]
    for number, (name, line) in enumerate(lines):
        shifted = [x(n) + 5 * (number - (len(lines) - 1) / 2) for n in range(len(line))]  # bars beside each other
        path = " ".join(f"{at:.1f},{y(interval.mean):.1f}" for at, interval in zip(shifted, line, strict=True))
        parts.append(f'<polyline class="line c{number % SHAPES}" points="{path}"/>')
        parts += [_mark(number, at, interval, y, name) for at, interval in zip(shifted, line, strict=True)]
    parts += _labels([(WIDTH - RIGHT - 2, y(line[-1].mean), name) for name, line in lines])
    said = "; ".join(f"{name} {', '.join(f'{i.mean:.3f}' for i in line)}" for name, line in lines)
    return _svg(f"{metric} by group of users ({', '.join(groups)})", said, parts)


def bars(panels: Sequence[tuple[str, float | None, Sequence[float | None]]], names: Sequence[str]) -> str:
    """Panels side by side, a bar for each model; a panel is its name, a value to mark with a line, and values."""
    left, row, gap = 92, 28, 46
    width = (WIDTH - left - gap * len(panels)) / max(len(panels), 1)
    height = TOP + 14 + row * len(names) + 34
    parts, said = [], []
    for place, name in enumerate(names):
        parts.append(_text(left - 10, TOP + 14 + row * place + 18, name, "label end"))
    bottom = TOP + 14 + row * len(names)
    for number, (panel, marked, values) in enumerate(panels):
        start = left + number * (width + gap)
        most = max([value for value in values if value is not None] + [marked or 0, 1e-9])
        x = Scale(0, most, start, start + width)
        parts.append(_text(start, TOP + 2, panel, "name"))
        numbers = []
        for place, value in enumerate(values):
            top = TOP + 14 + row * place
            shown = "none" if value is None else f"{value:.3f}"
            size = f'width="{0.0 if value is None else x(value) - start:.1f}" height="{row - 10}"'
            parts.append(f'<rect class="bar c{place % SHAPES}" x="{start:.1f}" y="{top + 5}" {size}/>')
            numbers.append(_text(x(value or 0) + 5, top + 18, shown, "tick"))
            said.append(f"{names[place]} {panel} {shown}")
        if marked is not None:
            at = f'x1="{x(marked):.1f}" x2="{x(marked):.1f}"'
            parts.append(f'<line class="marked" {at} y1="{TOP + 14}" y2="{bottom}"/>')
            parts.append(_text(x(marked), bottom + 15, f"{marked:g}", "tick middle"))
        parts += numbers  # above the line, which would cross them
    return _svg(" and ".join(panel for panel, _, _ in panels), "; ".join(said), parts, height)


def ticks(low: float, high: float, n: int = 5) -> list[float]:
    """About `n` round numbers from `low` or below to `high` or above."""
    span = max(high - low, 1e-6)
    step = 10.0 ** math.floor(math.log10(span / n))
    step *= next(times for times in (1, 2, 5, 10) if span / (step * times) <= n)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(number * step, 10) for number in range(first, max(last, first + 1) + 1)]


def spread(wanted: Sequence[float], least: float, low: float, high: float) -> list[float]:
    """Places near the wanted ones, in the same order, `least` apart where there is room between `low` and `high`."""
    order = sorted(range(len(wanted)), key=wanted.__getitem__)
    placed = list(wanted)
    under = low - least
    for number in order:
        under = placed[number] = max(wanted[number], under + least)
    over = high + least
    for number in reversed(order):
        over = placed[number] = min(placed[number], over - least)
    return placed


def _vertical(intervals: Sequence[Interval]) -> tuple[Scale, list[float]]:
    """The vertical axis and its marks."""
    marks = ticks(min(i.low for i in intervals), max(i.high for i in intervals))
    return Scale(marks[0], marks[-1], HEIGHT - BOTTOM, TOP), marks


def _grid(y: Scale, marks: Sequence[float]) -> str:
    lines = []
    for value in marks:
        lines.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>')
        lines.append(_text(LEFT - 8, y(value) + 4, f"{value:.6g}", "tick end"))
    return "".join(lines)


def _x_tick(at: float, text: str) -> str:
    bottom = HEIGHT - BOTTOM
    line = f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{bottom}" y2="{bottom + 5}"/>'
    return line + _text(at, bottom + 19, text, "tick middle")


def _axis_names(horizontal: str, vertical: str) -> str:
    across = _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, horizontal, "name middle")
    place = f"translate(14 {(TOP + HEIGHT - BOTTOM) / 2:.0f}) rotate(-90)"
    up = f'<g transform="{place}">{_text(0, 0, vertical, "name middle")}</g>'
    return across + up


def _mark(number: int, at: float, interval: Interval, y: Scale, name: str) -> str:
    """A bar from low to high and a mark at the mean, with words for whoever points at it."""
    words = escape(f"{name}: {interval.mean:.3f} [{interval.low:.3f}, {interval.high:.3f}]")
    middle = y(interval.mean)
    shape = (
        f'<circle cx="{at:.1f}" cy="{middle:.1f}" r="5"/>',
        f'<rect x="{at - 4.5:.1f}" y="{middle - 4.5:.1f}" width="9" height="9"/>',
        f'<path d="M{at:.1f} {middle - 6:.1f}l6 10h-12z"/>',
        f'<path d="M{at:.1f} {middle - 6.5:.1f}l6.5 6.5l-6.5 6.5l-6.5 -6.5z"/>',
        f'<path d="M{at:.1f} {middle + 6:.1f}l6 -10h-12z"/>',
        f'<circle class="hollow" cx="{at:.1f}" cy="{middle:.1f}" r="4.5"/>',
    )[number % SHAPES]
    bar = f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{y(interval.low):.1f}" y2="{y(interval.high):.1f}"/>'
    return f'<g class="mark c{number % SHAPES}"><title>{words}</title>{bar}{shape}</g>'


def _labels(wanted: Sequence[tuple[float, float, str]]) -> list[str]:
    """Names beside their marks, moved apart, each with a thin line where it had to move far."""
    heights = spread([y for _, y, _ in wanted], LINE, TOP + 4, HEIGHT - BOTTOM - 4)
    parts = []
    for (x, y, name), height in zip(wanted, heights, strict=True):
        if abs(height - y) > 3:
            parts.append(f'<line class="leader" x1="{x + 6:.1f}" y1="{y:.1f}" x2="{x + 15:.1f}" y2="{height:.1f}"/>')
        parts.append(_text(x + 17, height + 4, name, "label"))
    return parts


def _text(x: float, y: float, text: str, kind: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'


def _svg(heading: str, said: str, parts: Sequence[str], height: int = HEIGHT) -> str:
    return (
        f'<svg role="img" viewBox="0 0 {WIDTH} {height}"><title>{escape(heading)}</title>'
        f"<desc>{escape(said)}</desc>{''.join(parts)}</svg>"
    )
