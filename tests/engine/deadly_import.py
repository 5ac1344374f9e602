"""The steps of an import by shards, of which one kills the last worker's process, once."""

from pathlib import Path

from tests.engine.deadly import deadly

from pinfold.engine.import_steps import IMPORT
from pinfold.engine.interface import Options, Shard

WHERE = ("rows",)  # what owners had answered is lost too


def mark(step: str, shard: Shard, options: Options) -> Path | None:
    return shard.job.work.parent / f"killed-{step}" if step in WHERE else None


DEADLY = deadly(IMPORT, mark)
