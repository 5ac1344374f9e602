"""LightGCN on Gowalla: seconds per epoch and Recall@20 after equal epochs, beside PyTorch Geometric's LightGCN.

    pip install torch_geometric
    python benchmarks/lightgcn_vs_pyg.py --data FOLDER --epochs 1

FOLDER holds train.txt and test.txt (or .gz) of the standard split. Both learn with BPR, 64 dimensions, 3 layers,
batches of 2,048 edges, Adam at 1e-3, L2 1e-4, normal start vectors of deviation 0.1; nothing is selected on the test
part. PyTorch Geometric gets its default edge-index form, and our batches and negatives, so that only the model
differs. Two warm-up steps are not counted. Prints JSON.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from environment import print_result
from pinfold.arrays import Embeddings
from pinfold.data.splits import Part
from pinfold.evaluation.evaluate import EvaluationConfig, evaluate
from pinfold.graph.bipartite import BipartiteGraph
from pinfold.index.recommender import recommender
from pinfold.models.lightgcn import LightGCN, LightGCNConfig
from pinfold.sampling.pairs import PairBatch
from pinfold.training.memory import keep_freed_memory
from standard_split import load_gowalla

CONFIG = LightGCNConfig()
SEED = 0


class Ours:
    """Pinfold's LightGCN and optimizer, as the training loop uses them."""

    name = "pinfold"

    def __init__(self, graph: BipartiteGraph) -> None:
        self.model = LightGCN(CONFIG, graph, SEED)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-3, fused=True)

    def step(self, batch: PairBatch) -> float:
        """One step; the loss."""
        self.optimizer.zero_grad()
        loss = self.model.loss(batch)
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def embed(self) -> Embeddings:
        """The vectors."""
        return self.model.embed()


class PyG:
    """torch_geometric.nn.LightGCN as its documentation trains it."""

    name = "torch_geometric"

    def __init__(self, graph: BipartiteGraph) -> None:
        from torch_geometric.nn import LightGCN as Net

        self.n_users = graph.n_users
        users = torch.from_numpy(np.repeat(np.arange(graph.n_users), graph.user_items.degrees()))
        items = torch.from_numpy(graph.user_items.ids.astype(np.int64)) + graph.n_users
        self.edges = torch.cat([torch.stack([users, items]), torch.stack([items, users])], dim=1)
        self.net = Net(graph.n_users + graph.n_items, CONFIG.dim, CONFIG.n_layers)
        torch.manual_seed(SEED)
        torch.nn.init.normal_(self.net.embedding.weight, std=CONFIG.init_std)
        self.optimizer = torch.optim.Adam(self.net.parameters(), lr=1e-3)

    def step(self, batch: PairBatch) -> float:
        """One step; the loss."""
        users = torch.from_numpy(batch.users).long()
        positives = torch.from_numpy(batch.positives).long() + self.n_users
        negatives = torch.from_numpy(batch.negatives[:, 0]).long() + self.n_users
        pairs = torch.stack([torch.cat([users, users]), torch.cat([positives, negatives])])
        self.optimizer.zero_grad()
        good, bad = self.net(self.edges, pairs).chunk(2)
        nodes = torch.cat([users, positives, negatives])
        loss = self.net.recommendation_loss(good, bad, node_id=nodes, lambda_reg=CONFIG.l2)
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def embed(self) -> Embeddings:
        """The vectors."""
        with torch.no_grad():
            vectors = self.net.get_embedding(self.edges).numpy()
        items = vectors[self.n_users :]
        return Embeddings(vectors[: self.n_users], items, items)


def measure(system: Ours | PyG, graph: BipartiteGraph, part: Part, epochs: int, batches: int | None) -> dict[str, Any]:
    """Seconds and quality of one system."""
    source = LightGCN(CONFIG, graph, SEED)  # only for its batches
    for batch, _ in zip(source.batches(np.random.default_rng(99)), range(2), strict=False):
        system.step(batch)
    system.__init__(graph)  # type: ignore[misc]  # the warm-up steps are undone
    seconds, losses, steps = 0.0, [], 0
    for epoch in range(epochs):
        rng = np.random.default_rng([SEED, epoch])
        started = time.perf_counter()
        for number, batch in enumerate(source.batches(rng)):
            if batches is not None and number >= batches:
                break
            losses.append(system.step(batch))
            steps += 1
        seconds += time.perf_counter() - started
    per_epoch = seconds / steps * source.n_batches()
    known = graph.user_items
    judged = evaluate(recommender(system.embed(), known), part, known, EvaluationConfig(), seed=SEED)
    return {
        "seconds_per_epoch": per_epoch,
        "steps": steps,
        "last_loss": float(np.mean(losses[-20:])),
        "recall@20": judged.intervals["recall@20"].mean,
        "ndcg@20": judged.intervals["ndcg@20"].mean,
    }


def main() -> None:
    """Both systems, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--batches", type=int, help="stop each epoch after this many (for a quick look)")
    parser.add_argument("--work", type=Path, default=Path("out/gowalla"))
    arguments = parser.parse_args()
    keep_freed_memory()  # for both
    graph, part = load_gowalla(arguments.data, arguments.work)
    result = {}
    for system in (Ours, PyG):
        result[system.name] = measure(system(graph), graph, part, arguments.epochs, arguments.batches)
    ratio = result["torch_geometric"]["seconds_per_epoch"] / result["pinfold"]["seconds_per_epoch"]
    print_result({"epochs": arguments.epochs, "times_faster": ratio, **result})


if __name__ == "__main__":
    main()
