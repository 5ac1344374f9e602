"""Variants of a study on the items that everybody knows: learned, selected on validation, judged on the test part."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pinfold.arrays import Embeddings
from pinfold.artifacts import is_folder, open_folder, remove_folder, writing
from pinfold.data.splits import Part, Split
from pinfold.embedding.store import read_learned, write_learned
from pinfold.evaluation.evaluate import evaluate
from pinfold.evaluation.intervals import Interval
from pinfold.evaluation.item_pairs import ItemPairs, ItemScorer, PairEvaluation, evaluate_pairs, held_out_pairs
from pinfold.evaluation.item_scorers import POWERS, LogScorer, WeightedScorer, fit_weights, item_scorer, relative
from pinfold.evaluation.spread import cosine_spread
from pinfold.fitting import fit
from pinfold.graph.bipartite import build_graph
from pinfold.graph.convolved import Convolved
from pinfold.graph.learned import Layered, Learned
from pinfold.index.recommender import recommender
from pinfold.progress import Progress
from pinfold.studies.ladder_bench import Bench, blend_name
from pinfold.studies.ladder_results import Figures

KIND = "learned"
N_COSINES = 200_000  # pairs of items whose cosines are looked at


@dataclass(frozen=True, slots=True)
class Learnt:
    """A variant that has learned."""

    selected: Learned  # from the training part
    final: Learned  # from all known events where the run says refit, else the same
    epoch: int  # that validation selected; 0 for a model that is computed in one go
    seconds: float  # to learn `final`, up to that epoch
    selecting: float  # to learn `selected`, with all looks


def warm_figures(bench: Bench, name: str, seed: int, progress: Progress) -> Figures:
    """The figures of a variant on the test part; kept."""
    run = bench.variants[name]
    key = bench.key(run, seed, bench.study.pairs)
    return bench.kept(key, name, lambda: _judged(bench, name, seed, _learn(bench, name, seed, progress)))


def blend_figures(bench: Bench, seed: int, progress: Progress) -> Figures:
    """The figures of the members' weighted sum; kept."""
    members = bench.study.blend.members
    keys = [bench.key(bench.variants[name], seed, bench.study.pairs) for name in members]
    key = bench.key(bench.run, seed, bench.study.blend, POWERS, *keys)
    return bench.kept(key, blend_name(bench.study), lambda: _blended(bench, members, seed, progress))


def _learn(bench: Bench, name: str, seed: int, progress: Progress) -> Learnt:
    """Select on the validation part, then learn from all known events for as long; goes on from checkpoints."""
    run = replace(bench.variants[name], seed=seed)
    place = bench.folder / f"learning-{bench.key(run, seed)}"
    split, contexts = bench.split(seed), bench.contexts_of(run, seed)
    alone = replace(run, train=replace(run.train, refit=False))
    started = time.perf_counter()
    chosen = fit(alone, split, contexts=contexts, checkpoints=place.with_name(f"{place.name}.0"), progress=progress)
    selecting = max(time.perf_counter() - started, chosen.report.seconds)  # a resumed training counts all its lives
    final, seconds = chosen.learned, _until(chosen.report.history, chosen.report.best_epoch, selecting)
    if run.train.refit:
        epochs = chosen.report.best_epoch or run.train.epochs
        whole = replace(alone, train=replace(alone.train, epochs=epochs, seconds=None))
        everything = Split(split.known, split.known, None, None)
        again = place.with_name(f"{place.name}.1")
        fitted = fit(whole, everything, contexts=contexts, checkpoints=again, progress=progress)
        final, seconds = fitted.learned, max(fitted.seconds, fitted.report.seconds)
    learnt = Learnt(chosen.learned, final, chosen.report.best_epoch, seconds, selecting)
    if name in bench.study.blend.members:
        _store(_stored(bench, name, seed), learnt)
    for checkpoint in bench.folder.glob(f"{place.name}.*checkpoint"):
        remove_folder(checkpoint)
    return learnt


def _until(history: Sequence[dict[str, float]], epoch: int, whole: float) -> float:
    """Seconds of the epochs up to this one; all seconds where there were none."""
    return sum(entry["seconds"] for entry in history if entry["epoch"] <= epoch) or whole


