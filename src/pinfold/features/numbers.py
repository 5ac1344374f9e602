"""Numbers as features: mean 0 and deviation 1 over the training rows."""

from dataclasses import dataclass

import numpy as np

from pinfold.arrays import Doubles
from pinfold.features.config import NumberColumn
from pinfold.features.values import Encoded, Values, as_numbers

LARGEST = 10.0  # deviations: one broken price must not drown a row
SAME = 1e-9  # of the mean: a smaller deviation is rounding error
HUGE = 1e100  # larger numbers are cut off, because their squares are infinite


@dataclass(frozen=True, slots=True)
class Numbers:
    """A number column: (x - mean) / deviation, of sign(x) log(1 + |x|) with `log`."""

    mean: float
    deviation: float
    log: bool

    @property
    def dim(self) -> int:
        """One."""
        return 1


def fit_numbers(config: NumberColumn, values: Values) -> Numbers | str:
    """An encoder fitted on these values, or why there is none.

    Raises:
        DataError: a value is infinite or no number.
    """
    numbers = _scaled(as_numbers(values), log=config.log)
    present = numbers[~np.isnan(numbers)]
    if len(present) == 0:
        return "no row has a value"
    mean, deviation = float(present.mean()), float(present.std())
    if deviation <= max(SAME * abs(mean), 1 / HUGE):
        if len(present) == len(numbers):
            return "all rows have the same value"
        deviation = 1.0  # then the missing ones say something
    return Numbers(mean, deviation, config.log)


def encode_numbers(encoder: Numbers, values: Values) -> Encoded:
    """Deviations from the mean (n, 1), 0 where missing.

    Raises:
        DataError: a value is infinite or no number.
    """
    numbers = _scaled(as_numbers(values), log=encoder.log)
    known = ~np.isnan(numbers)
    return Encoded(standardized(numbers, encoder.mean, encoder.deviation)[:, None].astype(np.float32), known)


def standardized(numbers: Doubles, mean: float, deviation: float) -> Doubles:
    """Deviations from the mean, at most LARGEST either way, 0 for NaN. Shape as `numbers`."""
    scaled: Doubles = np.clip((numbers - mean) / deviation, -LARGEST, LARGEST)
    return np.where(np.isnan(scaled), 0.0, scaled)


def _scaled(numbers: Doubles, *, log: bool) -> Doubles:
    numbers = np.clip(numbers, -HUGE, HUGE)
    return np.sign(numbers) * np.log1p(np.abs(numbers)) if log else numbers
