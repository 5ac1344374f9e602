"""Features of what came, made by the encoders of training."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pinfold.arrays import Floats, Ints
from pinfold.artifacts import FolderWriter, open_folder
from pinfold.data.columns import Column
from pinfold.data.tables import Table
from pinfold.embedding.artifact import KIND, Artifact
from pinfold.errors import ConfigError
from pinfold.features.content import fit_table
from pinfold.features.encoders import Encoders, blocks, encode
from pinfold.features.store import read_encoders, write_encoders
from pinfold.features.vectors import Vectors
from pinfold.graph.convolved import Convolved
from pinfold.run import RunConfig
from pinfold.updating.arriving import Arrived, Told, joined

PREFIX = "userfeature_"  # of the files with the encoders of users, which only an updated artifact has


def item_features(artifact: Artifact, arrived: Arrived) -> tuple[Ints, Floats]:
    """The features (n, F) of items that came or of which a table spoke, and their rows, rising.

    Raises:
        DataError: a value is not what its column holds.
    """
    encoders = artifact.encoders
    if encoders is None:
        return np.zeros(0, np.int32), np.zeros((0, 0), np.float32)
    n_old, told = len(artifact.items), arrived.of_items
    rows = np.union1d(told.rows, np.arange(n_old, len(arrived.items))).astype(np.int32)
    made = _encoded(encoders, arrived.item_table, told, rows, arrived.items.all[rows])
    known = rows < n_old
    if isinstance(artifact.learned, Convolved) and known.any():  # vectors that stand in a file beside the table
        for name, place in blocks(encoders).items():
            if name not in told.columns:
                made[known, place] = artifact.learned.inputs[0][rows[known], place]
    return rows, made


def user_features(artifact: Artifact, arrived: Arrived, encoders: Encoders | None) -> tuple[Floats, Ints]:
    """The features (U', F') of all users, and the rows of those that are new or of which a table spoke.

    Raises:
        DataError: a value is not what its column holds.
    """
    old = artifact.learned.users if isinstance(artifact.learned, Convolved) else np.zeros((0, 0), np.float32)
    n_old, told = len(artifact.users), arrived.of_users
    rows = np.union1d(told.rows, np.arange(n_old, len(arrived.users))).astype(np.int32)
    made = np.zeros((len(arrived.users), old.shape[1]), np.float32)
    made[: len(old)] = old
    if encoders is not None and len(rows):
        made[rows] = _encoded(encoders, arrived.user_table, told, rows, arrived.users.all[rows])
    return made, rows


def user_encoders(path: Path, artifact: Artifact, run: RunConfig) -> Encoders | None:
    """The encoders of users' attributes; None for a network that does not know these.

    Training does not store them: the first update fits them again on the same rows, and checks that they give the same;
    updates store them.

    Raises:
        ConfigError: they give other features than training's.
    """
    if not isinstance(artifact.learned, Convolved) or not artifact.learned.users.shape[1]:
        return None
    folder = open_folder(path, KIND, lambda name: name.startswith(PREFIX))
    if folder.has(f"{PREFIX}encoders.json"):
        return read_encoders(folder, PREFIX)
    seen = np.flatnonzero(artifact.graph.user_items.degrees()).astype(np.int32)
    ids = artifact.users.all
    encoders, made = fit_table(run.features, artifact.user_table, seen, "users", run.seed, ids)
    if made.shape != artifact.learned.users.shape or not np.allclose(made, artifact.learned.users, atol=1e-4):
        raise ConfigError(f"{path}: the features of its users cannot be made again as training made them; train again")
    return encoders


def write_user_encoders(folder: FolderWriter, encoders: Encoders | None) -> None:
    """For the next update."""
    if encoders is not None:
        write_encoders(folder, encoders, PREFIX)


def _encoded(encoders: Encoders, table: Table, told: Told, rows: Ints, ids: Any) -> Floats:
    """The features of some rows; what no table said of them is missing."""
    columns: dict[str, Column] = {}
    chosen: Mapping[str, Any] = {name: _inside(block) for name, block in encoders.columns.items()}
    for name in chosen:
        columns[name] = table.columns[name][rows] if name in table.columns else np.full(len(rows), None, object)
        if name in told.vectors:
            places = np.searchsorted(rows, told.rows).astype(np.int32)
            columns[name] = joined(columns[name], len(rows), places, told.vectors[name])
    return encode(replace(encoders, columns=chosen), Table(columns, len(rows)), ids)


def _inside(block: Any) -> Any:
    """The block, looking for its values in the table."""
    if isinstance(block.encoder, Vectors) and block.encoder.path is not None:
        return replace(block, encoder=replace(block.encoder, path=None))
    return block
