"""How long work tells that it goes on: the rooms speak, the terminal or nobody listens."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Task(Protocol):
    """One piece of work under way."""

    def advance(self, steps: int = 1, note: str = "") -> None:
        """`steps` more are done; `note` says how it stands, such as `loss 0.52`."""
        ...


class Progress(Protocol):
    """Something that listens, such as a progress bar."""

    def task(self, name: str, total: int | None = None) -> AbstractContextManager[Task]:
        """A task of `total` steps, or of unknown length, for a `with` block."""
        ...


class Silent:
    """Nobody listens."""

    def advance(self, steps: int = 1, note: str = "") -> None:
        """Nothing happens."""

    @contextmanager
    def task(self, name: str, total: int | None = None) -> Iterator[Task]:  # noqa: ARG002
        """A task that tells nobody."""
        yield self


SILENT: Progress = Silent()
