"""The recommender for what a model learned."""

from pinfold.arrays import Embeddings
from pinfold.graph.csr import Csr
from pinfold.graph.learned import GraphFilter, ItemSimilarity, Learned
from pinfold.index.exact import ExactIndex
from pinfold.index.filters import FilterRecommender
from pinfold.index.interface import Recommender
from pinfold.index.similarities import SimilarityRecommender
from pinfold.index.vectors import EmbeddingRecommender, unit


def recommender(learned: Learned, seen: Csr) -> Recommender:
    """The recommender for what a model learned; `seen` (U, I) is never recommended to the user again."""
    match learned:
        case Embeddings():
            return EmbeddingRecommender(learned, seen, ExactIndex(learned.items), unit(learned.items))
        case ItemSimilarity():
            return SimilarityRecommender(learned.weights, learned.weights.transpose(), seen)
        case GraphFilter():
            return FilterRecommender(learned, seen)
