"""A plan: what each stage of a job holds, writes and takes."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

Sizes = Mapping[str, float]  # bytes by what they are


@dataclass(frozen=True, slots=True)
class Stage:
    """What one stage of a job needs. Sizes are bytes."""

    name: str
    held: int  # the most memory that is no file's
    mapped: int  # pages of mapped files and libraries, which the system may drop and read again
    disk: int  # written, and still there when the stage ends
    seconds: float | None  # None: nobody has measured, so nothing is said
    largest: str = ""  # what most of the memory is for
    repeats: str = ""  # such as "20 epochs of 31 s", where `seconds` is of all of them

    @property
    def memory(self) -> int:
        """What the system counts as resident at the most, when nothing presses it to drop files."""
        return self.held + self.mapped


@dataclass(frozen=True, slots=True)
class Plan:
    """All stages of a job in their order."""

    job: str  # train or embed
    stages: tuple[Stage, ...]
    notes: tuple[str, ...] = ()

    @property
    def peak(self) -> Stage:
        """The stage that holds most."""
        return max(self.stages, key=lambda stage: stage.held)

    @property
    def held(self) -> int:
        """The most memory that is no file's, in bytes."""
        return self.peak.held

    @property
    def memory(self) -> int:
        """The most that the system counts as resident, in bytes; libraries and files included."""
        return max(stage.memory for stage in self.stages)

    @property
    def disk(self) -> int:
        """Bytes on disk when the job ends, and what it needs on the way there."""
        return sum(stage.disk for stage in self.stages)

    @property
    def seconds(self) -> float | None:
        """Of all stages; None where one is not predicted."""
        known = [stage.seconds for stage in self.stages]
        return None if None in known else sum(one for one in known if one is not None)

    def without_seconds(self) -> "Plan":
        """The same without times, for those who have not measured speeds."""
        return replace(self, stages=tuple(replace(stage, seconds=None, repeats="") for stage in self.stages))

    def to_json(self) -> dict[str, Any]:
        """Plain values: bytes and seconds."""
        stages = [
            {
                "stage": one.name, "held_bytes": one.held, "memory_bytes": one.memory, "disk_bytes": one.disk,
                "seconds": one.seconds, "largest": one.largest, "repeats": one.repeats,
            }
            for one in self.stages
        ]  # fmt: skip
        return {
            "job": self.job, "held_bytes": self.held, "memory_bytes": self.memory, "disk_bytes": self.disk,
            "seconds": self.seconds, "peak": self.peak.name, "stages": stages, "notes": list(self.notes),
        }  # fmt: skip


@dataclass(slots=True)
class Ledger:
    """What a process holds while it goes from stage to stage."""

    held: dict[str, float] = field(default_factory=dict)  # bytes by what they are, until dropped
    mapped: dict[str, float] = field(default_factory=dict)
    stages: list[Stage] = field(default_factory=list)

    def stage(
        self, name: str, passing: Sizes | None = None, keeps: Sizes | None = None, mapped: Sizes | None = None,
        disk: float = 0, seconds: float | None = None, repeats: str = "",
    ) -> None:  # fmt: skip
        """Add a stage: `passing` is gone when it ends, `keeps` and `mapped` stay."""
        self.held |= keeps or {}
        self.mapped |= mapped or {}
        now = {**self.held, **(passing or {})}
        largest = max(now, key=lambda one: now[one]) if now else ""
        total, files = round(sum(now.values())), round(sum(self.mapped.values()))
        self.stages.append(Stage(name, total, files, round(disk), seconds, largest, repeats))

    def drop(self, *names: str) -> None:
        """Let go of what these names hold."""
        for name in names:
            self.held.pop(name, None)
