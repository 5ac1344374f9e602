"""Commands on second stages: train-ranker."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from pinfold.cli.app import Json, Replace, Set, app, print_json

Force = Annotated[bool, Parameter(negative="", help="Write the ranker even if its gain may be chance.")]


@app.command(name="train-ranker")
def train_ranker_(artifact: Path, *, set_: Set = (), replace: Replace = False, force: Force = False,
                  as_json: Json = False) -> None:  # fmt: skip
    """Learn a second stage that puts the model's candidates, and others, into a better order, from the validation part.

    What it is worth is measured on later users than those it learned from; if that may be chance, nothing is written.
    The test part stays sealed. Needs LightGBM: pip install 'pinfold[rank]'. Example: pinfold train-ranker out

    Args:
        artifact: A folder that `pinfold train` made; its data set must still be where the run file says.
        set_: Another value for one option, such as --set candidates.model=500; docs/ranking.md lists them.
        replace: Replace an older ranker.
        force: Write the ranker even if its gain may be chance.
        as_json: Print JSON instead of text.
    """
    from pinfold.config import parse_overrides
    from pinfold.rankers import train_ranker
    from pinfold.ranking.learning import RankerConfig
    from pinfold.terminal import OUT, TerminalProgress

    config = parse_overrides(RankerConfig, set_)
    report, written = train_ranker(artifact, config, replace_old=replace, force=force, progress=TerminalProgress())
    if as_json:
        print_json(report.to_json() | {"written": written})
        return
    gain = report.gain
    OUT.print(
        f"validation NDCG@10 of {report.n_judged:,} users, learned from earlier ones: first stage "
        f"{report.stage_one:.4f}, both {report.two_stages:.4f} "
        f"(difference {gain.difference:+.4f} [{gain.low:+.4f}, {gain.high:+.4f}])"
    )
    OUT.print(f"{report.n_candidates:.0f} candidates a user; {report.reach:.1%} of what users took is among them")
    if not report.later <= 0:
        OUT.print(
            f"{report.later:.1%} of the training events came after what was to be predicted: this split is none by "
            "time, and features know some of the future; use split.protocol 'time-cut' or 'newest-collections'"
        )
    OUT.print(f"wrote {report.n_trees} trees into {artifact}" if written else
              "that may be chance, so nothing was written (--force writes it anyway)")  # fmt: skip
