"""What columns are taken for when nobody says what they are."""

from datetime import date

import numpy as np
import pytest

from pinfold.data.columns import Column
from pinfold.features.config import (
    CategoriesColumn,
    ColumnConfig,
    DateColumn,
    NumberColumn,
    TextColumn,
    VectorColumn,
)
from pinfold.features.inference import infer


def column(*values: object) -> Column:
    made = np.empty(len(values), dtype=object)
    for row, value in enumerate(values):
        made[row] = value
    return made


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (np.array([3, 1, 2]), NumberColumn()),
        (column(1.5, None, 2, float("nan")), NumberColumn()),
        (np.exp(np.linspace(0, 12, 50)), NumberColumn(log=True)),
        (-np.exp(np.linspace(0, 12, 50)), NumberColumn()),
        (np.array([True, False]), CategoriesColumn()),
        (column(True, None), CategoriesColumn()),
        (column("2024-01-01", None, "2023-05-06 10:00:00"), DateColumn()),
        (column(date(2024, 1, 1)), DateColumn()),
        (np.array(["2024-01-01", "NaT"], "datetime64[s]"), DateColumn()),
        (column(["a", "b"], None, []), CategoriesColumn()),
        (column(["a"], "b"), CategoriesColumn()),
        (column([1, 2], [3]), CategoriesColumn()),
        (column([1, 2], [3, 4]), CategoriesColumn()),
        (column(list(range(16)), list(range(16))), VectorColumn()),
        (column([1.5, 2], None, [3, 4]), VectorColumn()),
        (column(*(f"a mug of {i} litres" for i in range(30))), TextColumn()),
        (column(*("red", "blue") * 10), CategoriesColumn()),
        (column(*("dark red", "light blue") * 10), CategoriesColumn()),
        (column(*(f"maker{i % 12}" for i in range(30))), CategoriesColumn()),
        (column(*(["Drama|War", "War", "Comedy|Drama", "Comedy"] * 3)), CategoriesColumn(separator="|")),
        (column(*(["Drama; War", "War", "Comedy; Drama", "Comedy"] * 3)), CategoriesColumn(separator=";")),
    ],
)
def test_a_column_is_what_it_looks_like(values: Column, kind: ColumnConfig) -> None:
    assert infer(values) == kind


def test_what_names_single_rows_or_nothing_is_no_feature() -> None:
    assert infer(column(None, "", float("nan"), [])) == "no row has a value"
    found = infer(column(*(f"SKU-{i}" for i in range(30))))
    assert isinstance(found, str)
    assert found.startswith("its values name single rows ('SKU-")
    assert infer(np.empty(0)) == "no row has a value"
