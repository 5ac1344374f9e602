"""What the doctor says: examples of values in their place, findings, and the diagnosis that holds them."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True, slots=True)
class Example:
    """One value in its place."""

    file: str
    row: int | None  # line of a text file, else the row, from 1; None where the row is not known
    column: str  # empty when it is about the whole row
    value: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong (error), may be wrong (warning) or is good to know (note)."""

    code: str
    severity: Severity
    message: str
    count: int
    examples: tuple[Example, ...] = ()


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Everything the doctor found, errors first."""

    findings: tuple[Finding, ...]
    counts: Mapping[str, int]  # rows, kept, rejected, users, items, ... as far as they are known

    @property
    def ok(self) -> bool:
        """Whether there is no error; warnings and notes do not count."""
        return all(finding.severity != "error" for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """The diagnosis as plain values."""
        return {"ok": self.ok, "counts": dict(self.counts), "findings": [asdict(f) for f in self.findings]}
