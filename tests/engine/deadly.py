"""Steps of a job that kill the last worker's process, once at each marker."""

import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pinfold.engine.interface import Options, Shard, Steps

Mark = Callable[[str, Shard, Options], Path | None]  # the file that says that a step has killed; None: it does not


def deadly(steps: Steps, mark: Mark) -> Steps:
    def of(table: Mapping[str, Callable[..., Any]]) -> dict[str, Callable[..., Any]]:
        return {name: killing(name, done) for name, done in table.items()}

    def killing(name: str, done: Callable[..., Any]) -> Callable[..., Any]:
        def kill(shard: Shard, options: Options, *parts: Any) -> Any:
            marker = mark(name, shard, options) if shard.rank == shard.size - 1 else None
            if marker is not None and not marker.exists():
                marker.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return done(shard, options, *parts)

        return kill

    return Steps(of(steps.run), of(steps.send), of(steps.receive))
