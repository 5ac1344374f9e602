"""PinSage's inference and training: what they cost, beside what the bytes and products must cost.

    python benchmarks/pinsage.py inference --items 500000
    python benchmarks/pinsage.py training --data debian --epochs 2

inference: items a second of the layer-wise pass over the whole catalogue (K = 2, T = 50, 128 dimensions), beside
mini-batches of 1,024 items through the same network, both on all threads and equal to 1e-5. Neighborhoods are drawn by
a power law, so most reads miss the cache. Limit: the bare gathering of 4 M T bytes an item and layer, plus the products
at the speed of a large one, both measured in the same run.

training: pairs a second with the full recipe (hard negatives, curriculum), the share of time that the consumer waits
for batches, peak memory. fresh: milliseconds from the attributes and three collections of an item that the model has
never seen to its vector, and to its ten nearest items, one at a time (bundled data, an untrained network: the work is
the same). Every figure is one round beside whatever else the machine does. JSON on stdout.
"""

import argparse
import time
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from environment import print_result
from pinfold.arrays import Floats, Ints
from pinfold.data.splits import SplitConfig, split_events
from pinfold.fitting import Fitted
from pinfold.graph.bipartite import build_graph
from pinfold.graph.convolve import embed_all
from pinfold.graph.convolved import Convolution, Head, Network
from pinfold.graph.neighborhoods import Neighborhoods
from pinfold.index.fresh import FreshItems
from pinfold.kernels.products import multiply
from pinfold.memory import peak_memory
from pinfold.models.pinsage import PinSage, PinSageConfig
from pinfold.models.shelf import build
from pinfold.pipeline import assemble
from pinfold.run import DataConfig, RunConfig, contexts_of, load_data
from pinfold.sampling.blocks import blocks
from pinfold.training.loop import Report

DIM, T, LAYERS = 128, 50, 2
BATCH = 1024  # items of a mini-batch


def network(rng: np.random.Generator) -> Network:
    """Random layers of the paper's shape."""

    def table(*shape: int) -> Floats:
        return (rng.standard_normal(shape) * (2 / shape[0]) ** 0.5).astype(np.float32)

    none = np.zeros(0, np.float32)
    layers = [Convolution(table(DIM, DIM), table(DIM), table(2 * DIM, DIM), table(DIM), none) for _ in range(LAYERS)]
    return Network(tuple(layers), Head(table(DIM, DIM), table(DIM), table(DIM, DIM)), "importance")


def power_law(n_items: int, rng: np.random.Generator) -> Neighborhoods:
    """T neighbors of every item by rank ** -0.6, in random places of the table."""
    place = rng.permutation(n_items).astype(np.int32)
    ids = np.empty((n_items, T), np.int32)
    for start in range(0, n_items, 65_536):
        drawn = rng.random((min(65_536, n_items - start), T)) ** 2.5
        ids[start : start + 65_536] = place[(drawn * n_items).astype(np.int64)]
    return Neighborhoods(ids, np.full((n_items, T), 1 / T, np.float32))


def mini_batches(made: Network, content: Floats, near: Neighborhoods, items: Ints) -> tuple[Floats, float]:
    """Vectors of some items by mini-batches in torch, as training computes them, and seconds."""
    layers = [
        [torch.from_numpy(part) for part in (c.neighbor, c.neighbor_bias, c.both, c.bias)] for c in made.convolutions
    ]
    head = [torch.from_numpy(part) for part in (made.head.first, made.head.bias, made.head.second)]  # type: ignore[union-attr]
    started, found = time.perf_counter(), []
    for start in range(0, len(items), BATCH):
        nodes, cut = blocks(near, items[start : start + BATCH], LAYERS)
        hidden = torch.from_numpy(content[nodes])
        for (q, q0, w, w0), block in zip(layers, cut, strict=True):
            sent = torch.relu(hidden @ q + q0)
            edges = [torch.from_numpy(part) for part in (block.forward.ids, block.forward.ptr, block.forward.weights)]
            gathered = torch.nn.functional.embedding_bag(
                edges[0], sent, edges[1], mode="sum", per_sample_weights=edges[2], include_last_offset=True
            )
            hidden = torch.relu(torch.cat([hidden[: block.n_rows], gathered], dim=1) @ w + w0)
            hidden = torch.nn.functional.normalize(hidden, dim=1)
        hidden = torch.relu(hidden @ head[0] + head[1]) @ head[2]
        found.append(torch.nn.functional.normalize(hidden, dim=1).numpy())
    return np.concatenate(found), time.perf_counter() - started


