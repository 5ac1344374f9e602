"""What a reproduction found: a result a seed, and what all of them say beside the published figures."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.special import stdtrit

from pinfold import __version__
from pinfold.evaluation.expected import ReproduceConfig
from pinfold.evaluation.intervals import Interval


@dataclass(frozen=True, slots=True)
class Look:
    """The test part at one epoch of the training on all known events."""

    epoch: int  # 0 for a model that is computed in one go
    seconds: float  # to build and train up to here, looks left out
    recall: Interval  # over users, at the first of evaluation.ks
    ndcg: Interval
    answer_seconds: float  # to answer and judge all users


@dataclass(frozen=True, slots=True)
class SeedResult:
    """One seed: trained, selected, refitted, looked at."""

    seed: int
    validation_score: float | None  # None where there was nothing to select
    selected: Look  # at the epoch that validation selected
    looks: tuple[Look, ...]  # all of them, oldest first; for a computed model just the one
    selection_seconds: float
    peak_memory_bytes: int  # of the process up to here

    @property
    def best(self) -> Look:
        """The look with the highest recall: what papers report that have no validation part."""
        return max(self.looks, key=lambda look: look.recall.mean)

    def seconds_to(self, recall: float) -> float | None:
        """Seconds of training until a look first had this recall; None if none had."""
        return next((look.seconds for look in self.looks if look.recall.mean >= recall), None)


@dataclass(frozen=True, slots=True)
class Spread:
    """A mean over seeds; interval and deviation are None for a single seed."""

    mean: float
    deviation: float | None  # with n - 1
    low: float | None  # 95 % t interval: would other seeds, on this data, give the same?
    high: float | None
    n: int


def spread(values: Sequence[float]) -> Spread:
    """Mean, standard deviation and 95 % t interval of one value a seed."""
    n, mean = len(values), float(np.mean(values))
    if n < 2:
        return Spread(mean, None, None, None, n)
    deviation = float(np.std(values, ddof=1))
    half = float(stdtrit(n - 1, 0.975)) * deviation / math.sqrt(n)
    return Spread(mean, deviation, mean - half, mean + half, n)


@dataclass(frozen=True, slots=True)
class Reproduction:
    """All seeds of one run beside what was published and expected."""

    name: str
    config: ReproduceConfig
    run: str  # the run file as TOML
    k: int
    results: tuple[SeedResult, ...]

    @property
    def trained(self) -> bool:
        """Whether there were epochs to select from."""
        return any(result.selected.epoch for result in self.results)

    def selected(self, metric: str) -> Spread:
        """`recall` or `ndcg` of the models that validation selected."""
        return spread([getattr(result.selected, metric).mean for result in self.results])

    def best(self, metric: str) -> Spread:
        """The same where the test part itself selected the epoch."""
        return spread([getattr(result.best, metric).mean for result in self.results])

    def misses(self) -> list[str]:
        """What is outside the band that the run file expects; empty when all is well."""
        seeds = ", ".join(str(result.seed) for result in self.results)
        bands = {"recall": self.config.expected_recall, "ndcg": self.config.expected_ndcg}
        return [
            f"{self.name}: {metric}@{self.k} {self.selected(metric).mean:.4f} is outside the expected "
            f"{band[0]:.4f} to {band[1]:.4f} (selected on validation, mean over seeds {seeds})"
            for metric, band in bands.items()
            if band is not None and not band[0] <= self.selected(metric).mean <= band[1]
        ]

    def to_json(self) -> dict[str, Any]:
        """Everything, with the summary first."""
        passed = self.config.pass_recall
        metrics = ("recall", "ndcg")
        return {
            "name": self.name,
            "version": __version__,
            "k": self.k,
            "published": {m: getattr(self.config, f"published_{m}") for m in metrics} | {"source": self.config.source},
            "expected": {m: getattr(self.config, f"expected_{m}") for m in metrics},
            "selected_on_validation": {m: asdict(self.selected(m)) for m in metrics},
            "selected_on_test_as_the_papers_did": {m: asdict(self.best(m)) for m in metrics} if self.trained else None,
            "intervals": {"over_users": "95 % bootstrap, per seed", "over_seeds": "95 % t"},
            "misses": self.misses(),
            "pass_recall": passed,
            "seconds_to_pass_recall": [r.seconds_to(passed) for r in self.results] if passed is not None else None,
            "peak_memory_bytes": max(result.peak_memory_bytes for result in self.results),
            "data": self.config.data,
            "run": self.run,
            "seeds": [asdict(result) for result in self.results],
        }
