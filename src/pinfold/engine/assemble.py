"""The artifact of an embed job, put together from the workers' parts: files are joined or linked, nothing is held."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pinfold.arrays import BLOCK, Ints, spans, unit
from pinfold.artifacts import Folder, FolderWriter, open_folder, writing
from pinfold.data.stored import DatasetFiles
from pinfold.embedding.artifact import FEATURES, KIND, USER_FEATURES, link
from pinfold.embedding.store import read_learned, write_learned
from pinfold.engine.interface import Job, Shard
from pinfold.graph.bipartite import read_csr
from pinfold.graph.convolved import Growth
from pinfold.graph.interests import InterestsConfig, ages_of, make_interests
from pinfold.graph.learned import Learned
from pinfold.graph.streams import ArrayStream

KEPT = re.compile(r"layer\d+_(?!inputs).*|head_.*|model\.safetensors")  # of the trained artifact, as they are
NONE: Ints = np.empty(0, np.int32)
More = Callable[[FolderWriter, Learned], object]


@dataclass(frozen=True, slots=True)
class Assembly:
    """What an artifact is made of, beside the parts."""

    job: Job
    size: int  # workers
    encoders: Path  # a sealed folder
    growth: Growth
    interests: InterestsConfig
    run: str  # run.toml
    metrics: Callable[[], dict[str, Any]]  # asked at the end


def assemble(out: Path, made: Assembly, dataset: DatasetFiles, more: More, *, replace: bool = False) -> None:
    """Write the artifact as `write_artifact` does; of one worker files are linked, of several joined block by block.

    Users as means are made by the workers. As 'last' or 'medoids' they are made here, with all events in memory.

    Args:
        out: the folder to make.
        made: what goes into it.
        dataset: the job's.
        more: writes what other rooms keep in it, as indexes, given the vectors, mapped.
        replace: replace an older artifact.

    Raises:
        ArtifactError: a part is damaged, the folder exists, or the file system refuses.
    """
    with writing(out, KIND, replace=replace) as folder:
        _write_graph(folder, made)
        _write_network(folder, made)
        _write_vectors(folder, made, dataset)
        _write_rest(folder, made, dataset)
        more(folder, read_learned(_so_far(folder)))
        folder.json("metrics.json", made.metrics())


def join_rows(folder: FolderWriter, name: str, parts: list[Path]) -> None:
    """One npy file of the rows of several; the only one is linked.

    Raises:
        OSError: the file system refuses.
    """
    if len(parts) == 1:
        link(parts[0], folder.path(name))
        return
    arrays = [np.lib.format.open_memmap(path, mode="r") for path in parts]
    with ArrayStream(folder.path(name), arrays[0].dtype.type, *arrays[0].shape[1:]) as file:
        for array in arrays:
            for span in spans(len(array)):
                file.append(array[span])


def join_csr(folder: FolderWriter, name: str, places: list[Path], n_columns: int) -> None:
    """The files of one Csr, of several that have its rows one after another."""
    join_rows(folder, f"{name}_ids.npy", [place / f"{name}_ids.npy" for place in places])
    join_rows(folder, f"{name}_weights.npy", [place / f"{name}_weights.npy" for place in places])
    folder.array(f"{name}_columns.npy", np.array([n_columns], np.int64))
    offset = 0
    with ArrayStream(folder.path(f"{name}_ptr.npy"), np.int64) as file:
        for place in places:
            ptr = np.lib.format.open_memmap(place / f"{name}_ptr.npy", mode="r")
            for span in spans(len(ptr) - 1):
                file.append(ptr[span] + offset)
            offset += int(ptr[-1])
        file.append(np.array([offset], np.int64))


def _places(made: Assembly, stage: str) -> list[Path]:
    """Where the workers' parts of a stage are."""
    return [Shard(rank, made.size, made.job).place(stage) for rank in range(made.size)]


def _join(folder: FolderWriter, name: str, made: Assembly, stage: str, part: str) -> None:
    join_rows(folder, name, [place / part for place in _places(made, stage)])


def _write_graph(folder: FolderWriter, made: Assembly) -> None:
    places = _places(made, "graph")
    join_csr(folder, "user_items", places, made.job.n_items)
    join_csr(folder, "item_users", places, made.job.n_users)


def _write_network(folder: FolderWriter, made: Assembly) -> None:
    """The layers as they were trained; inputs and neighborhoods of the items that there are now."""
    trained = open_folder(made.job.artifact, KIND, lambda name: name == "network.json" or bool(KEPT.fullmatch(name)))
    for name in trained.files:
        if KEPT.fullmatch(name):
            link(trained.file(name), folder.path(name))
    form = trained.json("network.json")
    scale = {"degree_mean": made.growth.degree_mean, "degree_deviation": made.growth.degree_deviation}
    folder.json("network.json", form | {"growth": form["growth"] | scale, "half": made.job.half})
    _join(folder, "users_content.npy", made, "people", "users_content.npy")
    for name in ("neighbor_ids.npy", "neighbor_weights.npy"):
        _join(folder, name, made, "neighborhoods", name)
    for k in range(max(int(form["layers"]), 1)):
        _join(folder, f"layer{k}_inputs.npy", made, f"convolve{k - 1}" if k else "content", "inputs.npy")


def _write_vectors(folder: FolderWriter, made: Assembly, dataset: DatasetFiles) -> None:
    """Items, and users as means over their history, or as some of it."""
    _join(folder, "vectors_item_vectors.npy", made, "vectors", "items.npy")
    items = np.lib.format.open_memmap(folder.path("vectors_item_vectors.npy"), mode="r")
    if made.interests.users != "mean":
        histories, events = read_csr(_so_far(folder), "user_items"), dataset.interactions
        interests = make_interests(items, histories, ages_of(histories, events), made.interests)
        folder.path("vectors_item_vectors.npy").unlink()
        write_learned(folder, interests, "vectors_")
        return
    _join(folder, "vectors_user_vectors.npy", made, "users", "users.npy")
    with ArrayStream(folder.path("vectors_history_vectors.npy"), np.float32, items.shape[1]) as file:
        for span in spans(len(items), BLOCK):
            file.append(unit(items[span]))
    folder.json("vectors_fold_in.json", {"exponents": {"history": 1.0}})


def _write_rest(folder: FolderWriter, made: Assembly, dataset: DatasetFiles) -> None:
    """Ids and attributes, encoders, no events that were kept back, options."""
    encoders = open_folder(made.encoders)
    for name in encoders.files:
        if name.startswith((FEATURES, USER_FEATURES)):
            link(encoders.file(name), folder.path(name))
    link(dataset.tables["users"], folder.path("users.parquet"))
    link(dataset.tables["items"], folder.path("items.parquet"))
    for name in ("users", "items"):
        folder.array(f"valid_{name}.npy", NONE)
    folder.text("run.toml", made.run)


def _so_far(folder: FolderWriter) -> Folder:
    """What has been written, to be read before it is sealed."""
    path = folder.path("any.npy").parent
    return Folder(path, KIND, {file.name: "" for file in path.iterdir()})
