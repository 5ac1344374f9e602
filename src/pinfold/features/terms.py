"""Bags of terms as vectors: TF-IDF and truncated SVD. Text and categories are both bags of terms."""

from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from pinfold.arrays import Floats, check_array
from pinfold.data.columns import Column
from pinfold.features.reduction import principal, unit_rows
from pinfold.features.values import Encoded

Cells = Sequence[Any] | Column
Bag = Callable[[Any], Sequence[str]]  # the terms of one value, as often as they occur

MOST_ROWS = 100_000  # that terms and components are fitted on; more are thinned out evenly
MOST_COUNTED = 3_000_000  # terms counted at a time; beyond it the rarest are forgotten
ROUNDING = 1e-6  # length of a reduced row below which it is rounding error
BLOCK = 8192  # rows whose sparse matrix is in memory at a time


@dataclass(frozen=True, slots=True)
class Terms:
    """The terms that count, how much, and what they mean in few dimensions."""

    rows: dict[str, int]  # term -> its row below, in sorted order of the terms
    idf: Floats  # (V,)
    components: Floats | None  # (V, D); None: each term is a dimension of its own

    def __post_init__(self) -> None:
        check_array("idf", self.idf, np.float32, len(self.rows))
        if self.components is not None:
            check_array("components", self.components, np.float32, len(self.rows), -1)

    @property
    def dim(self) -> int:
        """D, the length of a vector."""
        return len(self.rows) if self.components is None else self.components.shape[1]


def fit_terms(values: Cells, bag: Bag, min_df: int, most: int, dim: int, seed: int) -> Terms | None:
    """Terms that occur in at least `min_df` of the values, the `most` frequent; None where there is none.

    IDF is log((1 + n) / (1 + df)) + 1. More than `dim` terms are reduced to `dim` components. No more than
    MOST_ROWS values are looked at, evenly spaced.
    """
    seen = np.linspace(0, len(values) - 1, min(len(values), MOST_ROWS)).astype(int).tolist()
    found = _count((bag(values[row]) for row in seen), min_df)
    kept = sorted(sorted(found, key=lambda term: (-found[term], term))[:most])
    if not kept:
        return None
    df = np.array([found[term] for term in kept])
    terms = Terms(
        {term: row for row, term in enumerate(kept)}, (np.log((1 + len(seen)) / (1 + df)) + 1).astype(np.float32), None
    )
    if len(kept) <= dim:
        return terms
    return Terms(terms.rows, terms.idf, principal(weighted(terms, [values[row] for row in seen], bag), dim, seed))


def encode_terms(terms: Terms, values: Cells, bag: Bag) -> Encoded:
    """Vectors of length 1 (n, D), zeros for values without a known term."""
    matrix = np.zeros((len(values), terms.dim), np.float32)
    for start in range(0, len(values), BLOCK):
        block = weighted(terms, values[start : start + BLOCK], bag)
        reduced = block.toarray() if terms.components is None else block @ terms.components
        matrix[start : start + BLOCK] = unit_rows(np.asarray(reduced, np.float32), ROUNDING)
    return Encoded(matrix, np.asarray(matrix.any(axis=1)))


def weighted(terms: Terms, values: Cells, bag: Bag) -> sparse.csr_array:
    """TF-IDF (n, V), rows of length 1: (1 + log tf) idf, as scikit-learn's TfidfVectorizer with `sublinear_tf`."""
    rows, found = terms.rows, array("i")
    ptr = np.zeros(len(values) + 1, np.int32)
    for place, value in enumerate(values):
        found.extend([rows[term] for term in bag(value) if term in rows])
        ptr[place + 1] = len(found)
    ids = np.frombuffer(found, np.int32) if found else np.empty(0, np.int32)
    shape = (len(values), len(rows))
    matrix = sparse.csr_array((np.ones(len(ids), np.float32), ids, ptr), shape=shape, copy=True)
    matrix.sum_duplicates()  # now the numbers are counts
    weights = (1 + np.log(matrix.data)) * terms.idf[matrix.indices]
    owners = np.repeat(np.arange(len(values)), np.diff(matrix.indptr))
    squares = np.bincount(owners, weights**2, len(values))
    matrix.data = (weights / np.sqrt(squares[owners])).astype(np.float32)
    return matrix


def _count(bags: Iterator[Sequence[str]], min_df: int) -> dict[str, int]:
    """In how many bags each term occurs, where in at least `min_df`.

    Beyond MOST_COUNTED terms those counted once so far are forgotten, then those counted twice, and so on.
    """
    found: Counter[str] = Counter()
    least = 0
    for bag in bags:
        found.update(set(bag))
        while len(found) > MOST_COUNTED:
            least += 1
            found = Counter({term: n for term, n in found.items() if n > least})
    return {term: n for term, n in found.items() if n >= min_df}
