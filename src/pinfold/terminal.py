"""What a person sees: progress bars on stderr, tables on stdout."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich import progress as bars
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table
from rich.text import Text

from pinfold.data.findings import Diagnosis, Example
from pinfold.evaluation.intervals import Interval
from pinfold.index.answers import Answer, Reasons
from pinfold.pipeline import Verdict
from pinfold.planning.stages import Plan
from pinfold.progress import Task

OUT = Console()
ERR = Console(stderr=True)


class TerminalProgress:
    """A bar for each task; where stderr is not a terminal, one line when a task ends."""

    @contextmanager
    def task(self, name: str, total: int | None = None) -> Iterator[Task]:
        """A bar with the share done, the time left and a note."""
        whole = Column(no_wrap=True, min_width=7)  # on a narrow terminal the bar and the note give way, not the times
        columns = (
            bars.TextColumn("{task.description}"),
            bars.BarColumn(bar_width=12),
            bars.TaskProgressColumn(),
            bars.TimeElapsedColumn(table_column=whole),
            bars.TextColumn("left"),
            bars.TimeRemainingColumn(table_column=whole.copy()),
            bars.TextColumn("{task.fields[note]}"),
        )
        with bars.Progress(*columns, console=ERR, transient=ERR.is_terminal) as shown:
            yield _Bar(shown, shown.add_task(name, total=total, note=""))


class _Bar:
    """A task of a rich progress display."""

    def __init__(self, shown: bars.Progress, number: bars.TaskID) -> None:
        self._shown = shown
        self._number = number

    def advance(self, steps: int = 1, note: str = "") -> None:
        """Move the bar."""
        self._shown.update(self._number, advance=steps, note=note)


def verdict_tables(verdict: Verdict, title: str, fit_seconds: Mapping[str, float] | None = None) -> list[Table]:
    """How good each model's lists are, and what they do to the catalogue; a row a model."""
    return [_quality_table(verdict, title), _exposure_table(verdict, fit_seconds or {})]


def _quality_table(verdict: Verdict, title: str) -> Table:
    first = next(iter(verdict.evaluations.values()))
    table = _table(title)
    table.caption = (
        f"mean over {first.n_users:,} users [95 % bootstrap interval]; p: paired test against the first row, "
        "Holm-corrected; definitions in docs/metrics.md"
    )
    table.add_column("model")
    shown = [name for name in first.intervals if name.partition("@")[0] in ("recall", "ndcg", "mrr")]
    for name in (*shown, "p"):
        table.add_column(name, justify="right", overflow="fold")  # a number cut short would be another number
    for name, evaluation in verdict.evaluations.items():
        test = verdict.tests.get(name)
        cells = [interval_text(evaluation.intervals[metric]) for metric in shown]
        table.add_row(name, *cells, p_text(test.p_value) if test else "")
    return table


def _exposure_table(verdict: Verdict, fit_seconds: Mapping[str, float]) -> Table:
    table = _table("")
    table.add_column("model")
    measures = next(iter(verdict.evaluations.values())).exposure
    for name in measures:
        table.add_column(name.replace("popularity_", "pop. "), justify="right", overflow="fold")
    table.add_column("fit s", justify="right")
    table.add_column("answer s", justify="right")
    for name, evaluation in verdict.evaluations.items():
        cells = [f"{evaluation.exposure[m]:.3f}" if m in evaluation.exposure else "" for m in measures]
        fit = f"{fit_seconds[name]:.1f}" if name in fit_seconds else ""
        table.add_row(name, *cells, fit, f"{evaluation.seconds:.1f}")
    return table


def interval_text(interval: Interval) -> str:
    """`.612 [.605, .619]`."""
    mean, low, high = (f"{x:.3f}".replace("0.", ".", 1) for x in (interval.mean, interval.low, interval.high))
    return f"{mean} [{low}, {high}]"


def p_text(p: float) -> str:
    """A p-value to two places, `<.001` below that."""
    return "<.001" if p < 0.001 else f"{p:.3f}".replace("0.", ".", 1)


def answers_table(answers: Sequence[Answer], title: str) -> Table:
    """Rank, id, title and score."""
    table = _table(title)
    table.add_column("#", justify="right")
    table.add_column("id", no_wrap=True)
    table.add_column("title")
    table.add_column("score", justify="right")
    for answer in answers:
        table.add_row(str(answer.rank), escape(answer.id), escape(answer.title or ""), f"{answer.score:.4g}")
    return table


