"""Commands on many runs: reproduce, tune."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pinfold.cli.app import Json, Set, app, print_json

if TYPE_CHECKING:
    from pinfold.studies.ladder_results import Study
    from pinfold.studies.results import Reproduction


@app.command
def reproduce(name: str, *, data: Path | None = None, out: Path | None = None, seeds: str | None = None,
              only: tuple[str, ...] = (), as_json: Json = False) -> None:  # fmt: skip
    """Train what a published result describes, and put ours beside it.

    Selects on a validation part, trains afresh on all known events, opens the test part then; once a seed. The exit
    code is 1 where the run file expects another result. Killed and started again, it goes on where it was.
    A run file with a table [study] holds variants of a run, which are put beside each other in tables.

    Example: pinfold reproduce gf-cf-gowalla --data gowalla

    Args:
        name: A run file that comes with Pinfold, or the path of one with a table [reproduce] or [study].
        data: A folder with train.txt and test.txt, plain or gzipped; without it they are fetched from the public
            source, once. Their hashes are checked. For a study: a data set that `pinfold import` made.
        out: Where results are kept, pinfold-reproduce/NAME if not said.
        seeds: Other seeds than the run file's, separated by commas.
        only: Of a study, this table alone; may be said several times.
        as_json: Print JSON instead of tables; report.json in the folder holds the same.
    """
    from pinfold.errors import ConfigError
    from pinfold.studies import ladder
    from pinfold.studies import reproduce as study
    from pinfold.studies.ladder_bench import has_study
    from pinfold.studies.ladder_tables import study_tables
    from pinfold.studies.sources import find_run
    from pinfold.studies.tables import reproduction_tables
    from pinfold.terminal import OUT, TerminalProgress

    try:
        chosen = None if seeds is None else [int(seed) for seed in seeds.split(",")]
    except ValueError as error:
        raise ConfigError(f"--seeds {seeds}: expected whole numbers separated by commas, such as 0,1,2") from error
    place = out or Path("pinfold-reproduce") / Path(name).stem
    progress = TerminalProgress()
    if has_study(path := find_run(name)):
        shown = None if as_json else lambda outcome: OUT.print(*study_tables(outcome, OUT.width), sep="\n")
        _end(ladder.run_study(path, place, data=data, seeds=chosen, only=only, progress=progress, shown=shown), place,
             as_json=as_json)  # fmt: skip
        return
    if only:
        raise ConfigError(f"--only: {name} has no table [study], so there are no tables to choose from")
    done = study.reproduce(name, place, data=data, seeds=chosen, progress=progress)
    if not as_json:
        for table in reproduction_tables(done):
            OUT.print(table)
    _end(done, place, as_json=as_json)


def _end(done: "Reproduction | Study", place: Path, *, as_json: bool) -> None:
    """Say where the results are; the exit code is 1 where they are not as expected."""
    from pinfold.terminal import OUT

    if as_json:
        print_json(done.to_json())
    else:
        OUT.print(f"wrote {place / 'report.json'}")
    for miss in done.misses():
        sys.stderr.write(f"pinfold: {miss}\n")
    if done.misses():
        sys.exit(1)


@app.command
def tune(run: Path, *, out: Path, trials: int | None = None, minutes: float | None = None, set_: Set = (),
         as_json: Json = False) -> None:  # fmt: skip
    """Search for better options on the validation part. The test part stays sealed.

    The run file's table [tune.space] says what may be varied. Killed and started again, it goes on where it was.
    Needs an extra: pip install 'pinfold[tune]'. Example: pinfold tune run.toml --out search --minutes 30

    Args:
        run: A TOML file; docs/run-files.md lists every option.
        out: Where the search is kept: best.toml, a run file, and trials.json.
        trials: How many in all, those of an earlier start in the folder too; tune.trials if not said.
        minutes: After these no further trial is started; tune.minutes if not said.
        set_: Another value for one option, such as --set tune.seed=1.
        as_json: Print JSON instead of a table.
    """
    from pinfold.config import read_run
    from pinfold.run import RunConfig
    from pinfold.studies import tune as study
    from pinfold.studies.tables import trials_table
    from pinfold.terminal import OUT, TerminalProgress

    said = [f"tune.{name}={n}" for name, n in (("trials", trials), ("minutes", minutes)) if n is not None]
    search = study.tune(read_run(run, RunConfig, (*set_, *said)), out, progress=TerminalProgress())
    if as_json:
        print_json(search.to_json())
        return
    OUT.print(trials_table(search))
    OUT.print(
        f"wrote {out / 'best.toml'}. Train it with: pinfold train {out / 'best.toml'} OUT; "
        f"search on with: pinfold tune {run} --out {out} --trials {len(search.trials) + 20}"
    )
