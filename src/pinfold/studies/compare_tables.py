"""A comparison as texts: the cells that the terminal and the page share, and the terminal's tables."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from pinfold.evaluation.intervals import Interval
from pinfold.studies.advice import number, seconds_text, title
from pinfold.studies.comparison import Comparison, Judged

SHOWN = ("recall@20", "ndcg@20")
EXPOSURE = {"coverage@20": "coverage@20", "novelty@20": "novelty@20", "gini@20": "gini@20",
            "popularity_lift@20": "popularity lift@20"}  # fmt: skip
CAN = {"new_users": "new users", "new_items": "new items", "explain": "explain", "index": "index"}
Rows = list[list[str]]  # the first cell of a row is the model


def comparison_parts(comparison: Comparison) -> list[RenderableType]:
    """What the terminal shows, from the table to the advice."""
    caption = f"{scope(comparison)}; [95 % bootstrap interval]; {test_words(comparison)}"
    advice = Text(f"\n{comparison.advice.sentence}", style="bold")
    for note in comparison.advice.notes:
        advice.append(f"\n- {note}", style="not bold")
    return [
        _table("Is the graph worth it?", *quality(comparison), caption=caption),
        _table("What it costs, what it can do", *costs(comparison)),
        _table(f"{comparison.metric} by how many items a user is known by", *by_group(comparison, intervals=False)),
        _table("What the lists do to the catalogue", *exposure(comparison)),
        advice,
    ]


def quality(comparison: Comparison) -> tuple[list[str], Rows]:
    """Metrics with intervals, difference to the best model without a graph, p."""
    reference = comparison.reference
    head = ["model", *SHOWN, f"beside {title(reference)}" if reference else "", "p"]
    rows = []
    for model in comparison.models:
        test = comparison.to_reference(model.name)
        gap = _gap(test.difference, test.low, test.high) if test else ""
        cells = [interval_text(model.evaluation.intervals[metric]) for metric in SHOWN]
        rows.append([title(model.name), *cells, gap, _p(test.p_value) if test else ""])
    rows += [[title(refused.name), refused.reason] for refused in comparison.refused]
    return head, rows


def costs(comparison: Comparison) -> tuple[list[str], Rows]:
    """Seconds, memory, epochs, and what each model can do."""
    head = ["model", "learn", "answer all", "memory", "epochs", "can do without training again"]
    return head, [_cost(model) for model in comparison.models]


def _cost(model: Judged) -> list[str]:
    learning = model.learning
    epochs = f"{learning.best_epoch} of {learning.epochs}, {learning.ended}" if learning.ended else "none"
    can = [words for name, words in CAN.items() if getattr(model.abilities, name)]
    times = [seconds_text(learning.seconds), seconds_text(model.answer_seconds)]
    return [title(model.name), *times, memory_text(learning.memory_bytes), epochs, ", ".join(can)]


def by_group(comparison: Comparison, *, intervals: bool = True) -> tuple[list[str], Rows]:
    """The metric in each group of users."""
    text = interval_text if intervals else mean_text
    head = ["model", *(f"{group.label} ({group.n_users:,} users)" for group in comparison.groups)]
    return head, [[title(m.name), *(text(interval) for interval in m.groups)] for m in comparison.models]


def exposure(comparison: Comparison) -> tuple[list[str], Rows]:
    """Coverage, novelty, gini and popularity lift."""
    rows = []
    for model in comparison.models:
        found = model.evaluation.exposure
        rows.append([title(model.name), *(f"{found[key]:.3f}" if key in found else "" for key in EXPOSURE)])
    return ["model", *EXPOSURE.values()], rows


def scope(comparison: Comparison) -> str:
    """`30,627 users, 13,839 items, 224,677 edges; protocol random, seed 0; 9,000 users asked`."""
    facts = comparison.facts
    data = facts["data"]
    return (
        f"{data['n_users']:,} users, {data['n_items']:,} items, {data['n_edges']:,} edges; protocol "
        f"{facts['split']['protocol']}, seed {facts['seed']}; {comparison.models[0].evaluation.n_users:,} users asked"
    )


def test_words(comparison: Comparison) -> str:
    """What p is."""
    if comparison.reference is None:
        return "no model without a graph to compare with"
    return (
        f"p: paired test of {comparison.metric} against {title(comparison.reference)} (on the validation part the best "
        "without a graph), "
        f"Holm-corrected for all {len(comparison.tests)} pairs of models"
    )


def interval_text(interval: Interval) -> str:
    """`.612 [.605, .619]`."""
    return f"{number(interval.mean)} [{number(interval.low)}, {number(interval.high)}]"


def mean_text(interval: Interval) -> str:
    """`.612`."""
    return number(interval.mean)


def memory_text(n_bytes: int) -> str:
    """`12 MiB`, `1.5 GiB`."""
    return f"{n_bytes / 2**20:,.0f} MiB" if n_bytes < 2**30 else f"{n_bytes / 2**30:.1f} GiB"


def _gap(difference: float, low: float, high: float) -> str:
    return f"{number(difference, sign=True)} [{number(low, sign=True)}, {number(high, sign=True)}]"


def _p(p: float) -> str:
    return "<.001" if p < 0.001 else number(p)


def _table(heading: str, head: Sequence[str], rows: Rows, caption: str | None = None) -> Table:
    # without a frame the four intervals of a row fit into 80 columns
    table = Table(
        title=escape(heading),
        title_justify="left",
        caption_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    table.caption = escape(caption) if caption else None
    for place, name in enumerate(head):
        table.add_column(escape(name), justify="right" if place else "left", overflow="fold", no_wrap=not place)
    for row in rows:
        table.add_row(*(escape(cell) for cell in (row if len(row) == len(head) else [row[0], "not run, see below"])))
    return table
