"""Learned vectors and similarities as memory-mapped arrays in a folder. No torch in this file."""

import numpy as np

from pinfold.arrays import Embeddings, Floats
from pinfold.artifacts import Folder, FolderWriter
from pinfold.errors import ArtifactError
from pinfold.graph.bipartite import read_csr, write_csr
from pinfold.graph.learned import GraphFilter, ItemSimilarity, Learned


def write_learned(folder: FolderWriter, learned: Learned) -> None:
    """`user_vectors.npy`, `item_vectors.npy` and `history_vectors.npy`, `similarity_*.npy`, or `filter_*.npy`."""
    match learned:
        case Embeddings():
            folder.array("user_vectors.npy", learned.users)
            folder.array("item_vectors.npy", learned.items)
            folder.array("history_vectors.npy", learned.history)
        case ItemSimilarity():
            write_csr(folder, "similarity", learned.weights)
        case GraphFilter():
            write_csr(folder, "filter_normalized", learned.normalized)
            write_csr(folder, "filter_transposed", learned.transposed)
            folder.array("filter_coefficients.npy", learned.coefficients)
            folder.array("filter_scale.npy", learned.scale)
            folder.array("filter_factors.npy", learned.factors)


def read_learned(folder: Folder) -> Learned:
    """What `write_learned` wrote, memory-mapped.

    Raises:
        ArtifactError: a file is missing or does not fit the others.
    """
    try:
        if folder.has("similarity_ptr.npy"):
            return ItemSimilarity(read_csr(folder, "similarity"))
        if folder.has("filter_scale.npy"):
            return GraphFilter(
                read_csr(folder, "filter_normalized"),
                read_csr(folder, "filter_transposed"),
                folder.array("filter_coefficients.npy", np.float32, -1),
                folder.array("filter_scale.npy", np.float32, -1),
                folder.array("filter_factors.npy", np.float32, -1, -1),
            )
        return Embeddings(*(_finite(folder, f"{name}_vectors.npy") for name in ("user", "item", "history")))
    except ValueError as error:
        raise ArtifactError(f"{folder.path}: its vectors do not fit together: {error}") from error


def _finite(folder: Folder, name: str) -> Floats:
    vectors: Floats = folder.array(name, np.float32, -1, -1)
    if not np.isfinite(vectors).all():
        raise ArtifactError(f"{folder.path / name}: holds numbers that are not finite; train again")
    return vectors
