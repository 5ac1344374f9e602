"""The command embed."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from pinfold.cli.app import Json, Replace, Set, app, print_json

Vectors = Annotated[tuple[str, ...], Parameter(name="--vectors")]
Rescale = Annotated[bool | None, Parameter(name="--rescale-degrees", negative="--keep-degrees")]
Flag = Annotated[bool, Parameter(negative="")]


@app.command
def embed(
    artifact: Path, data: Path, *, out: Path, memory: str | None = None, half: Flag = False, workers: int = 1,
    engine: str = "local", address: str | None = None, deadline: float = 21_600, work: Path | None = None,
    rescale_degrees: Rescale = None, vectors: Vectors = (), set_: Set = (), replace: Replace = False,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Apply a trained PinSage to a whole data set, larger or newer than the one it was trained on.

    Killed and started again, it goes on where it was. Example: pinfold embed model data --out all --memory 8GB

    Args:
        artifact: What `pinfold train` made with model pinsage, without vectors of items' own (model.ids = 0).
        data: A data set folder with the attributes that it was trained with.
        out: The artifact to make.
        memory: What may be held, beside files that are mapped, such as 8GB; 1 GB for each worker by default.
        half: Keep layers in half precision, half the disk.
        workers: Partitions of users and items.
        engine: local, in this process; or ray, for `pip install 'pinfold[ray]'`.
        address: With ray: host:port of the cluster's head; without, this machine.
        deadline: With ray: seconds in a step after which a silent worker is given up, and replaced.
        work: The work folder; a hidden one beside OUT by default.
        rescale_degrees: Scale degrees by those of the whole data set; the default where training had a sample of it.
        vectors: NAME=FILE.npy, the file that has this data set's rows of a column of vectors.
        set_: Another value for an option of [index], such as --set index.recall=0.99.
        replace: Replace an older folder of that name.
        as_json: Print JSON instead of a table.
    """
    from pinfold.cli.index import missed
    from pinfold.config import parse
    from pinfold.engine.embed import EmbedConfig
    from pinfold.errors import ConfigError
    from pinfold.index.stored import read_figures
    from pinfold.pipeline import embed_artifact
    from pinfold.terminal import ERR, OUT, TerminalProgress

    wrong = [word for word in vectors if not all(word.partition("="))]
    if wrong:
        raise ConfigError(f"--vectors {wrong[0]}: expected NAME=FILE.npy")
    tree: dict[str, object] = {
        "half": half, "workers": workers, "engine": engine, "memory": memory, "address": address,
        "deadline": deadline,
        "work": None if work is None else str(work), "vectors": dict(word.split("=", 1) for word in vectors),
        "degrees": {None: "auto", True: "rescale", False: "keep"}[rescale_degrees],
    }  # fmt: skip
    config = parse(tree, EmbedConfig, "embed")
    figures = embed_artifact(artifact, data, out, config, set_, replace_old=replace, progress=TerminalProgress())
    if as_json:
        print_json(figures)
        return
    for note in figures["notes"]:
        ERR.print(f"note: {note}")
    OUT.print("\n".join(told(figures)))
    for line in missed(read_figures(out)):
        OUT.print(f"index: {line}")
    OUT.print(f"wrote {out}; ask it with: pinfold similar {out} --item ID, or serve it: pinfold serve {out}")


def told(figures: dict[str, object]) -> list[str]:
    """What the stages took, as lines for a person."""
    stages = figures["stages"]
    lines = []
    if isinstance(stages, dict):
        for name, one in stages.items():
            moved = f", {one['moved_bytes'] / 1e6:,.1f} MB moved" if one["moved_bytes"] else ""
            peak = one["peak_memory_bytes"] / 1e6
            lines.append(f"{name}: {one['seconds']:,.1f} s, {peak:,.0f} MB at most so far{moved}")
    nodes = f"{figures['items']:,} items and {figures['users']:,} users"
    return [*lines, f"{nodes}: {figures['nodes_per_second']:,} a second"]
