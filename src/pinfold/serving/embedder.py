"""Vectors for items that came after training, by whatever the generation's model makes them from. No torch."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from pinfold.arrays import Embeddings, Floats, Ints, unit, with_length
from pinfold.embedding.artifact import Artifact
from pinfold.features.encoders import Encoders, encode_row
from pinfold.graph.convolved import Convolved
from pinfold.graph.csr import Csr, from_pairs
from pinfold.graph.learned import Layered
from pinfold.index.fresh import FreshItems
from pinfold.models.fold_in import extend_layers, extend_vectors


@dataclass(frozen=True, slots=True)
class NewVectors:
    """What makes a new item findable."""

    item: Floats  # (D,) for users
    history: Floats  # (D,) what it adds to a user who takes it
    alike: Floats  # (D,) at length 1, for similar items


class Embedder(Protocol):
    """Makes vectors for one item at a time."""

    def __call__(self, attributes: Mapping[str, Any], users: Sequence[str]) -> NewVectors | str:
        """The vectors of an item that these users of the training data have, or why there are none.

        Raises:
            DataError: an attribute that is not known, or a value of another kind.
        """
        ...


def embedder_of(artifact: Artifact) -> Embedder:
    """How this artifact's model takes new items."""
    learned = artifact.learned
    if artifact.encoders is not None and isinstance(learned, Convolved | Embeddings):
        return ContentEmbedder(artifact, artifact.encoders)
    if isinstance(learned, Embeddings) and learned.takers is not None:
        return TakersEmbedder(artifact, learned)
    if isinstance(learned, Layered) and learned.takers:
        return TakersEmbedder(artifact, learned)
    return _cannot


def _cannot(attributes: Mapping[str, Any], users: Sequence[str]) -> str:  # noqa: ARG001
    return (
        "this model takes new items only when it is trained again; to have them found at once, train pinsage, "
        "content-knn, lightgcn or mf"
    )


class ContentEmbedder:
    """From attributes and first collections: PinSage and content-kNN."""

    def __init__(self, artifact: Artifact, encoders: Encoders) -> None:
        self._fresh = FreshItems(artifact)
        self._encoders = encoders
        learned = artifact.learned
        self._graph_counts = isinstance(learned, Convolved)
        self._exponent = learned.length_exponent if isinstance(learned, Convolved) else 1.0

    def __call__(self, attributes: Mapping[str, Any], users: Sequence[str]) -> NewVectors | str:
        """From what is known of the item; no vector where nothing is."""
        vector = self._fresh.vector(_used(self._encoders, attributes), users if self._graph_counts else ())[None, :]
        if not vector.any():
            return "none of its attributes says anything to this model; give one that it learned from"
        direction = unit(vector)[0]
        return NewVectors(with_length(vector, self._exponent)[0], direction, direction)


class TakersEmbedder:
    """From the users who took it: LightGCN, MF, NGCF and their like."""

    def __init__(self, artifact: Artifact, learned: Embeddings | Layered) -> None:
        self._users, self._learned = artifact.users, _without_items(learned)
        objective = tomllib.loads(artifact.run).get("model", {}).get("objective", {})
        self._exponent = float(objective.get("length_exponent", 1.0))

    def __call__(self, attributes: Mapping[str, Any], users: Sequence[str]) -> NewVectors | str:  # noqa: ARG002
        """From its users alone; no vector before the first one."""
        rows = np.unique(self._users.rows(users)).astype(np.int32)
        if not len(rows):
            return "this model knows items by who took them; it is found once a user of the training data has it"
        takers = self._takers(rows)
        if isinstance(self._learned, Layered):
            item = extend_layers(self._learned, takers, self._exponent).items[-1]
            return NewVectors(item, np.zeros_like(item), unit(item[None, :])[0])
        grown = extend_vectors(self._learned, takers, self._exponent)
        return NewVectors(grown.items[-1], grown.history[-1], unit(grown.items[-1:])[0])

    def _takers(self, rows: Ints) -> Csr:
        n = len(rows)
        return from_pairs(np.zeros(n, np.int32), rows, np.ones(n, np.float32), (1, len(self._users)))


def _without_items(learned: Embeddings | Layered) -> Embeddings | Layered:
    """The same without its old items, so that adding one copies none of them."""
    if isinstance(learned, Embeddings):
        return replace(learned, items=learned.items[:0], history=learned.history[:0])
    layers = tuple(replace(layer, items=layer.items[:0]) for layer in learned.layers)
    return replace(learned, items=learned.items[:0], layers=layers)


def content_of(encoders: Encoders, attributes: Mapping[str, Any]) -> Floats:
    """The features (F,) of an item with these attributes, whether the encoders know all of them or not."""
    return encode_row(encoders, _used(encoders, attributes))


def _used(encoders: Encoders, attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in attributes.items() if name in encoders.columns}
