"""An artifact and what came since: a new artifact, of which only what changed was computed."""

import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pinfold.arrays import Floats, Ints
from pinfold.artifacts import FolderWriter, check_place, open_folder
from pinfold.data.interactions import Interactions
from pinfold.data.readers import ImportConfig
from pinfold.data.vocab import Vocab
from pinfold.embedding.artifact import KIND, Artifact, read_artifact, write_artifact
from pinfold.errors import ArtifactError, ConfigError, DataError
from pinfold.features.content import Content
from pinfold.features.encoders import Encoders
from pinfold.graph.bipartite import build_graph
from pinfold.graph.convolved import Convolved
from pinfold.graph.learned import Learned
from pinfold.graph.merging import Merged, among, merge_graph
from pinfold.index.renewing import renew_indexes, searched_vectors
from pinfold.memory import peak_memory
from pinfold.models.pinsage import PinSageConfig
from pinfold.models.shelf import ModelConfig
from pinfold.progress import SILENT, Progress
from pinfold.run import RunConfig, stored_run
from pinfold.updating.arriving import Arrived, Arriving, read_arrived
from pinfold.updating.config import UpdateConfig
from pinfold.updating.drift import drift
from pinfold.updating.features import item_features, user_encoders, user_features, write_user_encoders
from pinfold.updating.folding import fold
from pinfold.updating.going_on import stored_parameters, train_on
from pinfold.updating.network import Features, all_features, update_network
from pinfold.updating.scratch import Scratch

OWED = "update_owed.npy"
DEFAULT = UpdateConfig()
KEPT = ("training", "sample")  # metrics that stay true
NO_TABLE = "the artifact had no neighborhoods stored (an older version made it), so all of them were made afresh"
PRUNED = (
    "neighborhood.prune is below 1, and a new edge changes which old ones are walked, so all neighborhoods were made "
    "afresh"
)


@dataclass(frozen=True, slots=True)
class _Result:
    """What an update makes of the model."""

    learned: Learned
    moved: Ints  # items that have another vector than before, or a first one
    parameters: dict[str, Floats]
    report: dict[str, Any]
    owed: Floats | None = None
    encoders: Encoders | None = None  # of users


def update_artifact(
    path: Path, arriving: Arriving, out: Path, imports: ImportConfig, config: UpdateConfig = DEFAULT,
    *, replace_old: bool = False, progress: Progress = SILENT,
) -> dict[str, Any]:  # fmt: skip
    """Write to `out` the artifact at `path` with what came since, and say what was done.

    Old users and items keep their rows; new ones follow. Weights of a pair that was there are added up. The new
    artifact has no test part, since what came may hold the answers, and what was held out of its training is not
    learned now either, unless it is among what came. A second stage (train-ranker) does not go along.

    Returns:
        What metrics.json holds under `update`.

    Raises:
        DataError: what came is not what it should be, or nothing came.
        ConfigError: options that contradict each other, or a model that cannot be updated.
        ArtifactError: the artifact is damaged, `out` exists, or the file system refuses.
    """
    started = time.time()
    check_place(out, KIND, replace=replace_old)
    try:
        out.resolve().parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{out.name}.", suffix=".update", dir=out.resolve().parent) as place:
            scratch = Scratch(Path(place), progress)
            return _update(path, arriving, out, imports, config, scratch, started, replace_old=replace_old)
    except OSError as error:
        raise ArtifactError(f"{out}: cannot be written: {error}") from error


def _update(
    path: Path, arriving: Arriving, out: Path, imports: ImportConfig, config: UpdateConfig, scratch: Scratch,
    started: float, *, replace_old: bool,
) -> dict[str, Any]:  # fmt: skip
    with scratch.stage("reading"):
        artifact = read_artifact(path)
        run = stored_run(artifact.run, path)
        _check(artifact, run, config, path)
        arrived = read_arrived(artifact, arriving, imports, scratch.place, lambda _: None)
        _check_news(arrived)
    with scratch.stage("graph"):
        merged = merge_graph(artifact.graph, arrived.events)
    number = int(artifact.metrics.get("update", {}).get("number", 0)) + 1
    result = _model(path, artifact, run, arrived, merged, config, number, scratch)
    old, new = searched_vectors(artifact.learned), searched_vectors(result.learned)
    with scratch.stage("drift"):
        moves = drift(old, new, result.moved, run.seed) if old is not None and new is not None else None
    counts = _counts(artifact, arrived, merged)
    report = {"number": number, "theta": config.theta, "tolerance": config.tolerance, **counts, **result.report,
              "drift": moves}  # fmt: skip
    kept = {name: artifact.metrics[name] for name in KEPT if name in artifact.metrics}
    made = Artifact(
        result.learned, merged.graph, _valid(artifact.valid, merged), None, arrived.users, arrived.items,
        arrived.user_table, arrived.item_table, artifact.run, {}, artifact.encoders,
    )  # fmt: skip

    def more(folder: FolderWriter) -> None:
        with scratch.stage("index"):
            if old is None:
                report["index"] = None
            else:
                figures = renew_indexes(folder, result.learned, run.index, run.seed, path, old, result.moved)
                report["index"] = "kept clusters" if figures and "clustered" in figures else "built"
        if result.owed is not None:
            folder.array(OWED, result.owed)
        write_user_encoders(folder, result.encoders)
        report["stage_seconds"] = dict(scratch.seconds)
        told = {"created": started, "seconds": round(time.time() - started, 3), "peak_memory_bytes": peak_memory()}
        folder.json("metrics.json", {**told, "test_openings": 0, **kept, "update": report})

    write_artifact(out, made, result.parameters, more, replace=replace_old)
    return report | {"seconds": round(time.time() - started, 3), "peak_memory_bytes": peak_memory()}


