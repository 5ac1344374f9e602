"""A comparison as files: report.json, and report.html, one page that needs nothing but itself."""

from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

from pinfold.errors import ArtifactError
from pinfold.files import write_json, write_text
from pinfold.studies import plots
from pinfold.studies.advice import title
from pinfold.studies.compare_tables import Rows, by_group, costs, exposure, quality, scope, test_words
from pinfold.studies.comparison import Comparison

MARKS = {"report.json": '"kind": "pinfold comparison"', "report.html": '<meta name="generator" content="pinfold">'}


CAN_DO = (
    "New users: answers for somebody who came after training. New items: recommends what nobody took yet. Explain: a "
    "score is a sum over the items of the history. Index: scores are inner products, which an index can search."
)


def check_report_place(folder: Path) -> None:
    """Raise if a report cannot be written there, or would replace a file that is none. Before the work.

    Raises:
        ArtifactError: says what is there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, mark in MARKS.items():
            path = folder / name
            if path.exists() and mark not in path.read_text(encoding="utf-8", errors="replace"):
                raise ArtifactError(
                    f"{path}: is not a report of `pinfold compare`; move it away, or name another folder"
                )
    except OSError as error:
        raise ArtifactError(f"{folder}: a report cannot be written there: {error}") from error


def write_report(folder: Path, comparison: Comparison) -> None:
    """report.json and report.html, each whole or as it was before.

    Raises:
        ArtifactError: the file system refuses.
    """
    check_report_place(folder)
    try:
        write_json(folder / "report.json", comparison.to_json())
        write_text(folder / "report.html", page(comparison))
    except OSError as error:
        raise ArtifactError(f"{folder}: the report cannot be written: {error}") from error


def page(comparison: Comparison) -> str:
    """The page as HTML. All text that comes from data is escaped."""
    advice = comparison.advice
    parts = {
        "sentence": escape(advice.sentence),
        "notes": "".join(f"<li>{escape(note)}</li>" for note in advice.notes),
        "scope": escape(scope(comparison)),
        "quality": _table(
            f"Mean over users with 95 % bootstrap interval; {test_words(comparison)}.", *quality(comparison)
        ),
        "costs": _table(CAN_DO, *costs(comparison)),
        "groups": _table("The columns are groups of users, by known items.", *by_group(comparison)),
        "exposure": _table("Definitions: docs/metrics.md of Pinfold.", *exposure(comparison)),
        "time_plot": _time_plot(comparison),
        "group_plot": _group_plot(comparison),
        "exposure_plot": _exposure_plot(comparison),
        "method": _method(comparison),
    }
    template = (files("pinfold.studies") / "page.html").read_text(encoding="utf-8")
    return Template(template).substitute(parts)


def _time_plot(comparison: Comparison) -> str:
    metric = comparison.metric
    points = [plots.Point(title(m.name), m.learning.seconds, m.evaluation.intervals[metric]) for m in comparison.models]
    return plots.against_time(points, metric)


def _group_plot(comparison: Comparison) -> str:
    lines = [(title(model.name), model.groups) for model in comparison.models]
    labels = [group.label for group in comparison.groups]
    return plots.by_group(lines, labels, comparison.metric, "items by which the user is known")


def _exposure_plot(comparison: Comparison) -> str:
    def values(name: str) -> list[float | None]:
        return [model.evaluation.exposure.get(name) for model in comparison.models]

    panels = [
        ("coverage@20", None, values("coverage@20")),
        ("popularity lift@20", 1.0, values("popularity_lift@20")),
    ]
    return plots.bars(panels, [title(model.name) for model in comparison.models])


def _method(comparison: Comparison) -> str:
    """How it was measured, as terms and descriptions."""
    facts = comparison.facts
    data, machine = facts["data"], facts["machine"]
    told = {
        "data": f"{data['path']}: {data['about'] or 'no description'}",
        "size": f"{data['n_users']:,} users, {data['n_items']:,} items, {data['n_edges']:,} edges",
        "split": ", ".join(f"{name} {value}" for name, value in facts["split"].items()),
        "seed": facts["seed"],
        "budget": f"{facts['minutes']:g} minutes for all models; {facts['seconds']:.0f} s were used",
        "versions": ", ".join(f"{name} {value}" for name, value in facts["versions"].items()),
        "machine": f"{machine['system']} {machine['processor']}; {machine['cores']} cores, {machine['threads']} used",
        "time": facts["time"],
    }
    return "".join(f"<dt>{escape(term)}</dt><dd>{escape(str(text))}</dd>" for term, text in told.items())


def _table(caption: str, head: Sequence[str], rows: Rows) -> str:
    """A table whose first column names the rows; the last cell of a short row fills it."""
    heads = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    body = []
    for first, *cells in rows:
        span = len(head) - len(cells)
        wide = f' class="words" colspan="{span}"' if span > 1 else ""
        last = "".join(f"<td{wide}>{escape(cell)}</td>" for cell in cells[-1:])
        middle = "".join(f"<td>{escape(cell)}</td>" for cell in cells[:-1])
        body.append(f'<tr><th scope="row">{escape(first)}</th>{middle}{last}</tr>')
    return (
        f'<div class="wide"><table><caption>{escape(caption)}</caption><thead><tr>{heads}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )
