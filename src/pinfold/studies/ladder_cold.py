"""Variants of a study on items that they have never seen: features alone, features and first users, and the ceiling."""

from dataclasses import dataclass, replace

import numpy as np

from pinfold.arrays import Floats, Ints
from pinfold.data.interactions import Interactions
from pinfold.data.splits import Split
from pinfold.evaluation.cold import ColdSplit, cold_last, evaluate_cold, narrowed, split_cold
from pinfold.evaluation.item_pairs import evaluate_pairs
from pinfold.evaluation.item_scorers import item_scorer, user_scorer
from pinfold.features.content import Content, load_content
from pinfold.fitting import fit
from pinfold.graph.bipartite import build_graph
from pinfold.graph.csr import Csr, from_pairs
from pinfold.graph.learned import Learned
from pinfold.models.interface import Context
from pinfold.models.shelf import extend, needs_content
from pinfold.progress import Progress
from pinfold.run import Contexts, RunConfig
from pinfold.studies.ladder_bench import Bench
from pinfold.studies.ladder_results import Figures

ALONE, FIRST, CEILING = "", " + first users", ", not cold"  # after a variant's name


@dataclass(frozen=True, slots=True)
class ColdTask:
    """The cold items of a seed, numbered last."""

    split: ColdSplit
    order: Ints  # (I,) the data set's row of each item

    @property
    def n_warm(self) -> int:
        """Items that may be learned from: rows 0 .. n_warm - 1."""
        return len(self.order) - len(self.split.items)


def cold_task(bench: Bench, seed: int) -> ColdTask:
    """Cold items drawn from the known events: the test part has no part in this."""
    return ColdTask(*cold_last(split_cold(bench.split(seed).known, bench.study.cold.items, seed)))


def cold_figures(bench: Bench, name: str, seed: int, progress: Progress) -> list[Figures]:
    """A variant that has not seen the items: by features alone, and with those users who are not asked; kept."""
    run, learned = bench.variants[name], dict[str, Learned]()

    def figures(how: str) -> Figures:
        task = cold_task(bench, seed)
        if not learned:
            learned.update(_extended(bench, run, seed, task, progress))
        return _judged(bench, task, learned[how], task.split.warm, name + how, seed)

    return [
        bench.kept(_key(bench, run, seed, how), name + how, lambda how=how: figures(how))  # type: ignore[misc]
        for how in (ALONE, FIRST)
    ]


def ceiling_figures(bench: Bench, name: str, seed: int, progress: Progress) -> Figures:
    """A variant that has learned from everything but the questions; kept."""
    run = bench.variants[name]

    def figures() -> Figures:
        task = cold_task(bench, seed)
        learned, _ = _fitted(bench, run, seed, task, task.split.ceiling, progress)
        return _judged(bench, task, learned, task.split.ceiling, name + CEILING, seed)

    return bench.kept(_key(bench, run, seed, CEILING), name + CEILING, figures)


def _key(bench: Bench, run: RunConfig, seed: int, how: str) -> str:
    return bench.key(run, seed, bench.study.pairs, bench.study.cold.items, f"cold {how}")


def _fitted(
    bench: Bench, run: RunConfig, seed: int, task: ColdTask, events: Interactions, progress: Progress
) -> tuple[Learned, Floats | None]:
    """What the run learns from the events, and the features of all items. All epochs: nothing is held out to select."""
    made: list[Content] = []
    contexts = _contexts(bench, replace(run, seed=seed), task, made)
    whole = replace(run, seed=seed, train=replace(run.train, refit=False))
    learned = fit(whole, Split(events, events, None, None), contexts=contexts, progress=progress).learned
    return learned, made[0].items[task.order] if made else None


def _contexts(bench: Bench, run: RunConfig, task: ColdTask, made: list[Content]) -> Contexts:
    """Features fitted on the items of the events, in the order of the task; `made` gets those of all items."""

    def of(events: Interactions) -> Context:
        if not needs_content(run.model):
            return Context(events)
        tables = bench.dataset.item_table, bench.dataset.user_table
        known = np.sort(task.order[np.unique(events.items)]), np.unique(events.users)
        ids = bench.dataset.items.all, bench.dataset.users.all
        found = load_content(run.features, *tables, *known, seed=run.seed, item_ids=ids[0], user_ids=ids[1])
        made.append(found)
        mine = made[-1].items[task.order[: events.n_items]]
        return Context(events, replace(made[-1], items=mine))

    return of


def _extended(bench: Bench, run: RunConfig, seed: int, task: ColdTask, progress: Progress) -> dict[str, Learned]:
    """What is learned without the cold items, and these added behind: without users, and with their first ones."""
    warm = narrowed(task.split.warm, task.n_warm)
    learned, features = _fitted(bench, run, seed, task, warm, progress)
    new = None if features is None else np.ascontiguousarray(features[task.n_warm :])
    graph, shown = build_graph(warm), task.split.shown
    n_cold = len(task.split.items)
    nobody = Csr(np.zeros(n_cold + 1, np.int64), np.empty(0, np.int32), np.empty(0, np.float32), graph.n_users)
    rows = (shown.items - task.n_warm).astype(np.int32)
    first = from_pairs(rows, shown.users, shown.weights, (n_cold, graph.n_users))
    return {how: extend(run.model, learned, graph, takers, new) for how, takers in ((ALONE, nobody), (FIRST, first))}


def _judged(bench: Bench, task: ColdTask, learned: Learned, events: Interactions, name: str, seed: int) -> Figures:
    config = bench.study.cold.items
    histories = build_graph(events).user_items
    n_resamples = bench.study.pairs.n_resamples
    score = user_scorer(learned, histories)
    users = evaluate_cold(score, task.split, config, seed=seed, n_resamples=n_resamples)
    asked = replace(bench.study.pairs, ks=config.ks)
    scorer = item_scorer(learned, len(task.order))
    pairs = evaluate_pairs(scorer, task.split.pairs(asked, seed), asked, seed=seed, candidates=task.split.items)
    metrics = {f"user {metric}": interval for metric, interval in users.intervals.items()}
    hits = {metric: interval for metric, interval in pairs.intervals.items() if metric != "mrr_scaled"}
    return Figures(name, seed, metrics | hits, {"cold items": float(len(task.split.items))})