def _judged(bench: Bench, name: str, seed: int, learnt: Learnt) -> Figures:
    run, part, final = bench.variants[name], test_part(bench, seed), learnt.final
    known = build_graph(bench.split(seed).known).user_items
    ks = run.evaluation.ks[:1]
    users = evaluate(recommender(final, known), part, known, replace(run.evaluation, ks=ks), seed=seed)
    pairs = held_out_pairs(part, bench.study.pairs, seed)
    items = evaluate_pairs(item_scorer(final, known.n_columns), pairs, bench.study.pairs, seed=seed, known=known)
    numbers = _exposure(bench, items) | {"epoch": float(learnt.epoch)} if learnt.epoch else _exposure(bench, items)
    kurtosis = _kurtosis(final, seed)
    numbers |= {} if kurtosis is None else {"kurtosis": kurtosis}
    numbers |= {"seconds": learnt.seconds, "seconds to select": learnt.selecting}
    return Figures(name, seed, items.intervals | _of_users(users.intervals, ks[0]), numbers)


def test_part(bench: Bench, seed: int) -> Part:
    """The questions that judge; every choice has been made in the run file, or on the validation part."""
    sealed = bench.split(seed).test
    if sealed is None:
        raise ValueError("the study's protocol has no test part")
    return sealed.unseal()


def _of_users(intervals: dict[str, Interval], k: int) -> dict[str, Interval]:
    return {f"user {metric}@{k}": intervals[f"{metric}@{k}"] for metric in ("recall", "ndcg")}


def _exposure(bench: Bench, items: PairEvaluation) -> dict[str, float]:
    k = bench.study.pairs.ks[0]
    names = {f"coverage@{k}": f"coverage@{k}", f"popularity_lift@{k}": f"lift@{k}"}
    return {short: items.exposure[name] for name, short in names.items() if name in items.exposure}


def _kurtosis(learned: Learned, seed: int) -> float | None:
    """Of the cosines between item vectors; None where there are none."""
    vectors = learned.vectors if isinstance(learned, Convolved) else learned
    if not isinstance(vectors, Embeddings | Layered) or vectors.items.shape[1] < 2:
        return None
    if np.count_nonzero(vectors.items.any(axis=1)) < 2:
        return None
    return cosine_spread(np.asarray(vectors.items), seed=seed, n_pairs=N_COSINES).kurtosis


def _blended(bench: Bench, members: Sequence[str], seed: int, progress: Progress) -> Figures:
    """Weights from the members that learned from the training part alone, on pairs of the validation part."""
    learnt = []
    for name in members:
        if not is_folder(_stored(bench, name, seed)):
            _learn(bench, name, seed, progress)
        learnt.append(_read(_stored(bench, name, seed), refit=bench.variants[name].train.refit))
    split, config = bench.split(seed), bench.study.pairs
    if split.valid is None:
        raise ValueError("the study's protocol has no validation part")
    n_items = bench.dataset.interactions.n_items
    valid: ItemPairs = held_out_pairs(split.valid, config, seed)
    selected, final = (
        [_member(bench, name, stage[which], n_items) for name, stage in zip(members, learnt, strict=True)]
        for which in (0, 1)
    )
    counts = [relative(build_graph(events).item_users.degrees()) for events in (split.train, split.known)]
    mixture = fit_weights(selected, valid, counts[0], bench.study.blend.metric)
    both = WeightedScorer(tuple(final), mixture, counts[1])
    pairs = held_out_pairs(test_part(bench, seed), config, seed)
    known = build_graph(split.known).user_items
    found = evaluate_pairs(both, pairs, config, seed=seed, known=known)
    said = {f"weight of {name}": weight for name, weight in zip(members, mixture.weights.tolist(), strict=True)}
    said["power of counts"] = mixture.power
    return Figures(blend_name(bench.study), seed, found.intervals, _exposure(bench, found) | said)


def _member(bench: Bench, name: str, learned: Learned, n_items: int) -> ItemScorer:
    scorer = item_scorer(learned, n_items)
    return LogScorer(scorer) if name in bench.study.blend.logs else scorer


def _stored(bench: Bench, name: str, seed: int) -> Path:
    return bench.folder / f"learned-{bench.key(bench.variants[name], seed)}"


def _store(path: Path, learnt: Learnt) -> None:
    with writing(path, KIND, replace=True) as folder:
        write_learned(folder, learnt.final, "final_")
        if learnt.selected is not learnt.final:
            write_learned(folder, learnt.selected, "selected_")


def _read(path: Path, *, refit: bool) -> tuple[Learned, Learned]:
    """What `_store` wrote: selected and final."""
    folder = open_folder(path, KIND)
    final = read_learned(folder, "final_")
    return read_learned(folder, "selected_") if refit else final, final
