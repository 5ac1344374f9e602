"""What a second stage brings: NDCG@10 of a model alone and with a ranker, on splits by time.

    python benchmarks/ranking.py gain --customers DATA --baskets DATA --movielens DATA --out DIR
    python benchmarks/ranking.py ablation --customers DATA --movielens DATA

DATA are data sets that `pinfold import` made, with times. Each setting and seed: `train_run` with a refit,
`train_ranker`, `evaluate_artifact`, which opens the test part once, after everything has been chosen on the validation
part. Also timed: one request's candidates, features and trees. `ablation` looks at the validation part only: sources
left out (with the candidates that nobody else brings), groups of features blanked; users are judged by trees that
learned from earlier ones. A table on stderr, JSON on stdout.
"""

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from environment import print_result
from pinfold.data.splits import ProtocolName, SplitConfig, split_events
from pinfold.embedding.artifact import read_artifact
from pinfold.evaluation.evaluate import EvaluationConfig
from pinfold.evaluation.intervals import paired_test
from pinfold.fitting import fit
from pinfold.graph.bipartite import build_graph
from pinfold.index.recommender import recommender
from pinfold.models.gf_cf import GFCFConfig
from pinfold.models.item_knn import ItemKNNConfig
from pinfold.models.lightgcn import LightGCNConfig
from pinfold.models.shelf import ModelConfig
from pinfold.pipeline import evaluate_artifact, train_run
from pinfold.rankers import RankerReport, gather, rows_of, times_of, train_ranker
from pinfold.ranking.candidates import SOURCES, union
from pinfold.ranking.features import GROUPS, NAMES
from pinfold.ranking.learning import Lists, RankerConfig, learn, list_ndcg
from pinfold.ranking.opening import open_recommender
from pinfold.ranking.statistics import item_statistics, latest_items
from pinfold.ranking.two_stage import Stages, TwoStageRecommender
from pinfold.run import DataConfig, RunConfig, load_data
from pinfold.training.config import TrainConfig

MODELS: dict[str, ModelConfig] = {"gf-cf": GFCFConfig(), "item-knn": ItemKNNConfig(), "lightgcn": LightGCNConfig()}
SPLITS: dict[str, list[tuple[ProtocolName, float]]] = {
    "customers": [("time-cut", 0.1)],
    "baskets": [("newest-collections", 0.1)],
    "movielens": [("newest-collections", 0.3), ("leave-last-out", 0.1)],
}
REQUESTS = 100
ABLATED = RankerConfig(folds=3, learning_rate=0.1, trees=60, patience=10)  # quicker: variants are only compared


