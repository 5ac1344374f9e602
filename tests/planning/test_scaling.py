from dataclasses import replace

import numpy as np
import pytest
from tests.planning.test_training_plan import SPEEDS

from pinfold.planning.scaling import (
    STAGES,
    Costs,
    Machine,
    Work,
    expected_largest,
    held,
    moved,
    needed_machines,
    nodes_per_second,
    paper_rate,
    placeholder_costs,
    simulate,
    written,
)

COSTS = Costs(dict.fromkeys(STAGES, 2.0), measured=True)
WORK = Work(users=1e6, items=2e6, edges=18e6)


def seconds(machines: int, machine: Machine | None = None, work: Work = WORK) -> float:
    return sum(one.seconds for one in simulate(work, machine or Machine(), COSTS, machines))


def test_one_machine_sends_nothing_and_waits_for_nobody() -> None:
    times = {one.name: one for one in simulate(WORK, Machine(), COSTS, 1)}
    assert all(one.sending == one.waiting == 0 for one in times.values())
    assert times["graph"].computing == pytest.approx(18 * 2.0 / 16)
    assert times["convolve"].computing == pytest.approx(2 * 2 * 2.0 / 16)  # two layers of two million items


def test_bytes_moved_are_those_of_the_formulas() -> None:
    assert moved("graph", WORK, 4) == pytest.approx(2 * 12 * 18e6 * 3 / 4)
    assert moved("neighborhoods", WORK, 2) == pytest.approx(2e6 * 500 * (2 * 16 + 8) / 2)
    assert moved("project", WORK, 4) == 0
    half = moved("convolve", WORK, 4)
    full = moved("convolve", replace(WORK, number=4), 4)
    assert half / full == pytest.approx((128 * 2 + 4) / (128 * 4 + 4))
    whole_table = 2 * 2e6 / 65_536 * 2e6 * 260  # were every item's message moved for every block
    assert 0.3 * whole_table < half < 0.75 * whole_table
    assert all(moved(name, WORK, 1) == 0 for name in STAGES)


def test_more_machines_are_faster_and_cost_more() -> None:
    work = Work()
    hours = [seconds(n, work=work) for n in (16, 64, 256)]
    assert hours[0] > hours[1] > hours[2]
    assert 16 * hours[0] < 64 * hours[1] < 256 * hours[2]


def test_a_faster_network_and_no_latency_help() -> None:
    assert seconds(8, Machine(network=1e10)) < seconds(8)
    assert seconds(8, Machine(latency=0.0)) < seconds(8)


def test_memory_decides_how_many_machines() -> None:
    machine = Machine()
    least = needed_machines(Work(), machine)
    assert max(held(Work(), least).values()) <= machine.memory * machine.usable
    assert max(held(Work(), least - 1).values()) > machine.memory * machine.usable
    assert needed_machines(WORK, machine) == 1


def test_the_slowest_of_many_is_that_of_a_simulation() -> None:
    rng = np.random.default_rng(0)
    for n in (2, 16, 378):
        assert expected_largest(n) == pytest.approx(rng.standard_normal((4000, n)).max(axis=1).mean(), abs=0.05)
    assert expected_largest(1) == 0


def test_the_papers_rate() -> None:
    assert paper_rate() == pytest.approx(92, abs=0.5)
    times = simulate(Work(), Machine(), COSTS, 378)
    assert nodes_per_second(Work(), times, 378) == pytest.approx(3e9 / sum(t.seconds for t in times) / 378)


def test_placeholders_name_every_stage_and_say_what_they_are() -> None:
    costs = placeholder_costs(Work(), SPEEDS)
    assert not costs.measured
    assert set(costs.seconds) == set(STAGES)
    assert all(cost > 0 for cost in costs.seconds.values())
    assert all(written(name, Work()) > 0 for name in STAGES)


def test_impossible_questions_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        simulate(WORK, Machine(), COSTS, 0)
    with pytest.raises(ValueError, match="missing: content"):
        simulate(WORK, Machine(), Costs({name: 1.0 for name in STAGES if name != "content"}), 2)
