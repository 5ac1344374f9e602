"""What a column is, where nobody said: text, categories, a number, a date or a vector."""

import re
from collections import Counter
from typing import Any

import numpy as np

from pinfold.data.columns import Column
from pinfold.features.config import (
    CategoriesColumn,
    ColumnConfig,
    DateColumn,
    NumberColumn,
    TextColumn,
    VectorColumn,
)
from pinfold.features.dates import parse_date
from pinfold.features.numbers import HUGE
from pinfold.features.values import ENTRIES, as_category, is_missing

MOST_ROWS = 20_000  # that are looked at, evenly spaced
SHORTEST = 16  # whole numbers that are a vector; fewer are as likely numbers of genres
FEW = 1000  # distinct texts that can be categories
SKEWED = 2.0  # third standardized moment beyond which a number that is never negative is taken by its log
SPACE = re.compile(r"\s")
SEPARATORS = ("|", ";")


def infer(column: Column) -> ColumnConfig | str:
    """What the column is, or why it is no feature.

    In this order: lists of numbers are vectors (of whole numbers: where all have one length of 16 or more), other lists
    categories; numbers are numbers (by their log where never negative and skewed); yes and no is a category; texts
    that all are ISO dates are dates; texts of which a fifth or more hold `|` or `;` between parts that come again are
    categories; so are at most 1,000 distinct texts that occur five times each on average; texts with spaces are text;
    texts without that occur twice on average are categories; the rest are names of single rows, and no feature.
    """
    rows = np.linspace(0, len(column) - 1, min(len(column), MOST_ROWS)).astype(int).tolist()
    values = [value for row in rows if not is_missing(value := column[row])]
    if not values:
        return "no row has a value"
    if all(isinstance(value, ENTRIES) for value in values):
        return _of_lists(values)
    if all(isinstance(value, bool | np.bool_) for value in values):
        return CategoriesColumn()
    if all(isinstance(value, int | float | np.number) for value in values):
        return NumberColumn(log=_is_skewed(np.array([float(min(max(value, -HUGE), HUGE)) for value in values])))
    if all(_is_date(value) for value in values):
        return DateColumn()
    if any(isinstance(value, ENTRIES) for value in values):
        return CategoriesColumn()
    return _of_texts([as_category(value) for value in values])


def _of_lists(values: list[Any]) -> ColumnConfig:
    numeric = all(
        isinstance(entry, int | float | np.number) and not isinstance(entry, bool) for v in values for entry in v
    )
    whole = all(isinstance(entry, int | np.integer) for value in values for entry in value)
    same = len({len(value) for value in values}) == 1
    vector = numeric and (not whole or (same and len(values[0]) >= SHORTEST))
    return VectorColumn() if vector else CategoriesColumn()


def _of_texts(texts: list[str]) -> ColumnConfig | str:
    n_distinct = len(set(texts))
    for separator in SEPARATORS:
        parts = [part.strip() for text in texts for part in text.split(separator)]
        n_several = sum(separator in text for text in texts)
        if n_several * 5 >= len(texts) and len(set(parts)) * 3 <= len(parts) and _is_short(parts):
            return CategoriesColumn(separator=separator)
    if n_distinct <= FEW and n_distinct * 5 <= len(texts):
        return CategoriesColumn()
    spaced = sum(SPACE.search(text) is not None for text in texts)
    if spaced * 5 >= len(texts):
        return TextColumn()
    if n_distinct * 2 <= len(texts):
        return CategoriesColumn()
    example = Counter(texts).most_common(1)[0][0]
    return f"its values name single rows ({example[:40]!r}); give it a kind if it says more"


def _is_short(parts: list[str]) -> bool:
    return sum(map(len, parts)) <= 30 * len(parts)


def _is_skewed(numbers: "np.ndarray[Any, np.dtype[np.float64]]") -> bool:
    numbers = numbers[np.isfinite(numbers)]
    deviation = numbers.std() if len(numbers) else 0.0
    if deviation == 0 or numbers.min() < 0:
        return False
    return bool((((numbers - numbers.mean()) / deviation) ** 3).mean() > SKEWED)


def _is_date(value: Any) -> bool:
    try:
        parse_date(value)
    except ValueError:
        return False
    # datetime.fromisoformat takes '20240105' and '2024-W01-1' too; a column of those may as well be codes
    return not isinstance(value, str) or re.match(r"\d{4}-\d\d-\d\d", value.strip()) is not None
