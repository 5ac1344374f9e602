"""Recommendations by inner products of vectors."""

from dataclasses import dataclass

import numpy as np

from pinfold.arrays import Bools, Embeddings, Floats, Ints, TopK, unit
from pinfold.errors import ConfigError
from pinfold.graph.convolved import Convolved
from pinfold.graph.csr import Csr
from pinfold.graph.learned import Layered, Learned
from pinfold.index.exact import ExactIndex, itself
from pinfold.index.explanation import Explanation, checked_history, checked_user
from pinfold.index.interface import Index


@dataclass(frozen=True, slots=True)
class EmbeddingRecommender:
    """Scores are inner products of vectors."""

    embeddings: Embeddings
    seen: Csr  # (U, I)
    index: Index
    alike: Index  # of the item vectors at length 1

    def recommend(self, users: Ints, k: int, allowed: Bools | None = None) -> TopK:
        """By the users' own vectors."""
        return self.index.search(self.embeddings.users[users], k, self.seen.take(users), allowed)

    def recommend_new(self, histories: Csr, k: int, allowed: Bools | None = None) -> TopK:
        """By the sum of the history vectors of what they took; nothing for somebody who took nothing."""
        return search_new(self.index, newcomers(self.embeddings, histories), histories, k, allowed)

    def similar(self, items: Ints, k: int, allowed: Bools | None = None) -> TopK:
        """By the cosine of item vectors."""
        return search_alike(self.alike, self.embeddings.items, items, k, allowed)

    def explain(self, user: int, item: int) -> Explanation:
        """What the user would be told as a newcomer, and what their own vector adds to that.

        For LightGCN that learned inner products, and the items it learned from, the latter comes from the vector before
        any propagation.
        """
        known = self.explain_new(self.seen.row(checked_user(user, self.seen.n_rows)), item)
        score = self.embeddings.users[user].astype(np.float64) @ self.embeddings.items[item]
        return Explanation(known.items, known.terms, float(score) - known.score)

    def explain_new(self, history: Ints, item: int) -> Explanation:
        """The history vectors' inner products with the item's vector."""
        embeddings = self.embeddings
        items = checked_history(history, item, len(embeddings.items))
        products = embeddings.history[items] @ embeddings.items[item]
        scale = max(len(items), 1) ** -embeddings.history_exponent
        return Explanation(items, (products * np.float32(scale)).astype(np.float32))


def search_new(index: Index, queries: Floats, histories: Csr, k: int, allowed: Bools | None = None) -> TopK:
    """What suits the vectors (B, D) of people with these histories (B, I); nothing for somebody who took nothing."""
    found = index.search(queries, k, histories, allowed)
    nobody = histories.degrees() == 0
    found.ids[nobody], found.scores[nobody] = -1, -np.inf
    return found


def search_alike(index: Index, vectors: Floats, rows: Ints, k: int, allowed: Bools | None = None) -> TopK:
    """What is nearest to each of these rows of `vectors` (I, D) by the cosine, without itself.

    `index` holds the vectors at length 1.
    """
    return index.search(unit(vectors[rows]), k, itself(rows, len(vectors)), allowed)


def similar_users(users: Floats, rows: Ints, k: int) -> TopK:
    """The users (B, K) whose vectors (U, D) have the highest cosine with those of `rows` (B,), without themselves.

    A collection is a user, so these are "related boards". Nothing for a user whose vector is zero, as where the
    training part has nothing of them.
    """
    found = search_alike(ExactIndex(unit(users)), users, rows, k)
    nobody = ~users[rows].any(axis=1)
    found.ids[nobody], found.scores[nobody] = -1, -np.inf
    return found


def user_vectors(learned: Learned) -> Floats:
    """The one vector (U, D) that each user of the training part has.

    Raises:
        ConfigError: the model has no such vectors.
    """
    match learned:
        case Embeddings() | Layered():
            return learned.users
        case Convolved():
            return user_vectors(learned.vectors)
        case _:
            raise ConfigError(
                "this model has no single vector for each user, so users cannot be compared; train one that has: mf, "
                "lightgcn, ngcf, gcn, sgc, or pinsage with the mean for users"
            )


def newcomers(embeddings: Embeddings, histories: Csr) -> Floats:
    """The vectors (B, D) of people known only by what they took (B, I), each item counted once."""
    sums = histories.to_scipy().sign() @ embeddings.history
    scale = np.maximum(histories.degrees(), 1).astype(np.float32) ** -embeddings.history_exponent
    return np.asarray(sums * scale[:, None], np.float32)
