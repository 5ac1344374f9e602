"""Clusters of directions, of which the lists of an ivf are made: one level of centers, or two where there are many."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np

from pinfold.arrays import Floats, Ints, unit
from pinfold.index.config import IndexConfig
from pinfold.kernels.parallel import n_threads

ROUNDS = 6  # of k-means
SAMPLE = 64  # vectors for each cluster that k-means learns from; the seconds of a build are proportional to it
LEAST = 4  # items a list has on average, at least
BLOCK = 1 << 16  # vectors handed over at once
MANY = 2_000_000  # items beyond which centers stand in groups; k-means and assignment cost n^(3/2) up to here
GROUPS_ASKED = 8  # whose centers are looked at for an item; of 400,000 items 99.8 % found the nearest of all


@dataclass(frozen=True, slots=True)
class Clusters:
    """A clustering of directions: an index of true lengths and one of cosines share it."""

    centers: Floats  # (L, D) of length 1
    lists: Ints  # (I,) which of them each row is nearest to, or nearly


@dataclass(frozen=True, slots=True)
class Kept:
    """What stays of an older ivf: its clusters, with the lists of the items now, and perhaps its efforts."""

    clusters: Clusters
    efforts: Mapping[str, int]  # "users" and "alike" -> probes; none: they are chosen again


def find_clusters(items: Floats, config: IndexConfig, seed: int, many: int = MANY) -> Clusters:
    """Spherical k-means on a sample of directions, and the nearest center of each item.

    Of more than `many` items the sample is cut into groups first, about the root of the lists, and each group into
    its lists; an item then looks only at the centers of the nearest GROUPS_ASKED groups. Both together cost n^(5/4)
    in place of n^(3/2).

    The same on any number of threads: every center and every assignment is computed by one of them.
    """
    n = len(items)
    n_lists = config.lists or max(1, min(round(4 * n**0.5), n // LEAST))
    rows = np.random.default_rng(seed).permutation(n)[: SAMPLE * n_lists]
    sample = unit(items[np.sort(rows)])
    faiss.omp_set_num_threads(n_threads())
    if n > many:
        centers, nearest = _grouped(sample, n_lists, seed)
    else:
        centers = _centers(sample, n_lists, seed)
        nearest = faiss.IndexFlatIP(items.shape[1])
        nearest.add(centers)
    lists = np.empty(n, np.int32)
    for start in range(0, n, BLOCK):
        part = slice(start, start + BLOCK)
        lists[part] = nearest.search(np.ascontiguousarray(items[part]), 1)[1][:, 0]  # lengths change no order
    return Clusters(centers, lists)


def _centers(sample: Floats, n: int, seed: int) -> Floats:
    """The centers (n, D) of k-means, of length 1."""
    means = faiss.Kmeans(
        sample.shape[1], n, niter=ROUNDS, spherical=True, seed=seed % 2**31, min_points_per_centroid=1,
        max_points_per_centroid=SAMPLE,
    )  # fmt: skip
    means.train(sample)
    return unit(np.asarray(means.centroids, np.float32))


def _grouped(sample: Floats, n_lists: int, seed: int) -> tuple[Floats, Any]:
    """Centers (n_lists, D) of k-means within groups, and an index of faiss that finds the nearest of them."""
    n_groups, dim = max(1, round(n_lists**0.5)), sample.shape[1]
    groups = _centers(sample, n_groups, seed)
    quantizer = faiss.IndexFlatIP(dim)
    quantizer.add(groups)
    owners = quantizer.search(sample, 1)[1][:, 0]
    order = np.argsort(owners, kind="stable")
    ends = np.cumsum(np.bincount(owners, minlength=n_groups))
    # lists in proportion to the sample, rounded so that they are n_lists together
    shares = np.diff(np.round(ends * (n_lists / len(sample))).astype(np.int64), prepend=0)
    found = [
        _centers(np.ascontiguousarray(sample[rows]), int(n), seed)
        for rows, n in zip(np.split(order, ends[:-1]), shares, strict=True)
        if n
    ]
    centers = np.concatenate(found)
    nearest = faiss.IndexIVFFlat(quantizer, dim, n_groups, faiss.METRIC_INNER_PRODUCT)
    nearest.is_trained = True
    nearest.add(centers)
    nearest.nprobe = min(GROUPS_ASKED, n_groups)
    nearest.referenced_objects = [quantizer]  # or Python would let it go
    return centers, nearest
