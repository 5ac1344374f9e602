"""What runs in a Ray actor: one worker's shard, and the steps as its own machine has them."""

import importlib
import os
import traceback
from dataclasses import dataclass
from typing import Any

from pinfold import errors
from pinfold.engine.interface import Job, Options, Part, Shard, Steps
from pinfold.engine.local import n_bytes
from pinfold.errors import EngineError, PinfoldError


@dataclass(frozen=True, slots=True)
class Answer:
    """What a step gave, or why it gave nothing; no exception is sent, which the other side would have to build."""

    value: Any = None
    kind: str = ""  # the error's class; empty where there was none
    message: str = ""
    trace: str = ""

    def given(self, who: str) -> Any:
        """The value.

        Raises:
            PinfoldError: the step raised it; with its own message where it was one, else an EngineError.
        """
        if not self.kind:
            return self.value
        own = getattr(errors, self.kind, None)
        error: PinfoldError = EngineError(f"{who} failed: {self.kind}: {self.message}")
        if isinstance(own, type) and issubclass(own, PinfoldError) and own.__init__ is PinfoldError.__init__:
            error = own(self.message)
        error.add_note(f"{who}, there:\n{self.trace}")
        raise error


def failure(error: Exception) -> Answer:
    """The answer of a step that raised this."""
    return Answer(None, type(error).__name__, str(error), "".join(traceback.format_exception(error)))


def find_steps(table: str) -> Steps:
    """The table of steps that is called module:NAME.

    Raises:
        EngineError: this machine has none.
    """
    module, _, name = table.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise EngineError(f"{table}: no such table of steps here ({error}); is the same Pinfold installed?") from error
    if not isinstance(found, Steps):
        raise EngineError(f"{table}: expected a table of steps, found {type(found).__name__}")
    return found


class Worker:
    """The actor. Its methods answer, they never raise."""

    def __init__(self, rank: int, size: int, job: Job, table: str, threads: int) -> None:
        os.environ["OMP_NUM_THREADS"] = str(threads)  # before anything reads it
        self._shard = Shard(rank, size, job)
        self._table = table
        self._steps = Steps()
        self._own: Part = {}  # what it sent to itself

    def ready(self) -> Answer:
        """Its process, once it has found its steps."""
        try:
            self._steps = find_steps(self._table)
        except EngineError as error:
            return failure(error)
        return Answer(os.getpid())

    def forget(self) -> None:
        """Forget what was kept."""
        self._shard.kept.clear()
        self._own = {}

    def run(self, step: str, options: Options) -> Answer:
        """Do a step."""
        try:
            return Answer(self._steps.run[step](self._shard, options))
        except Exception as error:
            return failure(error)

    def send(self, step: str, options: Options) -> list[Any]:
        """How many bytes go to others, and a part for each; its own part stays here."""
        rank, size = self._shard.rank, self._shard.size
        try:
            parts: list[Any] = list(self._steps.send[step](self._shard, options))
            if len(parts) != size:
                raise EngineError(f"step {step!r} made {len(parts)} parts for {size} workers")
        except Exception as error:
            return [failure(error), *[None] * size]
        self._own, parts[rank] = parts[rank], None
        return [Answer(sum(n_bytes(part) for part in parts if part is not None)), *parts]

    def receive(self, step: str, options: Options, *parts: Part | None) -> Answer:
        """Take in what was sent."""
        rank = self._shard.rank
        own, self._own = self._own, {}
        there = [own if sender == rank or part is None else part for sender, part in enumerate(parts)]
        try:
            return Answer(self._steps.receive[step](self._shard, options, there))
        except Exception as error:
            return failure(error)
