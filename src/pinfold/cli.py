"""The commands. Each does little more than call one function of the house and print what comes back."""

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, CycloptsError, Parameter
from pydantic import ValidationError

from pinfold import __version__
from pinfold.data.readers import ImportConfig
from pinfold.errors import PinfoldError

if TYPE_CHECKING:
    from pinfold.index.answers import Answer, Answers

MAX_K = 1000
DATA = ImportConfig()
Json = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON instead of a table.")]
Replace = Annotated[bool, Parameter(negative="", help="Replace an older folder of that name.")]
K = Annotated[int, Parameter(name=["-k", "--k"], help="How many items.")]
Options = Annotated[ImportConfig, Parameter(name="*")]

app = App(
    name="pinfold",
    version=__version__,
    help="Graph-based recommendation: interaction files in, honest numbers and recommendations out.\n\n"
    "Start with `pinfold demo`, then: `pinfold import`, `pinfold train`, `pinfold evaluate`, `pinfold recommend`.",
    suppress_keyboard_interrupt=False,  # main says that it was stopped
)


@app.command(name="import")
def import_(
    *files: Path,
    out: Path,
    options: Options = DATA,
    user_table: Path | None = None,
    item_table: Path | None = None,
    replace: Replace = False,
) -> None:
    """Read files of who took what into a data set folder.

    CSV, TSV, Parquet, JSON Lines, each also gzipped, and lines `user item item ...`. One user-item pair becomes one
    edge. Example: pinfold import ratings.csv --user userId --item movieId --weight rating --time timestamp --out data

    Args:
        files: Event files, all of one format.
        out: The folder to make.
        options: How to read them.
        user_table: Attributes of users: a file with a column `id` (or named like --user).
        item_table: Attributes of items; a column title, name or description gives recommendations their names.
        replace: Replace an older folder of that name.
    """
    from pinfold.data.readers import Sources, import_files
    from pinfold.terminal import ERR, OUT, report_table

    with ERR.status("reading") as status:
        report = import_files(
            Sources(files, user_table, item_table), out, options, replace=replace, progress=status.update
        )
    OUT.print(report_table(asdict(report), f"Wrote {out}"))


@app.command
def check(*files: Path, options: Options = DATA, user_table: Path | None = None, item_table: Path | None = None,
          test: list[Path] | None = None, as_json: Json = False) -> None:  # fmt: skip
    """Look for what is wrong with event files, or with a data set folder, and say where.

    Exit code 1 when there are errors. Example: pinfold check events.csv --time when --item-table items.csv

    Args:
        files: Event files, or one data set folder.
        options: How to read them.
        user_table: Attributes of users.
        item_table: Attributes of items.
        test: Test files: are their events, users and items as they should be beside the (training) files?
        as_json: Print JSON instead of a table.
    """
    from pinfold.artifacts import is_folder
    from pinfold.data.dataset import load_dataset
    from pinfold.data.doctor import check_dataset, check_files, check_split_files
    from pinfold.data.readers import Sources
    from pinfold.errors import ConfigError
    from pinfold.terminal import OUT, diagnosis_table

    if len(files) == 1 and is_folder(files[0]):
        if test:
            raise ConfigError(f"{files[0]} is a data set folder; --test goes with event files, name those instead")
        diagnosis = check_dataset(load_dataset(files[0]))
    elif test:
        diagnosis = check_split_files(files, test, options)
    else:
        diagnosis = check_files(Sources(files, user_table, item_table), options)
    if as_json:
        print_json(diagnosis.to_json())
    else:
        OUT.print(diagnosis_table(diagnosis))
    if not diagnosis.ok:
        sys.exit(1)


@app.command
def train(
    run: Path, out: Path, *, set_: Annotated[tuple[str, ...], Parameter(name="--set")] = (), replace: Replace = False
) -> None:
    """Train what a run file describes and write an artifact. The test part of the data stays sealed.

    Killed and started again, it goes on from its last checkpoint. Example: pinfold train runs/debian-lightgcn.toml out

    Args:
        run: A TOML file; docs/run-files.md lists every option.
        out: The folder to make.
        set_: Another value for one option, such as --set train.epochs=3.
        replace: Replace an older folder of that name.
    """
    from pinfold.config import read_run
    from pinfold.pipeline import RunConfig, train_run
    from pinfold.terminal import OUT, TerminalProgress

    artifact = train_run(read_run(run, RunConfig, set_), out, replace_old=replace, progress=TerminalProgress())
    training = artifact.metrics["training"]
    if training["best_validation_score"] is not None:
        OUT.print(f"validation {training['validation_metric']} {training['best_validation_score']:.4f}")
    if training["epochs"]:
        OUT.print(f"best of {training['epochs']} epochs: {training['best_epoch']}")
        if training["best_validation_score"] is not None and training["best_epoch"] == training["epochs"]:
            OUT.print("the last epoch was the best: raise train.epochs or train.learning_rate")
    OUT.print(f"wrote {out} in {artifact.metrics['seconds']:.1f} s; judge it with: pinfold evaluate {out}")


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
def recommend(artifact: Path, *, user: str | None = None, items: str | None = None, k: K = 10,
              as_json: Json = False) -> None:  # fmt: skip
    """Recommend items to a user, or to somebody who has certain items.

    Example: pinfold recommend out --user u42; pinfold recommend out --items "python3-numpy,python3-scipy"

    Args:
        artifact: A folder that `pinfold train` made.
        user: The id of a user of the training data.
        items: Ids of items, separated by commas, for a user whom the model does not know.
        k: How many items.
        as_json: Print JSON instead of a table.
    """
    from pinfold.errors import ConfigError

    answers = open_answers(artifact, k)
    if (user is None) == (items is None):
        raise ConfigError("say for whom: either --user ID or --items ID,ID,...")
    if user is not None:
        show_answers(answers.for_user(user, k), f"for {user}", as_json=as_json)
    else:
        named = [name.strip() for name in (items or "").split(",") if name.strip()]
        show_answers(answers.for_items(named, k), f"goes with {', '.join(named)}", as_json=as_json)


