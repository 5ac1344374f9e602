"""Training from batches that were written down is training from the graph, without the graph."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from tests.engine.conftest import Made, embedded

from pinfold.data.dataset import Dataset
from pinfold.engine.flat import FlatBatches, Tables, flatten, hops, mapped, parted, place
from pinfold.engine.flat_training import FlatPinSage
from pinfold.engine.partition import Ranges
from pinfold.errors import ArtifactError, TrainingError
from pinfold.features.config import FeaturesConfig
from pinfold.features.content import load_content
from pinfold.graph.bipartite import BipartiteGraph
from pinfold.graph.neighborhoods import NeighborhoodConfig
from pinfold.models.interface import Context
from pinfold.models.pinsage import PinSage, PinSageConfig
from pinfold.sampling.blocks import blocks
from pinfold.sampling.item_batches import ItemNegativesConfig
from pinfold.training.config import TrainConfig
from pinfold.training.loop import train

CONFIG = PinSageConfig(
    hidden=8, dim=8, ids=2, guard=True, dropout=0.1, untaken=0.3,
    neighborhood=NeighborhoodConfig(size=6, steps=60),
    negatives=ItemNegativesConfig(batch_size=64, n_negatives=16, hard=2, hard_ranks=(5, 15)),
)  # fmt: skip
SEED = 3


@pytest.fixture(scope="module")
def context(world: Dataset) -> Context:
    rows = np.arange(len(world.items), dtype=np.int32), np.arange(len(world.users), dtype=np.int32)
    return Context(world.interactions, load_content(FeaturesConfig(dim=4), world.item_table, world.user_table, *rows))


def tables(model: PinSage, n_parts: int = 1) -> Tables:
    """A model's own tables, whole or as workers have them."""
    near = model._sampler.neighborhoods
    ranges = Ranges(len(near.ids), n_parts)
    whole = (near.ids, near.weights, model._content)
    if n_parts == 1:
        return Tables(*(mapped(table) for table in whole))
    bounds = [slice(ranges.start(rank), ranges.stop(rank)) for rank in range(n_parts)]
    return Tables(*(parted(ranges, [table[rows] for rows in bounds]) for table in whole))


def written(
    out: Path, config: PinSageConfig, graph: BipartiteGraph, context: Context, n_parts: int, **more: bool
) -> PinSage:
    model = PinSage(config, graph, SEED, context)
    flatten(out, config, model._sampler, tables(model, n_parts), model._shape, SEED, 3, **more)
    return model


@pytest.mark.parametrize(("n_parts", "layers"), [(1, 2), (3, 2), (3, 0)])
def test_losses_are_those_of_training_from_the_graph(
    graph: BipartiteGraph, context: Context, tmp_path: Path, n_parts: int, layers: int
) -> None:
    config = replace(CONFIG, layers=layers)
    model = written(tmp_path, config, graph, context, n_parts)
    flat = FlatPinSage(config, SEED, FlatBatches(tmp_path))
    options = TrainConfig(epochs=3, learning_rate=0.01)
    expected, found = train(model, options, SEED), train(flat, options, SEED)
    assert [entry["loss"] for entry in found.history] == [entry["loss"] for entry in expected.history]
    for name, tensor in model.state_dict().items():
        np.testing.assert_array_equal(flat.module().state_dict()[name].numpy(), tensor.numpy())
    assert flat.n_batches() == model.n_batches() > 1
    with pytest.raises(TrainingError, match="no catalogue"):
        flat.embed()


