"""What a comparison found, as plain values: one row a model, tests between all of them, the advice."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from pinfold.evaluation.evaluate import Evaluation
from pinfold.evaluation.intervals import Interval, PairedTest
from pinfold.studies.abilities import Abilities

Ending = Literal["patience", "epochs", "time"]


@dataclass(frozen=True, slots=True)
class Learning:
    """How a model learned."""

    seconds: float  # to learn: one computation, or selection and refit together
    memory_bytes: int  # growth of the process above the loaded data while it learned
    validation: float  # the selecting metric on the validation part
    epochs: int  # 0 for a model that is computed in one go
    best_epoch: int
    ended: Ending | None  # why training stopped; None for a model that is computed in one go


@dataclass(frozen=True, slots=True)
class Judged:
    """A model on the test part."""

    name: str
    learning: Learning
    evaluation: Evaluation
    abilities: Abilities
    groups: tuple[Interval, ...]  # the metric in each of Comparison.groups

    @property
    def answer_seconds(self) -> float:
        """To answer and judge all users."""
        return self.evaluation.seconds


@dataclass(frozen=True, slots=True)
class Refused:
    """A model that could not be run."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Group:
    """Users who are known by about as many items."""

    least: int  # known items
    most: int
    n_users: int

    @property
    def label(self) -> str:
        """`3 to 7`."""
        return str(self.least) if self.least == self.most else f"{self.least:,} to {self.most:,}"


@dataclass(frozen=True, slots=True)
class Advice:
    """Which model to use, and why, in one sentence."""

    choice: str
    graph: bool  # whether the choice is a graph model
    sentence: str
    notes: tuple[str, ...]  # what else must be known before the sentence is believed


@dataclass(frozen=True, slots=True)
class Comparison:
    """Everything that the tables, the page and report.json say."""

    models: tuple[Judged, ...]  # simplest first
    refused: tuple[Refused, ...]
    tests: Mapping[tuple[str, str], PairedTest]  # (a, b), a before b in `models`: a - b; p corrected over all pairs
    reference: str | None  # the model without a graph that is best on the validation part
    metric: str  # that selects and is tested, such as recall@20
    groups: tuple[Group, ...]
    cold_share: float  # of the hidden events, those whose item nobody took before
    advice: Advice
    facts: Mapping[str, Any]  # data, split, seed, versions, machine, time

    def to_json(self) -> dict[str, Any]:
        """Plain values; the keys are described in docs/compare.md."""
        rows = [self._row(model) for model in self.models]
        return {
            "kind": "pinfold comparison",
            **self.facts,
            "metric": self.metric,
            "reference": self.reference,
            "n_users": self.models[0].evaluation.n_users,
            "cold_share": self.cold_share,
            "groups": [asdict(group) for group in self.groups],
            "models": rows + [{"name": r.name, "refused": r.reason} for r in self.refused],
            "tests": [{"a": a, "b": b, **_test(test)} for (a, b), test in self.tests.items()],
            "advice": asdict(self.advice) | {"notes": list(self.advice.notes)},
        }

    def to_reference(self, name: str) -> PairedTest | None:
        """The test against the reference; None for the reference itself."""
        if self.reference is None or name == self.reference:
            return None
        return compared(self.tests, name, self.reference)

    def _row(self, model: Judged) -> dict[str, Any]:
        test = self.to_reference(model.name)
        return {
            "name": model.name,
            "refused": None,
            "learning": asdict(model.learning),
            "answer_seconds": model.answer_seconds,
            "metrics": model.evaluation.to_json()["metrics"],
            "exposure": model.evaluation.exposure,
            "groups": [asdict(interval) for interval in model.groups],
            "abilities": asdict(model.abilities),
            "to_reference": _test(test) if test else None,
        }


def compared(tests: Mapping[tuple[str, str], PairedTest], a: str, b: str) -> PairedTest:
    """The test of a - b, whichever way round it was made."""
    if (a, b) in tests:
        return tests[a, b]
    t = tests[b, a]
    return PairedTest(t.metric, -t.difference, -t.high, -t.low, t.p_value, t.n_users)


def _test(test: PairedTest) -> dict[str, float]:
    return {"difference": test.difference, "low": test.low, "high": test.high, "p_value": test.p_value}
