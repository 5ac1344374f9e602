"""A small world with features on both sides, hubs and loners, and an untrained PinSage of it as an artifact."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn

from pinfold.data.dataset import Dataset, save_dataset
from pinfold.data.interactions import Interactions
from pinfold.data.stored import open_dataset
from pinfold.data.tables import Table
from pinfold.data.vocab import Vocab
from pinfold.embedding.artifact import Artifact, write_artifact
from pinfold.engine.interface import Job
from pinfold.engine.local import LocalEngine
from pinfold.engine.stages import stages
from pinfold.engine.steps import EMBED
from pinfold.features.config import FeaturesConfig
from pinfold.features.content import Content, load_content
from pinfold.features.store import write_encoders
from pinfold.graph.bipartite import BipartiteGraph, build_graph
from pinfold.graph.convolved import Convolved
from pinfold.graph.neighborhoods import NeighborhoodConfig
from pinfold.models.interface import Context
from pinfold.models.pinsage import PinSage, PinSageConfig
from pinfold.sampling.item_batches import ItemNegativesConfig

N_USERS, N_ITEMS = 150, 90
SMALL = PinSageConfig(
    hidden=8, dim=8, collections=True,
    neighborhood=NeighborhoodConfig(size=6, steps=60),
    negatives=ItemNegativesConfig(batch_size=64, n_negatives=16),
)  # fmt: skip


@dataclass(frozen=True)
class Known:
    """What one machine makes in memory."""

    dataset: Dataset
    graph: BipartiteGraph
    content: Content


def make_events() -> Interactions:
    """Item 7 is everybody's, items 80 to 89 nobody's, user 149 has nothing; some pairs come twice, weights differ."""
    rng = np.random.default_rng(5)
    users = rng.integers(0, N_USERS - 1, 700).astype(np.int32)
    items = np.minimum(rng.geometric(0.05, 700), 79).astype(np.int32)
    users = np.concatenate([users, np.arange(N_USERS - 1)]).astype(np.int32)
    items = np.concatenate([items, np.full(N_USERS - 1, 7)]).astype(np.int32)
    weights = rng.uniform(0.1, 3, len(users)).astype(np.float32)
    return Interactions(users, items, weights, np.arange(len(users)), N_USERS, N_ITEMS)


@pytest.fixture(scope="session")
def known() -> Known:
    """The world."""
    events = make_events()
    titles = np.array([f"{'even' if row % 2 == 0 else 'odd'} thing {row % 9}" for row in range(N_ITEMS)], dtype=object)
    titles[3] = None
    towns = np.array([f"town{row % 5}" for row in range(N_USERS)], dtype=object)
    ages = np.arange(N_USERS) % 50
    users = Vocab([f"user{row:03d}" for row in range(N_USERS)], "user")
    items = Vocab([f"item{row:03d}" for row in range(N_ITEMS)], "item")
    dataset = Dataset(
        events, users, items, Table({"town": towns, "age": ages}, N_USERS), Table({"title": titles}, N_ITEMS), {}
    )
    rows = np.arange(N_ITEMS, dtype=np.int32), np.arange(N_USERS, dtype=np.int32)
    content = load_content(FeaturesConfig(dim=4), dataset.item_table, dataset.user_table, *rows)
    return Known(dataset, build_graph(events), content)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Any]:
    """Ray on this machine, for all tests that want it; engines use it and leave it."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'pinfold[ray]'")
    from pinfold.engine.ray_cluster import connected

    with connected(None, 4, 200_000_000) as ray:
        yield ray


Made = Callable[..., tuple[Job, Convolved]]


@pytest.fixture
def made(known: Known, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Made:
    """Writes the data set and an artifact with these options of PinSage; a job, and what is embedded in memory."""
    monkeypatch.setattr("pinfold.artifacts.flush", lambda _: None)  # of hundreds of small parts; no plug is pulled
    monkeypatch.setattr("pinfold.engine.graph.open_dataset", cache(open_dataset))  # opening takes longest

    def make(seed: int = 3, memory: int = 1 << 30, block: int = 1 << 16, *, half: bool = False, **told: Any) -> Any:
        config = replace(SMALL, **told)
        model = PinSage(config, known.graph, seed, Context(known.dataset.interactions, known.content)).eval()
        for parameter in model.parameters():
            nn.init.normal_(parameter, std=0.5)
        learned, dataset = model.embed(), known.dataset
        nothing = dataset.interactions.take(np.zeros(0, np.int64))
        artifact = Artifact(
            learned, known.graph, nothing, None, dataset.users, dataset.items, dataset.user_table, dataset.item_table,
            "", {}, known.content.item_encoders,
        )  # fmt: skip
        encoders = known.content.user_encoders
        assert encoders is not None
        write_artifact(
            tmp_path / "artifact", artifact, {}, lambda folder: write_encoders(folder, encoders, "user_feature_")
        )
        save_dataset(dataset, tmp_path / "data")
        sizes = (N_USERS, N_ITEMS, len(dataset.interactions), seed)
        (tmp_path / "work").mkdir()
        job = Job(tmp_path / "work", tmp_path / "data", tmp_path / "artifact", *sizes, half, memory, block)
        return job, learned

    return make


def embedded(job: Job, size: int, n_layers: int = 2, last: str = "users", **options: Any) -> LocalEngine:
    """The stages up to the last one named, done by this many workers in a folder of their own."""
    place = job.work / f"{size}"
    place.mkdir(exist_ok=True)
    engine = LocalEngine(replace(job, work=place), size, EMBED)
    run_stages(engine, n_layers, last, **options)
    return engine


def run_stages(engine: LocalEngine, n_layers: int = 2, last: str = "users", **options: Any) -> None:
    """All of them, those that are done too."""
    for stage in stages(n_layers):
        stage.run(engine, options)
        if stage.name == last:
            break


def whole(engine: LocalEngine, stage: str, name: str) -> Any:
    """The parts of all workers, one after another."""
    return np.concatenate([np.load(shard.place(stage) / name) for shard in engine._shards])
