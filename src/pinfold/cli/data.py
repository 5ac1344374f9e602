"""Commands on data: import, sample, check, verify."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from pinfold.cli.app import Json, Replace, app, print_json
from pinfold.data.readers import ImportConfig

DATA = ImportConfig()
Options = Annotated[ImportConfig, Parameter(name="*")]


@app.command(name="import")
def import_(
    *files: Path,
    out: Path,
    options: Options = DATA,
    user_table: Path | None = None,
    item_table: Path | None = None,
    engine: str | None = None,
    workers: int | None = None,
    address: str | None = None,
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
        engine: Parquet files by shards, to the same data set: local, workers in this process; or ray, for
            `pip install 'pinfold[ray]'`. Each worker has an equal part of --memory.
        workers: With an engine: how many workers share the files; 1 by default.
        address: With ray: host:port of the cluster's head; without, this machine.
        replace: Replace an older folder of that name.
    """
    from pinfold.data.readers import Sources, import_files
    from pinfold.errors import ConfigError
    from pinfold.terminal import ERR, OUT, report_table

    sources = Sources(files, user_table, item_table)
    with ERR.status("reading") as status:
        if engine is not None:
            from pinfold.engine.importing import Workers, import_shards

            shared = Workers(engine, 1 if workers is None else workers, address)
            report = import_shards(sources, out, options, shared, replace=replace, progress=status.update)
        elif workers is not None or address is not None:
            raise ConfigError("--workers and --address go with --engine local or --engine ray")
        else:
            report = import_files(sources, out, options, replace=replace, progress=status.update)
    OUT.print(report_table(asdict(report), f"Wrote {out}"))


@app.command
def sample(
    data: Path,
    *,
    users: float,
    out: Path,
    seed: int = 0,
    features: Path | None = None,
    features_out: Path | None = None,
    replace: Replace = False,
) -> None:
    """Cut a data set down to a share of its users, with all their events, and the items that these took.

    A network trained on the sample can embed the whole. Example: pinfold sample data --users 0.2 --out small

    Args:
        data: The folder of the whole data set.
        users: The share of users to keep, above 0 and up to 1; a user is drawn by a hash of the seed and its row.
        out: The folder to make.
        seed: Another seed draws other users.
        features: An npy file with a row for each item of the whole, to be cut too.
        features_out: The npy file to make of it, with a row for each item of the sample.
        replace: Replace an older folder and file of those names.
    """
    from pinfold.data.sample import Features, sample_dataset
    from pinfold.errors import ConfigError
    from pinfold.terminal import ERR, OUT, report_table

    if (features is None) != (features_out is None):
        raise ConfigError("--features and --features-out go together: the rows to cut and where to write them")
    cut = Features(features, features_out) if features and features_out else None
    with ERR.status("sampling") as status:
        report = sample_dataset(data, out, users, seed=seed, features=cut, replace=replace, progress=status.update)
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
