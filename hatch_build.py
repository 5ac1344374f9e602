"""The wheel's build hook: makes the explorer where npm is, and leaves it out, saying so, where it is not.

It never fails a build: a wheel without the page serves all but the page. An editable install has nothing built;
`make web` does that. PINFOLD_NO_WEB=1 leaves the page out.
"""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SECONDS = 900  # for npm, whose downloads may be slow
COMMANDS = (("ci", "--no-audit", "--no-fund"), ("run", "build"))


class ExplorerHook(BuildHookInterface):  # type: ignore[type-arg]
    """What hatchling calls before it packs."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Put the built page into the wheel."""
        if version == "editable":
            return
        root = Path(self.root)
        note = build(root)
        if note is None:
            # git ignores the folder, and hatchling with it
            build_data["force_include"][str(root / "src/pinfold/serving/web")] = "pinfold/serving/web"
        else:
            self.app.display_warning(f"The explorer (the page at /) is left out: {note}")


def build(root: Path) -> str | None:
    """Make src/pinfold/serving/web below a work tree. None when it is there, else why it is not."""
    web, built = root / "web", root / "src/pinfold/serving/web/index.html"
    npm = shutil.which("npm")
    if os.environ.get("PINFOLD_NO_WEB") == "1":
        return "PINFOLD_NO_WEB is 1"
    if not (web / "package.json").is_file():
        return "its sources (web/) are not here"
    if npm is None:
        return None if built.is_file() else "npm is not installed; with Node 20 or newer it would be built"
    for command in COMMANDS:
        try:
            done = subprocess.run(  # noqa: S603  (the command is written above)
                [npm, *command], cwd=web, capture_output=True, text=True, timeout=SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"npm {command[0]}: {error}"
        if done.returncode != 0:
            said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-3:]
            return f"npm {' '.join(command)} ended with {done.returncode}: {' | '.join(said)}"
    return None if built.is_file() else f"npm made no {built.relative_to(root)}"
