"""The recommender for what a model learned."""

from pinfold.arrays import Embeddings, unit
from pinfold.graph.convolved import Convolved
from pinfold.graph.csr import Csr
from pinfold.graph.interests import Interests
from pinfold.graph.learned import Blend, DenseSimilarity, GraphFilter, ItemSimilarity, Layered, Learned
from pinfold.index.blends import BlendRecommender
from pinfold.index.dense import DenseRecommender
from pinfold.index.exact import ExactIndex
from pinfold.index.filters import FilterRecommender
from pinfold.index.interests import InterestRecommender
from pinfold.index.interface import Indexes, Recommender
from pinfold.index.layered import LayeredRecommender
from pinfold.index.similarities import SimilarityRecommender
from pinfold.index.vectors import EmbeddingRecommender


def recommender(learned: Learned, seen: Csr, indexes: Indexes | None = None) -> Recommender:
    """The recommender for what a model learned; `seen` (U, I) is never recommended to the user again.

    Models with vectors search in `indexes`; without, every item is scored. The others have no use for them.
    """
    match learned:
        case Embeddings():
            found = indexes or exact_indexes(learned)
            return EmbeddingRecommender(learned, seen, found.users, found.alike)
        case Layered():
            found = indexes or exact_indexes(learned)
            return LayeredRecommender(learned, seen, found.users, found.alike)
        case Interests():
            found = indexes or exact_indexes(learned)
            return InterestRecommender(learned, seen, found.users, found.alike)
        case Convolved():
            return recommender(learned.for_users(), seen, indexes)
        case ItemSimilarity():
            return SimilarityRecommender(learned.weights, learned.weights.transpose(), seen)
        case DenseSimilarity():
            return DenseRecommender(learned.weights, seen)
        case GraphFilter():
            return FilterRecommender(learned, seen)
        case Blend():
            return BlendRecommender(learned, seen.n_columns, seen)


def exact_indexes(learned: Embeddings | Layered | Interests) -> Indexes:
    """Every item is scored. To users, and to who has one item, the length of vectors counts; `similar` is direction."""
    return Indexes(ExactIndex(learned.items), ExactIndex(unit(learned.items)))
