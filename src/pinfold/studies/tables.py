"""What a person sees of a reproduction and of a search."""

from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table

from pinfold.evaluation.intervals import Interval
from pinfold.studies.results import Reproduction, SeedResult, Spread
from pinfold.studies.tune import Search

SHOWN = 10


def reproduction_tables(done: Reproduction) -> list[Table]:
    """The figures beside the published ones; then a row a seed."""
    return [_summary(done), _seeds(done)]


def _summary(done: Reproduction) -> Table:
    table = _table(done.name)
    if done.config.source:
        table.caption = escape(f"published: {done.config.source}")
    for name in ("test part", "published", "expected", "ours, selected on validation"):
        table.add_column(name, justify="left" if name == "test part" else "right", overflow="fold")
    if done.trained:
        table.add_column("ours, selected on test, as the papers did", justify="right", overflow="fold")
    for metric in ("recall", "ndcg"):
        published, expected = (getattr(done.config, f"{which}_{metric}") for which in ("published", "expected"))
        cells = [
            "" if published is None else _figure(published),
            "" if expected is None else f"{_figure(expected[0])} to {_figure(expected[1])}",
            _spread(done.selected(metric)),
        ]
        table.add_row(f"{metric}@{done.k}", *cells, *([_spread(done.best(metric))] if done.trained else []))
    return table


def _seeds(done: Reproduction) -> Table:
    table = _table("")
    memory = max(result.peak_memory_bytes for result in done.results)
    n_seeds = len(done.results)
    over = f"; above: mean over {n_seeds} seeds [95 % t interval]" if n_seeds > 1 else ""
    table.caption = (
        f"[95 % bootstrap interval over users]{over}; seconds: to select, to train on all known events up to the "
        f"selected epoch, to answer; {memory / 2**20:,.0f} MiB at most"
    ).replace("[", r"\[")
    names = ["seed", "epoch", f"recall@{done.k}", f"ndcg@{done.k}"]
    names += [f"best recall@{done.k} on test", "its epoch", "its ndcg"] if done.trained else []
    names += ["select s", "train s", "answer s"]
    passed = done.config.pass_recall if done.trained else None
    names += [f"s to {_figure(passed)}"] if passed is not None else []
    for name in names:
        table.add_column(name, justify="right", overflow="fold")
    for result in done.results:
        table.add_row(*_cells(result, passed, trained=done.trained))
    return table


def _cells(result: SeedResult, passed: float | None, *, trained: bool) -> list[str]:
    look, best = result.selected, result.best
    cells = [str(result.seed), str(look.epoch) if trained else "", _interval(look.recall), _interval(look.ndcg)]
    cells += [_figure(best.recall.mean), str(best.epoch), _figure(best.ndcg.mean)] if trained else []
    cells += [f"{seconds:.1f}" for seconds in (result.selection_seconds, look.seconds, look.answer_seconds)]
    if passed is not None:
        seconds_to = result.seconds_to(passed)
        cells.append("not passed" if seconds_to is None else f"{seconds_to:.1f}")
    return cells


def trials_table(search: Search) -> Table:
    """The best trials, best first."""
    ranked = search.ranked
    failed = len(search.trials) - len(ranked)
    table = _table(f"Best of {len(search.trials)} trials" + (f", {failed} failed" if failed else ""))
    names: Sequence[str] = list(ranked[0].values) if ranked else []
    table.caption = "scores are of the validation part; the test part was not opened"
    for name in ("trial", search.metric, *names, "epoch", "s"):
        table.add_column(escape(name), justify="right", overflow="fold")
    for trial in ranked[:SHOWN]:
        values = [f"{v:.3g}" if isinstance(v, float) else escape(str(v)) for v in trial.values.values()]
        epoch = f"{trial.best_epoch} of {trial.epochs}" if trial.epochs else ""
        table.add_row(str(trial.number + 1), _figure(trial.score or 0.0), *values, epoch, f"{trial.seconds:.1f}")
    return table


def _figure(value: float) -> str:
    """Four places, as papers print them: `.1823`."""
    return f"{value:.4f}".removeprefix("0") if value < 1 else f"{value:.4f}"


def _interval(interval: Interval) -> str:
    return rf"{_figure(interval.mean)} \[{_figure(interval.low)}, {_figure(interval.high)}]"


def _spread(spread: Spread) -> str:
    if spread.low is None or spread.high is None:
        return _figure(spread.mean)
    return rf"{_figure(spread.mean)} \[{_figure(spread.low)}, {_figure(spread.high)}]"


def _table(title: str) -> Table:
    return Table(title=escape(title) or None, title_justify="left", caption_justify="left")
