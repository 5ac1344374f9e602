"""What a person sees."""

import io

import numpy as np
import pytest
from rich.console import Console

from pinfold.data.findings import Diagnosis, Example, Finding
from pinfold.evaluation.evaluate import Evaluation
from pinfold.evaluation.intervals import Interval, PairedTest
from pinfold.index.answers import Answer
from pinfold.pipeline import Verdict
from pinfold.terminal import (
    TerminalProgress,
    answers_table,
    diagnosis_table,
    diagnosis_text,
    example_text,
    interval_text,
    p_text,
    verdict_tables,
)


def rendered(*things: object) -> str:
    out = io.StringIO()
    console = Console(file=out, width=160)
    for thing in things:
        console.print(thing)
    return out.getvalue()


def evaluation(recall: float, exposure: dict[str, float]) -> Evaluation:
    interval = {"recall@5": Interval(recall, recall - 0.01, recall + 0.01)}
    return Evaluation(interval, exposure, {"recall@5": np.array([recall])}, 12, 0.25)


def test_a_row_a_model_with_interval_test_and_exposure() -> None:
    models = {"ours": evaluation(0.5, {"coverage@5": 0.25}), "theirs": evaluation(0.4, {})}
    verdict = Verdict(models, {"theirs": PairedTest("recall@5", 0.1, 0.05, 0.15, 0.0004, 12)})
    text = rendered(*verdict_tables(verdict, "A title [not markup]", {"ours": 1.26}))
    lines = [line for line in text.splitlines() if "ours" in line or "theirs" in line]
    assert ".500 [.490, .510]" in lines[0]
    assert ".400 [.390, .410]" in lines[1]
    assert "<.001" in lines[1]
    assert "0.250" in lines[2]
    assert "1.3" in lines[2]
    assert "0.250" not in lines[3]  # the model without lists has an empty cell
    assert "A title [not markup]" in text
    assert "mean over 12 users" in text


@pytest.mark.parametrize(("p", "text"), [(0.0009, "<.001"), (0.0123, ".012"), (1.0, "1.000")])
def test_p_values(p: float, text: str) -> None:
    assert p_text(p) == text


def test_intervals_that_reach_one() -> None:
    assert interval_text(Interval(1.0, 0.95, 1.0)) == "1.000 [.950, 1.000]"


def test_ids_and_titles_are_never_markup() -> None:
    text = rendered(answers_table([Answer(1, "[red]x[/red]", "[bold]Title", 0.5)], "for [me]"))
    assert all(word in text for word in ("[red]x[/red]", "[bold]Title", "for [me]"))


def test_findings_in_their_place() -> None:
    finding = Finding(
        "time", "error", "bad time", 2, (Example("a.csv", 17, "when", "noon"), Example("b", None, "", "x"))
    )
    diagnosis = Diagnosis((finding,), {"rows": 20})
    assert "a.csv:17 when 'noon'" in rendered(diagnosis_table(diagnosis))
    assert diagnosis_text(diagnosis) == "1 errors, 0 warnings, 0 notes"
    assert "nothing to complain about" in rendered(diagnosis_table(Diagnosis((), {})))


def test_hidden_items_that_were_found_are_marked() -> None:
    text = str(example_text("pkg", ["a"], ["b", "c"], {"c"}))
    assert "proposed: b, \N{CHECK MARK} c" in text


def test_progress_goes_to_stderr_alone(capsys: pytest.CaptureFixture[str]) -> None:
    with TerminalProgress().task("work", 2) as task:
        task.advance(1, "half")
        task.advance()
    assert capsys.readouterr().out == ""