def test_shares_and_half_precision(graph: BipartiteGraph, context: Context, tmp_path: Path) -> None:
    written(tmp_path / "a", CONFIG, graph, context, 2)
    written(tmp_path / "b", CONFIG, graph, context, 2, half=True)
    options = replace(CONFIG, dropout=0.0, id_dropout=0.0)
    whole, half = (FlatPinSage(options, SEED, FlatBatches(tmp_path / name)) for name in "ab")
    first, narrow = (next(FlatBatches(tmp_path / name).batches(2)) for name in "ab")
    loss = whole.loss(first).item()
    shares = [whole.share(first, rank, 3) for rank in range(3)]
    assert sum(whole.loss(share).item() for share in shares if share is not None) == pytest.approx(loss, rel=1e-5)
    assert half.loss(narrow).item() == pytest.approx(loss, rel=1e-2)
    again = [batch.queries.tolist() for batch in FlatBatches(tmp_path / "a").batches(4)]
    assert again == [batch.queries.tolist() for batch in FlatBatches(tmp_path / "a").batches(1)]


def test_hops_are_the_blocks_of_the_whole_table(graph: BipartiteGraph, context: Context) -> None:
    model = PinSage(CONFIG, graph, SEED, context)
    near, rng = model._sampler.neighborhoods, np.random.default_rng(0)
    for n_layers in (0, 1, 3):
        seeds = rng.permutation(40)[:7].astype(np.int32)
        pairs = seeds[:3], seeds[3:6]
        nodes, made = hops(tables(model, 4), seeds, n_layers, pairs)
        expected, wanted = blocks(near, seeds, n_layers, pairs)
        np.testing.assert_array_equal(nodes, expected)
        for block, other in zip(made, wanted, strict=True):
            assert (block.n_rows, block.n_columns) == (other.n_rows, other.n_columns)
            for way in ("forward", "backward"):
                for part in ("ptr", "ids", "weights"):
                    one, two = (getattr(getattr(b, way), part) for b in (block, other))
                    np.testing.assert_array_equal(one, two)


def test_from_the_sealed_parts_of_an_engines_workers(made: Made) -> None:
    job, learned = made()
    engine = embedded(job, 3, last="content")
    shards, ranges = engine._shards, engine._shards[0].items
    names = (("neighborhoods", "neighbor_ids"), ("neighborhoods", "neighbor_weights"), ("content", "inputs"))
    theirs = Tables(
        *(
            parted(
                ranges,
                [np.load(shard.place(stage) / f"{name}.npy", mmap_mode="r", allow_pickle=False) for shard in shards],
            )
            for stage, name in names
        )
    )
    near = learned.neighborhoods
    assert near is not None
    seeds = np.array([80, 3, 44, 7], np.int32)
    nodes, made_blocks = hops(theirs, seeds, 2)
    expected, wanted = blocks(near, seeds, 2)
    np.testing.assert_array_equal(nodes, expected)
    for block, other in zip(made_blocks, wanted, strict=True):
        np.testing.assert_array_equal(block.forward.ids, other.forward.ids)
        np.testing.assert_array_equal(block.forward.weights, other.forward.weights)
    np.testing.assert_allclose(theirs.content(nodes), learned.inputs[0][nodes], atol=1e-6)


def test_written_epochs_stay_and_damage_is_named(graph: BipartiteGraph, context: Context, tmp_path: Path) -> None:
    write = partial(written, tmp_path, CONFIG, graph, context, 1)
    write()
    flat = FlatBatches(tmp_path)
    assert flat.n_epochs() == 3
    before = (place(tmp_path, 1) / "manifest.json").stat().st_mtime_ns
    write()
    assert (place(tmp_path, 1) / "manifest.json").stat().st_mtime_ns == before
    with pytest.raises(ArtifactError, match="epoch-0001: was written with other half; remove it"):
        write(half=True)
    with pytest.raises(ArtifactError, match="other options"):
        written(tmp_path, replace(CONFIG, layers=1), graph, context, 1)
    file = place(tmp_path, 2) / "batch_000001.safetensors"
    file.write_bytes(file.read_bytes()[:-8])
    reading = flat.batches(2)
    next(reading)
    with pytest.raises(ArtifactError, match=r"batch_000001.safetensors: has .* truncated"):
        next(reading)
    with pytest.raises(ArtifactError, match="no such folder"):
        FlatPinSage(CONFIG, SEED, FlatBatches(tmp_path / "nothing"))
