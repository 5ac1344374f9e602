"""Engines by name, and how a stage outlives workers that are lost."""

from collections.abc import Callable
from typing import TypeVar

from pinfold.engine.interface import Engine, Job
from pinfold.engine.local import LocalEngine
from pinfold.engine.ray_worker import find_steps
from pinfold.errors import WorkerLost

R = TypeVar("R")

TRIES = 4  # of a stage whose workers are lost
DEADLINE = 21_600.0  # seconds in a step after which a silent worker is given up


def open_engine(
    job: Job, size: int, steps: str, engine: str, address: str | None, deadline: float = DEADLINE
) -> Engine:
    """The workers of a job: `engine` is local or ray, `steps` names their table as module:NAME.

    Raises:
        ConfigError: Ray is wanted and is not there.
        EngineError: the cluster cannot be reached.
    """
    if engine == "local":
        return LocalEngine(job, size, find_steps(steps))
    from pinfold.engine.ray_engine import RayEngine

    return RayEngine(job, size, steps, address=address, deadline=deadline)


def again(engine: Engine, stage: Callable[[], R], note: Callable[[WorkerLost], object] = lambda _: None) -> R:
    """One stage, begun again with new workers when some were lost; sealed parts are not made again.

    Raises:
        WorkerLost: TRIES times, one after another.
    """
    for _ in range(TRIES - 1):
        try:
            return stage()
        except WorkerLost as error:
            note(error)
            engine.revive()
    return stage()
