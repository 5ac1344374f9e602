"""Fitting beyond the common way: by several processes, selected by pairs of items, from a user's own pairs."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pinfold.data.dataset import Dataset, save_dataset
from pinfold.data.splits import Split, SplitConfig, split_events
from pinfold.errors import ConfigError
from pinfold.features.config import FeaturesConfig
from pinfold.fitting import fit
from pinfold.graph.convolved import Convolved
from pinfold.graph.neighborhoods import NeighborhoodConfig
from pinfold.models.pinsage import PinSageConfig
from pinfold.pipeline import train_run
from pinfold.run import DataConfig, RunConfig, contexts_of
from pinfold.sampling.item_batches import ItemNegativesConfig
from pinfold.sampling.item_pairs import PairsConfig
from pinfold.training.config import TrainConfig

MODEL = PinSageConfig(
    hidden=8,
    dim=8,
    neighborhood=NeighborhoodConfig(size=6, steps=60),
    negatives=ItemNegativesConfig(batch_size=64, n_negatives=16),
)


@pytest.fixture
def run(world: Dataset, tmp_path: Path) -> RunConfig:
    save_dataset(world, tmp_path / "world")
    train = TrainConfig(epochs=4, learning_rate=0.01, validate_every=2, metric="item-hit", refit=True)
    return RunConfig(
        data=DataConfig(path=str(tmp_path / "world")), model=MODEL, train=train, features=FeaturesConfig(dim=4)
    )


@pytest.fixture
def split(world: Dataset) -> Split:
    return split_events(world.interactions, SplitConfig(), 0)


def test_pairs_of_items_select_the_epoch(run: RunConfig, split: Split, world: Dataset) -> None:
    fitted = fit(run, split, contexts=contexts_of(run, world))
    assert fitted.report.best_score is not None
    assert 0 < fitted.report.best_score <= 1
    assert fitted.encoders is not None
    of_users = replace(run, train=replace(run.train, metric="recall"))
    assert fit(of_users, split, contexts=contexts_of(of_users, world)).report.best_score != fitted.report.best_score


def test_two_processes_fit_what_one_fits(run: RunConfig, split: Split, world: Dataset) -> None:
    found = []
    for processes in (1, 2):
        chosen = replace(run, train=replace(run.train, processes=processes))
        fitted = fit(chosen, split, contexts=contexts_of(chosen, world))
        assert isinstance(fitted.learned, Convolved)
        found.append((fitted.report.history[0]["loss"], fitted.learned.vectors.items))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-5)
    np.testing.assert_allclose(found[0][1], found[1][1], atol=1e-3)


def test_own_pairs_are_learned_from(run: RunConfig, split: Split, world: Dataset, tmp_path: Path) -> None:
    """Every item goes with the next one of its own kind."""
    path = tmp_path / "pairs.csv"
    path.write_text("query,item\n" + "".join(f"item{row},item{(row + 2) % 40}\n" for row in range(40)))
    chosen = replace(
        run, model=replace(MODEL, pairs=PairsConfig(source="file")), data=replace(run.data, pairs=str(path))
    )
    contexts = contexts_of(chosen, world)
    assert contexts(split.train).pairs is not None
    fit(chosen, split, contexts=contexts)
    unused = replace(chosen, model=MODEL)
    with pytest.raises(ConfigError, match=r"data\.pairs is set, but model 'pinsage' does not use it"):
        train_run(unused, tmp_path / "out")
    without = replace(chosen, data=run.data)
    with pytest.raises(ConfigError, match=r"set data\.pairs"):
        fit(without, split, contexts=contexts_of(without, world))
