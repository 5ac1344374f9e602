"""What each kind of model can do besides ranking: facts about the form of what it learned."""

from dataclasses import dataclass, replace

from pinfold.arrays import Embeddings
from pinfold.graph.convolved import Convolved
from pinfold.graph.interests import Interests
from pinfold.graph.learned import Blend, DenseSimilarity, GraphFilter, ItemSimilarity, Layered, Learned
from pinfold.models.content_knn import ContentKNNConfig
from pinfold.models.shelf import ModelConfig


@dataclass(frozen=True, slots=True)
class Abilities:
    """What can be done without training again."""

    new_users: bool  # answer somebody who came after training, from what they took
    new_items: bool  # recommend an item that nobody has taken yet
    explain: bool  # the score is a sum of one term for each item of the history
    index: bool  # scores are inner products, so an approximate index can search them


# A model whose learned type is missing here fails a test.
ABILITIES: dict[type, Abilities] = {
    Embeddings: Abilities(new_users=True, new_items=False, explain=True, index=True),
    Layered: Abilities(new_users=True, new_items=False, explain=False, index=True),
    Convolved: Abilities(new_users=True, new_items=True, explain=True, index=True),
    Interests: Abilities(new_users=True, new_items=False, explain=True, index=True),
    ItemSimilarity: Abilities(new_users=True, new_items=False, explain=True, index=False),
    DenseSimilarity: Abilities(new_users=True, new_items=False, explain=True, index=False),
    GraphFilter: Abilities(new_users=True, new_items=False, explain=True, index=False),
    Blend: Abilities(new_users=True, new_items=False, explain=False, index=False),
}


def abilities(config: ModelConfig, learned: Learned) -> Abilities:
    """What a model that learned this can do. Content-kNN leaves vectors as others do, but of what items are."""
    found = ABILITIES[type(learned)]
    return replace(found, new_items=True) if isinstance(config, ContentKNNConfig) else found
