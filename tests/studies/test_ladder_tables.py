"""Tables of a study in a terminal."""

import io
import re

import pytest
from rich.console import Console

from pinfold.evaluation.intervals import Interval
from pinfold.studies.ladder_results import Figures, Outcome
from pinfold.studies.ladder_tables import study_tables

NAMES = [f"metric number {i}" for i in range(9)]


def outcome(n_seeds: int) -> Outcome:
    def figures(variant: str, seed: int) -> Figures:
        metrics = {name: Interval(0.123 + 0.1 * seed, 0.1, 0.5) for name in NAMES}
        return Figures(variant, seed, metrics, {"seconds": 12.0})

    rows = ((name, tuple(figures(name, seed) for seed in range(n_seeds))) for name in ("walk", "[bold] neighbors"))
    return Outcome("negatives", tuple(rows))


@pytest.mark.parametrize("width", [60, 80, 200])
@pytest.mark.parametrize("n_seeds", [1, 3])
def test_no_word_is_broken_however_narrow(width: int, n_seeds: int) -> None:
    out = io.StringIO()
    console = Console(file=out, width=width)
    tables = study_tables(outcome(n_seeds), console.width)
    console.print(*tables, sep="\n")
    text = out.getvalue()
    for name in (*NAMES, "seconds"):
        assert text.count(name) == 1
    assert text.count("[bold] neighbors") == len(tables)
    reach = ".123 to .323" if n_seeds == 3 else ".100, .500"
    assert text.count(reach) == 2 * len(NAMES)
    assert len(re.findall(r"^negatives", text, re.MULTILINE)) == len(tables)
    assert text.count("bootstrap" if n_seeds == 1 else "Means over") == 1
    assert max(map(len, text.splitlines())) <= width


def test_one_table_where_there_is_room() -> None:
    assert len(study_tables(outcome(3), 400)) == 1
    assert len(study_tables(outcome(3), 10)) == len(NAMES) + 1  # a column each, whatever the width
