"""Whether a plan fits, and which option would make it fit where it does not."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from pinfold.errors import ConfigError
from pinfold.memory import available_memory
from pinfold.models.ease import EASEConfig
from pinfold.models.pinsage import PinSageConfig
from pinfold.models.shelf import BlendConfig, needs_content
from pinfold.models.slim import SLIMConfig
from pinfold.planning.counts import Counts
from pinfold.planning.embedding import Room
from pinfold.planning.stages import Plan
from pinfold.planning.tables import TableConfig
from pinfold.run import RunConfig

RESERVE = 0.10  # of a prediction, added to it before it is compared: what the formulas may err by
SHARES = (0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.001)  # of users that are tried for a sample
SMALLEST = 8  # of lengths that are tried
Planner = Callable[[RunConfig, Counts, Room], Plan]


def check_memory(
    planner: Planner, run: RunConfig, counts: Counts, room: Room | None = None, memory: int | None = None
) -> Plan:
    """The plan, where it fits.

    Args:
        planner: makes it.
        run: what is asked for.
        counts: of the data.
        room: of `pinfold embed`.
        memory: bytes that may be held; None: what the machine has left.

    Raises:
        ConfigError: it does not fit; names the stage, what most of its memory is for, and options that would do.
    """
    room = room or Room()
    plan, limit = planner(run, counts, room), available_memory() if memory is None else memory
    if limit is None or fits(plan, limit):
        return plan
    peak = plan.peak
    ways = list(_ways(planner, run, counts, room, limit))
    advice = "; or ".join(ways) if ways else "no option that was tried would make it fit: take a larger machine"
    raise ConfigError(
        f"stage {peak.name!r} of `pinfold {plan.job}` would hold {peak.held / 1e9:.2f} GB, most of it for "
        f"{peak.largest}; with a reserve of {RESERVE:.0%} that is more than the {limit / 1e9:.2f} GB "
        f"{'that are free' if memory is None else 'of --memory'}: {advice}"
    )


def check_disk(plan: Plan, out: Path) -> None:
    """Raise ConfigError unless the disk of `out` has room for all that is written."""
    place = next((path for path in (out, *out.resolve().parents) if path.exists()), Path("/"))
    free = shutil.disk_usage(place).free
    if plan.disk * (1 + RESERVE) > free:
        largest = max(plan.stages, key=lambda stage: stage.disk)
        way = "embed --half, or a smaller model.dim or model.hidden" if plan.job == "embed" else "a smaller model.dim"
        raise ConfigError(
            f"`pinfold {plan.job}` would write {plan.disk / 1e9:.2f} GB, most of it in stage {largest.name!r}; with a "
            f"reserve of {RESERVE:.0%} that is more than the {free / 1e9:.2f} GB free at {place}: name another place "
            f"with --out, or choose {way}"
        )


def fits(plan: Plan, limit: int) -> bool:
    """Whether what the plan holds, and the reserve, stay within so many bytes. Mapped files do not count."""
    return plan.held * (1 + RESERVE) <= limit


def _ways(planner: Planner, run: RunConfig, counts: Counts, room: Room, limit: int) -> Iterator[str]:
    """Single changes that make it fit, the mildest value of each."""

    def good(one: RunConfig, of: Counts = counts, where: Room = room) -> bool:
        return fits(planner(one, of, where), limit)

    if run.train.refit and good(replace(run, train=replace(run.train, refit=False))):
        yield "set train.refit = false"
    for name, choices in _options(run):
        for told, other in choices:
            if good(other):
                yield f"set {name} = {told}"
                break
    for memory in (room.memory // 2, room.memory // 4, room.memory // 8):
        if planner(run, counts, room).job == "embed" and good(run, counts, replace(room, memory=memory)):
            yield f"give blocks less: embed --memory {600 + memory // 10**6}MB"
            break
    share = next((share for share in SHARES if good(run, counts.times(share))), None)
    if share is not None and planner(run, counts, room).job == "train":
        then = ", then `pinfold embed` for all" if needs_content(run.model) else ""
        yield f"train on a part: pinfold sample DATA --users {share:g} --out SMALL{then}"


def _options(run: RunConfig) -> Iterator[tuple[str, list[tuple[str, RunConfig]]]]:
    """Options of the model by name, each with smaller values, and other models where this one cannot be smaller."""
    model = run.model
    if isinstance(model, PinSageConfig):
        sizes = _halves(model.neighborhood.size)
        near = [(n, replace(model, neighborhood=replace(model.neighborhood, size=n))) for n in sizes]
        batches = [
            (n, replace(model, negatives=replace(model.negatives, batch_size=n)))
            for n in _halves(model.negatives.batch_size)
        ]
        yield "model.negatives.batch_size", [(str(n), replace(run, model=one)) for n, one in batches]
        yield "model.neighborhood.size", [(str(n), replace(run, model=one)) for n, one in near]
        hidden = [(str(n), replace(run, model=replace(model, hidden=n))) for n in _halves(model.hidden)]
        yield "model.hidden", hidden
    if isinstance(model, PinSageConfig | TableConfig):
        yield "model.dim", [(str(n), replace(run, model=replace(model, dim=n))) for n in _halves(model.dim)]
    if isinstance(model, EASEConfig | BlendConfig):
        yield "model.name", [("'slim'", replace(run, model=SLIMConfig()))]


def _halves(n: int) -> list[int]:
    """N / 2, n / 4 and so on."""
    values = []
    while n // 2 >= SMALLEST:
        n //= 2
        values.append(n)
    return values
