"""A run file: all options of a job, and the data that it names."""

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from pinfold.artifacts import is_folder
from pinfold.config import options, parse, parse_overrides
from pinfold.data.bundled import debian
from pinfold.data.dataset import Dataset, load_dataset
from pinfold.data.filters import filter_dataset
from pinfold.data.interactions import Interactions
from pinfold.data.pairs import read_pairs
from pinfold.data.splits import SplitConfig
from pinfold.errors import ArtifactError, ConfigError
from pinfold.evaluation.evaluate import EvaluationConfig
from pinfold.evaluation.expected import ReproduceConfig
from pinfold.evaluation.study import StudyConfig
from pinfold.features.config import FeaturesConfig, VectorColumn
from pinfold.features.content import load_content
from pinfold.index.config import IndexConfig
from pinfold.models.interface import Context
from pinfold.models.pinsage import PinSageConfig
from pinfold.models.shelf import ModelConfig, needs_content, needs_pairs
from pinfold.sampling.informativeness import mean_one
from pinfold.sampling.item_pairs import ItemPairs
from pinfold.training.config import TrainConfig
from pinfold.training.space import TuneConfig

BUNDLED = "debian"
Contexts = Callable[[Interactions], Context]


@options
class DataConfig:
    """Which data set, and what of it."""

    path: Annotated[str, Field(description="a folder that `pinfold import` made, or 'debian' for the bundled data")]
    test: Annotated[
        str | None,
        Field(description="folder with the test events, imported in the same way; for split.protocol 'files'"),
    ] = None
    pairs: Annotated[
        str | None,
        Field(
            description="file with item pairs to learn from, columns query, item and perhaps weight; for pinsage with "
            "pairs.source 'file'"
        ),
    ] = None
    min_user_events: Annotated[int, Field(ge=0, description="k-core: events a user must have; 0 keeps all")] = 0
    min_item_events: Annotated[int, Field(ge=0, description="k-core: events an item must have; 0 keeps all")] = 0


@options
class RunConfig:
    """A run file: everything that decides the result."""

    data: DataConfig
    model: ModelConfig
    features: FeaturesConfig = FeaturesConfig()
    seed: Annotated[
        int, Field(ge=0, lt=2**63, description="of the split, the first vectors, the batches and the bootstrap")
    ] = 0
    split: SplitConfig = SplitConfig()
    train: TrainConfig = TrainConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    index: IndexConfig = IndexConfig()
    reproduce: Annotated[ReproduceConfig | None, Field(description="what should come out: `pinfold reproduce`")] = None
    tune: Annotated[TuneConfig | None, Field(description="what may be varied: `pinfold tune`")] = None
    study: Annotated[
        StudyConfig | None,
        Field(description="variants beside each other: also `pinfold reproduce`"),
    ] = None


def stored_run(text: str, path: Path) -> RunConfig:
    """The options that the artifact at `path` was made with, from its run.toml.

    Raises:
        ArtifactError: the text is not what Pinfold writes.
    """
    try:
        return parse(tomllib.loads(text), RunConfig, "run.toml")
    except (tomllib.TOMLDecodeError, ConfigError) as error:
        raise ArtifactError(f"{path}/run.toml: is not what Pinfold writes: {error}") from error


def embedding_run(old: RunConfig, data: str, vectors: Mapping[str, str], overrides: tuple[str, ...] = ()) -> RunConfig:
    """The options of an artifact that the network of another one makes of another data set, whole.

    Args:
        old: those that the network was trained with.
        data: the data set.
        vectors: npy files with its rows, by column.
        overrides: other values for options of [index], such as `index.kind=exact`.

    Raises:
        ConfigError: an override that is not of [index], or walks that drew edges by what is not kept.
    """
    if isinstance(old.model, PinSageConfig) and old.model.edges.active():
        raise ConfigError(
            "model.edges made the walks of training take some edges more often; that is not kept for other data: train "
            "without it, or train on the data set itself: pinfold train RUN.toml OUT --set data.path=DATA"
        )
    for override in overrides:
        if not override.strip().startswith("index."):
            raise ConfigError(f"--set {override}: embed takes options of [index] only, such as index.recall=0.99")
    index = parse_overrides(IndexConfig, tuple(one.strip().removeprefix("index.") for one in overrides), old.index)
    columns = dict(old.features.items)
    for name, path in vectors.items():
        known = columns.get(name)
        columns[name] = replace(known, path=path) if isinstance(known, VectorColumn) else VectorColumn(path=path)
    features = replace(old.features, items=columns)
    split = replace(old.split, protocol="none")
    return replace(old, data=DataConfig(path=data), features=features, split=split, index=index)


def load_data(config: DataConfig) -> Dataset:
    """The data set of a run, cut down to its k-core."""
    if config.path != BUNDLED and not is_folder(Path(config.path)):
        raise ConfigError(
            f"data.path {config.path!r}: no data set there; make one with `pinfold import FILE --out {config.path}`, "
            f"or use {BUNDLED!r}, the bundled one"
        )
    dataset = debian() if config.path == BUNDLED else load_dataset(Path(config.path))
    return filter_dataset(dataset, config.min_user_events, config.min_item_events)


def load_test(config: DataConfig, dataset: Dataset) -> Interactions | None:
    """The given test events in the rows of `dataset`; events of users or items it does not have are left out."""
    if config.test is None:
        return None
    test = load_dataset(Path(config.test))
    users = np.array([dataset.users.row_or(name, -1) for name in test.users.all], np.int32)[test.interactions.users]
    items = np.array([dataset.items.row_or(name, -1) for name in test.items.all], np.int32)[test.interactions.items]
    known = (users >= 0) & (items >= 0)
    return Interactions.of(users[known], items[known], len(dataset.users), len(dataset.items))


@dataclass(frozen=True, slots=True)
class DatasetContexts:
    """What a model may learn from beside a graph: features fitted on the users and items of its events, given pairs."""

    features: FeaturesConfig | None  # None: the model does not need them
    dataset: Dataset
    pairs: ItemPairs | None
    seed: int

    def __call__(self, events: Interactions) -> Context:
        """The context of a graph of these events."""
        if self.features is None:
            return Context(events)
        data = self.dataset
        content = load_content(
            self.features,
            data.item_table,
            data.user_table,
            np.unique(events.items),
            np.unique(events.users),
            seed=self.seed,
            item_ids=data.items.all,
            user_ids=data.users.all,
        )
        return Context(events, content, self.pairs)


def contexts_of(run: RunConfig, dataset: Dataset) -> DatasetContexts:
    """What the run's model may learn from beside a graph.

    Raises:
        DataError: the file with pairs is not as it should be.
    """
    pairs = None
    if run.data.pairs is not None and needs_pairs(run.model):
        queries, items, weights = read_pairs(Path(run.data.pairs), dataset.items)
        pairs = ItemPairs(queries, items, mean_one(weights))
    return DatasetContexts(run.features if needs_content(run.model) else None, dataset, pairs, run.seed)
