"""The steps of the embed job, of which one in each stage kills the last worker's process, once."""

from pathlib import Path

from tests.engine.deadly import deadly

from pinfold.engine.interface import Options, Shard
from pinfold.engine.steps import EMBED

WHERE = {
    "graph": "graph.spill", "people": "people", "neighborhoods": "walks.at_items", "content": "join.answer",
    "project0": "project", "convolve0": "join.take", "vectors": "vectors", "users": "join.asked",
}  # fmt: skip


def mark(step: str, shard: Shard, options: Options) -> Path | None:
    stage = str(options.get("stage"))
    return Path(options["markers"]) / stage if "markers" in options and WHERE.get(stage) == step else None


DEADLY = deadly(EMBED, mark)
