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
from pinfold.index.interface import Recommender
from pinfold.index.layered import LayeredRecommender
from pinfold.index.similarities import SimilarityRecommender
from pinfold.index.vectors import EmbeddingRecommender


def recommender(learned: Learned, seen: Csr) -> Recommender:
    """The recommender for what a model learned; `seen` (U, I) is never recommended to the user again."""
    match learned:
        case Embeddings():
            return EmbeddingRecommender(learned, seen, ExactIndex(learned.items), unit(learned.items))
        case Layered():
            return LayeredRecommender(learned, seen, ExactIndex(learned.items), unit(learned.items))
        case Convolved():
            return _of_network(learned, seen)
        case Interests():
            return InterestRecommender(learned, seen, ExactIndex(learned.items), unit(learned.items))
        case ItemSimilarity():
            return SimilarityRecommender(learned.weights, learned.weights.transpose(), seen)
        case DenseSimilarity():
            return DenseRecommender(learned.weights, seen)
        case GraphFilter():
            return FilterRecommender(learned, seen)
        case Blend():
            return BlendRecommender(learned, seen.n_columns, seen)


def _of_network(learned: Convolved, seen: Csr) -> Recommender:
    """Items are alike by direction; to users, and to who has one item, the length of vectors counts too."""
    items = unit(learned.vectors.items)
    match learned.for_users():
        case Embeddings() as vectors:
            return EmbeddingRecommender(vectors, seen, ExactIndex(vectors.items), items)
        case Interests() as interests:
            return InterestRecommender(interests, seen, ExactIndex(interests.items), items)
