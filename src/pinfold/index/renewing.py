"""An index for vectors of which few have changed: the clusters stay, and what changed is put into its nearest one."""

from pathlib import Path

import faiss
import numpy as np

from pinfold.arrays import Embeddings, Floats, Ints, unit
from pinfold.artifacts import FolderWriter, open_folder
from pinfold.embedding.artifact import KIND
from pinfold.graph.convolved import Convolved
from pinfold.graph.interests import Interests
from pinfold.graph.learned import Layered, Learned
from pinfold.index.clustering import BLOCK, Clusters, Kept
from pinfold.index.config import IndexConfig, chosen_kind
from pinfold.index.opening import read_index
from pinfold.index.stored import FILE, LISTS, Figures, is_index_file, write_indexes

KINDS = ("users", "alike")  # of queries
NOISE = 0.01  # of a recall that some hundred queries measure, two standard errors
OUTGROWN = 2.0  # times as many items as the clusters were made for: there should be more of them


def renew_indexes(
    folder: FolderWriter, learned: Learned, config: IndexConfig, seed: int, old: Path, old_items: Floats, rows: Ints
) -> Figures | None:
    """Write the indexes of a model whose vectors are those of the artifact `old` but for some rows, and measure them.

    An ivf keeps its clusters: rows that changed or are new are assigned to the nearest center, and all are stored
    anew. Where it then finds less than is asked for and than before, where its items have doubled, and of other
    kinds, everything is built as `write_indexes` does; an exact index stores nothing.

    Args:
        folder: where they go.
        learned: the model now, I' items.
        config: what is built, see `write_indexes`.
        seed: of the clustering and of the samples.
        old: an artifact whose indexes are of the older vectors.
        old_items: (I, D) these.
        rows: those of the I' that have another vector or are new.

    Returns:
        What index.json holds, with `clustered`, the items that kept clusters were made for; None without vectors.

    Raises:
        ArtifactError: an old index file is damaged.
        ConfigError: see `write_indexes`.
    """
    vectors, kept = searched_vectors(learned), None
    if vectors is not None and len(vectors) and chosen_kind(config, len(vectors)) == "ivf":
        kept = kept_clusters(old, old_items, vectors, rows)
    if kept is not None:
        clusters, before = kept
        known = {name: int(before[name]["effort"]) for name in KINDS}
        for efforts in (known, {}):  # as many probes as before, or as many as it takes now
            figures = write_indexes(folder, learned, config, seed, Kept(clusters, efforts))
            if figures is not None and not any(_fell(before[name], figures[name], config.recall) for name in KINDS):
                figures["clustered"] = before.get("clustered", len(old_items))
                folder.json(FILE, figures)
                return figures
        folder.path("index_alike.faiss").unlink(missing_ok=True)
    return write_indexes(folder, learned, config, seed)


def _fell(before: Figures, now: Figures, recall: float) -> bool:
    """Whether an index finds noticeably less than is asked for, and than it did."""
    return bool(not now["reached"] and now["recall@10"] < min(before["recall@10"], recall) - NOISE)


def kept_clusters(old: Path, old_items: Floats, items: Floats, rows: Ints) -> tuple[Clusters, Figures] | None:
    """The clusters of an artifact's ivf, with the lists (I',) of its items now, and its index.json.

    None where there are none, or the items have outgrown them. The lengths of vectors do not count.

    Raises:
        ArtifactError: an index file is damaged.
    """
    folder = open_folder(old, KIND, is_index_file)
    figures = folder.json(FILE) if folder.has(FILE) else {}
    n_clustered = int(figures.get("clustered", len(old_items)))
    if figures.get("kind") != "ivf" or len(items) >= OUTGROWN * n_clustered:
        return None
    name = "alike" if folder.has("index_alike.faiss") else "users"
    centers = unit(read_index(folder, figures, name, old_items).centers)
    lists = np.zeros(len(items), np.int32)
    lists[: len(old_items)] = folder.array(LISTS, np.int32, len(old_items))
    nearest = faiss.IndexFlatIP(items.shape[1])
    nearest.add(centers)
    for start in range(0, len(rows), BLOCK):
        part = rows[start : start + BLOCK]
        lists[part] = nearest.search(np.ascontiguousarray(items[part]), 1)[1][:, 0]  # lengths change no order
    return Clusters(centers, lists), figures


def searched_vectors(learned: Learned) -> Floats | None:
    """The item vectors (I, D) that an index is made of, but for their lengths; None where there are none."""
    match learned:
        case Convolved():
            return learned.vectors.items
        case Embeddings() | Layered() | Interests():
            return learned.items
        case _:
            return None
