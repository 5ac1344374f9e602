"""A generation: model, ids, features, graph, indexes and options of one artifact, loaded once and never changed."""

import hashlib
import tomllib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pinfold.artifacts import MANIFEST
from pinfold.embedding.artifact import Artifact, read_artifact
from pinfold.errors import ArtifactError
from pinfold.graph.bipartite import build_graph
from pinfold.graph.csr import Csr
from pinfold.index.interface import Indexes, Recommender
from pinfold.index.recommender import recommender
from pinfold.index.stored import Searched, open_indexes, searched
from pinfold.ranking.opening import two_stages
from pinfold.ranking.store import open_ranker
from pinfold.ranking.two_stage import TwoStageRecommender
from pinfold.serving.embedder import Embedder, embedder_of
from pinfold.serving.filters import Columns


@dataclass(frozen=True, slots=True)
class Generation:
    """Everything that answers need before anything was told to the service."""

    name: str  # of the folder
    mark: str  # name and content: what answers carry
    created: float  # unix seconds: what was accepted later, training did not know
    artifact: Artifact
    seen: Csr  # (U, I) what users have
    vectors: Searched | None  # that answers are found by
    indexes: Indexes | None  # None: the model has no vectors
    recommender: Recommender  # of the first stage
    stages: TwoStageRecommender | None  # both, where the artifact has a ranker
    embedder: Embedder
    model: str


def load_generation(path: Path) -> Generation:
    """The generation in a folder that `pinfold train` made, every file checked, ready to answer.

    Raises:
        ArtifactError: the folder is no artifact, or is damaged.
    """
    artifact = read_artifact(path)
    try:
        manifest = path / MANIFEST
        digest = hashlib.sha256(manifest.read_bytes()).hexdigest()
        written = manifest.stat().st_mtime
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read: {error}") from error
    known = build_graph(artifact.known())
    seen = known.user_items
    vectors = searched(artifact.learned)  # once: as large as the catalogue
    learned = artifact.learned if vectors is None else vectors
    indexes = open_indexes(path, learned)
    first = recommender(learned, seen, indexes)
    ranker = open_ranker(path, known.n_users, known.n_items)
    return Generation(
        name=path.name,
        mark=f"{path.name}@{digest[:12]}",
        created=float(artifact.metrics.get("created", written)),
        artifact=artifact,
        seen=seen,
        vectors=vectors,
        indexes=indexes,
        recommender=first,
        stages=None if ranker is None else two_stages(first, ranker, artifact, known),
        embedder=embedder_of(artifact),
        model=model_of(artifact),
    )


def model_of(artifact: Artifact) -> str:
    """The name of the artifact's model."""
    return str(tomllib.loads(artifact.run).get("model", {}).get("name", type(artifact.learned).__name__))


def warm(generation: Generation) -> None:
    """Ask once, so that nobody who asks later waits for what is loaded or compiled at first use."""
    artifact = generation.artifact
    if len(artifact.items):
        generation.recommender.similar(np.zeros(1, np.int32), 1)
        generation.embedder(Columns(artifact.item_table).row(0), artifact.users.all[:1].tolist())
