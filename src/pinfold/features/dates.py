"""Dates as features: how late, and where in the year and in the week."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np

from pinfold.arrays import Bools, Doubles
from pinfold.errors import DataError
from pinfold.features.numbers import standardized
from pinfold.features.values import Encoded, Values, is_missing

EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Dates:
    """A date column: days since 1970 with their mean and deviation over the training rows."""

    mean: float
    deviation: float

    @property
    def dim(self) -> int:
        """Days, and sine and cosine of month and of weekday."""
        return 5


def fit_dates(values: Values) -> Dates | str:
    """An encoder fitted on these values, or why there is none.

    Raises:
        DataError: a value is no ISO date.
    """
    days = _days(values)
    present = days[~np.isnan(days)]
    if len(present) == 0:
        return "no row has a value"
    deviation = float(present.std())
    if deviation == 0.0 and len(present) == len(days):
        return "all rows have the same value"
    return Dates(float(present.mean()), deviation or 1.0)


def encode_dates(encoder: Dates, values: Values) -> Encoded:
    """Deviations of days, sine and cosine of month, sine and cosine of weekday (n, 5); zeros where missing.

    Raises:
        DataError: a value is no ISO date.
    """
    days = _days(values)
    known: Bools = ~np.isnan(days)
    whole = np.floor(np.where(known, days, 0.0)).astype(np.int64)
    months = whole.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64) % 12
    angles = 2 * np.pi * np.stack([months / 12, whole % 7 / 7], axis=1)  # (n, 2)
    circles = np.stack([np.sin(angles), np.cos(angles)], axis=2).reshape(len(days), 4)
    scaled = standardized(days, encoder.mean, encoder.deviation)
    matrix = np.concatenate([scaled[:, None], circles], axis=1) * known[:, None]
    return Encoded(matrix.astype(np.float32), known)


def parse_date(value: Any) -> float:
    """Days since 1970 in UTC, with the time of day as a fraction; a time without a zone is UTC.

    Raises:
        ValueError: no date.
    """
    if isinstance(value, np.datetime64):
        value = value.astype("datetime64[us]").item()
    if isinstance(value, str):
        text = value.strip()
        value = date.fromisoformat(text) if len(text) == 10 else datetime.fromisoformat(text)
    if isinstance(value, datetime):
        aware = value if value.tzinfo else value.replace(tzinfo=UTC)
        return (aware - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(days=1)
    if isinstance(value, date):
        return float((value - EPOCH).days)
    raise ValueError(f"no date: {value!r}")


def _days(values: Values) -> Doubles:
    days = np.full(len(values), np.nan)
    for row, value in enumerate(values.column):
        if is_missing(value):
            continue
        try:
            days[row] = parse_date(value)
        except ValueError:
            message = f"{values.at(row)}: expected an ISO date such as 2024-12-31 or nothing, found {str(value)[:60]!r}"
            raise DataError(message) from None
    return days
