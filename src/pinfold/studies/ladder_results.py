"""What a study of variants found: figures a variant and seed, put together in tables, and what was expected."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from pinfold import __version__
from pinfold.evaluation.intervals import Interval
from pinfold.evaluation.study import ExpectationConfig, StudyConfig
from pinfold.studies.results import Spread, spread


@dataclass(frozen=True, slots=True)
class Figures:
    """One variant with one seed."""

    variant: str
    seed: int
    metrics: dict[str, Interval]  # over pairs or users, 95 % bootstrap
    numbers: dict[str, float]  # without intervals: coverage, seconds and so on; what does not apply is not there


@dataclass(frozen=True, slots=True)
class Outcome:
    """One table: the rows in their order, each with a result a seed."""

    group: str
    rows: tuple[tuple[str, tuple[Figures, ...]], ...]

    def columns(self) -> list[str]:
        """The names of all figures, in the order in which they first occur; metrics before numbers."""
        found = [figures for _, results in self.rows for figures in results]
        metrics = [name for figures in found for name in figures.metrics]
        return list(dict.fromkeys([*metrics, *(name for figures in found for name in figures.numbers)]))

    def values(self, variant: str, name: str) -> list[float]:
        """One value a seed; none where the variant has no such figure."""
        results = dict(self.rows).get(variant, ())
        both = [{**{key: i.mean for key, i in one.metrics.items()}, **one.numbers} for one in results]
        return [figures[name] for figures in both if name in figures]


@dataclass(frozen=True, slots=True)
class Study:
    """All tables of a study."""

    name: str
    config: StudyConfig
    run: str  # the run file as TOML
    outcomes: tuple[Outcome, ...]
    peak_memory_bytes: int

    def misses(self) -> list[str]:
        """What is not as expected; what was not run is not missed."""
        return [miss for expected in self.config.expect if (miss := self._miss(expected))]

    def _miss(self, expected: ExpectationConfig) -> str:
        own, other = (self._mean(expected, name) for name in (expected.variant, expected.against))
        if own is None or (expected.against and other is None):
            return ""
        value = own.mean if other is None else own.mean / other.mean if other.mean else math.inf
        low, high = expected.least, expected.most
        if (low is None or value >= low) and (high is None or value <= high):
            return ""
        against = f" divided by that of {expected.against!r}" if expected.against else ""
        bounds = " and ".join(
            f"{word} {bound:g}" for word, bound in (("at least", low), ("at most", high)) if bound is not None
        )
        return f"{self.name}: {expected.metric} of {expected.variant!r}{against} is {value:.4f}, expected {bounds}"

    def _mean(self, expected: ExpectationConfig, variant: str) -> Spread | None:
        for outcome in self.outcomes:
            if expected.group in ("", outcome.group) and (found := outcome.values(variant, expected.metric)):
                return spread(found)
        return None

    def to_json(self) -> dict[str, Any]:
        """Everything, with means over seeds first."""
        return {
            "name": self.name,
            "version": __version__,
            "tables": {outcome.group: _summary(outcome) for outcome in self.outcomes},
            "intervals": {"of metrics, per seed": "95 % bootstrap over pairs or users", "over_seeds": "95 % t"},
            "misses": self.misses(),
            "peak_memory_bytes": self.peak_memory_bytes,
            "run": self.run,
            "results": [asdict(outcome) for outcome in self.outcomes],
        }


def _summary(outcome: Outcome) -> dict[str, dict[str, Any]]:
    names = outcome.columns()
    return {
        variant: {name: asdict(spread(found)) for name in names if (found := outcome.values(variant, name))}
        for variant, _ in outcome.rows
    }
