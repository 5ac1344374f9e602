"""The steps of an import by shards, of which one kills the last worker's process, once."""

import os
import signal
from collections.abc import Callable, Mapping
from typing import Any

from pinfold.engine.import_steps import IMPORT
from pinfold.engine.interface import Options, Shard, Steps

WHERE = ("rows",)  # what owners had answered is lost too


def deadly(step: str, done: Callable[..., Any]) -> Callable[..., Any]:
    def killing(shard: Shard, options: Options, *parts: Any) -> Any:
        marker = shard.job.work.parent / f"killed-{step}"
        if step in WHERE and shard.rank == shard.size - 1 and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return done(shard, options, *parts)

    return killing


def _all(table: Mapping[str, Callable[..., Any]]) -> dict[str, Callable[..., Any]]:
    return {step: deadly(step, done) for step, done in table.items()}


DEADLY = Steps(_all(IMPORT.run), _all(IMPORT.send), _all(IMPORT.receive))
