"""The indexes in an artifact: files of faiss, mapped by all who answer, and what they were measured to find."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pinfold.arrays import BLOCK, Embeddings, Floats, spans, unit, with_length
from pinfold.artifacts import Folder, FolderWriter, open_folder
from pinfold.embedding.artifact import KIND, rewrite
from pinfold.graph.convolved import Convolved
from pinfold.graph.interests import Interests
from pinfold.graph.learned import Layered, Learned
from pinfold.graph.streams import ArrayStream
from pinfold.index.config import IndexConfig, chosen_kind
from pinfold.index.interface import Indexes
from pinfold.index.recommender import exact_indexes

if TYPE_CHECKING:
    from pinfold.index.building import Asked
    from pinfold.index.clustering import Clusters, Kept

FILE = "index.json"
LISTS = "index_lists.npy"
ASKED_AGAIN = 400  # queries when clusters are kept: enough to see that a recall fell
UNIT = 1e-5  # how far from 1 a length may be that counts as 1
Figures = dict[str, Any]
Searched = Embeddings | Layered | Interests


def is_index_file(name: str) -> bool:
    """Whether a file of an artifact belongs to the indexes."""
    return name == FILE or name.startswith("index_")


def searched(learned: Learned) -> Searched | None:
    """The vectors that answers are found by; None where there are none."""
    match learned:
        case Embeddings() | Layered() | Interests():
            return learned
        case Convolved():
            return learned.for_users()
        case _:
            return None


def write_indexes(
    folder: FolderWriter, learned: Learned, config: IndexConfig, seed: int, kept: "Kept | None" = None
) -> Figures | None:
    """Build, measure and write the indexes of a model: `index.json` and `index_*`. Nothing for one without vectors.

    An ivf uses the clusters and efforts that are `kept`, if any, and is measured with fewer queries then.

    Returns:
        What index.json holds: kind, options, seconds, bytes, and recall against scoring every item: of `users` with
        vectors of users as queries, of `alike` with items.

    Raises:
        ConfigError: an option out of range, or more lists or probes than there can be.
    """
    with _searched_on_disk(folder, learned) as vectors:
        return None if vectors is None else _write_all(folder, vectors, config, seed, kept)


@contextmanager
def _searched_on_disk(folder: FolderWriter, learned: Learned) -> Iterator[Searched | None]:
    """What `searched` gives; many items that have to be scaled for it stand in a file meanwhile, not in memory."""
    if not isinstance(learned, Convolved) or learned.length_exponent == 1 or len(learned.vectors.items) <= BLOCK:
        yield searched(learned)
        return
    items, path = learned.vectors.items, folder.path("index_scaled.npy")
    with ArrayStream(path, np.float32, items.shape[1]) as file:
        for span in spans(len(items), BLOCK):
            file.append(with_length(items[span], learned.length_exponent))
    yield replace(learned.vectors, items=np.lib.format.open_memmap(path, mode="r"))
    path.unlink()


def _write_all(folder: FolderWriter, vectors: Searched, config: IndexConfig, seed: int, kept: "Kept | None") -> Figures:
    """The indexes of these vectors, and index.json."""
    kind = chosen_kind(config, len(vectors.items)) if len(vectors.items) else "exact"
    figures: Figures = {"kind": kind, "items": len(vectors.items), "dim": vectors.items.shape[1], "seed": seed,
                        "options": asdict(config)}  # fmt: skip
    if kind != "exact":
        figures |= _write_files(folder, vectors, config, seed, kept)
    folder.json(FILE, figures)
    return figures


def rebuild_indexes(path: Path, learned: Learned, config: IndexConfig, seed: int) -> Figures | None:
    """Put other indexes into the artifact at `path`; every other file stays as it is.

    Raises:
        ArtifactError: the artifact is damaged, or the file system refuses.
        ConfigError: see `write_indexes`.
    """
    figures: list[Figures | None] = []
    rewrite(path, lambda folder: figures.append(write_indexes(folder, learned, config, seed)), is_index_file)
    return figures[0]


def read_figures(path: Path) -> Figures:
    """What index.json of the artifact at `path` holds; nothing for a model without vectors."""
    folder = open_folder(path, KIND, lambda name: name == FILE)
    return folder.json(FILE) if folder.has(FILE) else {}


def open_indexes(path: Path, learned: Learned) -> Indexes | None:
    """The indexes of the artifact at `path`, its index files checked and memory-mapped; None without vectors.

    An artifact without index files, made before there was `[index]`, has exact ones.

    Raises:
        ArtifactError: an index file is damaged, or of other vectors; `pinfold index` makes it anew.
    """
    return read_indexes(open_folder(path, KIND, is_index_file), learned)


def read_indexes(folder: Folder, learned: Learned) -> Indexes | None:
    """As `open_indexes`, from a folder that is open."""
    vectors = searched(learned)
    if vectors is None:
        return None
    figures = folder.json(FILE) if folder.has(FILE) else {"kind": "exact"}
    if figures.get("kind") == "exact":
        return exact_indexes(vectors)
    from pinfold.index import opening

    return opening.read_indexes(folder, figures, vectors.items)


def _write_files(
    folder: FolderWriter, vectors: Searched, config: IndexConfig, seed: int, kept: "Kept | None"
) -> Figures:
    from pinfold.index.building import CHOOSING, JUDGING, Asked, checked, sampled
    from pinfold.index.clustering import find_clusters

    items, started = np.asarray(vectors.items), time.perf_counter()
    config = checked(config, items)
    n_asked, clusters = (CHOOSING + JUDGING, None) if kept is None else (ASKED_AGAIN, kept.clusters)
    efforts = {} if kept is None else kept.efforts
    if clusters is None and chosen_kind(config, len(items)) == "ivf":
        clusters = find_clusters(items, config, seed)
    if clusters is not None:
        folder.array(LISTS, clusters.lists)
    n_lists, seconds = 0 if clusters is None else len(clusters.centers), time.perf_counter() - started
    alike = sampled(items, n_asked, seed)
    alike = Asked(unit(alike.queries), alike.rows, efforts.get("alike"))
    asking = _user_queries(vectors, n_asked, seed)
    known = efforts.get("users")
    users = Asked(asking, None, known) if len(asking) else Asked(items[alike.rows], alike.rows, known)
    if _of_length_one(items):  # one index answers both
        figures = _write(folder, items, config, clusters, {"users": users, "alike": alike}, of_directions=False)
    else:
        figures = _write(folder, items, config, clusters, {"users": users}, of_directions=False)
        figures |= _write(folder, items, config, clusters, {"alike": alike}, of_directions=True)
    return {"lists": n_lists, "cluster_seconds": round(seconds, 3), **figures}


def _write(
    folder: FolderWriter, items: Floats, config: IndexConfig, clusters: "Clusters | None", asked: "dict[str, Asked]",
    *, of_directions: bool,
) -> Figures:  # fmt: skip
    """Write one index, and what it finds of each kind of queries."""
    from pinfold.index.building import judged_index

    index, figures = judged_index(items, config, clusters, list(asked.values()), of_directions=of_directions)
    path = folder.path(f"index_{next(iter(asked))}.faiss")
    index.write(path)
    n_bytes = path.stat().st_size
    return {name: {"bytes": n_bytes, **found} for name, found in zip(asked, figures, strict=True)}


def _user_queries(vectors: Searched, n: int, seed: int) -> Floats:
    """What users ask: their vectors, or those of their interests at length 1; none that is zero. Shape (up to n, D)."""
    pool, rng = (vectors.items if isinstance(vectors, Interests) else vectors.users), np.random.default_rng(seed)
    rows = np.unique(vectors.medoids) if isinstance(vectors, Interests) else np.arange(len(pool))
    queries = np.asarray(pool[rng.permutation(rows)[: 2 * n]], np.float32)
    queries = queries[queries.any(axis=1)][:n]
    return unit(queries) if isinstance(vectors, Interests) else queries


def _of_length_one(items: Floats) -> bool:
    spanned = spans(len(items), BLOCK)
    return all(bool(np.abs(np.linalg.norm(items[span], axis=1) - 1).max() < UNIT) for span in spanned)
