"""Scores of all items at once, for those who add or compare them. Ranking alone is cheaper through a Recommender."""

import numpy as np

from pinfold.arrays import Embeddings, Floats, Ints
from pinfold.graph.convolved import Convolved
from pinfold.graph.csr import Csr
from pinfold.graph.interests import Interests
from pinfold.graph.learned import Blend, DenseSimilarity, GraphFilter, ItemSimilarity, Layered, Learned
from pinfold.index.filters import smooth
from pinfold.index.interests import asked, asked_new, interest_scores
from pinfold.index.layered import propagate
from pinfold.index.vectors import newcomers
from pinfold.kernels.products import multiply


def scores(learned: Learned, users: Ints, histories: Csr) -> Floats:
    """The scores (B, I) of users of the training part, by their own vectors where the model has such."""
    match learned:
        case Embeddings() | Layered():
            return np.asarray(learned.users[users] @ learned.items.T, np.float32)
        case Convolved():
            return scores(learned.for_users(), users, histories)
        case Interests():
            return interest_scores(learned, asked(learned, users))
        case Blend():
            return blended(learned, [scores(member, users, histories) for member in learned.members])
        case _:
            return scores_new(learned, histories)


def scores_new(learned: Learned, histories: Csr) -> Floats:
    """The scores (B, I) of people known only by what they took (B, I), each item counted once."""
    match learned:
        case Embeddings():
            return np.asarray(newcomers(learned, histories) @ learned.items.T, np.float32)
        case Layered():
            return np.asarray(propagate(learned, histories) @ learned.items.T, np.float32)
        case Convolved():
            return scores_new(learned.for_users(), histories)
        case Interests():
            return interest_scores(learned, asked_new(learned, histories))
        case ItemSimilarity():
            return np.asarray((histories.to_scipy().sign() @ learned.weights.to_scipy()).toarray(), np.float32)
        case DenseSimilarity():
            return multiply(histories.ptr, histories.ids, np.ones(len(histories.ids), np.float32), learned.weights)
        case GraphFilter():
            return smooth(learned, histories)
        case Blend():
            return blended(learned, [scores_new(member, histories) for member in learned.members])


def blended(learned: Blend, parts: list[Floats]) -> Floats:
    """The weighted sum of scores (B, I), each row brought to mean 0 and deviation 1; a row of equal scores adds 0."""
    total = np.zeros_like(parts[0])
    for weight, part in zip(learned.weights.tolist(), parts, strict=True):
        middle = part.mean(axis=1, keepdims=True, dtype=np.float64).astype(np.float32)
        spread = part.std(axis=1, keepdims=True, dtype=np.float64).astype(np.float32)
        total += np.divide(np.float32(weight), spread, out=np.zeros_like(spread), where=spread > 0) * (part - middle)
    return total
