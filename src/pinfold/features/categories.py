"""Categories as vectors: indicators weighted by how rare the value is, many values reduced by truncated SVD."""

from dataclasses import dataclass
from functools import partial

from pinfold.features.config import CategoriesColumn
from pinfold.features.terms import Terms, encode_terms, fit_terms
from pinfold.features.values import Encoded, Values, as_categories


@dataclass(frozen=True, slots=True)
class Categories:
    """A column of one or several values: which are known, and what stands between several in one text."""

    terms: Terms
    separator: str | None

    @property
    def dim(self) -> int:
        """D, the length of a vector."""
        return self.terms.dim


def fit_categories(config: CategoriesColumn, values: Values, dim: int, seed: int) -> Categories | str:
    """An encoder fitted on these values, or why there is none."""
    bag = partial(as_categories, separator=config.separator)
    cells = values.column
    terms = fit_terms(cells, bag, config.min_df, config.max_values, config.dim or dim, seed)
    if terms is None:
        return f"no value occurs in {config.min_df} or more of its rows"
    if len(terms.rows) == 1 and all(bag(cell) for cell in cells):
        return f"all rows say {next(iter(terms.rows))!r}"
    return Categories(terms, config.separator)


def encode_categories(encoder: Categories, values: Values) -> Encoded:
    """Vectors of length 1 (n, D), zeros for rows without a known value; values that were not seen count nothing."""
    return encode_terms(encoder.terms, values.column, partial(as_categories, separator=encoder.separator))