def main() -> None:
    """All settings, or the ablation."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["gain", "ablation"])
    for name in SPLITS:
        parser.add_argument(f"--{name}", help="data set folder")
    parser.add_argument("--models", default="gf-cf,item-knn")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--protocols", default="time-cut,newest-collections,leave-last-out")
    parser.add_argument("--out", type=Path, default=Path("out/ranking"))
    arguments = parser.parse_args()
    found: dict[str, Any] = {}
    for name, splits in SPLITS.items():
        for protocol, share in splits if getattr(arguments, name) else ():
            for model in arguments.models.split(",") if protocol in arguments.protocols.split(",") else ():
                for seed in map(int, arguments.seeds.split(",") if arguments.what == "gain" else "0"):
                    run = settings(getattr(arguments, name), MODELS[model], protocol, share, seed)
                    key = f"{name} {protocol} {model} seed {seed}"
                    job = arguments.out / key.replace(" ", "-")
                    found[key] = gain(run, job, key) if arguments.what == "gain" else ablation(run, key)
    print_result({"settings": found})


def settings(path: str, model: ModelConfig, protocol: ProtocolName, share: float, seed: int) -> RunConfig:
    """The options of one run; the defaults but for the split and what is measured."""
    return RunConfig(
        data=DataConfig(path=path), model=model, seed=seed, split=SplitConfig(protocol=protocol, valid_share=share),
        train=TrainConfig(metric="ndcg", refit=True), evaluation=EvaluationConfig(ks=(10,)),
    )  # fmt: skip


def gain(run: RunConfig, out: Path, key: str) -> dict[str, Any]:
    """Both stages on the test part, and what they cost."""
    train_run(run, out, replace_old=True)
    report, _ = train_ranker(out, RankerConfig(), force=True)
    latency = timed(out)  # before the test part is opened
    verdict = evaluate_artifact(out)
    name = run.model.name
    means = {label: verdict.evaluations[label].intervals["ndcg@10"].mean for label in (f"{name} + ranker", name)}
    test = verdict.tests[name]
    others = {label: one.intervals["ndcg@10"].mean for label, one in verdict.evaluations.items()}
    say(f"{key:42} validation {shown(report)}; test {means[name]:.4f} -> {means[f'{name} + ranker']:.4f} "
        f"{test.difference:+.4f} [{test.low:+.4f}, {test.high:+.4f}], {latency['ms']['all']:.1f} ms")  # fmt: skip
    return {"validation": report.to_json(), "test": others, "difference": [test.difference, test.low, test.high],
            "n_test_users": test.n_users, "latency": latency}  # fmt: skip


def timed(out: Path) -> dict[str, Any]:
    """Median milliseconds of processor time of one request after another, of users of the training part.

    `500 candidates` is `rank` alone: features and trees of 500 random items.
    """
    artifact = read_artifact(out)
    answers = open_recommender(out, artifact)
    if not isinstance(answers, TwoStageRecommender):
        raise TypeError("no ranker")
    stages, degrees = answers.stages, artifact.graph.user_items.degrees()
    rng = np.random.default_rng(0)
    users = rng.choice(np.flatnonzero(degrees), REQUESTS).astype(np.int32)
    columns: list[list[float]] = []
    for user in users:
        row, before = np.array([user], np.int32), time.process_time()
        stages.stage_one.recommend(row, stages.config.model)
        first = time.process_time()
        person, candidates = next(stages.users(row))
        gathered = time.process_time()
        table = stages.features(person, candidates)
        made = time.process_time()
        answers.ranker.forest.predict(table)
        summed = time.process_time()
        answers.recommend(row, 10)
        whole = time.process_time()
        drawn = rng.choice(stages.graph.n_items, min(500, stages.graph.n_items), replace=False).astype(np.int32)
        many = union({"model": (drawn, -np.arange(len(drawn), dtype=np.float32))}, person.history)
        drawing = time.process_time()
        answers.rank(person, many, 10)
        columns.append([first - before, gathered - first - (first - before), made - gathered, summed - made,
                        whole - summed, time.process_time() - drawing, len(candidates.rows) / 1000])  # fmt: skip
    medians = 1000 * np.median(columns, axis=0)
    names = ("first stage", "other candidates", "features", "trees", "all", "500 candidates")
    return {"ms": dict(zip(names, medians[:6].tolist(), strict=True)), "candidates": float(medians[6])}


def ablation(run: RunConfig, key: str) -> dict[str, Any]:
    """NDCG@10 on the validation part without each source and each group of features, beside that with all."""
    config, dataset = ABLATED, load_data(run.data)
    split = split_events(dataset.interactions, run.split, run.seed)
    if split.valid is None:
        raise TypeError("no validation part")
    learned = fit(replace(run, train=replace(run.train, refit=False)), split).learned
    graph, statistics = build_graph(split.train), item_statistics(split.train)
    latest = None if split.valid.new_users else latest_items(split.train, config.candidates.latest)
    stages = Stages(recommender(learned, graph.user_items), learned, graph, statistics, latest, config.candidates)
    users = split.valid.users()
    targets = rows_of(split.valid, users)
    lists = gather(stages, split.valid, users, targets, lambda: None)
    wanted, times = targets.degrees(), times_of(split.valid, users)
    variants = {"all": lists}
    variants |= {f"without source {name}": without_source(lists, place) for place, name in enumerate(SOURCES) if place}
    variants |= {f"without features {name}": blanked(lists, group) for name, group in GROUPS.items()}
    found, whole = {}, None
    for label, some in variants.items():
        trees = learn(some, config, run.seed, times)
        one = list_ndcg(some, trees.scores, wanted)[trees.judged]
        whole = one if whole is None else whole
        test = paired_test(one, whole, "ndcg@10", seed=0)
        found[label] = {"ndcg@10": float(one.mean()), "difference": [test.difference, test.low, test.high]}
        say(f"{key:42} {label:36} {one.mean():.4f} {test.difference:+.4f} [{test.low:+.4f}, {test.high:+.4f}]")
    return found


def without_source(lists: Lists, place: int) -> Lists:
    """The lists as if this source had not been asked."""
    ranks = np.column_stack([lists.features[:, NAMES.index(f"rank_{name}")] for name in SOURCES])
    kept = ~np.isnan(np.delete(ranks, place, axis=1)).all(axis=1)
    ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(kept)])
    stops = np.cumsum(lists.sizes)
    table = lists.features[kept]
    table[:, [NAMES.index(f"{kind}_{SOURCES[place]}") for kind in ("score", "share", "rank")]] = np.nan
    table[:, NAMES.index("n_sources")] -= ~np.isnan(ranks[kept, place])
    return Lists(ends[stops] - ends[stops - lists.sizes], table, lists.taken[kept])


def blanked(lists: Lists, group: tuple[str, ...]) -> Lists:
    """The lists with nothing in these columns."""
    table = lists.features.copy()
    table[:, [NAMES.index(name) for name in group]] = np.nan
    return replace(lists, features=table)


def shown(report: RankerReport) -> str:
    """What was found on the validation part."""
    return f"{report.stage_one:.4f} -> {report.two_stages:.4f}, {report.n_trees} trees, reach {report.reach:.3f}"


def say(line: str) -> None:
    """A line for people."""
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