def limit(n_items: int, near: Neighborhoods, content: Floats) -> dict[str, float]:
    """Microseconds an item: gathering rows, and products at the speed of a large one."""
    rows = min(n_items, 100_000)
    ptr, ids = np.arange(rows + 1, dtype=np.int64) * T, near.ids[:rows].ravel()
    ones = np.ones(len(ids), np.float32)
    multiply(ptr[:1025], ids, ones, content)
    started = time.perf_counter()
    multiply(ptr, ids, ones, content)
    gather = (time.perf_counter() - started) / rows * LAYERS
    square = np.ones((4096, DIM), np.float32)
    side, started = np.ones((DIM, DIM), np.float32), time.perf_counter()
    for _ in range(20):
        square @ side
    product = (time.perf_counter() - started) / 20 / 4096
    return {"gather_us": gather * 1e6, "products_us": product * (3 * LAYERS + 2) * 1e6}


def inference(n_items: int, n_mini: int) -> dict[str, Any]:
    """Layer-wise beside mini-batches."""
    rng = np.random.default_rng(0)
    made, near = network(rng), power_law(n_items, rng)
    content = rng.standard_normal((n_items, DIM), dtype=np.float32)
    embed_all(made, content[:5000], Neighborhoods(near.ids[:5000] % 5000, near.weights[:5000]))  # compiles
    started = time.perf_counter()
    items, _ = embed_all(made, content, near)
    seconds = time.perf_counter() - started
    some = rng.choice(n_items, n_mini, replace=False).astype(np.int32)
    mini_batches(made, content, near, some[:64])
    by_batches, mini = mini_batches(made, content, near, some)
    return {
        "items": n_items,
        "layer_wise_items_per_second": n_items / seconds,
        "layer_wise_us_per_item": seconds / n_items * 1e6,
        "mini_batch_items_per_second": n_mini / mini,
        "ratio": (n_items / seconds) / (n_mini / mini),
        "largest_difference": float(np.abs(items[some] - by_batches).max()),
        "limit": limit(n_items, near, content),
        "peak_memory_bytes": peak_memory(),
    }


def training(path: str, epochs: int) -> dict[str, Any]:
    """The full recipe, hard negatives from the second epoch on."""
    config = PinSageConfig()
    config = replace(config, negatives=replace(config.negatives, hard=6))
    run = RunConfig(data=DataConfig(path=path), model=config)
    dataset = load_data(run.data)
    train = split_events(dataset.interactions, SplitConfig(), 0).train
    started = time.perf_counter()
    model = build(config, build_graph(train), 0, contexts_of(run, dataset)(train))
    built = time.perf_counter() - started
    assert isinstance(model, PinSage)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3, fused=True)
    rows = []
    for epoch in range(1, epochs + 1):
        batches, n, started = model.batches(np.random.default_rng([0, epoch]), epoch), 0, time.perf_counter()
        for batch in batches:
            optimizer.zero_grad()
            model.loss(batch).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            n += len(batch.queries)
        seconds = time.perf_counter() - started
        waited, worked = batches.waited, batches.worked  # type: ignore[attr-defined]
        rows.append(
            {
                "epoch": epoch,
                "pairs_per_second": n / seconds,
                "waited_share": waited / seconds,
                "producer_share": worked / seconds,
            }
        )
    return {"data": path, "build_seconds": built, "epochs": rows, "peak_memory_bytes": peak_memory()}


def fresh(n_asked: int = 300) -> dict[str, Any]:
    """New items, one at a time."""
    run = RunConfig(data=DataConfig(path="debian"), model=PinSageConfig())
    dataset = load_data(run.data)
    split = split_events(dataset.interactions, SplitConfig(protocol="none"), 0)
    contexts = contexts_of(run, dataset)
    model = build(run.model, build_graph(split.train), 0, contexts(split.train))  # type: ignore[arg-type]
    fitted = Fitted(model.embed(), Report(0, 0, None, 0.0, ()), {}, 0.0, contexts(split.train).item_encoders())
    artifact = assemble(run, dataset, split, fitted)
    new, rng = FreshItems(artifact), np.random.default_rng(0)
    times: dict[str, list[float]] = {"vector": [], "similar": []}
    for row in rng.integers(len(dataset.items), size=n_asked):
        attributes = {name: column[row] for name, column in dataset.item_table.columns.items()}
        users = [str(dataset.users.all[user]) for user in rng.integers(len(dataset.users), size=3)]
        started = time.perf_counter()
        new.vector(attributes, users)
        times["vector"].append(time.perf_counter() - started)
        started = time.perf_counter()
        new.similar(attributes, users, 10)
        times["similar"].append(time.perf_counter() - started)
    return {
        f"{name}_ms_p{q}": float(np.percentile(values[20:], q) * 1e3)
        for name, values in times.items()
        for q in (50, 99)
    }


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["inference", "training", "fresh"])
    parser.add_argument("--items", type=int, default=500_000)
    parser.add_argument("--mini", type=int, default=8192, help="items through mini-batches")
    parser.add_argument("--data", default="debian")
    parser.add_argument("--epochs", type=int, default=3)
    arguments = parser.parse_args()
    if arguments.what == "inference":
        print_result(inference(arguments.items, arguments.mini))
    elif arguments.what == "fresh":
        print_result(fresh())
    else:
        print_result(training(arguments.data, arguments.epochs))


if __name__ == "__main__":
    main()
