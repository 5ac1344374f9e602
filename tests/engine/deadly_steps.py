"""The steps of the embed job, of which one in each stage kills the last worker's process, once."""

import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pinfold.engine.interface import Options, Shard, Steps
from pinfold.engine.steps import EMBED

WHERE = {
    "graph": "graph.spill", "people": "people", "neighborhoods": "walks.at_items", "content": "join.answer",
    "project0": "project", "convolve0": "join.take", "vectors": "vectors", "users": "join.asked",
}  # fmt: skip


def deadly(step: str, done: Callable[..., Any]) -> Callable[..., Any]:
    def killing(shard: Shard, options: Options, *parts: Any) -> Any:
        stage = str(options.get("stage"))
        if "markers" in options and shard.rank == shard.size - 1 and WHERE.get(stage) == step:
            marker = Path(options["markers"]) / stage
            if not marker.exists():
                marker.touch()
                os.kill(os.getpid(), signal.SIGKILL)
        return done(shard, options, *parts)

    return killing


def _all(table: Mapping[str, Callable[..., Any]]) -> dict[str, Callable[..., Any]]:
    return {step: deadly(step, done) for step, done in table.items()}


DEADLY = Steps(_all(EMBED.run), _all(EMBED.send), _all(EMBED.receive))
