"""Commands on runs: train, evaluate, demo."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from pinfold.cli.app import Json, Replace, Set, app, print_json

if TYPE_CHECKING:
    from pinfold.fitting import Together

Serve = Annotated[bool, Parameter(negative="")]
Engine = Literal["local", "ray"]


@app.command
def train(
    run: Path, out: Path, *, set_: Set = (), replace: Replace = False, memory: str | None = None,
    engine: Engine = "local", address: str | None = None,
) -> None:  # fmt: skip
    """Train what a run file describes and write an artifact. The test part of the data stays sealed.

    Killed and started again, it goes on from its last checkpoint. Example: pinfold train runs/lightgcn-debian.toml out

    Args:
        run: A TOML file; docs/run-files.md lists every option.
        out: The folder to make.
        set_: Another value for one option, such as --set train.epochs=3.
        replace: Replace an older folder of that name.
        memory: What may be held, such as 8GB: refuse before the work what is predicted to need more, see `plan`.
        engine: Who starts the other processes where train.processes is above 1: this machine, or Ray (`pinfold[ray]`).
        address: host:port of the head of a Ray cluster, see docs/cluster.md; without it Ray runs on this machine.
    """
    from pinfold.cli.index import missed
    from pinfold.cli.plan import check_run
    from pinfold.config import read_run
    from pinfold.index.stored import read_figures
    from pinfold.pipeline import train_run
    from pinfold.run import RunConfig
    from pinfold.terminal import OUT, TerminalProgress

    read = read_run(run, RunConfig, set_)
    if memory is not None:
        check_run(read, memory)
    by = starter(engine, address, read.train.processes)
    artifact = train_run(read, out, replace_old=replace, progress=TerminalProgress(), by=by)
    training = artifact.metrics["training"]
    if training["best_validation_score"] is not None:
        OUT.print(f"validation {training['validation_metric']} {training['best_validation_score']:.4f}")
    if training["epochs"]:
        OUT.print(f"best of {training['epochs']} epochs: {training['best_epoch']}")
        if training["best_validation_score"] is not None and training["best_epoch"] == training["epochs"]:
            OUT.print("the last epoch was the best: raise train.epochs or train.learning_rate")
    for line in missed(read_figures(out)):
        OUT.print(f"index: {line}")
    OUT.print(f"wrote {out} in {artifact.metrics['seconds']:.1f} s; judge it with: pinfold evaluate {out}")


def starter(engine: str, address: str | None, processes: int) -> "Together":
    """What starts the processes of a training."""
    from functools import partial

    from pinfold.errors import ConfigError
    from pinfold.training.processes import together

    if engine == "local":
        if address is not None:
            raise ConfigError("--address goes with --engine ray")
        return together
    if processes == 1:
        raise ConfigError("--engine ray is for several processes; --set train.processes=2 or more")
    from pinfold.engine.ray_training import together_on_ray

    return partial(together_on_ray, address=address)


@app.command
def evaluate(artifact: Path, *, as_json: Json = False) -> None:
    """Open an artifact's test part and judge its model beside popularity and item-kNN.

    The artifact records the numbers, and how often its test part has been opened: choose models by `train`'s
    validation score, and call this once.

    Args:
        artifact: A folder that `pinfold train` made.
        as_json: Print JSON instead of a table.
    """
    from pinfold.pipeline import evaluate_artifact
    from pinfold.terminal import OUT, TerminalProgress, verdict_tables

    verdict = evaluate_artifact(artifact, progress=TerminalProgress())
    if as_json:
        print_json(verdict.to_json())
    else:
        for table in verdict_tables(verdict, str(artifact)):
            OUT.print(table)


@app.command
def demo(*, out: Path = Path("pinfold-demo"), items: str = "", serve: Serve = False, port: int = 8000,
         as_json: Json = False) -> None:  # fmt: skip
    """The whole job on real data that comes with Pinfold: which Debian packages go together?

    Checks, splits, trains, judges and writes artifacts; under four minutes on two cores.

    Args:
        out: Where the artifact goes, and beside it one of PinSage; an older demo there is replaced.
        items: Packages of your own, separated by commas (try "$(apt-mark showmanual | paste -sd,)"): what goes with
            these? Those that the data set lacks are left out.
        serve: At the end serve PinSage's artifact, with its page for looking around; Ctrl-C stops it.
        port: Where to serve.
        as_json: Print the numbers as JSON.
    """
    from pinfold.demo import run_demo
    from pinfold.terminal import OUT, TerminalProgress

    named = [name.strip() for name in items.split(",") if name.strip()]
    report = run_demo(out, named, (lambda _: None) if as_json else OUT.print, TerminalProgress())
    if as_json:
        print_json(report)
    if serve:
        from pinfold.cli.serve import serve as serve_artifact
        from pinfold.serving.limits import ServeConfig

        serve_artifact(Path(report["served"]), config=ServeConfig(port=port))
