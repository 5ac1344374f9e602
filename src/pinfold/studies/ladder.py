"""A study: what each part of a model brings, on the same splits and questions, in tables that a run file names."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pinfold.config import to_toml
from pinfold.errors import ConfigError
from pinfold.files import write_json, write_text
from pinfold.memory import peak_memory
from pinfold.progress import SILENT, Progress
from pinfold.studies.ladder_bench import BLEND, COLD, Bench, blend_name, open_bench
from pinfold.studies.ladder_cold import ALONE, CEILING, FIRST, ceiling_figures, cold_figures
from pinfold.studies.ladder_results import Figures, Outcome, Study
from pinfold.studies.ladder_tables import report
from pinfold.studies.ladder_warm import blend_figures, warm_figures

Shown = Callable[[Outcome], None]


@dataclass(frozen=True, slots=True)
class _Work:
    """What every table is made from."""

    bench: Bench
    seeds: tuple[int, ...]
    progress: Progress

    def first(self, n: int | None) -> tuple[int, ...]:
        """The seeds of a table that wants only `n` of them."""
        return self.seeds if n is None else self.seeds[:n]


def run_study(
    path: Path,
    out: Path,
    *,
    data: Path | None = None,
    seeds: Sequence[int] | None = None,
    only: Sequence[str] = (),
    progress: Progress = SILENT,
    shown: Shown | None = None,
) -> Study:
    """Every variant of a run file's table [study], once a seed; results are kept in `out`.

    Killed and called again, it goes on where it was; what has not changed in the run file is not run again. Epochs and
    weights are chosen on the validation part; then the test part is opened.

    Args:
        path: the run file.
        out: the folder of results; a new one, or one of an earlier call with the same data.
        data: a folder that `pinfold import` made, in place of data.path.
        seeds: other seeds than the run file's.
        only: the tables that are made; none: all.
        progress: hears how the work goes on.
        shown: is given each table when it is complete.

    Raises:
        ConfigError: no such study, table or option, or `out` belongs to another study.
        DataError: the data cannot be used.
        TrainingError: a training failed.
    """
    chosen = None if seeds is None else tuple(seeds)
    if chosen is not None and (not chosen or len(set(chosen)) < len(chosen) or min(chosen) < 0 or max(chosen) >= 2**63):
        raise ConfigError(f"seeds {', '.join(map(str, chosen))}: expected different whole numbers from 0")
    bench = open_bench(path, out, data, only)
    work = _Work(bench, chosen or bench.study.seeds, progress)
    names, outcomes = bench.tables(only), list[Outcome]()
    done = Study(path.stem, bench.study, to_toml(bench.run), (), peak_memory())
    for name in names:
        outcomes.append(_table(work, name))
        if shown is not None:
            shown(outcomes[-1])
        done = Study(path.stem, bench.study, to_toml(bench.run), tuple(outcomes), peak_memory())
        write_json(out / "report.json", done.to_json())
        write_text(out / "report.md", report(done))
    return done


def _table(work: _Work, name: str) -> Outcome:
    if name == BLEND:
        return _blend(work)
    if name == COLD:
        return _cold(work)
    group = work.bench.study.groups[name]
    seeds = work.first(group.seeds)
    return Outcome(name, tuple((variant, _each(work, name, variant, seeds)) for variant in group.variants))


def _each(work: _Work, table: str, variant: str, seeds: Sequence[int]) -> tuple[Figures, ...]:
    found = []
    for seed in seeds:
        with work.progress.task(f"{table}: {variant}, seed {seed}"):
            found.append(warm_figures(work.bench, variant, seed, work.progress))
    return tuple(found)


def _blend(work: _Work) -> Outcome:
    """The members, and below them their sum."""
    config = work.bench.study.blend
    seeds = work.first(config.seeds)
    rows = [(member, _each(work, BLEND, member, seeds)) for member in config.members]
    name = blend_name(work.bench.study)
    both = []
    for seed in seeds:
        with work.progress.task(f"{BLEND}: {name}, seed {seed}"):
            both.append(blend_figures(work.bench, seed, work.progress))
    return Outcome(BLEND, (*rows, (name, tuple(both))))


def _cold(work: _Work) -> Outcome:
    """Every variant by features alone and with first users, and below them the ceilings."""
    config = work.bench.study.cold
    rows: dict[str, list[Figures]] = {}
    for seed in work.first(config.seeds):
        for variant in config.variants:
            with work.progress.task(f"{COLD}: {variant}, seed {seed}"):
                for figures in cold_figures(work.bench, variant, seed, work.progress):
                    rows.setdefault(figures.variant, []).append(figures)
        for variant in config.ceilings:
            with work.progress.task(f"{COLD}: {variant}{CEILING}, seed {seed}"):
                figures = ceiling_figures(work.bench, variant, seed, work.progress)
                rows.setdefault(figures.variant, []).append(figures)
    order = [variant + how for how in (ALONE, FIRST) for variant in config.variants]
    order += [variant + CEILING for variant in config.ceilings]
    return Outcome(COLD, tuple((name, tuple(rows[name])) for name in order))