def reasons_table(found: Reasons, title: str) -> Table:
    """Terms, largest first, what is not shown, and the score, their sum."""
    table = _table(title)
    table.add_column("because of", no_wrap=True)
    table.add_column("title")
    table.add_column("adds", justify="right")
    for reason in found.reasons:
        table.add_row(escape(reason.id), escape(reason.title or ""), f"{reason.term:.4g}")
    if found.n_rest:
        table.add_row(f"{found.n_rest:,} more", "", f"{found.rest:.4g}")
    if found.own:
        table.add_row("the user's own vector", "", f"{found.own:.4g}")
    table.add_section()
    table.add_row("score", "", f"{found.score:.4g}")
    return table


def neighbors_table(neighbors: Mapping[str, Mapping[str, Sequence[str]]]) -> Table:
    """Items, and what is most like them by each of several models."""
    table = _table("Most similar items, nearest first")
    table.add_column("item", no_wrap=True)
    for model in next(iter(neighbors.values()), {}):
        table.add_column(escape(model))
    for item, by_model in neighbors.items():
        table.add_row(escape(item), *(escape(", ".join(ids)) for ids in by_model.values()))
        table.add_section()
    return table


def example_text(collection: str, given: Sequence[str], proposed: Sequence[str], hidden: Collection[str]) -> Text:
    """A collection, what of it was given, and the proposals, with a check mark on those that were hidden."""
    text = Text(f"\n{collection}", style="bold")
    text.append(f"\n  given:    {', '.join(given)}", style="not bold")
    marked = [f"\N{CHECK MARK} {item}" if item in hidden else item for item in proposed]
    text.append(f"\n  proposed: {', '.join(marked)}", style="not bold")
    text.append(f"\n  hidden:   {', '.join(sorted(hidden))}", style="not bold")
    return text


def diagnosis_table(diagnosis: Diagnosis) -> Table:
    """A row a finding, with examples in their place."""
    counts = ", ".join(f"{n:,} {name.replace('_', ' ')}" for name, n in diagnosis.counts.items())
    table = _table(f"Checked: {counts}")
    table.add_column("severity")
    table.add_column("what", overflow="fold")  # a path cut short would hide its row
    table.add_column("count", justify="right")
    table.add_column("for example", overflow="fold")
    for finding in diagnosis.findings:
        places = [_place(example) for example in finding.examples]
        table.add_row(finding.severity, escape(finding.message), f"{finding.count:,}", "\n".join(places))
    if not diagnosis.findings:
        table.add_row("", "nothing to complain about", "", "")
    return table


def _place(example: Example) -> str:
    """`events.csv:17 time 'noon'`."""
    row = "" if example.row is None else f":{example.row}"
    return escape(f"{example.file}{row} {example.column} {example.value!r}")


def diagnosis_text(diagnosis: Diagnosis) -> str:
    """How many findings of each severity, on one line."""
    severities = Counter(finding.severity for finding in diagnosis.findings)
    return ", ".join(f"{severities[name]} {name}s" for name in ("error", "warning", "note"))


def report_table(values: Mapping[str, object], title: str) -> Table:
    """Names and values."""
    table = _table(title)
    table.add_column("what")
    table.add_column("value", justify="right")
    for name, value in values.items():
        table.add_row(name.replace("_", " "), escape(_value(value)))
    return table


def plan_table(plan: Plan) -> Table:
    """A row a stage: what it holds, what of it are mapped files, what it writes, and how long it takes."""
    table = _table(f"pinfold {plan.job}: predicted")
    table.add_column("stage")
    for name in ("held", "with files", "disk", "seconds"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("most of it", overflow="fold")
    for stage in plan.stages:
        seconds = "not predicted" if stage.seconds is None else f"{stage.seconds:,.1f}"
        sizes = [f"{size / 1e6:,.0f} MB" for size in (stage.held, stage.memory, stage.disk)]
        told = f"{stage.largest} ({stage.repeats})" if stage.repeats else stage.largest
        table.add_row(stage.name, *sizes, seconds, escape(told))
    table.add_section()
    sizes = [f"{size / 1e6:,.0f} MB" for size in (plan.held, plan.memory, plan.disk)]
    table.add_row("peak, sum", *sizes, "" if plan.seconds is None else f"{plan.seconds:,.1f}", plan.peak.name)
    return table


def _value(value: object) -> str:
    """Numbers with separators, names and numbers without brackets, nothing for what is missing."""
    match value:
        case int():
            return f"{value:,}"
        case float():
            return f"{value:.1f}"
        case dict():
            return ", ".join(f"{name} {_value(part)}" for name, part in value.items())
    return "" if value is None else str(value)


def _table(title: str) -> Table:
    return Table(title=escape(title) or None, title_justify="left", caption_justify="left")
