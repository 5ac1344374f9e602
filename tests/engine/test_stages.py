"""The embed job in parts: any number of workers makes what one machine makes in memory."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.engine.conftest import N_ITEMS, N_USERS, SMALL, Known, Made, embedded, run_stages, whole

from pinfold.arrays import Embeddings
from pinfold.artifacts import writing
from pinfold.data.dataset import Dataset, save_dataset
from pinfold.data.interactions import Interactions
from pinfold.data.tables import Table
from pinfold.data.vocab import Vocab
from pinfold.engine.local import LocalEngine
from pinfold.engine.stages import degree_scale
from pinfold.engine.steps import EMBED
from pinfold.errors import ArtifactError, ConfigError, DataError
from pinfold.features.config import FeaturesConfig, VectorColumn
from pinfold.features.content import fit_table
from pinfold.features.encoders import encode
from pinfold.features.store import write_encoders
from pinfold.graph.bipartite import BipartiteGraph, build_graph
from pinfold.graph.convolve import embed_all, finish
from pinfold.graph.convolved import Convolved, PoolingName
from pinfold.graph.interests import InterestsConfig, make_users
from pinfold.graph.neighborhoods import neighborhoods

SIZES = (1, 2, 3, 5)


def check_graph(engine: LocalEngine, graph: BipartiteGraph) -> None:
    for name, csr in (("user_items", graph.user_items), ("item_users", graph.item_users)):
        ptr = [np.diff(np.load(shard.place("graph") / f"{name}_ptr.npy")) for shard in engine._shards]
        np.testing.assert_array_equal(np.concatenate(ptr), csr.degrees())
        np.testing.assert_array_equal(whole(engine, "graph", f"{name}_ids.npy"), csr.ids)
        np.testing.assert_array_equal(whole(engine, "graph", f"{name}_weights.npy"), csr.weights)


def check_all(engine: LocalEngine, graph: BipartiteGraph, learned: Convolved, atol: float = 1e-6) -> None:
    check_graph(engine, graph)
    assert learned.neighborhoods is not None
    np.testing.assert_array_equal(whole(engine, "neighborhoods", "neighbor_ids.npy"), learned.neighborhoods.ids)
    for k, inputs in enumerate(learned.inputs):
        found = whole(engine, f"convolve{k - 1}" if k else "content", "inputs.npy")
        np.testing.assert_allclose(found, inputs, atol=atol, rtol=atol)
    np.testing.assert_allclose(whole(engine, "vectors", "items.npy"), learned.vectors.items, atol=atol, rtol=atol)
    assert isinstance(learned.vectors, Embeddings)
    np.testing.assert_allclose(whole(engine, "users", "users.npy"), learned.vectors.users, atol=atol)
    np.testing.assert_allclose(whole(engine, "people", "users_content.npy"), learned.users, atol=1e-6)


@pytest.mark.parametrize("pooling", ["importance", "mean", "max", "attention"])
def test_any_number_of_workers_makes_the_same(known: Known, made: Made, pooling: PoolingName) -> None:
    job, learned = made(pooling=pooling)
    for size in SIZES:
        check_all(embedded(job, size), known.graph, learned)


@pytest.mark.parametrize("pooling", ["max", "attention"])
def test_little_memory_and_small_blocks_make_the_same(known: Known, made: Made, pooling: PoolingName) -> None:
    """The hub has more users than fit at once, and a wave of walks is one item or two."""
    job, learned = made(pooling=pooling, memory=9_000, block=7)
    for size in (1, 3):
        check_all(embedded(job, size), known.graph, learned)


def test_half_precision(known: Known, made: Made) -> None:
    job, learned = made(half=True, unit=True)
    for size in (1, 2):
        engine = embedded(job, size)
        for name, file in (("content", "inputs.npy"), ("project1", "sent.npy"), ("convolve0", "inputs.npy")):
            assert whole(engine, name, file).dtype == np.float16
        assert whole(engine, "vectors", "items.npy").dtype == np.float32
        check_all(engine, known.graph, learned, 2e-3)


@pytest.mark.parametrize(("layers", "collections"), [(0, False), (1, False), (3, True)])
def test_other_depths(known: Known, made: Made, layers: int, collections: bool) -> None:
    job, learned = made(layers=layers, collections=collections)
    for size in (1, 2):
        engine = embedded(job, size, layers)
        check_all(engine, known.graph, learned)
        assert bool(whole(engine, "people", "users_content.npy").shape[1]) == collections
    assert whole(embedded(job, 2, layers), "people", "users_content.npy").shape == (
        N_USERS,
        4 + 1 if collections else 0,
    )


def test_more_workers_than_items(known: Known, made: Made, tmp_path: Path) -> None:
    """The same network applied to another, tiny world; of its five workers two have no items."""
    job, learned = made(collections=False)
    users, items = (np.array(column, np.int32) for column in ([0, 1, 1, 3, 3, 2], [0, 0, 2, 2, 0, 0]))
    events = Interactions(users, items, np.ones(6, np.float32), np.arange(6), 4, 3)
    titles = Table({"title": np.array(["even thing", "odd thing 2", None], dtype=object)}, 3)
    vocabs = Vocab([f"u{row}" for row in range(4)], "user"), Vocab([f"i{row}" for row in range(3)], "item")
    save_dataset(Dataset(events, *vocabs, Table({}, 4), titles, {}), tmp_path / "tiny")
    job = replace(job, dataset=tmp_path / "tiny", n_users=4, n_items=3, n_edges=6)
    graph, growth = build_graph(events), learned.growth
    near = neighborhoods(graph, growth.neighborhood, job.seed)
    features = encode(known.content.item_encoders, titles)
    content = growth.first_input(features, graph.item_users, np.zeros((4, 0), np.float32))
    vectors, inputs = embed_all(learned.network, content, near)
    made_users = make_users(vectors, graph.user_items, None, InterestsConfig())
    expected = Convolved(made_users, learned.network, inputs, growth, np.zeros((4, 0), np.float32), 1.0, near)
    for size in (1, 2, 5):
        check_all(embedded(job, size), graph, expected)


def test_nobody_took_anything(made: Made, tmp_path: Path) -> None:
    job, learned = made(collections=False)
    none = np.zeros(0, np.int32)
    events = Interactions(none, none, np.zeros(0, np.float32), np.zeros(0, np.int64), 2, 3)
    titles = Table({"title": np.array(["even", "odd", "thing"], dtype=object)}, 3)
    vocabs = Vocab(["u", "v"], "user"), Vocab(["a", "b", "c"], "item")
    save_dataset(Dataset(events, *vocabs, Table({}, 2), titles, {}), tmp_path / "none")
    for size in (1, 2):
        engine = embedded(replace(job, dataset=tmp_path / "none", n_users=2, n_items=3, n_edges=0), size)
        assert (whole(engine, "neighborhoods", "neighbor_ids.npy") == -1).all()
        assert not whole(engine, "users", "users.npy").any()
        last = whole(engine, "convolve1", "inputs.npy")
        np.testing.assert_allclose(whole(engine, "vectors", "items.npy"), finish(learned.network, last), atol=1e-6)
        assert degree_scale(engine) == (0.0, 1.0)


def test_degrees_are_scaled_as_told(known: Known, made: Made) -> None:
    job, learned = made()
    for size in (1, 3):
        engine = embedded(job, size, last="graph")
        mean, deviation = degree_scale(engine)
        assert mean == pytest.approx(learned.growth.degree_mean, rel=1e-12)
        assert deviation == pytest.approx(learned.growth.degree_deviation, rel=1e-12)
        run_stages(engine, last="content", degree_mean=2.0, degree_deviation=4.0)
        expected = (np.log1p(known.graph.item_counts()) - 2) / 4
        np.testing.assert_allclose(whole(engine, "content", "inputs.npy")[:, -1], expected, atol=1e-6)


def test_what_is_sent_is_counted(known: Known, made: Made) -> None:
    job, _ = made()
    assert not +embedded(job, 1).moved
    engine = embedded(job, 2)
    assert {name for name, n in engine.moved.items() if n} == set(EMBED.send)
    events = known.dataset.interactions
    slices = np.arange(len(events)) >= len(events) // 2  # worker 1 reads the second half
    away = (slices != (events.users >= N_USERS // 2)).sum() + (slices != (events.items >= N_ITEMS // 2)).sum()
    assert engine.moved["graph.send"] == 12 * away


def test_features_from_an_npy_file(known: Known, made: Made, tmp_path: Path) -> None:
    job, learned = made(collections=False)
    n_features = known.content.item_encoders.dim
    vectors = np.random.default_rng(0).normal(size=(N_ITEMS, n_features)).astype(np.float32)
    np.save(tmp_path / "vectors.npy", vectors)
    config = FeaturesConfig(items={"image": VectorColumn(path=str(tmp_path / "vectors.npy"))})
    encoders, features = fit_table(config, known.dataset.item_table, np.arange(N_ITEMS, dtype=np.int32), "items")
    with writing(tmp_path / "encoders", "artifact") as folder:
        write_encoders(folder, encoders, "feature_")
    engine = embedded(replace(job, block=16), 2, last="content", encoders=str(tmp_path / "encoders"))
    found = whole(engine, "content", "inputs.npy")
    np.testing.assert_allclose(found[:, :n_features], features, atol=1e-6)
    assert found.shape[1] == learned.inputs[0].shape[1]


def test_a_broken_value_is_named_by_its_id(made: Made, known: Known, tmp_path: Path) -> None:
    job, _ = made()
    ages = known.dataset.user_table.columns["age"].astype(np.float64)
    ages[97] = np.inf
    table = Table({**known.dataset.user_table.columns, "age": ages}, N_USERS)
    save_dataset(replace(known.dataset, user_table=table), tmp_path / "broken")
    with pytest.raises(DataError, match="user097"):
        embedded(replace(job, dataset=tmp_path / "broken", block=16), 1)


def test_what_cannot_be_says_so(made: Made, known: Known, tmp_path: Path) -> None:
    job, _ = made()
    with writing(tmp_path / "encoders", "artifact") as folder:
        write_encoders(folder, known.content.item_encoders, "feature_")
    with pytest.raises(ConfigError, match="features of users, and there are no encoders"):
        embedded(job, 1, encoders=str(tmp_path / "encoders"))
    with pytest.raises(ArtifactError, match="has changed"):
        embedded(replace(job, n_edges=3), 2)
    with writing(tmp_path / "other", "artifact") as folder:
        folder.text("run.toml", "")
    with pytest.raises(ArtifactError, match="no trained layers"):
        embedded(replace(job, artifact=tmp_path / "other"), 2)


def test_with_room_every_message_is_asked_for_once(made: Made) -> None:
    """26 of a worker's 30 rows would fit if all their neighbors differed; they cannot, among 90 items."""
    job, _ = made(memory=1 << 15)
    engine = embedded(job, 3, last="project0")
    before, foreign = engine.moved["join.answer"], 0
    for shard in engine._shards:
        near = np.unique(np.load(shard.place("neighborhoods") / "neighbor_ids.npy"))
        foreign += int(((near >= 0) & (shard.items.owners(near) != shard.rank)).sum())
    run_stages(engine, last="convolve0")
    assert engine.moved["join.answer"] - before == foreign * SMALL.hidden * 4