@app.command
def similar(artifact: Path, *, item: str, k: K = 10, as_json: Json = False) -> None:
    """The items most like one item.

    Example: pinfold similar out --item python3-numpy

    Args:
        artifact: A folder that `pinfold train` made.
        item: The id of an item.
        k: How many items.
        as_json: Print JSON instead of a table.
    """
    show_answers(open_answers(artifact, k).similar(item, k), f"like {item}", as_json=as_json)


@app.command
def verify(folder: Path) -> None:
    """Check every file of a data set or an artifact against the SHA-256 in its manifest, and that they fit together.

    Args:
        folder: A folder that Pinfold wrote.
    """
    from pinfold.artifacts import open_folder
    from pinfold.data.dataset import KIND as DATASET
    from pinfold.data.dataset import load_dataset
    from pinfold.embedding.artifact import KIND as ARTIFACT
    from pinfold.embedding.artifact import read_artifact
    from pinfold.terminal import OUT

    opened = open_folder(folder)
    if opened.kind == DATASET:
        load_dataset(folder)
    if opened.kind == ARTIFACT:
        read_artifact(folder)
    OUT.print(f"{folder}: {opened.kind}, {len(opened.files)} files, all as they were written")


@app.command
def demo(*, out: Path = Path("pinfold-demo"), items: str = "", as_json: Json = False) -> None:
    """The whole job on real data that comes with Pinfold: which Debian packages go together?

    Checks, splits, trains, judges and writes an artifact; under three minutes on two cores.

    Args:
        out: Where the artifact goes; an older demo there is replaced.
        items: Packages of your own, separated by commas (try "$(apt-mark showmanual | paste -sd,)"): what goes with
            these? Those that the data set lacks are left out.
        as_json: Print the numbers as JSON.
    """
    from pinfold.demo import run_demo
    from pinfold.terminal import OUT, TerminalProgress

    named = [name.strip() for name in items.split(",") if name.strip()]
    report = run_demo(out, named, (lambda _: None) if as_json else OUT.print, TerminalProgress())
    if as_json:
        print_json(report)


def open_answers(artifact: Path, k: int) -> "Answers":
    """The artifact, ready to answer."""
    from pinfold.embedding.artifact import read_artifact
    from pinfold.errors import ConfigError
    from pinfold.index.answers import Answers

    if not 1 <= k <= MAX_K:
        raise ConfigError(f"-k {k}: expected 1 to {MAX_K}")
    return Answers(read_artifact(artifact))


def show_answers(answers: "list[Answer]", title: str, *, as_json: bool) -> None:
    """A table, or a JSON array."""
    from pinfold.terminal import OUT, answers_table

    if as_json:
        print_json([answer.to_json() for answer in answers])
    else:
        OUT.print(answers_table(answers, title))


def wrong_words(error: CycloptsError) -> str:
    """What is wrong with the words of a command, on one line."""
    cause = error.__cause__
    if isinstance(cause, ValidationError) and error.argument is not None:
        problem = cause.errors(include_url=False)[0]
        return f"{error.argument.name} {problem['input']}: {problem['msg']}"
    return f"{' '.join(str(error).split())} See `pinfold --help`."


def print_json(value: object) -> None:
    """JSON on stdout."""
    sys.stdout.write(json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def main(words: Sequence[str] | None = None) -> None:
    """Run the command line; errors raised on purpose become one message and exit code 1, wrong words exit code 2."""
    try:
        app(sys.argv[1:] if words is None else words, print_error=False, exit_on_error=False)
    except CycloptsError as error:
        sys.stderr.write(f"pinfold: {wrong_words(error)}\n")
        sys.exit(2)
    except PinfoldError as error:
        sys.stderr.write(f"pinfold: {error}\n")
        sys.exit(1)
    except OSError as error:  # a full disk, a reader of our output that has gone away, a folder that may not be entered
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or Python would fail once more when it flushes at its end
        if not isinstance(error, BrokenPipeError):
            sys.stderr.write(f"pinfold: {error}\n")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.stderr.write("pinfold: stopped\n")
        sys.exit(130)
