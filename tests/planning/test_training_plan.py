from dataclasses import replace

import numpy as np
import pytest

from pinfold.config import parse, parse_overrides
from pinfold.models.pinsage import PinSageConfig
from pinfold.planning.counts import Counts
from pinfold.planning.pinsage import asking, distinct, reach, step_memory
from pinfold.planning.speeds import Speeds
from pinfold.planning.stages import Plan
from pinfold.planning.training import plan_training
from pinfold.run import RunConfig
from pinfold.sampling.item_pairs import PairsConfig

SPEEDS = Speeds(
    walk_steps=3e7, gathered=6e9, multiplied=8e10, touched=7e9, hashed=1.7e9, written=1e9, edges_sorted=2e7,
    ids_read=7e6,
)  # fmt: skip
WORLD = Counts(users=100_000, items=200_000, edges=1_800_000, item_dim=64)


def run_of(model: str, **train: object) -> RunConfig:
    tree = {"data": {"path": "data"}, "model": {"name": model}, "train": {"epochs": 2, **train}}
    return parse(tree, RunConfig, "test")


def stages(plan: Plan) -> dict[str, int]:
    return {stage.name: stage.held for stage in plan.stages}


MODELS = (
    "pinsage", "lightgcn", "mf", "ngcf", "gcn", "sgc", "ease", "item-knn", "gf-cf", "slim", "rp3beta", "walk",
    "chebycf", "popularity", "content-knn", "blend",
)  # fmt: skip


@pytest.mark.parametrize("model", MODELS)
def test_every_model_has_a_plan_that_grows_with_the_data(model: str) -> None:
    small, large = (plan_training(run_of(model), WORLD.times(factor), SPEEDS) for factor in (0.1, 1))
    assert small.held < large.held
    assert small.disk < large.disk
    assert large.memory >= large.held > 200e6


@pytest.mark.parametrize("model", ["pinsage", "lightgcn", "mf"])
def test_epochs_cost_time_and_no_memory(model: str) -> None:
    one, ten = (plan_training(run_of(model, epochs=n), WORLD, SPEEDS) for n in (1, 10))
    assert one.held == ten.held
    assert one.seconds is not None
    assert ten.seconds is not None
    assert 3 * one.seconds < ten.seconds < 10 * one.seconds


def test_what_nobody_has_measured_has_no_seconds() -> None:
    plan = plan_training(run_of("item-knn"), WORLD, SPEEDS)
    assert plan.seconds is None
    assert next(stage for stage in plan.stages if stage.name == "item-knn").seconds is None
    assert all(stage.seconds is None for stage in plan_training(run_of("pinsage"), WORLD).stages)


def test_a_refit_holds_what_selection_held_too() -> None:
    without, with_it = (plan_training(run_of("pinsage", refit=refit), WORLD, SPEEDS) for refit in (False, True))
    assert with_it.held > without.held
    assert with_it.held - without.held > 4 * WORLD.items * 64  # features, at the least
    assert any(stage.name == "refit: training" for stage in with_it.stages)


def test_content_and_neighborhoods_are_tables_of_their_sizes() -> None:
    found = stages(plan_training(run_of("pinsage"), WORLD, SPEEDS))
    run = run_of("pinsage")
    ten = parse_overrides(RunConfig, ("model.neighborhood.size=10",), run)
    fewer = stages(plan_training(ten, WORLD, SPEEDS))
    assert found["neighborhoods"] - fewer["neighborhoods"] == 8 * 40 * WORLD.items
    wider = stages(plan_training(run, replace(WORLD, item_dim=164), SPEEDS))
    assert wider["graph"] - found["graph"] == 4 * 100 * WORLD.items


def test_ease_needs_its_matrix() -> None:
    assert plan_training(run_of("ease"), WORLD, SPEEDS).held > 4 * WORLD.items**2


def test_distinct_things_met_are_those_of_a_simulation() -> None:
    n, rng = 20_000, np.random.default_rng(0)
    chances = (np.arange(n) + 0.5) ** -0.6
    chances /= chances.sum()
    for draws in (2_000, 20_000, 200_000):
        met = len(np.unique(rng.choice(n, draws, p=chances)))
        assert distinct(draws, n) == pytest.approx(met, rel=0.03)


def test_a_batch_reaches_no_more_than_all_items() -> None:
    run, tiny = run_of("pinsage"), WORLD.times(0.001)
    found = reach(run.model, tiny)  # type: ignore[arg-type]
    assert all(rows <= tiny.items for rows in (*found.rows, *found.columns))
    assert found.rows[-1] <= found.columns[-1] <= found.columns[0]
    total, kept = step_memory(run.model, WORLD)  # type: ignore[arg-type]
    assert 0 < kept < total


def test_a_query_asks_with_no_more_items_than_users_have() -> None:
    config = PinSageConfig()
    assert config.pairs.history == 10
    assert asking(config, WORLD) == 1 + 0.5 * 5
    assert asking(config, replace(WORLD, edges=300_000)) == 1 + 0.5 * 2  # three each
    assert asking(config, replace(WORLD, edges=200_000)) == 1
    for alone in (PairsConfig(history=1), PairsConfig(source="file")):
        assert asking(replace(config, pairs=alone), WORLD) == 1
    assert reach(config, WORLD).rows[-1] > reach(replace(config, pairs=PairsConfig(history=1)), WORLD).rows[-1]
