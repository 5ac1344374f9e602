import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.planning.test_training_plan import SPEEDS, WORLD, run_of

from pinfold.config import parse_overrides
from pinfold.errors import ConfigError
from pinfold.index.config import IndexConfig
from pinfold.planning.counts import Counts
from pinfold.planning.embedding import Room, plan_embedding
from pinfold.planning.limits import RESERVE, check_disk, check_memory, fits
from pinfold.planning.stages import Plan
from pinfold.planning.training import plan_training
from pinfold.run import RunConfig


class Usage(NamedTuple):
    free: int


def train(run: RunConfig, counts: Counts, _room: Room) -> Plan:
    return plan_training(run, counts)


def embed(run: RunConfig, counts: Counts, room: Room) -> Plan:
    return plan_embedding(run, counts, SPEEDS, room)


def test_a_plan_fits_with_its_reserve_or_not() -> None:
    plan = plan_training(run_of("mf"), WORLD)
    need = plan.held * (1 + RESERVE)
    assert fits(plan, int(need) + 1)
    assert not fits(plan, int(need) - 1)
    assert check_memory(train, run_of("mf"), WORLD, memory=int(need) + 1) == plan


@pytest.mark.parametrize("model", ["pinsage", "lightgcn"])
def test_the_options_that_are_named_do_make_it_fit(model: str) -> None:
    run = run_of(model, refit=True)
    limit = round(plan_training(run, WORLD).held * 0.85)
    with pytest.raises(ConfigError, match="with a reserve of 10%") as raised:
        check_memory(train, run, WORLD, memory=limit)
    named = re.findall(r"set ([a-z._]+) = ([a-z0-9']+)", str(raised.value))
    assert named
    for option, value in named:
        assert fits(plan_training(parse_overrides(RunConfig, (f"{option}={value}",), run), WORLD), limit)


def test_a_share_of_the_users_that_is_named_fits() -> None:
    run = run_of("pinsage")
    with pytest.raises(ConfigError, match=r"pinfold sample DATA --users \d.*pinfold embed") as raised:
        check_memory(train, run, WORLD, memory=1_200_000_000)
    share = float(re.findall(r"--users ([0-9.]+)", str(raised.value))[0])
    assert fits(plan_training(run, WORLD.times(share)), 1_200_000_000)


def test_where_no_dense_matrix_fits_another_model_is_named() -> None:
    with pytest.raises(ConfigError, match=r"stage 'ease'.*set model.name = 'slim'"):
        check_memory(train, run_of("ease"), WORLD, memory=8_000_000_000)


def test_what_nothing_makes_fit_needs_another_machine() -> None:
    with pytest.raises(ConfigError, match="take a larger machine"):
        check_memory(train, run_of("popularity"), WORLD, memory=10_000_000)


def test_blocks_give_way_in_embed() -> None:
    room, run = Room(memory=4_000_000_000), replace(run_of("pinsage"), index=IndexConfig(kind="exact"))
    need = plan_embedding(run, WORLD.times(100), SPEEDS, room).held
    with pytest.raises(ConfigError, match=r"embed --memory \d+MB"):
        check_memory(embed, run, WORLD.times(100), room, memory=round(need * 0.95))


def test_a_full_disk_is_seen_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_training(run_of("pinsage"), WORLD)
    check_disk(plan, tmp_path / "a" / "b")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(plan.disk))
    with pytest.raises(ConfigError, match="free at"):
        check_disk(plan, tmp_path / "a" / "b")


def test_embedding_is_planned_by_stage_and_holds_blocks_alone() -> None:
    run = run_of("pinsage")
    small, large = (plan_embedding(run, WORLD.times(factor), SPEEDS) for factor in (20, 200))
    names = [stage.name for stage in small.stages]
    layers = ["content", "project0", "convolve0", "project1", "convolve1", "vectors", "users"]
    assert names == ["graph", "neighborhoods", *layers, "index", "assemble"]
    for one, other in zip(small.stages, large.stages, strict=True):
        if one.name != "index":
            assert other.held <= one.held * 1.15, one.name
        assert other.disk > 9 * one.disk
        assert one.seconds is not None
        assert other.seconds is not None
        assert other.seconds > 2 * one.seconds


def test_half_precision_halves_the_layers() -> None:
    run = run_of("pinsage")
    full, half = (plan_embedding(run, WORLD, SPEEDS, Room(half=half)) for half in (False, True))
    for one, other in zip(full.stages, half.stages, strict=True):
        halved = one.name.startswith(("content", "project", "convolve"))
        assert other.disk == (one.disk / 2 if halved else one.disk)


def test_only_a_network_is_embedded() -> None:
    with pytest.raises(ConfigError, match="plan its training, without --embed"):
        plan_embedding(run_of("mf"), WORLD, SPEEDS)
    own = parse_overrides(RunConfig, ("model.ids=8",), run_of("pinsage"))
    with pytest.raises(ConfigError, match=r"model\.ids = 0"):
        plan_embedding(own, WORLD, SPEEDS)
