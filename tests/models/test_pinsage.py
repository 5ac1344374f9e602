"""PinSage: what it computes, that it learns, and that items which training never saw get the right vectors."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from pinfold.arrays import unit
from pinfold.data.dataset import Dataset
from pinfold.data.interactions import Interactions
from pinfold.data.tables import Table
from pinfold.errors import ConfigError
from pinfold.features.config import FeaturesConfig
from pinfold.features.content import load_content
from pinfold.graph.bipartite import BipartiteGraph, build_graph
from pinfold.graph.convolve import embed_all
from pinfold.graph.convolved import Convolved, PoolingName
from pinfold.graph.csr import Csr
from pinfold.graph.grow import grow
from pinfold.graph.neighborhoods import NeighborhoodConfig
from pinfold.models.interface import Context
from pinfold.models.losses import MaxMarginConfig, SoftmaxConfig
from pinfold.models.pinsage import PinSage, PinSageConfig, _queries
from pinfold.models.selection import Selection
from pinfold.models.shelf import build
from pinfold.sampling.blocks import blocks
from pinfold.sampling.informativeness import InformativenessConfig
from pinfold.sampling.item_batches import ItemBatch, ItemNegativesConfig, NegativesName, going_untaken
from pinfold.sampling.item_pairs import PairsConfig
from pinfold.training.config import TrainConfig
from pinfold.training.loop import train

SMALL = PinSageConfig(
    hidden=8,
    dim=8,
    neighborhood=NeighborhoodConfig(size=6, steps=60),
    negatives=ItemNegativesConfig(batch_size=64, n_negatives=16),
)


def nobody(n: int) -> Csr:
    return Csr(np.zeros(n + 1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32), 60)


@pytest.fixture(scope="module")
def context(world: Dataset) -> Context:
    """Features of the titles: `even thing 3`, `odd thing 4`."""
    rows = np.arange(len(world.items), dtype=np.int32), np.arange(len(world.users), dtype=np.int32)
    return Context(world.interactions, load_content(FeaturesConfig(dim=4), world.item_table, world.user_table, *rows))


def all_at_once(model: PinSage) -> ItemBatch:
    """A batch that asks for every item."""
    sampler = model._sampler  # what is under test is what the model does with it
    items = np.arange(len(sampler.neighborhoods.ids), dtype=np.int32)
    nodes, made = blocks(sampler.neighborhoods, items, model._config.layers)
    none = np.zeros(0, np.int64)
    return ItemBatch(nodes, made, none, none, none, np.zeros((0, 0), np.int64), (none, none), none, none)  # type: ignore[arg-type]


@pytest.mark.parametrize("pooling", ["importance", "mean", "max", "attention"])
@pytest.mark.parametrize("layers", [0, 1, 2, 3])
def test_layer_by_layer_gives_what_mini_batches_give(
    pooling: PoolingName, layers: int, graph: BipartiteGraph, context: Context
) -> None:
    config = replace(SMALL, pooling=pooling, layers=layers, ids=3, id_dropout=0.0)
    model = PinSage(config, graph, 0, context).eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    with torch.no_grad():
        expected = model(all_at_once(model)).numpy()
    np.testing.assert_allclose(model.embed().vectors.items, expected, atol=1e-5)


def test_a_mini_batch_is_the_whole_graph_cut_down(graph: BipartiteGraph, context: Context) -> None:
    model = PinSage(replace(SMALL, guard=False), graph, 0, context).eval()
    whole = model.embed().vectors.items
    batch = next(iter(model.batches(np.random.default_rng(0))))
    with torch.no_grad():
        some = model(batch).numpy()
    np.testing.assert_allclose(some, whole[batch.nodes[: batch.blocks[-1].n_rows]], atol=1e-5)


@pytest.mark.parametrize("loss", [SoftmaxConfig(temperature=0.2, log_q=True), MaxMarginConfig(margin=0.3)])
def test_it_learns_the_two_tastes(
    loss: SoftmaxConfig | MaxMarginConfig, world: Dataset, graph: BipartiteGraph, context: Context
) -> None:
    model = build(replace(SMALL, loss=loss), graph, 0, context)
    report = train(model, TrainConfig(epochs=25, learning_rate=0.01), 0)
    assert report.history[-1]["loss"] < report.history[0]["loss"]
    learned = model.embed()
    assert isinstance(learned, Convolved)
    units = unit(learned.vectors.items)
    cosines = units @ units.T
    np.fill_diagonal(cosines, -1)
    nearest = np.argsort(-cosines, axis=1)[:, :5]
    assert np.mean(nearest % 2 == np.arange(40)[:, None] % 2) > 0.98


def test_without_content_it_says_so(graph: BipartiteGraph, world: Dataset) -> None:
    with pytest.raises(ConfigError, match="learns from content"):
        build(SMALL, graph, 0, Context(world.interactions))


def test_the_same_seed_gives_the_same_vectors(graph: BipartiteGraph, context: Context) -> None:
    found = []
    for _ in range(2):
        model = build(replace(SMALL, ids=4, dropout=0.2), graph, 3, context)
        train(model, TrainConfig(epochs=2), 3)
        found.append(model.embed().vectors.items)  # type: ignore[union-attr]
    np.testing.assert_array_equal(found[0], found[1])


def test_some_items_go_as_if_nobody_had_taken_them(graph: BipartiteGraph, context: Context) -> None:
    """Their vectors come from content alone, and a coin is the same wherever it is tossed."""
    model = PinSage(replace(SMALL, untaken=0.5, guard=False), graph, 0, context)
    batch = next(iter(model.batches(np.random.default_rng(0))))
    seeds = batch.nodes[: batch.blocks[-1].n_rows]
    untaken = going_untaken(seeds, batch.untaken, 0.5)
    assert 0.2 < untaken.mean() < 0.8
    np.testing.assert_array_equal(going_untaken(seeds[::-1], batch.untaken, 0.5)[::-1], untaken)
    assert abs(going_untaken(np.arange(100_000, dtype=np.int32), 7, 0.1).mean() - 0.1) < 0.01
    with torch.no_grad():
        found = model(batch).numpy()
    content = context.content.items[seeds[untaken]]  # type: ignore[union-attr]
    alone = grow(model.embed(), graph, content, nobody(len(content))).vectors.items[-len(content) :]
    np.testing.assert_allclose(found[untaken], alone, atol=1e-5)


def test_the_curriculum_adds_a_hard_negative_each_epoch(graph: BipartiteGraph, context: Context) -> None:
    negatives = replace(SMALL.negatives, hard=3, hard_ranks=(5, 15))
    model = PinSage(replace(SMALL, negatives=negatives), graph, 0, context)
    widths = [next(iter(model.batches(np.random.default_rng(0), epoch))).hard.shape[1] for epoch in (1, 2, 3, 4, 5, 6)]
    assert widths == [0, 1, 2, 3, 3, 3]
    at_once = PinSage(replace(SMALL, negatives=replace(negatives, curriculum=False)), graph, 0, context)
    assert next(iter(at_once.batches(np.random.default_rng(0), 1))).hard.shape[1] == 3
    train(model, TrainConfig(epochs=4), 0)  # and its loss is finite


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("kind", ["uniform", "popularity", "in-batch", "mixed"])
def test_no_kind_of_negative_breaks_it(
    kind: NegativesName, shared: bool, graph: BipartiteGraph, context: Context
) -> None:
    loss = SoftmaxConfig() if kind == "popularity" and not shared else SMALL.loss
    negatives = ItemNegativesConfig(
        batch_size=32, n_negatives=8, negatives=kind, shared=shared, hard=2, curriculum=False
    )
    model = PinSage(replace(SMALL, negatives=negatives, loss=loss), graph, 0, context)
    losses = [model.loss(batch) for batch in model.batches(np.random.default_rng(0))]
    assert all(bool(torch.isfinite(loss)) for loss in losses)


def test_what_collections_are_like_reaches_the_items(world: Dataset, graph: BipartiteGraph) -> None:
    """Titles say nothing here, the users' tastes all; an item of nobody's knows nothing."""
    rows = np.arange(len(world.items), dtype=np.int32), np.arange(len(world.users), dtype=np.int32)
    items = Table({"title": np.array(["early thing"] * 20 + ["late thing"] * 20, dtype=object)}, 40)
    users = Table({"taste": np.array(["even", "odd"] * 30, dtype=object)}, 60)
    context = Context(world.interactions, load_content(FeaturesConfig(dim=4), items, users, *rows))
    model = PinSage(replace(SMALL, collections=True), graph, 0, context)
    learned = model.embed()
    assert context.content is not None
    n = context.content.items.shape[1]
    known = learned.inputs[0][:, n:-1]
    assert not np.allclose(known[0], known[1])
    np.testing.assert_allclose(known[::2], np.tile(known[0], (20, 1)), atol=1e-6)
    grown = grow(learned, graph, context.content.items[:1], graph.item_users.take(np.array([7], np.int32)))
    np.testing.assert_allclose(grown.inputs[0][-1], learned.inputs[0][7], atol=1e-6)
    assert not grow(learned, graph, context.content.items[:1], nobody(1)).inputs[0][-1, n:-1].any()


def test_collections_without_features_are_refused(graph: BipartiteGraph, context: Context) -> None:
    with pytest.raises(ConfigError, match="users have no features"):
        PinSage(replace(SMALL, collections=True), graph, 0, context)


@pytest.mark.parametrize("how", ["hardest", "semi-hard", "distance-weighted"])
def test_negatives_can_be_chosen_by_score(how: Selection, graph: BipartiteGraph, context: Context) -> None:
    chosen = replace(SMALL, unit=True, selection=how, selected=4)
    model = PinSage(replace(chosen, negatives=replace(SMALL.negatives, hard=1, curriculum=False)), graph, 0, context)
    train(model, TrainConfig(epochs=2), 0)
    if how == "distance-weighted":
        with pytest.raises(ConfigError, match="needs distances on a sphere"):
            PinSage(replace(chosen, unit=False), graph, 0, context)


def test_own_negatives_by_popularity_cannot_be_corrected(graph: BipartiteGraph, context: Context) -> None:
    own = replace(SMALL.negatives, negatives="popularity", shared=False)
    with pytest.raises(ConfigError, match="have no correction"):
        PinSage(replace(SMALL, negatives=own), graph, 0, context)
    PinSage(replace(SMALL, negatives=own, loss=MaxMarginConfig()), graph, 0, context)


def test_edges_are_weighed_for_walks_by_weight_alone(graph: BipartiteGraph, context: Context) -> None:
    edges = InformativenessConfig(activity=-0.5)
    with pytest.raises(ConfigError, match="weighted = true"):
        PinSage(replace(SMALL, edges=edges), graph, 0, context)
    weighted = replace(SMALL.neighborhood, weighted=True)
    PinSage(replace(SMALL, edges=edges, neighborhood=weighted), graph, 0, context)


def test_ranks_of_hard_negatives_rise(graph: BipartiteGraph, context: Context) -> None:
    with pytest.raises(ConfigError, match=r"hard_ranks must be first < last, from 0; got \[15, 5\]"):
        PinSage(replace(SMALL, negatives=replace(SMALL.negatives, hard=1, hard_ranks=(15, 5))), graph, 0, context)


def test_next_items_need_times(world: Dataset, graph: BipartiteGraph, context: Context) -> None:
    events = world.interactions
    timeless = replace(context, events=Interactions.of(events.users, events.items, events.n_users, events.n_items))
    config = replace(SMALL, pairs=PairsConfig(source="next"))
    build(config, graph, 0, context)
    with pytest.raises(ConfigError, match="needs times"):
        build(config, graph, 0, timeless)


def test_a_new_item_gets_what_inference_on_the_grown_graph_gives(world: Dataset) -> None:
    """The item's own row comes last and nobody's walk meets it, so the others' neighborhoods are what they were."""
    events = world.interactions
    last = events.n_items - 1
    before = events.take(events.items != last)
    cut = Interactions(before.users, before.items, before.weights, before.times, events.n_users, last)
    rows = np.arange(last, dtype=np.int32), np.arange(events.n_users, dtype=np.int32)
    table = replace(world.item_table, columns={"title": world.item_table.columns["title"][:last]}, n_rows=last)
    content = load_content(FeaturesConfig(dim=4), table, world.user_table, *rows)
    old = build_graph(cut)
    model = PinSage(SMALL, old, 0, Context(cut, content))
    learned = model.embed()
    takers = build_graph(events).item_users.take(np.array([last], np.int32))
    features = content.items[:1]
    grown = grow(learned, old, features, takers)
    assert grown.inputs[0].shape[0] == last + 1

    near = model._sampler.neighborhoods
    from pinfold.graph.neighborhoods import Neighborhoods, fresh_neighborhoods

    own = fresh_neighborhoods(old, SMALL.neighborhood, 0, takers)
    both = Neighborhoods(np.vstack([near.ids, own.ids]), np.vstack([near.weights, own.weights]))
    first = np.vstack([learned.inputs[0], grown.inputs[0][last:]])
    expected, _ = embed_all(learned.network, first.astype(np.float32), both)
    np.testing.assert_allclose(grown.vectors.items, expected, atol=1e-5)
    np.testing.assert_array_equal(grown.vectors.items[:last], learned.vectors.items)


