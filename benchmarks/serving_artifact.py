"""An artifact as large as wanted for the benchmarks of the service: a PinSage that nobody has trained.

Items have a category and a title of its words, users take items of three categories, and the network's weights are
random; vectors come from PinSage's own forward pass over the importance neighborhoods. So they lie in clusters that go
with the categories, and a new item lands where an old one with its attributes and collections would.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pinfold.arrays import Floats, Ints
from pinfold.config import to_toml
from pinfold.data.interactions import Interactions
from pinfold.data.tables import Table
from pinfold.data.vocab import Vocab
from pinfold.embedding.artifact import Artifact, write_artifact
from pinfold.features.config import CategoriesColumn, FeaturesConfig, TextColumn
from pinfold.features.content import fit_table
from pinfold.features.encoders import Encoders
from pinfold.graph.bipartite import BipartiteGraph, build_graph
from pinfold.graph.convolve import embed_all, finish
from pinfold.graph.convolved import Convolution, Convolved, Growth, Head, Network
from pinfold.graph.csr import Csr
from pinfold.graph.interests import InterestsConfig, make_users
from pinfold.graph.neighborhoods import NeighborhoodConfig, neighborhoods
from pinfold.index.config import IndexConfig
from pinfold.index.stored import write_indexes
from pinfold.memory import peak_memory
from pinfold.models.pinsage import PinSageConfig
from pinfold.run import DataConfig, RunConfig

TASTES = 3  # categories of a user
OWN_WORDS, COMMON_WORDS = 60, 400  # of a category, and of all
FEATURES = 32  # components of each column
LENGTH_EXPONENT = 0.5  # so that similar items and recommendations need an index each, as PinSage's default does


@dataclass(frozen=True, slots=True)
class World:
    """How large the catalogue is."""

    n_items: int
    n_users: int
    n_events: int  # of each user
    n_categories: int
    dim: int = 64
    seed: int = 0


def make_artifact(path: Path, world: World) -> dict[str, Any]:
    """Write the artifact with its indexes; seconds by step, peak memory, and what index.json says."""
    rng, clock = np.random.default_rng(world.seed), Clock()
    category = np.sort(rng.integers(world.n_categories, size=world.n_items))
    category = category[rng.permutation(world.n_items)]
    items = items_of(category, world, rng)
    graph = graph_of(category, world, rng)
    clock("table and graph")
    config = FeaturesConfig(items={"title": TextColumn(), "category": CategoriesColumn()}, dim=FEATURES)
    fitted_on = rng.permutation(world.n_items)[:20_000].astype(np.int32)
    encoders, features = fit_table(config, items, np.sort(fitted_on), "items", world.seed)
    clock("features")
    learned = learn(graph, features, world, rng, clock)
    run = RunConfig(data=DataConfig(path="synthetic"), model=PinSageConfig(hidden=world.dim, dim=world.dim))
    artifact = artifact_of(learned, graph, encoders, items, to_toml(run))
    figures: dict[str, Any] = {}
    write_artifact(
        path, artifact, {}, lambda folder: figures.update(write_indexes(folder, learned, IndexConfig(), 0) or {})
    )
    clock("indexes, writing")
    n_bytes = sum(file.stat().st_size for file in path.iterdir())
    return {
        "items": world.n_items, "users": world.n_users, "edges": graph.n_edges, "dim": world.dim, "bytes": n_bytes,
        "seconds": clock.seconds, "peak_memory_bytes": peak_memory(), "index": figures,
    }  # fmt: skip


class Clock:
    """Seconds from step to step."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def __call__(self, step: str) -> None:
        """A step is over."""
        now = time.perf_counter()
        self.seconds[step] = round(now - self._last, 2)
        self._last = now


def items_of(category: Ints, world: World, rng: np.random.Generator) -> Table:
    """Titles of six words, four of them the category's own."""
    own = rng.integers(OWN_WORDS, size=(world.n_items, 4)).tolist()
    common = rng.integers(COMMON_WORDS, size=(world.n_items, 2)).tolist()
    titles, categories = np.empty(world.n_items, object), np.empty(world.n_items, object)
    for row, (kind, mine, shared) in enumerate(zip(category.tolist(), own, common, strict=True)):
        titles[row] = " ".join([*(f"k{kind}x{word}" for word in mine), *(f"word{word}" for word in shared)])
        categories[row] = f"category {kind}"
    return Table({"title": titles, "category": categories}, world.n_items)


