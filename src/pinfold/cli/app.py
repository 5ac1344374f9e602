"""The app, and what several commands share."""

import json
import sys
from typing import Annotated

from cyclopts import App, Parameter

from pinfold import __version__

MAX_K = 1000
Json = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON instead of a table.")]
Replace = Annotated[bool, Parameter(negative="", help="Replace an older folder of that name.")]
Set = Annotated[tuple[str, ...], Parameter(name="--set")]
K = Annotated[int, Parameter(name=["-k", "--k"], help="How many items.")]

app = App(
    name="pinfold",
    version=__version__,
    help="Graph-based recommendation: interaction files in, honest numbers and recommendations out.\n\n"
    "Start with `pinfold demo`, then: `pinfold import`, `pinfold train`, `pinfold evaluate`, `pinfold recommend`.",
    suppress_keyboard_interrupt=False,  # main says that it was stopped
)


def print_json(value: object) -> None:
    """JSON on stdout."""
    sys.stdout.write(json.dumps(value, indent=1, ensure_ascii=False) + "\n")
