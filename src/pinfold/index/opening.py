"""Index files of an artifact, mapped and checked: what faiss reads must fit the vectors beside it."""

from pathlib import Path
from typing import Any

import faiss
import numpy as np

from pinfold.arrays import Floats
from pinfold.artifacts import Folder
from pinfold.errors import ArtifactError
from pinfold.index.faiss_index import FaissIndex, Shape
from pinfold.index.interface import Indexes

KINDS = {
    ("flat", 32): faiss.IndexFlatIP,
    ("flat", 8): faiss.IndexScalarQuantizer,
    ("ivf", 32): faiss.IndexIVFFlat,
    ("ivf", 8): faiss.IndexIVFScalarQuantizer,
    ("hnsw", 32): faiss.IndexHNSWFlat,
    ("hnsw", 8): faiss.IndexHNSWSQ,
}


def read_indexes(folder: Folder, figures: dict[str, Any], items: Floats) -> Indexes:
    """The indexes of an artifact, memory-mapped. They share a file where it answers both.

    Raises:
        ArtifactError: see `read_index`.
    """
    users = read_index(folder, figures, "users", items)
    if folder.has("index_alike.faiss"):
        return Indexes(users, read_index(folder, figures, "alike", items))
    effort = _described(folder, figures, "alike", len(items))[2]
    return Indexes(users, users if effort == users.shape.effort else users.with_effort(effort))


def read_index(folder: Folder, figures: dict[str, Any], name: str, items: Floats) -> FaissIndex:
    """The index `users` or `alike` of an artifact, memory-mapped.

    Args:
        folder: with the files.
        figures: index.json.
        name: which one.
        items: (I, D) the model's vectors.

    Raises:
        ArtifactError: a file is damaged, or is not of these vectors.
    """
    path = folder.file(f"index_{name}.faiss")
    kind, bits, effort = _described(folder, figures, name, len(items))
    index = _mapped(path)
    found = (type(index), index.ntotal, index.d, index.metric_type)
    if found != (KINDS[kind, bits], *items.shape, faiss.METRIC_INNER_PRODUCT):
        what = f"no {kind} index of {bits} bits of {len(items)} vectors of {items.shape[1]} numbers"
        raise _damaged(path, f"is {what}, but an {type(index).__name__} of {index.ntotal} of {index.d}")
    shape = Shape(kind, bits, effort, unit=name == "alike")
    if kind != "ivf":
        return FaissIndex(index, items, shape)
    lists = folder.array("index_lists.npy", np.int32, len(items))
    if not (effort <= index.nlist and lists.min() >= 0 and lists.max() < index.nlist):
        raise _damaged(folder.path / "index_lists.npy", f"names lists that the index has not, {index.nlist} in all")
    return FaissIndex(index, items, shape, lists)


def _described(folder: Folder, figures: dict[str, Any], name: str, n_items: int) -> tuple[Any, int, int]:
    """Kind, bits and effort, as index.json tells them."""
    try:
        kind, bits, effort = figures["kind"], figures["options"]["bits"], figures[name]["effort"]
        if (kind, bits) not in KINDS or type(effort) is not int or not 1 <= effort <= max(n_items, 1):
            raise ValueError(f"kind {kind!r}, bits {bits!r}, effort {effort!r}")
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(folder.path / "index.json", f"does not say what it is: {error}") from error
    return kind, bits, effort


def _mapped(path: Path) -> Any:
    try:
        return faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
    except (RuntimeError, MemoryError) as error:
        lines = str(error).splitlines()
        raise _damaged(path, f"faiss cannot read it: {lines[-1] if lines else error!r}") from error


def _damaged(path: Path, what: str) -> ArtifactError:
    return ArtifactError(f"{path}: {what}; make the index anew with: pinfold index {path.parent}")
