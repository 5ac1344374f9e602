"""Items that nobody has trained on: a vector from attributes and the first few collections, in milliseconds."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pinfold.arrays import Embeddings, Floats, TopK, unit
from pinfold.embedding.artifact import Artifact
from pinfold.errors import ConfigError
from pinfold.features.encoders import encode_row, indicators
from pinfold.graph.convolved import Convolved
from pinfold.graph.csr import from_pairs
from pinfold.graph.grow import fresh_vectors
from pinfold.graph.neighborhoods import walk_tables
from pinfold.index.exact import ExactIndex


class FreshItems:
    """Makes vectors of items that are not in an artifact, and finds what is like them.

    Raises:
        ConfigError: the artifact's model has no vectors that come from content.
    """

    def __init__(self, artifact: Artifact) -> None:
        learned = artifact.learned
        if artifact.encoders is None or not isinstance(learned, Convolved | Embeddings):
            raise ConfigError(
                "this model knows items only by who took them, so it has nothing to say of one that is not in its "
                "data; train pinsage or content-knn"
            )
        self._artifact, self._learned, self._encoders = artifact, learned, artifact.encoders
        self._index: ExactIndex | None = None
        self._tables = None
        if isinstance(learned, Convolved):
            self._tables = walk_tables(artifact.graph, learned.growth.neighborhood)

    def vector(self, attributes: Mapping[str, Any], users: Sequence[str] = ()) -> Floats:
        """The vector (D,) of an item with these attributes that these users (collections) have.

        Raises:
            ConfigError: users are given to a model of content alone.
            DataError: an unknown user, an attribute that is not known, or a value of another kind.
        """
        features = encode_row(self._encoders, attributes)[None, :]
        if isinstance(self._learned, Embeddings):
            if users:
                raise ConfigError("this model knows items by content alone; leave out who has the new one")
            features[:, indicators(self._encoders)] = 0  # see models.content_knn
            return np.asarray(unit(features)[0], np.float32)
        rows = np.unique(self._artifact.users.rows(users))
        shape = (1, len(self._artifact.users))
        collections = from_pairs(np.zeros(len(rows), np.int32), rows, np.ones(len(rows), np.float32), shape)
        found, _ = fresh_vectors(self._learned, self._artifact.graph, features, collections, self._tables)
        return np.asarray(found[0], np.float32)

    def similar(self, attributes: Mapping[str, Any], users: Sequence[str], k: int) -> TopK:
        """The K old items most like it, as `similar` finds them. Shape (1, K).

        Raises:
            DataError: see `vector`.
        """
        vector = self.vector(attributes, users)[None, :]
        if self._index is None:  # whoever only wants vectors does without
            learned = self._learned
            self._index = ExactIndex(unit((learned.vectors if isinstance(learned, Convolved) else learned).items))
        return self._index.search(unit(vector), k)
