"""Index files of an artifact, mapped and checked: what faiss reads must fit the vectors beside it."""

from pathlib import Path
from typing import Any

import faiss
import numpy as np

from pinfold.arrays import Floats
from pinfold.artifacts import Folder
from pinfold.errors import ArtifactError
from pinfold.index.faiss_index import FaissIndex, Shape

KINDS = {
    ("flat", 32): faiss.IndexFlat,
    ("flat", 8): faiss.IndexScalarQuantizer,
    ("ivf", 32): faiss.IndexIVFFlat,
    ("ivf", 8): faiss.IndexIVFScalarQuantizer,
    ("hnsw", 32): faiss.IndexHNSWFlat,
    ("hnsw", 8): faiss.IndexHNSWSQ,
}


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
    try:
        kind, bits, effort = figures["kind"], figures["options"]["bits"], figures[name]["effort"]
        expected = KINDS[kind, bits]
        if type(effort) is not int or not 1 <= effort <= max(len(items), 1):
            raise ValueError(f"effort {effort}")
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(folder.path / "index.json", f"does not say what it is: {error}") from error
    index = _mapped(path)
    found = (type(index), index.ntotal, index.d, index.metric_type)
    if found != (expected, *items.shape, faiss.METRIC_INNER_PRODUCT):
        raise _damaged(path, f"holds {index.ntotal} vectors of {index.d} numbers, the model {len(items)} others")
    shape = Shape(kind, bits, effort, unit=name == "alike")
    if kind != "ivf":
        return FaissIndex(index, items, shape)
    lists = folder.array("index_lists.npy", np.int32, len(items))
    if not (effort <= index.nlist and lists.min() >= 0 and lists.max() < index.nlist):
        raise _damaged(folder.path / "index_lists.npy", f"names lists that the index has not, {index.nlist} in all")
    return FaissIndex(index, items, shape, lists)


def _mapped(path: Path) -> Any:
    try:
        return faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
    except (RuntimeError, MemoryError) as error:
        lines = str(error).splitlines()
        raise _damaged(path, f"faiss cannot read it: {lines[-1] if lines else error!r}") from error


def _damaged(path: Path, what: str) -> ArtifactError:
    return ArtifactError(f"{path}: {what}; make the index anew with: pinfold index {path.parent}")
