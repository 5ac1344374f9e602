"""An artifact as one recommender: two stages where it has a ranker, else the first alone."""

from pathlib import Path

from pinfold.embedding.artifact import Artifact
from pinfold.graph.bipartite import BipartiteGraph, build_graph
from pinfold.index.interface import Recommender
from pinfold.index.recommender import recommender
from pinfold.index.stored import open_indexes
from pinfold.ranking.store import open_ranker
from pinfold.ranking.two_stage import Ranker, Stages, TwoStageRecommender, item_content


def open_recommender(path: Path, artifact: Artifact) -> Recommender:
    """What answers for the artifact at `path`, already read: both stages, or the first alone where it has no ranker.

    Raises:
        ArtifactError: the ranker is damaged, or of another version.
    """
    graph = build_graph(artifact.known())
    stage_one = recommender(artifact.learned, graph.user_items, open_indexes(path, artifact.learned))
    ranker = open_ranker(path, graph.n_users, graph.n_items)
    return stage_one if ranker is None else two_stages(stage_one, ranker, artifact, graph)


def two_stages(
    stage_one: Recommender, ranker: Ranker, artifact: Artifact, known: BipartiteGraph | None = None
) -> TwoStageRecommender:
    """Both stages of an artifact.

    Args:
        stage_one: answers of the artifact's model.
        ranker: the artifact's, as `ranking.store.open_ranker` reads it.
        artifact: model, ids and events.
        known: the graph of `artifact.known()`, from whoever has made it already.
    """
    graph = build_graph(artifact.known()) if known is None else known
    content = item_content(artifact.learned, artifact.encoders)
    stages = Stages(
        stage_one, artifact.learned, graph, ranker.statistics, ranker.latest, ranker.candidates, content=content
    )
    return TwoStageRecommender(stages, ranker)
