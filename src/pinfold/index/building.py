"""Indexes made from vectors, and how much of the truth they find: measured, not believed."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import faiss
import numpy as np
from scipy import sparse

from pinfold.arrays import Floats, Ints, Longs, check_array, unit
from pinfold.config import parse
from pinfold.errors import ConfigError
from pinfold.graph.csr import Csr
from pinfold.index.clustering import BLOCK, MANY, Clusters, find_clusters
from pinfold.index.config import IndexConfig, chosen_kind
from pinfold.index.exact import ExactIndex, itself
from pinfold.index.faiss_index import FaissIndex, Shape
from pinfold.index.interface import Index
from pinfold.index.merging import search_rows
from pinfold.kernels.parallel import n_threads

GAIN = 0.001  # recall that four times the effort must add among many items: a whole scan of 8 bits would cost minutes
SURE = 1.0  # standard errors by which what is chosen lies above the recall asked for
K = 10  # results whose recall decides
KS = (K, 100)  # and those whose recall is told
CHOOSING, JUDGING = 800, 600  # queries that choose probes, and others that are asked afterwards
Figures = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Questions:
    """Queries and the true answers, with which an index is judged."""

    queries: Floats  # (Q, D)
    exclude: Csr | None  # (Q, I)
    truth: Ints  # (Q, K) rows, best first; -1 where there are fewer

    def shares(self, index: Index, k: int) -> Floats:
        """The share of the true k best that `index` finds among its k best, for each query. Shape (Q,)."""
        found, truth = index.search(self.queries, k, self.exclude).ids, self.truth[:, :k]
        hits = (found[:, :, None] == truth[:, None, :]) & (truth >= 0)[:, None, :]
        return np.asarray(hits.sum(axis=(1, 2)) / np.maximum((truth >= 0).sum(axis=1), 1), np.float32)


@dataclass(frozen=True, slots=True)
class Asked:
    """What will be asked of an index: vectors, and the items that they are of, which are not their own answers."""

    queries: Floats  # (Q, D)
    rows: Ints | None = None  # (Q,)
    effort: int | None = None  # known to be enough; else it is chosen

    def questions(self, items: Floats, part: slice, k: int, *, of_directions: bool = False) -> Questions:
        """A part of the queries with the true k best of `items` (I, D): every one is scored, block by block."""
        queries = self.queries[part]
        exclude = None if self.rows is None else itself(self.rows[part], len(items))
        return Questions(queries, exclude, search_rows(items, queries, k, exclude, of_directions=of_directions).ids)


def build_index(items: Floats, config: IndexConfig, seed: int, queries: Floats | None = None) -> Index:
    """An index of these vectors (I, D) by inner product.

    Args:
        items: finite; kept, not copied.
        config: what is built.
        seed: of the clustering and of the samples.
        queries: (Q, D) what will be asked, for which probes are chosen; without, a sample of the items, each of which
            looks for others.

    Raises:
        ConfigError: an option out of range, or more lists than items.
        ValueError: vectors that are not finite or do not fit each other.
    """
    config = checked(config, items)
    if chosen_kind(config, len(items)) == "exact" or not len(items):
        return ExactIndex(items)
    clusters = find_clusters(items, config, seed) if chosen_kind(config, len(items)) == "ivf" else None
    asked = sampled(items, CHOOSING, seed) if queries is None else Asked(queries)
    made = stored_index(items, config, clusters, of_directions=False)
    return with_effort(made, config, asked.questions(items, slice(None), K))


def sampled(items: Floats, n: int, seed: int) -> Asked:
    """Some of the items (I, D) as queries, each without itself."""
    rows = np.random.default_rng(seed).permutation(len(items))[:n].astype(np.int32)
    return Asked(np.asarray(items[rows], np.float32), rows)


def judged_index(
    items: Floats, config: IndexConfig, clusters: Clusters | None, asked: Sequence[Asked], *, of_directions: bool
) -> tuple[FaissIndex, list[Figures]]:
    """An index of the items (I, D), and for each kind of queries the effort that it needs and what it finds.

    Half of the queries or CHOOSING choose the probes unless the effort is known, the others are asked afterwards. The
    figures: seconds to build and to measure, effort (probes or ef), recall@10 and @100 against scoring every item, and
    whether that is enough.
    """
    started = time.perf_counter()
    index = stored_index(items, config, clusters, of_directions=of_directions)
    built = time.perf_counter()
    found = []
    for one in asked:
        n = min(CHOOSING, len(one.queries) // 2) if one.effort is None else 0
        if one.effort is None:
            index = with_effort(index, config, one.questions(items, slice(n), K, of_directions=of_directions))
        else:
            index = index.with_effort(one.effort)
        questions = one.questions(items, slice(n, None), max(KS), of_directions=of_directions)
        recall = {f"recall@{k}": round(float(questions.shares(index, k).mean()), 4) for k in KS}
        enough = recall[f"recall@{K}"] >= config.recall
        found.append({"effort": index.shape.effort, "queries": len(questions.queries), **recall, "reached": enough})
    seconds = {"build_seconds": round(built - started, 3), "measure_seconds": round(time.perf_counter() - built, 3)}
    return index, [{**one, **seconds} for one in found]


def checked(config: IndexConfig, items: Floats) -> IndexConfig:
    """The options, their ranges looked at again: who makes them in Python has not had them read from a file.

    Raises:
        ConfigError: an option out of range, or more lists than items.
        ValueError: vectors that are not finite.
    """
    config = parse(asdict(config), IndexConfig, "index")
    check_array("items", items, np.float32, -1, -1)
    for start in range(0, len(items), BLOCK):
        if not np.isfinite(items[start : start + BLOCK]).all():
            raise ValueError(f"items must be finite, found others in rows {start} to {start + BLOCK}")
    if config.lists > max(len(items), 1):
        raise ConfigError(f"index.lists {config.lists}: there are only {len(items)} items; 0 chooses")
    return config


def stored_index(items: Floats, config: IndexConfig, clusters: Clusters | None, *, of_directions: bool) -> FaissIndex:
    """An index of faiss with all items in it, its effort not chosen yet."""
    kind = chosen_kind(config, len(items))
    if kind == "exact":
        raise ValueError("an exact index stores nothing")
    if kind == "ivf" and clusters is not None:
        index = _lists_of(items, config, clusters, of_directions=of_directions)
    else:
        index = _flat_or_graph(items, config, kind)
    faiss.omp_set_num_threads(1 if kind == "hnsw" else n_threads())  # a graph depends on the order of its nodes
    if not index.is_trained:
        index.train(_block(items, slice(0, len(items), max(1, len(items) // BLOCK)), of_directions=of_directions))
    for start in range(0, len(items), BLOCK):
        part = slice(start, start + BLOCK)
        block = _block(items, part, of_directions=of_directions)
        if clusters is None:
            index.add(block)
        else:
            _add(index, block, np.arange(start, start + len(block)), clusters.lists[part].astype(np.int64))
    effort = {"flat": 1, "ivf": config.probes or 1, "hnsw": config.ef or K}[kind]
    return FaissIndex(
        index, items, Shape(kind, config.bits, effort, of_directions), None if clusters is None else clusters.lists
    )


def with_effort(index: FaissIndex, config: IndexConfig, questions: Questions) -> FaissIndex:
    """The index with the least probes (or ef) whose recall@10 on these questions is surely what is asked for.

    With all of them where that is not enough, or, of many items, with as many as still find more; and with those of
    the options where these name a number.
    """
    most = {"flat": 1, "ivf": index.n_lists, "hnsw": len(index)}[index.shape.kind]
    given = {"flat": 1, "ivf": config.probes, "hnsw": config.ef}[index.shape.kind]
    if given > most and index.shape.kind == "ivf":
        raise ConfigError(f"index.probes {given}: there are only {most} lists; 0 chooses")
    if given or not len(questions.queries):
        return index.with_effort(min(given or most, most))

    seen: dict[int, float] = {}

    def good(effort: int) -> bool:
        shares = questions.shares(index.with_effort(effort), K)
        seen[effort] = float(shares.mean())
        stalled = len(index) > MANY and seen[effort] - _best_before(seen, effort // 4) < GAIN
        return stalled or float(shares.mean() - SURE * shares.std() / len(shares) ** 0.5) >= config.recall

    return index.with_effort(least(good, K if index.shape.kind == "hnsw" else 1, most))


def _best_before(seen: dict[int, float], effort: int) -> float:
    """The highest recall of those measured with this effort or less; -1 where there is none."""
    return max((recall for asked, recall in seen.items() if asked <= effort), default=-1.0)


def least(good: Callable[[int], bool], low: int, most: int) -> int:
    """The least number, to an eighth, that is `good`, from `low` on; `most` where none is. More are never worse."""
    high = min(low, most)
    while not good(high):
        if high == most:
            return most
        low, high = high, min(2 * high, most)
    while high - low > max(1, high // 8):
        middle = (low + high) // 2
        low, high = (low, middle) if good(middle) else (middle, high)
    return high


def _block(items: Floats, part: slice, *, of_directions: bool) -> Floats:
    block = np.ascontiguousarray(items[part], np.float32)
    return unit(block) if of_directions else block


def _lists_of(items: Floats, config: IndexConfig, clusters: Clusters, *, of_directions: bool) -> Any:
    """An empty ivf. Queries choose lists by what is asked of them: the mean of the vectors that a list holds."""
    n_lists, dim = clusters.centers.shape
    centers = clusters.centers if of_directions else _means(items, clusters)
    quantizer = faiss.IndexFlatIP(dim)
    quantizer.add(centers)
    if config.bits == 8:
        kind = faiss.ScalarQuantizer.QT_8bit
        index = faiss.IndexIVFScalarQuantizer(quantizer, dim, n_lists, kind, faiss.METRIC_INNER_PRODUCT, False)
    else:
        index = faiss.IndexIVFFlat(quantizer, dim, n_lists, faiss.METRIC_INNER_PRODUCT)
        index.is_trained = True
    quantizer.this.disown()  # the index owns it from here on
    index.own_fields = True
    return index


def _means(items: Floats, clusters: Clusters) -> Floats:
    sums = np.zeros(clusters.centers.shape, np.float64)
    for start in range(0, len(items), BLOCK):
        lists = clusters.lists[start : start + BLOCK]
        ones = sparse.csr_array((np.ones(len(lists)), lists, np.arange(len(lists) + 1)), (len(lists), len(sums)))
        sums += ones.T @ items[start : start + BLOCK].astype(np.float64)
    sizes = np.bincount(clusters.lists, minlength=len(sums))
    return np.asarray(sums / np.maximum(sizes, 1)[:, None], np.float32)


def _flat_or_graph(items: Floats, config: IndexConfig, kind: str) -> Any:
    dim, metric = items.shape[1], faiss.METRIC_INNER_PRODUCT
    eight = faiss.ScalarQuantizer.QT_8bit
    if kind == "flat":
        return faiss.IndexFlatIP(dim) if config.bits == 32 else faiss.IndexScalarQuantizer(dim, eight, metric)
    graph = (
        faiss.IndexHNSWFlat(dim, config.neighbors, metric)
        if config.bits == 32
        else faiss.IndexHNSWSQ(dim, eight, config.neighbors, metric)
    )
    graph.hnsw.efConstruction = config.ef_construction
    return graph


def _add(index: Any, block: Floats, rows: Longs, lists: Longs) -> None:
    """Put vectors into the lists that they are known to belong to."""
    pointers = (faiss.swig_ptr(array) for array in (block, rows, lists))
    index.add_core(len(block), *pointers)
