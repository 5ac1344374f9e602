"""Commands that run the service."""

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from pinfold.cli.app import app
from pinfold.serving.limits import ServeConfig

DEFAULTS = ServeConfig()


@app.command
def serve(artifact: Path, *, state: str | None = None,
          config: Annotated[ServeConfig, Parameter(name="*")] = DEFAULTS) -> None:  # fmt: skip
    """Serve an artifact over HTTP: recommendations, similar items, new items and events, a page to look around.

    What is told to it is on disk before it is acknowledged. It listens on this machine alone unless it has tokens:
    PINFOLD_WRITE_TOKEN and PINFOLD_READ_TOKEN. Example: pinfold serve out --port 8000

    Args:
        artifact: A folder that `pinfold train` made; later ones can be put beside it and published.
        state: Where items and events are kept: a folder, or postgresql://USER:PASSWORD@HOST/DATABASE. Else
            ARTIFACT.state, beside the artifact.
    """
    from pinfold.serving.server import serve as serve_artifact

    def say(url: str, service: object) -> None:  # noqa: ARG001
        sys.stdout.write(f"serving {artifact} at {url} (the API: {url}/openapi.json); Ctrl-C stops it\n")
        sys.stdout.flush()

    serve_artifact(artifact, state, config, say)