def test_an_item_with_content_and_nothing_else_lies_among_its_like(
    world: Dataset, graph: BipartiteGraph, context: Context
) -> None:
    model = build(SMALL, graph, 0, context)
    train(model, TrainConfig(epochs=30, learning_rate=0.01), 0)
    learned = model.embed()
    assert isinstance(learned, Convolved)
    assert context.content is not None
    for taste in (0, 1):
        grown = grow(learned, graph, context.content.items[taste : taste + 1], nobody(1))
        units = unit(grown.vectors.items)
        nearest = np.argsort(-(units[:-1] @ units[-1]))[:5]
        assert np.mean(nearest % 2 == taste) == 1


def test_several_items_ask_by_the_mean_of_their_vectors() -> None:
    vectors = torch.arange(12.0).reshape(4, 3).requires_grad_()
    none = np.zeros(0, np.int64)
    batch = ItemBatch(
        none, (), np.array([0, 3]), none, none, none.reshape(0, 0), (none, none), none, none,  # type: ignore[arg-type]
        more=(np.array([1, 1]), np.array([1, 1])),
    )  # fmt: skip
    queries = _queries(batch, vectors, unit=False)
    lengths = _queries(batch, vectors, unit=True).norm(dim=1)
    torch.testing.assert_close(lengths, torch.ones(2))
    torch.testing.assert_close(queries, torch.stack([vectors[0], (vectors[3] + 2 * vectors[1]) / 3]))
    queries.sum().backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(vectors.grad, torch.tensor([1, 2 / 3, 0, 1 / 3])[:, None].expand(4, 3))
