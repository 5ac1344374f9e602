"""What an index is, and what a recommender is."""

from dataclasses import dataclass
from typing import Protocol

from pinfold.arrays import Bools, Floats, Ints, TopK
from pinfold.graph.csr import Csr
from pinfold.index.explanation import Explanation


class Index(Protocol):
    """Finds the items with the highest inner products."""

    def search(self, queries: Floats, k: int, exclude: Csr | None = None, allowed: Bools | None = None) -> TopK:
        """The K best items of each query (B, D), without those in the rows of `exclude` (B, I).

        With `allowed` (I,) only items for which it is true. K rows come back wherever so many are left.
        """
        ...


@dataclass(frozen=True, slots=True)
class Indexes:
    """The indexes of a model with vectors; where all of these have length 1 they may be one and the same."""

    users: Index  # of item vectors as they are
    alike: Index  # of item vectors at length 1


class Recommender(Protocol):
    """Answers who should see what. Evaluated and served as one object.

    With `allowed` (I,) only items for which it is true are returned.
    """

    def recommend(self, users: Ints, k: int, allowed: Bools | None = None) -> TopK:
        """The K best items for users of the training part, by row, without the items they are known to have."""
        ...

    def recommend_new(self, histories: Csr, k: int, allowed: Bools | None = None) -> TopK:
        """The K best items for people known only by what they took (B, I), without these items."""
        ...

    def similar(self, items: Ints, k: int, allowed: Bools | None = None) -> TopK:
        """The K items most like each of these, without itself."""
        ...

    def explain(self, user: int, item: int) -> Explanation:
        """The score of an item for a user of the training part, as a sum over the items they are known to have.

        Raises:
            ValueError: a row out of range.
            ConfigError: the model's scores are no such sum.
        """
        ...

    def explain_new(self, history: Ints, item: int) -> Explanation:
        """The score of an item for somebody known only by the items (h,) they took; an item counts once.

        Raises:
            ValueError: a row out of range.
            ConfigError: the model's scores are no such sum.
        """
        ...
