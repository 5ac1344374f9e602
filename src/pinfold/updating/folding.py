"""Models other than networks: new items are folded in as `models.shelf.extend` can, users from what they have."""

from dataclasses import replace

import numpy as np

from pinfold.arrays import Embeddings, Floats, Ints
from pinfold.data.interactions import Interactions
from pinfold.embedding.artifact import Artifact
from pinfold.graph.convolved import Convolved
from pinfold.graph.csr import Csr
from pinfold.graph.interests import Interests
from pinfold.graph.learned import Blend, Layered, Learned
from pinfold.graph.merging import Merged
from pinfold.graph.passing import joined, pass_layers
from pinfold.index.vectors import newcomers
from pinfold.models.content_knn import ContentKNNConfig
from pinfold.models.shelf import ModelConfig, extend
from pinfold.updating.network import changed_histories, interests


def fold(
    artifact: Artifact, model: ModelConfig, merged: Merged, features: tuple[Ints, Floats], events: Interactions
) -> tuple[Learned, Ints, list[str]]:
    """What a model learned, with new items and users behind the others.

    Args:
        artifact: the model before.
        model: its options.
        merged: the graph, with what came.
        features: rows and (n, F) features of new items and of those whose attributes changed.
        events: what came.

    Returns:
        The model, items whose vectors are new, and notes for people.

    Raises:
        ConfigError: the model cannot take new items.
    """
    n_old, n = len(artifact.items), merged.graph.n_items
    learned, new = artifact.learned, np.arange(n_old, n, dtype=np.int32)
    rows, made = features
    if len(new):
        takers = merged.graph.item_users.take(new)
        among_old = takers.only(takers.ids < len(artifact.users))
        takers = Csr(among_old.ptr, among_old.ids, among_old.weights, len(artifact.users))
        of_new = made[np.searchsorted(rows, new)] if len(rows) else None
        learned = extend(model, learned, artifact.graph, takers, of_new)
    notes = ["old items keep what training gave them; new items are made from who took them or from their attributes"]
    told = rows[rows < n_old]
    if len(told):
        learned, new = _retold(model, artifact, learned, told, made[: len(told)], new)
        if not isinstance(model, ContentKNNConfig):
            notes.append("changed attributes of old items are stored, but no vector follows them; train to have that")
    learned = with_users(learned, merged, events)
    if merged.graph.n_users > len(artifact.users) and _from_takers(learned):
        notes.append("users who are new say nothing yet of items that come after them; train to have that")
    return learned, new, notes


def with_users(learned: Learned, merged: Merged, events: Interactions) -> Learned:
    """The model with users made from their histories where these changed, as who comes to a service gets theirs."""
    n_users = merged.graph.n_users
    match learned:
        case Embeddings():
            rows, histories = _changed(merged, len(learned.users))
            users = _longer(learned.users, n_users)
            users[rows] = newcomers(learned, histories)
            takers = learned.takers
            if takers is not None:
                kept = _longer(takers.items, n_users), _longer(takers.history, n_users)
                takers = replace(takers, items=kept[0], history=kept[1])
            return replace(learned, users=users, takers=takers)
        case Layered():
            rows, histories = _changed(merged, len(learned.users))
            users = _longer(learned.users, n_users)
            users[rows] = joined(learned, pass_layers(learned, learned.layers, histories))
            layers = tuple(replace(layer, items=_longer(layer.items, n_users)) for layer in learned.takers)
            return replace(learned, users=users, takers=layers)
        case Interests():
            return interests(learned, merged, events)[0]
        case Convolved():
            vectors = with_users(learned.vectors, merged, events)
            users = _longer(learned.users, n_users)
            return replace(learned, vectors=vectors, users=users)  # type: ignore[arg-type]
        case Blend():
            return replace(learned, members=tuple(with_users(one, merged, events) for one in learned.members))
        case _:  # scores come from the history itself
            return learned


def _changed(merged: Merged, n_old: int) -> tuple[Ints, Csr]:
    rows = np.flatnonzero(changed_histories(merged, n_old)).astype(np.int32)
    return rows, merged.graph.user_items.take(rows)


def _longer(table: Floats, n: int) -> Floats:
    """A copy (n, D) with zeros behind the old rows."""
    made = np.zeros((n, table.shape[1]), np.float32)
    made[: len(table)] = table
    return made


def _retold(
    model: ModelConfig, artifact: Artifact, learned: Learned, told: Ints, made: Floats, new: Ints
) -> tuple[Learned, Ints]:
    """Old items with other attributes, for the model that is made of attributes alone."""
    if not (isinstance(model, ContentKNNConfig) and isinstance(learned, Embeddings)):
        return learned, new
    nobody = Csr(np.zeros(len(told) + 1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32), len(artifact.users))
    again = extend(model, artifact.learned, artifact.graph, nobody, made)
    items = learned.items.copy()
    items[told] = again.items[-len(told) :]  # type: ignore[union-attr]
    return replace(learned, items=items, history=items), np.union1d(told, new).astype(np.int32)


def _from_takers(learned: Learned) -> bool:
    """Whether new items are made from vectors of users."""
    match learned:
        case Embeddings() | Layered():
            return bool(learned.takers)
        case Blend():
            return any(map(_from_takers, learned.members))
        case _:
            return False
