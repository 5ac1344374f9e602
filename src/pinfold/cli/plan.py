"""The command plan."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from pinfold.cli.app import Json, Set, app, print_json

if TYPE_CHECKING:
    from pinfold.planning.speeds import Speeds
    from pinfold.run import RunConfig

Flag = Annotated[bool, Parameter(negative="")]


@app.command
def plan(
    data: str, run: Path, *, memory: str | None = None, out: Path = Path(), embed: Flag = False, half: Flag = False,
    speeds: Path | None = None, set_: Set = (), as_json: Json = False,
) -> None:  # fmt: skip
    """Predict memory, disk and time of a training, stage by stage, before it begins; refuse what cannot fit.

    From the sizes of the data alone, and two seconds of measuring this machine. Example: pinfold plan data
    run.toml --memory 8GB

    Args:
        data: A data set folder, or 'debian'; it takes the place of the run file's data.path.
        run: A TOML file; docs/run-files.md lists every option.
        memory: What may be held, such as 8GB; what the machine has left by default. Mapped files do not count.
        out: Where the job would write; its disk must have room.
        embed: Predict `pinfold embed` of the whole data set with what this run file trains.
        half: With --embed: layers in half precision.
        speeds: A JSON file with this machine's speeds; measured and written where it does not exist.
        set_: Another value for one option, such as --set model.hidden=64.
        as_json: Print JSON instead of a table.
    """
    from dataclasses import replace

    from pinfold.config import read_run
    from pinfold.engine.embed import EmbedConfig, split_memory
    from pinfold.errors import ConfigError
    from pinfold.planning.counts import Counts, count
    from pinfold.planning.embedding import Room, plan_embedding
    from pinfold.planning.limits import check_disk, check_memory
    from pinfold.planning.stages import Plan
    from pinfold.planning.training import plan_training
    from pinfold.run import RunConfig
    from pinfold.terminal import OUT, plan_table

    if half and not embed:
        raise ConfigError("--half goes with --embed: training keeps its layers in single precision")
    read = read_run(run, RunConfig, set_)
    read = replace(read, data=replace(read.data, path=data))
    counts, fast = count(data, read.features), _speeds(speeds, out)
    room = Room(split_memory(EmbedConfig(memory=memory)), half) if embed else Room()
    planned = plan_embedding(read, counts, fast, room) if embed else plan_training(read, counts, fast)
    if as_json:
        print_json({"counts": {"users": counts.users, "items": counts.items, "edges": counts.edges,
                               "item_features": counts.item_dim}, **planned.to_json()})  # fmt: skip
    else:
        OUT.print(plan_table(planned))
        for note in planned.notes:
            OUT.print(f"note: {note}")

    def planner(one: RunConfig, of: Counts, where: Room) -> Plan:
        return plan_embedding(one, of, fast, where) if embed else plan_training(one, of)

    check_memory(planner, read, counts, room, _bytes(memory))
    check_disk(planned, out)


def check_run(run: "RunConfig", memory: str) -> None:
    """Raise ConfigError unless a training fits into so much memory, with the options that would make it fit."""
    from pinfold.planning.counts import count
    from pinfold.planning.limits import check_memory
    from pinfold.planning.training import plan_training

    limit = _bytes(memory)
    check_memory(lambda one, of, _: plan_training(one, of), run, count(run.data.path, run.features), None, limit)


def _bytes(text: str | None) -> int | None:
    from pinfold.errors import ConfigError
    from pinfold.memory import parse_bytes

    try:
        return None if text is None else parse_bytes(text)
    except ValueError as error:
        raise ConfigError(f"--memory: {error}") from error


def _speeds(path: Path | None, out: Path) -> "Speeds":
    """Those of the file, or measured, and written where a file is named."""
    from pinfold.planning.speeds import calibrate, load_speeds, save_speeds

    if path is not None and path.exists():
        return load_speeds(path)
    found = calibrate(next((place for place in (out, *out.resolve().parents) if place.is_dir()), None))
    if path is not None:
        save_speeds(found, path)
    return found