def graph_of(category: Ints, world: World, rng: np.random.Generator) -> BipartiteGraph:
    """Four of five events lie in one of the user's categories, where few items take most of them."""
    order = np.argsort(category, kind="stable")
    ends = np.cumsum(np.bincount(category, minlength=world.n_categories))
    sizes = np.diff(ends, prepend=0)
    tastes = rng.integers(world.n_categories, size=(world.n_users, TASTES))
    shape = (world.n_users, world.n_events)
    chosen = np.take_along_axis(tastes, rng.integers(TASTES, size=shape), axis=1)
    chosen = np.where(rng.random(shape) < 0.8, chosen, rng.integers(world.n_categories, size=shape))
    places = (ends - sizes)[chosen] + (rng.random(shape) ** 2.5 * sizes[chosen]).astype(np.int64)
    taken = order[np.minimum(places, world.n_items - 1)].astype(np.int32)
    users = np.repeat(np.arange(world.n_users, dtype=np.int32), world.n_events)
    return build_graph(Interactions.of(users, taken.ravel(), world.n_users, world.n_items))


def learn(graph: BipartiteGraph, features: Floats, world: World, rng: np.random.Generator, clock: Clock) -> Convolved:
    """What an untrained network makes of the whole catalogue."""
    degrees = np.log1p(graph.item_counts())
    near = NeighborhoodConfig()
    growth = Growth(near, world.seed, float(degrees.mean()), float(degrees.std()), 0)
    users = np.zeros((world.n_users, 0), np.float32)
    everybody = Csr(graph.item_users.ptr, graph.item_users.ids, graph.item_users.weights, world.n_users)
    content = growth.first_input(features, everybody, users)
    found = neighborhoods(graph, near, world.seed)
    clock("neighborhoods")
    layers = layers_of(content.shape[1], world.dim, rng)
    made, inputs = embed_all(Network(layers, None, "importance", unit=False), content, found)
    network = Network(layers, head_of(made, world.dim, rng), "importance", unit=False)
    items = finish(network, made)
    vectors = make_users(items, graph.user_items, None, InterestsConfig())
    clock("forward pass")
    return Convolved(vectors, network, inputs, growth, users, LENGTH_EXPONENT)


def layers_of(n_inputs: int, dim: int, rng: np.random.Generator) -> tuple[Convolution, ...]:
    """Two random convolutions."""
    none, zeros = np.zeros(0, np.float32), np.zeros(dim, np.float32)
    return tuple(
        Convolution(random_table(n, dim, rng), zeros, random_table(n + dim, dim, rng), zeros, none)
        for n in (n_inputs, dim)
    )


def head_of(made: Floats, dim: int, rng: np.random.Generator) -> Head:
    """A random head without the direction that all items share, so that vectors point everywhere."""
    first, second = random_table(dim, dim, rng), random_table(dim, dim, rng)
    shared = np.maximum(made[:: max(1, len(made) // 20_000)] @ first, 0).mean(axis=0)
    second -= np.outer(shared, shared @ second) / (shared @ shared)
    return Head(first, np.zeros(dim, np.float32), second)


def random_table(n_inputs: int, n_outputs: int, rng: np.random.Generator) -> Floats:
    """Weights that keep the size of what passes a ReLU (He et al., 2015)."""
    return (rng.standard_normal((n_inputs, n_outputs)) * (2 / n_inputs) ** 0.5).astype(np.float32)


def artifact_of(learned: Convolved, graph: BipartiteGraph, encoders: Encoders, items: Table, run: str) -> Artifact:
    """The artifact, without held-out parts."""
    n_users, n_items = graph.n_users, graph.n_items
    nothing = Interactions.of(np.empty(0, np.int32), np.empty(0, np.int32), n_users, n_items)
    user_ids = Vocab([f"user{row}" for row in range(n_users)], "user")
    item_ids = Vocab([f"item{row}" for row in range(n_items)], "item")
    metrics = {"created": time.time()}
    return Artifact(
        learned, graph, nothing, None, user_ids, item_ids, Table({}, n_users), items, run, metrics, encoders
    )
