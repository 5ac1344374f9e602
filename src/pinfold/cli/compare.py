"""The command compare."""

from pathlib import Path

from pinfold.cli.app import Json, app, print_json


@app.command
def compare(data: str, *, minutes: float = 10.0, protocol: str = "random", test: Path | None = None, models: str = "",
            out: Path = Path("pinfold-compare"), seed: int = 0, as_json: Json = False) -> None:  # fmt: skip
    """Is the graph worth it? Simple and graph models on your data, one table, one sentence of advice.

    Each model with default options, selected on the validation part, refitted, and judged once on the test part.
    Writes report.json and report.html. Example: pinfold compare data --minutes 5

    Args:
        data: A folder that `pinfold import` made, or debian, the bundled data.
        minutes: The budget for all models together. What trained models reach in it depends on the machine.
        protocol: random, leave-last-out, time-cut, held-out-collections or newest-collections; see docs/run-files.md.
        test: A folder of test events, imported in the same way; they are then used instead of a protocol.
        models: Names separated by commas. By default six, and pinsage where items have attributes.
        out: Where the report goes; an older one there is replaced.
        seed: Of the split, the first vectors, the batches and the intervals.
        as_json: Print the report as JSON instead of tables.
    """
    from datetime import UTC, datetime

    from pinfold.studies.compare import compare as run
    from pinfold.studies.compare import compare_config
    from pinfold.studies.compare_tables import comparison_parts
    from pinfold.studies.page import check_report_place, write_report
    from pinfold.terminal import OUT, TerminalProgress

    config = compare_config(data, models, protocol, test, minutes, seed)
    check_report_place(out)
    comparison = run(config, datetime.now(UTC), progress=TerminalProgress())
    write_report(out, comparison)
    if as_json:
        print_json(comparison.to_json())
        return
    for part in comparison_parts(comparison):
        OUT.print(part)
    OUT.print(f"wrote {out / 'report.html'} and report.json")
