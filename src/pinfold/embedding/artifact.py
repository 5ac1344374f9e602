"""The artifact: everything that answers need, and everything that judges them, in one folder."""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from pinfold.arrays import Embeddings, Floats
from pinfold.artifacts import Folder, FolderWriter, open_folder, writing
from pinfold.data.interactions import Interactions
from pinfold.data.splits import Part, Sealed
from pinfold.data.tables import Table, read_table, write_table
from pinfold.data.vocab import Vocab
from pinfold.embedding.store import read_learned, write_learned
from pinfold.errors import ArtifactError
from pinfold.features.encoders import Encoders
from pinfold.features.store import read_encoders, write_encoders
from pinfold.graph.bipartite import BipartiteGraph, read_graph, write_graph
from pinfold.graph.convolved import Convolved
from pinfold.graph.interests import Interests
from pinfold.graph.learned import Blend, DenseSimilarity, GraphFilter, ItemSimilarity, Layered, Learned

KIND = "artifact"
FEATURES = "feature_"  # what names of encoders' files begin with
USER_FEATURES = "user_feature_"  # and those of users'


@dataclass(frozen=True, slots=True)
class Artifact:
    """A trained model with its ids, its graph, its sealed test part, its options and its numbers."""

    learned: Learned
    graph: BipartiteGraph  # what the model learned from
    valid: Interactions  # events that selected the model and that it did not learn from; empty after a refit
    test: Sealed | None
    users: Vocab
    items: Vocab
    user_table: Table
    item_table: Table
    run: str  # the resolved run file, TOML
    metrics: dict[str, Any]
    encoders: Encoders | None = None  # of item attributes, for models that learn from content
    user_encoders: Encoders | None = None  # of user attributes, for networks that know features of users

    def known(self) -> Interactions:
        """Every event but those of the test part: what users have, and should not be recommended again."""
        return _known(self.graph, self.valid)


def write_artifact(
    path: Path, artifact: Artifact, parameters: dict[str, Floats],
    more: Callable[[FolderWriter], object] = lambda _: None, *, replace: bool = False,
) -> None:  # fmt: skip
    """Write the artifact as a folder; `parameters` go to model.safetensors, from which training can start again.

    `more` writes what other rooms keep in it, as indexes.

    Raises:
        ArtifactError: the folder exists, or the file system refuses.
    """
    with writing(path, KIND, replace=replace) as folder:
        write_learned(folder, artifact.learned)
        write_graph(folder, artifact.graph)
        if artifact.encoders is not None:
            write_encoders(folder, artifact.encoders, FEATURES)
        if artifact.user_encoders is not None:
            write_encoders(folder, artifact.user_encoders, USER_FEATURES)
        _write_events(folder, "valid", artifact.valid)
        if artifact.test is not None:
            part = artifact.test.peek_for_storage()
            _write_events(folder, "test_target", part.target)
            if part.new_users:
                _write_events(folder, "test_given", part.given)
        write_table(folder.path("users.parquet"), artifact.users, artifact.user_table)
        write_table(folder.path("items.parquet"), artifact.items, artifact.item_table)
        if parameters:
            save_file(parameters, folder.path("model.safetensors"))
        folder.text("run.toml", artifact.run)
        folder.json("metrics.json", artifact.metrics)
        more(folder)


def read_artifact(path: Path) -> Artifact:
    """The artifact in a folder, its arrays memory-mapped.

    Raises:
        ArtifactError: names the file that is missing, damaged or does not fit the others.
    """
    folder = open_folder(path, KIND)
    users, user_table = read_table(folder.file("users.parquet"), "user")
    items, item_table = read_table(folder.file("items.parquet"), "item")
    graph, learned = read_graph(folder), read_learned(folder)
    sizes = (len(users), len(items))
    if (graph.n_users, graph.n_items) != sizes or not _fits(learned, *sizes):
        raise ArtifactError(f"{path}: ids, graph and vectors are of different sizes; restore it from its source")
    valid = _read_events(folder, "valid", sizes)
    return Artifact(
        learned, graph, valid, _read_test(folder, graph, valid), users, items, user_table, item_table,
        folder.text("run.toml"), folder.json("metrics.json"),
        *(read_encoders(folder, prefix) if folder.has(f"{prefix}encoders.json") else None
          for prefix in (FEATURES, USER_FEATURES)),
    )  # fmt: skip


def replace_metrics(path: Path, metrics: dict[str, Any]) -> None:
    """Put other metrics into the artifact at `path`; every other file stays as it is.

    Raises:
        ArtifactError: the artifact is damaged, or the file system refuses.
    """
    rewrite(path, lambda writer: writer.json("metrics.json", metrics), lambda name: name == "metrics.json")


def rewrite(path: Path, write: Callable[[FolderWriter], None], drops: Callable[[str], bool]) -> None:
    """Write files into the artifact at `path` in place of those that `drops` names; every other file stays as it is.

    Raises:
        ArtifactError: the artifact is damaged, or the file system refuses.
    """
    folder = open_folder(path, KIND)
    with writing(path, KIND, replace=True) as writer:
        for name in folder.files:
            if not drops(name):
                link(folder.file(name), writer.path(name))
        write(writer)


def _fits(learned: Learned, n_users: int, n_items: int) -> bool:
    match learned:
        case Embeddings() | Layered():
            return len(learned.users) == n_users and len(learned.items) == n_items
        case Interests():
            return learned.n_users == n_users and len(learned.items) == n_items
        case Convolved():
            return _fits(learned.vectors, n_users, n_items)
        case ItemSimilarity():
            return learned.weights.n_rows == n_items
        case DenseSimilarity():
            return len(learned.weights) == n_items
        case GraphFilter():
            return learned.normalized.n_columns == n_items
        case Blend():
            return all(_fits(member, n_users, n_items) for member in learned.members)


def link(source: Path, target: Path) -> None:
    """The same file under a second name, or a copy where the file system has no links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _known(graph: BipartiteGraph, valid: Interactions) -> Interactions:
    edges = graph.user_items
    users = np.repeat(np.arange(edges.n_rows, dtype=np.int32), edges.degrees())
    return Interactions.of(users, np.array(edges.ids), edges.n_rows, edges.n_columns).join(valid)


def _read_test(folder: Folder, graph: BipartiteGraph, valid: Interactions) -> Sealed | None:
    if not folder.has("test_target_users.npy"):
        return None
    sizes = (graph.n_users, graph.n_items)
    new_users = folder.has("test_given_users.npy")
    given = _read_events(folder, "test_given", sizes) if new_users else _known(graph, valid)
    return Sealed(Part(given, _read_events(folder, "test_target", sizes), new_users))


def _write_events(folder: FolderWriter, name: str, events: Interactions) -> None:
    folder.array(f"{name}_users.npy", events.users)
    folder.array(f"{name}_items.npy", events.items)


def _read_events(folder: Folder, name: str, sizes: tuple[int, int]) -> Interactions:
    users = folder.array(f"{name}_users.npy", np.int32, -1)
    items = folder.array(f"{name}_items.npy", np.int32, -1)
    try:
        return Interactions.of(users, items, *sizes)
    except ValueError as error:
        raise ArtifactError(f"{folder.path}: the files {name}_*.npy do not fit: {error}") from error
