"""Users as several interests: groups of what they took that lie close together, each spoken for by one of its items.

PinnerSage (Pal et al., KDD 2020): Ward's clusters of an owner's item vectors, their medoids, and an importance that
decays with time. Nothing is trained: the item vectors of any model will do.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from pinfold.arrays import Doubles, Embeddings, Floats, Ints, Longs, check_array, unit
from pinfold.config import options
from pinfold.data.interactions import Interactions
from pinfold.graph.csr import Csr

DAY = 86_400  # seconds


@options
class InterestsConfig:
    """What a user is, given item vectors. Pal et al., KDD 2020."""

    users: Annotated[
        Literal["mean", "last", "medoids"],
        Field(
            description="mean: the mean of the vectors of what they took; last: the newest item; medoids: several "
            "interests, each the middle item of a cluster"
        ),
    ] = "mean"
    threshold: Annotated[
        float,
        Field(
            ge=0,
            description="medoids: clusters are merged up to this distance of Ward's, between vectors of length 1; the "
            "lower, the more interests",
        ),
    ] = 1.0
    most_items: Annotated[
        int, Field(ge=1, description="medoids: only so many newest items of a user are clustered")
    ] = 200
    decay: Annotated[
        float, Field(ge=0, description="medoids: importance is the sum of exp(-decay * age in days) over a cluster")
    ] = 0.01
    # PinnerSage asks 3; 10 found more on every set tried (recall@20, validation: docs/experiments.md)
    asked: Annotated[int, Field(ge=1, description="medoids: how many interests are asked, the most important")] = 10
    merge: Annotated[
        Literal["highest", "weighted"],
        Field(
            description="medoids: an item has its highest score over the interests asked; weighted: each interest's "
            "scores count by its importance"
        ),
    ] = "highest"


@dataclass(frozen=True, slots=True)
class Interests:
    """Every user as a few of their items: what is near one of those suits them.

    User u has the interests ptr[u] .. ptr[u + 1] - 1, the most important first. The score of item i is the highest
    w_m (x_m / |x_m|) . x_i over the `asked` first medoids m, with w_m = 1, or m's importance as a share of the
    highest of this user. People who come after training are clustered when they ask, by the same options.
    """

    items: Floats  # (I, D)
    ptr: Longs  # (U + 1,)
    medoids: Ints  # (M,) item rows
    importance: Floats  # (M,) not rising within a user
    config: InterestsConfig

    def __post_init__(self) -> None:
        check_array("items", self.items, np.float32, -1, -1)
        check_array("ptr", self.ptr, np.int64, -1)
        check_array("medoids", self.medoids, np.int32, -1)
        n = len(self.medoids)
        check_array("importance", self.importance, np.float32, n)
        if not len(self.ptr) or self.ptr[0] != 0 or self.ptr[-1] != n or (np.diff(self.ptr) < 0).any():
            raise ValueError(f"ptr must rise from 0 to {n}")
        if n and not (self.medoids.min() >= 0 and self.medoids.max() < len(self.items)):
            raise ValueError(f"medoids must lie in [0, {len(self.items)})")
        rises = np.diff(self.importance) > 0
        starts = self.ptr[1:-1]
        rises[starts[(starts > 0) & (starts < n)] - 1] = False
        if rises.any() or not (np.isfinite(self.importance).all() and (self.importance >= 0).all()):
            raise ValueError("importance must be finite, not negative and not rise within a user")
        if self.config.users == "mean":
            raise ValueError("the mean is no item: users = 'mean' are Embeddings")

    @property
    def n_users(self) -> int:
        """U."""
        return len(self.ptr) - 1


def make_users(
    item_vectors: Floats, histories: Csr, ages: Floats | None, config: InterestsConfig
) -> Embeddings | Interests:
    """Users (U) of these item vectors (I, D), as `config.users` says; arguments are those of `make_interests`.

    A mean is one of directions: how long an item's vector is says how much all like it, and nothing of its owner.
    """
    if config.users != "mean":
        return make_interests(item_vectors, histories, ages, config)
    units = unit(item_vectors)
    counts = np.maximum(histories.degrees(), 1).astype(np.float32)
    users = np.asarray(histories.to_scipy().sign() @ units / counts[:, None], np.float32)
    return Embeddings(users, item_vectors, units, history_exponent=1.0)


def make_interests(item_vectors: Floats, histories: Csr, ages: Floats | None, config: InterestsConfig) -> Interests:
    """The interests of users with these histories; who took nothing has none.

    The newest item counts for "last", and of several equally new ones, or where there are no times, their medoid. A
    medoid is the member with the least sum of squared distances to the others; of equally near ones the newest.
    Ward's clustering takes O(n^2 (D + log n)) for n items of a user, so n is bounded by `most_items`; of equally old
    ones a fixed hash of the row chooses.

    Args:
        item_vectors: (I, D), of any length; clusters are made of directions.
        histories: (U, I) what each user took.
        ages: (E,) days since the event, along histories.ids; None: all are of the same age. Only differences within a
            user count.
        config: its `users` is "last" or "medoids".

    Raises:
        ValueError: arrays do not fit each other, or hold numbers that are not finite.

    PinnerSage (Pal et al., KDD 2020), sections 4.1 to 4.3; with its "last pin" as the comparison.
    """
    if histories.n_columns != len(item_vectors):
        raise ValueError(f"histories must have {len(item_vectors)} columns, an item each, got {histories.n_columns}")
    if ages is None:
        ages = np.zeros(len(histories.ids), np.float32)
    check_array("ages", ages, np.float32, len(histories.ids))
    if not np.isfinite(ages).all():
        raise ValueError("ages must be finite")
    make = _last if config.users == "last" else _clusters
    medoids: list[Ints] = [np.empty(0, np.int32)]
    importance: list[Doubles] = [np.empty(0)]
    counts = np.zeros(histories.n_rows, np.int64)
    for user, start in enumerate(histories.ptr[:-1].tolist()):
        stop = int(histories.ptr[user + 1])
        if start == stop:
            continue
        rows, old = _newest(histories.ids[start:stop], ages[start:stop], config.most_items)
        places, weights = make(item_vectors, rows, old, config)
        medoids.append(rows[places])
        importance.append(weights)
        counts[user] = len(places)
    ptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return Interests(item_vectors, ptr, np.concatenate(medoids), np.concatenate(importance).astype(np.float32), config)


def ages_of(histories: Csr, events: Interactions) -> Floats | None:
    """How many days before their user's newest event each of `histories` (U, I) was taken; None: without times.

    Of several events of one pair the latest counts. Shape (E,), along histories.ids.

    Raises:
        ValueError: histories that are not those of the events.
    """
    if not events.timed:
        return None
    owners = np.repeat(np.arange(histories.n_rows), histories.degrees())
    pairs = owners * histories.n_columns + histories.ids
    asked = events.users.astype(np.int64) * events.n_items + events.items
    if (histories.n_rows, histories.n_columns) != (events.n_users, events.n_items) or not np.array_equal(
        pairs, np.unique(asked)
    ):
        raise ValueError("histories must hold the pairs of the events, and no others")
    latest = np.full(len(pairs), np.iinfo(np.int64).min)
    np.maximum.at(latest, np.searchsorted(pairs, asked), events.times)
    newest = np.full(histories.n_rows, np.iinfo(np.int64).min)
    np.maximum.at(newest, owners, latest)
    return np.asarray((newest[owners] - latest) / DAY, np.float32)


def _newest(rows: Ints, ages: Floats, n: int) -> tuple[Ints, Doubles]:
    """The n newest rows, newest first, and how much older than the first each is."""
    if len(rows) == 1:
        return rows, np.zeros(1)
    # a fixed hash, so that of equally old ones no end of the catalogue is preferred
    drawn = rows.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    order = np.lexsort((drawn, ages))[:n]
    old = ages[order].astype(np.float64)
    return rows[order], old - old[0]


def _last(item_vectors: Floats, rows: Ints, ages: Doubles, config: InterestsConfig) -> tuple[Longs, Doubles]:  # noqa: ARG001
    """The place of the newest row, and its importance."""
    n = int(np.searchsorted(ages, 0, side="right"))
    if n == 1:
        return np.zeros(1, np.int64), np.ones(1)
    return _medoids(_directions(item_vectors, rows[:n]), np.zeros(n, np.int64), 1), np.ones(1)


def _clusters(item_vectors: Floats, rows: Ints, ages: Doubles, config: InterestsConfig) -> tuple[Longs, Doubles]:
    """The places of the medoids of the clusters of rows (n,), and their importance, the highest first."""
    n = len(rows)
    if n == 1:
        return np.zeros(1, np.int64), np.ones(1)
    vectors = _directions(item_vectors, rows)
    labels, n_clusters = _ward(vectors, config.threshold)
    importance: Doubles = np.bincount(labels, np.exp(-config.decay * ages), n_clusters).astype(np.float64)
    medoids = np.arange(n) if n_clusters == n else _medoids(vectors, labels, n_clusters)
    order = np.lexsort((medoids, -importance))
    return medoids[order], importance[order]


def _ward(vectors: Doubles, threshold: float) -> tuple[Longs, int]:
    """The cluster 0, 1, ... of each vector (n,), and how many there are."""
    n = len(vectors)
    if n == 2:  # most users have a few items only
        together = float(np.linalg.norm(vectors[0] - vectors[1])) <= threshold
        return (np.zeros(2, np.int64), 1) if together else (np.arange(2), 2)
    from scipy.cluster.hierarchy import linkage  # 0.2 s

    tree = linkage(vectors, method="ward")  # heights rise: Ward's clusters never lie nearer than their parts
    merges = int(np.searchsorted(tree[:, 2], threshold, side="right"))
    if merges == 0:
        return np.arange(n), n
    if merges == n - 1:
        return np.zeros(n, np.int64), 1
    top = list(range(n + merges))  # scipy's fcluster gives the same in ten times the time
    for node, (one, other) in reversed(list(enumerate(tree[:merges, :2].astype(int).tolist(), n))):
        top[one] = top[other] = top[node]
    return np.unique(np.array(top[:n]), return_inverse=True)[1], n - merges


def _medoids(vectors: Doubles, labels: Longs, n_clusters: int) -> Longs:
    """The place of each cluster's medoid (C,); of equally near ones the first."""
    sizes = np.bincount(labels, minlength=n_clusters)
    sums = np.add.reduceat(vectors[np.argsort(labels, kind="stable")], np.cumsum(sizes) - sizes)
    # sum_j |x_i - x_j|^2 = n |x_i|^2 - 2 x_i . sum_j x_j + what is the same for all i
    lengths = np.einsum("nd,nd->n", vectors, vectors)
    far = sizes[labels] * lengths - 2 * np.einsum("nd,nd->n", vectors, sums[labels])
    order = np.lexsort((far.round(9), labels))
    return order[np.searchsorted(labels[order], np.arange(n_clusters))]


def _directions(item_vectors: Floats, rows: Ints) -> Doubles:
    """The vectors of these rows at length 1; a vector of zeros stays as it is."""
    vectors = item_vectors[rows].astype(np.float64)
    lengths = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))
    if not np.isfinite(lengths).all():
        raise ValueError("item vectors must be finite")
    return np.asarray(vectors / np.maximum(lengths, np.finfo(np.float64).tiny)[:, None])
