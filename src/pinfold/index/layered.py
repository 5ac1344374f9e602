"""Recommendations by inner products of vectors, where newcomers pass through the model's frozen layers."""

from dataclasses import dataclass

import numpy as np

from pinfold.arrays import Bools, Floats, Ints, TopK
from pinfold.errors import ConfigError
from pinfold.graph.csr import Csr
from pinfold.graph.learned import Layered
from pinfold.graph.passing import joined, pass_layers
from pinfold.index.explanation import Explanation, checked_history, checked_user
from pinfold.index.interface import Index
from pinfold.index.vectors import search_alike, search_new

NO_SUM = (
    "this model's scores are no sum over a history, since its layers are not linear; to explain, train one whose "
    "scores are: lightgcn, sgc, mf, ease, slim, item-knn, rp3beta, gf-cf, chebycf"
)


@dataclass(frozen=True, slots=True)
class LayeredRecommender:
    """Scores are inner products of vectors."""

    learned: Layered
    seen: Csr  # (U, I)
    index: Index
    alike: Index  # of the item vectors at length 1

    def recommend(self, users: Ints, k: int, allowed: Bools | None = None) -> TopK:
        """By the users' own vectors."""
        return self.index.search(self.learned.users[users], k, self.seen.take(users), allowed)

    def recommend_new(self, histories: Csr, k: int, allowed: Bools | None = None) -> TopK:
        """By the vectors that the layers make of the histories (B, I); nothing for somebody who took nothing."""
        return search_new(self.index, propagate(self.learned, histories), histories, k, allowed)

    def similar(self, items: Ints, k: int, allowed: Bools | None = None) -> TopK:
        """By the cosine of item vectors."""
        return search_alike(self.alike, self.learned.items, items, k, allowed)

    def explain(self, user: int, item: int) -> Explanation:
        """What the user would be told as a newcomer, and what their own vector adds to that."""
        known = self.explain_new(self.seen.row(checked_user(user, self.seen.n_rows)), item)
        score = self.learned.users[user].astype(np.float64) @ self.learned.items[item]
        return Explanation(known.items, known.terms, float(score - known.terms.sum(dtype=np.float64)))

    def explain_new(self, history: Ints, item: int) -> Explanation:
        """Where all layers are linear: what each item of the history alone leads to, in a history of this length.

        Raises:
            ConfigError: a layer is not linear, so that items tell something together which none of them tells.
        """
        items = checked_history(history, item, len(self.learned.items))
        if not _is_linear(self.learned):
            raise ConfigError(NO_SUM)
        n = len(items)
        ptr = np.minimum(np.arange(n + 2, dtype=np.int64), n)  # a row each, and one with nothing: what biases add
        each = Csr(ptr, items, np.ones(n, np.float32), len(self.learned.items))
        layers = pass_layers(self.learned, self.learned.layers, each, np.full(n + 1, n, np.int64))
        scores = joined(self.learned, layers) @ self.learned.items[item]
        return Explanation(items, (scores[:n] - scores[n]).astype(np.float32), float(scores[n]))


def _is_linear(learned: Layered) -> bool:
    linear = all(layer.slope == 1 and not layer.weights[2].any() for layer in learned.layers)
    return linear and not learned.unit_layers


def propagate(learned: Layered, histories: Csr) -> Floats:
    """The vectors (B, D) of newcomers with these histories (B, I), each item counted once."""
    return joined(learned, pass_layers(learned, learned.layers, histories))
