"""What a person sees of a study, in a terminal and as Markdown."""

from rich.markup import escape
from rich.table import Table

from pinfold.studies.ladder_results import Outcome, Study
from pinfold.studies.results import spread

FRAME = 3  # letters of a column beside its cell
WHOLE = ("epoch", "cold items", "seconds", "seconds to select")


def study_tables(outcome: Outcome, width: int) -> list[Table]:
    """A row a variant, a column a figure; in several tables where one would be wider than `width` letters."""
    names = outcome.columns()
    variants = [variant for variant, _ in outcome.rows]
    grid = [[_in_two_lines(cell) for cell in _cells(outcome, variant)] for variant in variants]
    needed = [FRAME + _widest([name, *column]) for name, *column in zip(names, *grid, strict=True)]
    tables = []
    for part in _parts(needed, width - FRAME - _widest(variants)):
        table = Table(title=escape(outcome.group), title_justify="left", caption_justify="left")
        table.add_column("", overflow="fold")
        for place in part:
            table.add_column(escape(names[place]), justify="right", overflow="fold")
        for variant, row in zip(variants, grid, strict=True):
            table.add_row(escape(variant), *(escape(row[place]) for place in part))
        tables.append(table)
    tables[-1].caption = escape(explained(outcome))
    return tables


def _parts(needed: list[int], room: int) -> list[list[int]]:
    """Columns of these widths in order, as many together as have room, but at least one."""
    parts: list[list[int]] = []
    left = -1
    for place, width in enumerate(needed):
        if width > left:
            parts.append([])
            left = room
        parts[-1].append(place)
        left -= width
    return parts


def _in_two_lines(cell: str) -> str:
    """The figure, and below it how far it reaches."""
    return cell.replace(" (", "\n(").replace(" [", "\n[")


def _widest(cells: list[str]) -> int:
    """Letters of the longest line."""
    return max(len(line) for cell in cells for line in cell.split("\n"))


def report(study: Study) -> str:
    """All tables as Markdown, and what is not as expected."""
    lines = [f"# {study.name}", ""]
    for outcome in study.outcomes:
        names = outcome.columns()
        lines += [f"## {outcome.group}", "", f"| | {' | '.join(names)} |", f"|---|{'---:|' * len(names)}"]
        lines += [f"| {variant} | {' | '.join(_cells(outcome, variant))} |" for variant, _ in outcome.rows]
        lines += ["", explained(outcome), ""]
    misses = study.misses()
    lines += [f"Not as expected: {miss}" for miss in misses] or ["All expected figures are as expected."]
    return "\n".join([*lines, "", f"Peak memory {study.peak_memory_bytes / 2**20:,.0f} MiB.", ""])


def explained(outcome: Outcome) -> str:
    """What the cells say."""
    n_seeds = sorted({len(results) for _, results in outcome.rows})
    if n_seeds[-1:] > [1]:
        return f"Means over {n_seeds[-1]} seeds (least to most); a seed decides split, questions and training."
    return "One seed [95 % bootstrap interval over pairs; over users for what begins with 'user']."


def _cells(outcome: Outcome, variant: str) -> list[str]:
    return [_cell(outcome, variant, name) for name in outcome.columns()]


def _cell(outcome: Outcome, variant: str, name: str) -> str:
    values = outcome.values(variant, name)
    if not values:
        return ""
    mean = _figure(spread(values).mean, name)
    if len(values) > 1:
        least, most = _figure(min(values), name), _figure(max(values), name)
        return mean if name in WHOLE and least == most else f"{mean} ({least} to {most})"
    interval = dict(outcome.rows)[variant][0].metrics.get(name)
    return mean if interval is None else f"{mean} [{_figure(interval.low, name)}, {_figure(interval.high, name)}]"


def _figure(value: float, name: str) -> str:
    """Three places, as `.182`; seconds and counts with one at most."""
    if name in WHOLE:
        return f"{value:,.0f}" if value >= 10 or value == round(value) else f"{value:.1f}"
    if abs(value) >= 10:
        return f"{value:.1f}"
    return f"{value:.3f}".removeprefix("0") if 0 <= value < 1 else f"{value:.2f}"
