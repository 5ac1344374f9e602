"""Progress between two processes: the one that works writes lines, the one that waits passes them on."""

import json
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any, TextIO

from pinfold.progress import Progress, Task

PAUSE = 0.1  # seconds between two lines of one task


class Wire:
    """A Progress that writes a JSON array a line."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    @classmethod
    def on_standard_output(cls) -> "Wire":
        """The wire has standard output to itself; whatever else is printed goes to standard error."""
        own = os.dup(1)
        os.dup2(2, 1)
        return cls(os.fdopen(own, "w", encoding="utf-8"))

    @contextmanager
    def task(self, name: str, total: int | None = None) -> Iterator[Task]:
        """A task, told when it starts, at most ten times a second, and when it ends."""
        self.send("task", name, total)
        steps = _Steps(self)
        try:
            yield steps
        finally:
            steps.flush()
            self.send("end")

    def refuse(self, reason: str) -> None:
        """Why there will be no result."""
        self.send("refused", reason)

    def send(self, *words: Any) -> None:
        """One line."""
        self._out.write(json.dumps(words) + "\n")
        self._out.flush()


class _Steps:
    """Steps that wait until a line is due."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._waiting = 0
        self._note = ""
        self._sent = 0.0

    def advance(self, steps: int = 1, note: str = "") -> None:
        """Count; tell when it is time."""
        self._waiting += steps
        self._note = note
        if time.monotonic() - self._sent >= PAUSE:
            self.flush()

    def flush(self) -> None:
        """Tell what waits."""
        if self._waiting:
            self._wire.send("advance", self._waiting, self._note)
            self._waiting, self._sent = 0, time.monotonic()


def relay(lines: Iterable[str], progress: Progress, prefix: str) -> str | None:
    """Pass everything on until the lines end; the reason where the other side refused."""
    refused: str | None = None
    task: Task | None = None
    with ExitStack() as stack:
        for line in lines:
            match _words(line):
                case ["task", str(name), total]:
                    stack.close()
                    shown: AbstractContextManager[Task] = progress.task(_named(prefix, name), total)
                    task = stack.enter_context(shown)
                case ["advance", int(steps), str(note)] if task is not None:
                    task.advance(steps, note)
                case ["end"]:
                    stack.close()
                    task = None
                case ["refused", str(reason)]:
                    refused = reason
    return refused


def _words(line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:  # the last words of a process that was stopped
        return None


def _named(prefix: str, name: str) -> str:
    return name if name == prefix else f"{prefix}: {name}"
