"""What carries out the steps of a job: workers, each of which owns one partition of users and items.

A job is a row of stages. In a stage every worker does a step on what it owns (`run`), or all send each other arrays and
take in what came (`exchange`). What has to outlive a stage is written to the job's work folder, a sealed folder for
each stage and worker, so that a worker that was lost can be replaced by an empty one, and a killed job goes on.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from pinfold.engine.partition import Ranges

Part = Mapping[str, NDArray[Any]]  # what one worker sends to another
Options = Mapping[str, Any]  # plain values
NOTHING: Options = {}


@dataclass(frozen=True, slots=True)
class Job:
    """What all workers of a job know. Paths must name the same files on every machine."""

    work: Path  # the work folder
    dataset: Path  # that `pinfold import` made
    artifact: Path  # whose trained network is applied
    n_users: int
    n_items: int
    n_edges: int
    seed: int  # of walks
    half: bool = False  # features and layers are kept in half precision; sums are not
    memory: int = 1 << 30  # bytes that a worker may use for blocks and buffers, beside what it maps
    block: int = 65_536  # rows handled at once


@dataclass(slots=True)
class Shard:
    """One worker's state: which part it owns, and what its steps leave for its later steps."""

    rank: int
    size: int
    job: Job
    kept: dict[str, Any] = field(default_factory=dict)  # lost with the worker

    @property
    def users(self) -> Ranges:
        """The ranges of users."""
        return Ranges(self.job.n_users, self.size)

    @property
    def items(self) -> Ranges:
        """The ranges of items."""
        return Ranges(self.job.n_items, self.size)

    def place(self, stage: str, rank: int | None = None) -> Path:
        """The folder in which this worker (or another) leaves what a stage makes."""
        return self.job.work / f"{stage}-{self.rank if rank is None else rank:04d}"


Run = Callable[[Shard, Options], Any]
Send = Callable[[Shard, Options], list[Part]]  # one part for each worker, itself too
Receive = Callable[[Shard, Options, list[Part]], Any]  # the parts in the order of their senders


@dataclass(frozen=True, slots=True)
class Steps:
    """What workers can do, by name; functions at the top level of modules, so that every machine finds them."""

    run: Mapping[str, Run] = field(default_factory=dict)
    send: Mapping[str, Send] = field(default_factory=dict)
    receive: Mapping[str, Receive] = field(default_factory=dict)


class Engine(Protocol):
    """Workers 0 .. size - 1 and the ways to call them. Answers stand in the order of workers."""

    size: int
    moved: Counter[str]  # bytes that workers sent to others than themselves, by name of the sending step

    def run(self, step: str, options: Options = NOTHING) -> list[Any]:
        """Every worker does this step.

        Raises:
            WorkerLost: a worker died or did not answer in time; `revive`, then begin the stage again.
        """
        ...

    def exchange(self, send: str, receive: str, options: Options = NOTHING) -> list[Any]:
        """Every worker sends one part to each, and takes in what was sent to it.

        Raises:
            WorkerLost: as `run`.
        """
        ...

    def revive(self) -> None:
        """Start lost workers anew; all of them forget what they kept.

        Raises:
            EngineError: they cannot be started.
        """
        ...

    def close(self) -> None:
        """Let the workers go."""
        ...
