"""PinSage by several processes: the shares of a batch add up to its loss and gradient."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pinfold.data.dataset import Dataset
from pinfold.features.config import FeaturesConfig
from pinfold.features.content import load_content
from pinfold.graph.bipartite import BipartiteGraph
from pinfold.graph.neighborhoods import NeighborhoodConfig
from pinfold.models.interface import Context, Shareable
from pinfold.models.losses import MaxMarginConfig, SoftmaxConfig
from pinfold.models.pinsage import PinSage, PinSageConfig
from pinfold.sampling.item_batches import ItemBatch, ItemNegativesConfig

MIXED = ItemNegativesConfig(batch_size=50, n_negatives=9, hard=3, curriculum=False, hard_ranks=(5, 15))
SMALL = PinSageConfig(hidden=8, dim=8, neighborhood=NeighborhoodConfig(size=4, steps=60), negatives=MIXED)


@pytest.fixture(scope="module")
def context(world: Dataset) -> Context:
    rows = np.arange(len(world.items), dtype=np.int32), np.arange(len(world.users), dtype=np.int32)
    return Context(world.interactions, load_content(FeaturesConfig(dim=4), world.item_table, world.user_table, *rows))


def whole_batch(model: PinSage, seed: int = 0) -> ItemBatch:
    """With weights, although the world gives all pairs the same."""
    batch = next(iter(model.batches(np.random.default_rng(seed))))
    weights = np.random.default_rng(1).random(len(batch.weights), np.float32) * 2
    return replace(batch, weights=weights)


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize(
    "config",
    [
        SMALL,
        replace(SMALL, negatives=replace(MIXED, shared=False, negatives="uniform"), loss=MaxMarginConfig(margin=0.3)),
        replace(SMALL, layers=0, negatives=replace(MIXED, hard=0)),
        replace(SMALL, pooling="max", layers=1),
        replace(SMALL, pooling="attention", layers=3, loss=SoftmaxConfig(temperature=1.0)),
    ],
    ids=["mixed", "own", "content", "max", "attention"],
)
def test_shares_add_up(graph: BipartiteGraph, context: Context, config: PinSageConfig, size: int) -> None:
    models = [PinSage(config, graph, 0, context) for _ in range(2)]
    assert isinstance(models[0], Shareable)
    batch = whole_batch(models[0])
    whole = models[0].loss(batch)
    whole.backward()  # type: ignore[no-untyped-call]
    shares = [models[1].share(batch, rank, size) for rank in range(size)]
    losses = [models[1].loss(share) for share in shares if share is not None]
    for loss in losses:
        loss.backward()  # type: ignore[no-untyped-call]  # gradients add up on the parameters
    assert sum(loss.item() for loss in losses) == pytest.approx(whole.item(), rel=1e-5)
    for one, other in zip(models[1].parameters(), models[0].parameters(), strict=True):
        if other.grad is None:
            assert one.grad is None
        else:
            assert one.grad is not None
            torch.testing.assert_close(one.grad, other.grad, rtol=1e-3, atol=1e-6)


def test_a_share_needs_less_of_the_graph(graph: BipartiteGraph, context: Context) -> None:
    config = replace(SMALL, layers=1, negatives=ItemNegativesConfig(batch_size=8, n_negatives=2, negatives="uniform"))
    model = PinSage(config, graph, 0, context)
    batch = whole_batch(model)
    share = model.share(batch, 1, 4)
    assert share is not None
    assert share.n_whole == 8
    assert len(share.nodes) < len(batch.nodes)
    assert share.blocks[0].n_columns == len(share.nodes)
    for part in ("queries", "positives"):  # the same items, under new numbers
        found, expected = (b.nodes[getattr(b, part)] for b in (share, batch))
        np.testing.assert_array_equal(found, expected[1::4])
    np.testing.assert_array_equal(share.nodes[share.negatives], batch.nodes[batch.negatives])


def test_fewer_pairs_than_processes(graph: BipartiteGraph, context: Context) -> None:
    model = PinSage(replace(SMALL, negatives=replace(MIXED, batch_size=2)), graph, 0, context)
    batch = whole_batch(model)
    assert [model.share(batch, rank, 3) is None for rank in range(3)] == [False, False, True]
