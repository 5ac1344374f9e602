"""The command update."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from pinfold.cli.app import Json, Replace, app, print_json
from pinfold.data.readers import ImportConfig

IMPORT = ImportConfig()
Options = Annotated[ImportConfig, Parameter(name="*")]


@app.command
def update(
    artifact: Path,
    *files: Path,
    out: Path,
    options: Options = IMPORT,
    user_table: Path | None = None,
    item_table: Path | None = None,
    theta: float | None = None,
    tolerance: float | None = None,
    train: int = 0,
    replace: Replace = False,
    as_json: Json = False,
) -> None:
    """Bring an artifact up to date with events and items that came since, without training from zero.

    What came is merged into the graph; neighborhoods, layers, vectors and lists of the index are made afresh where
    they changed. Weights of known pairs are added up. Example: pinfold update out newer.csv --out next

    Args:
        artifact: A folder that `pinfold train` made; it stays as it is.
        files: Event files, all of one format; none where only attributes came.
        out: The folder to make.
        options: How to read events, as for `pinfold import`.
        user_table: Attributes of new users, and of old ones whose attributes changed.
        item_table: Attributes of new items, and of old ones whose attributes changed. Items need no events.
        theta: How likely a walk's first step must be to take something new for a neighborhood to be made afresh;
            0: wherever it can.
        tolerance: How far a vector's inputs must have moved, in proportion, for it to be computed again; 0: at all.
        train: Epochs to go on training for, from the parameters there are (pinsage); then all is embedded anew.
        replace: Replace an older folder of that name.
        as_json: Print JSON instead of text.
    """
    from pinfold.config import parse
    from pinfold.terminal import OUT, TerminalProgress
    from pinfold.updating.arriving import Arriving
    from pinfold.updating.config import UpdateConfig
    from pinfold.updating.update import update_artifact

    asked = {"theta": theta, "tolerance": tolerance, "train": train}
    config = parse({name: value for name, value in asked.items() if value is not None}, UpdateConfig, "update")
    report = update_artifact(
        artifact,
        Arriving(files, user_table, item_table),
        out,
        options,
        config,
        replace_old=replace,
        progress=TerminalProgress(),
    )
    if as_json:
        print_json(report)
    else:
        OUT.print("\n".join(told(report)), highlight=False)
        OUT.print(f"wrote {out} in {report['seconds']:.1f} s")


def told(report: dict[str, object]) -> list[str]:
    """What an update did, as lines for a person."""
    lines = ["{new_edges:,} new edges, {merged_pairs:,} known pairs, {new_users:,} new users, {new_items:,} new items"]
    if "neighborhoods" in report:
        lines.append(
            "{neighborhoods:,} neighborhoods made afresh ({neighborhoods_share:.1%}); rows of layers: {layers}"
        )
    if "train_epochs" in report:
        lines.append("trained for {train_epochs} more epochs; loss {loss:.4f}")
    drift = report.get("drift")
    found = [line.format(**report) for line in lines]
    if isinstance(drift, dict) and drift:
        found.append(
            f"drift of old items: cosine {drift['cosine_mean']:.4f} (1 % below {drift['cosine_p1']:.4f}), "
            f"{drift['overlap@10']:.1%} of the 10 nearest stayed"
        )
    notes = report.get("notes")
    return found + (notes if isinstance(notes, list) else [])