def _check(artifact: Artifact, run: RunConfig, config: UpdateConfig, path: Path) -> None:
    """Raise where no update can be right, before long work."""
    network = isinstance(run.model, PinSageConfig) and isinstance(artifact.learned, Convolved)
    if config.train and not network:
        raise ConfigError(f"--train goes on training a pinsage; {path} holds a {run.model.name}: train it anew")
    if isinstance(run.model, PinSageConfig) and run.model.edges.active():
        raise ConfigError(
            f"{path}: model.edges weighs the walks by what an artifact does not keep of all events; train it anew"
        )


def _check_news(arrived: Arrived) -> None:
    if not len(arrived.events) and not len(arrived.of_items.rows) and not len(arrived.of_users.rows):
        raise DataError("nothing came: no event, and no row of a table; nothing is written")


def _model(
    path: Path, artifact: Artifact, run: RunConfig, arrived: Arrived, merged: Merged, config: UpdateConfig,
    number: int, scratch: Scratch,
) -> _Result:  # fmt: skip
    """The model over the merged graph."""
    with scratch.stage("features"):
        of_users = user_encoders(path, artifact, run)
        rows, made = item_features(artifact, arrived)
    learned = artifact.learned
    if not isinstance(learned, Convolved):
        model: ModelConfig = run.model
        with scratch.stage("folding in"):
            folded, moved, notes = fold(artifact, model, merged, (rows, made), arrived.events)
        return _Result(folded, moved, {}, {"notes": notes})
    users, told = user_features(artifact, arrived, of_users)
    changed = np.zeros(len(users), np.bool_)
    changed[told] = True
    features = Features(rows, made, users, changed)
    parameters = stored_parameters(path, merged.graph.n_items)
    if config.train:
        asked = _Training(run, arrived.items, features, parameters, (config.train, number))
        return _trained(asked, artifact, merged, of_users, scratch)
    owed = _read_owed(path, (len(artifact.items), 1 + len(learned.network.convolutions)))
    updated = update_network(learned, merged, features, arrived.events, config, owed, scratch)
    notes = [NO_TABLE] if learned.neighborhoods is None else []
    if learned.growth.neighborhood.prune < 1 and len(merged.fresh.ids):
        notes.append(PRUNED)
    moved = np.flatnonzero(updated.moved).astype(np.int32)
    report = updated.report | {"notes": notes}
    return _Result(updated.learned, moved, parameters, report, updated.owed, of_users)


@dataclass(frozen=True, slots=True)
class _Training:
    """What training goes on with."""

    run: RunConfig
    items: Vocab
    features: Features
    parameters: dict[str, Floats]
    epochs: tuple[int, int]  # and the number of the update


def _trained(
    asked: _Training, artifact: Artifact, merged: Merged, of_users: Encoders | None, scratch: Scratch
) -> _Result:
    """The network after more epochs."""
    features, parameters = asked.features, asked.parameters
    if not parameters or artifact.encoders is None or not isinstance(artifact.learned, Convolved):
        raise ConfigError("--train needs model.safetensors in the artifact, and it has none: train anew")
    with scratch.stage("features"):
        items = all_features(artifact.learned, merged, features, scratch)
    content = Content(items, features.users, artifact.encoders, of_users)
    with scratch.stage("training"):
        learned, kept, report = train_on(
            asked.run, merged.graph, content, asked.items, parameters, *asked.epochs, scratch.progress
        )
    said = {"train_epochs": report.epochs, "loss": report.history[-1]["loss"], "notes": []}
    return _Result(learned, np.arange(merged.graph.n_items, dtype=np.int32), kept, said, None, of_users)


def _counts(artifact: Artifact, arrived: Arrived, merged: Merged) -> dict[str, Any]:
    """What came."""
    n_items, n_users = len(artifact.items), len(artifact.users)
    return {
        "events": arrived.counts,
        "new_users": len(arrived.users) - n_users,
        "new_items": len(arrived.items) - n_items,
        "new_edges": len(merged.fresh.ids),
        "merged_pairs": len(merged.added.user_items.ids) - len(merged.fresh.ids),
        "changed_attributes": {
            "users": int((arrived.of_users.rows < n_users).sum()),
            "items": int((arrived.of_items.rows < n_items).sum()),
        },
        "columns_left_out": {"users": list(arrived.of_users.left_out), "items": list(arrived.of_items.left_out)},
    }


def _valid(valid: Interactions, merged: Merged) -> Interactions:
    """The validation part, without what the graph has now."""
    graph = merged.graph
    pairs = build_graph(replace(valid, n_users=graph.n_users, n_items=graph.n_items)).user_items
    left = pairs.only(~among(pairs, graph.user_items))
    users = np.repeat(np.arange(graph.n_users, dtype=np.int32), left.degrees())
    return Interactions.of(users, left.ids, graph.n_users, graph.n_items)


def _read_owed(path: Path, shape: tuple[int, int]) -> Floats | None:
    """What earlier updates did not follow; None where there were none.

    Raises:
        ArtifactError: the file is damaged.
    """
    folder = open_folder(path, KIND, lambda name: name == OWED)
    return folder.array(OWED, np.float32, *shape) if folder.has(OWED) else None
