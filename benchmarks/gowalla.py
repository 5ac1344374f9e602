"""Gowalla's standard split, stage by stage: import, item-kNN, LightGCN epochs, evaluation of all users.

    python benchmarks/gowalla.py --data FOLDER --epochs 3 --recipe paper

LightGCN learns by its authors' recipe, `paper`: 3 layers, BPR on inner products, batches of 2,048 edges with one
uniform negative each, L2 1e-4, Adam at 1e-3; or by Pinfold's defaults, `default`.

FOLDER holds train.txt and test.txt (or .gz). Seconds of each stage, peak memory of all; nothing is selected on the
test part. Prints JSON.
"""

import argparse
import time
from pathlib import Path
from typing import Any

from environment import print_result
from lightgcn_peers import SETTINGS, build_model
from pinfold.evaluation.evaluate import EvaluationConfig, evaluate
from pinfold.index.recommender import recommender
from pinfold.memory import peak_memory
from pinfold.models.item_knn import ItemKNNConfig
from pinfold.models.lightgcn import LightGCNConfig
from pinfold.models.shelf import build, compute
from pinfold.training.config import TrainConfig
from pinfold.training.loop import train
from standard_split import load_gowalla


def main() -> None:
    """Every stage once."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--recipe", choices=("paper", "default"), default="paper")
    parser.add_argument("--work", type=Path, default=Path("out/gowalla"))
    arguments = parser.parse_args()
    result: dict[str, Any] = {}
    started = time.perf_counter()
    graph, part = load_gowalla(arguments.data, arguments.work)
    result["import_and_graph_seconds"] = time.perf_counter() - started
    known = graph.user_items

    if arguments.recipe == "paper":
        model, training = build_model(graph), TrainConfig(epochs=arguments.epochs, learning_rate=SETTINGS["rate"])
    else:
        model, training = build(LightGCNConfig(), graph, 0), TrainConfig(epochs=arguments.epochs)
    report = train(model, training, 0)
    result["lightgcn_epoch_seconds"] = [entry["seconds"] for entry in report.history]
    started = time.perf_counter()
    learned = {"lightgcn": model.embed()}
    result["lightgcn_embed_seconds"] = time.perf_counter() - started
    started = time.perf_counter()
    learned["item-knn"] = compute(ItemKNNConfig(), graph)  # type: ignore[assignment]
    result["item_knn_seconds"] = time.perf_counter() - started
    for name, one in learned.items():
        judged = evaluate(recommender(one, known), part, known, EvaluationConfig(), seed=0)
        result[name] = {
            "users": judged.n_users,
            "evaluation_seconds": judged.seconds,
            "recall@20": judged.intervals["recall@20"].mean,
            "ndcg@20": judged.intervals["ndcg@20"].mean,
        }
    result["peak_memory_mb"] = peak_memory() / 2**20
    print_result({"recipe": arguments.recipe, "epochs": arguments.epochs, **result})


if __name__ == "__main__":
    main()
