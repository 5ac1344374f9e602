"""Indexes of faiss against scoring every item."""

import threading
from typing import Literal

import numpy as np
import pytest

from pinfold.arrays import Bools, Floats, Ints, TopK, unit
from pinfold.errors import ConfigError
from pinfold.graph.csr import Csr, from_pairs
from pinfold.index.building import build_index, least, sampled, stored_index, with_effort
from pinfold.index.clustering import find_clusters
from pinfold.index.config import SMALL, IndexConfig, chosen_kind
from pinfold.index.exact import ExactIndex
from pinfold.index.faiss_index import FaissIndex
from pinfold.index.interface import Index

N, DIM = 3000, 12
Kind = Literal["flat", "ivf", "hnsw"]
Bits = Literal[8, 32]
KINDS: list[tuple[Kind, Bits]] = [(kind, bits) for kind in ("flat", "ivf", "hnsw") for bits in (32, 8)]


def clustered(n: int = N, seed: int = 0) -> tuple[Floats, Ints]:
    """Vectors of very different lengths in 30 clusters, and the cluster of each."""
    rng = np.random.default_rng(seed)
    centers = rng.standard_normal((30, DIM))
    owners = rng.integers(0, 30, n).astype(np.int32)
    vectors = centers[owners] + 0.5 * rng.standard_normal((n, DIM))
    return (vectors * rng.lognormal(0, 0.4, (n, 1))).astype(np.float32), owners


ITEMS, OWNERS = clustered()
QUERIES = clustered(150, seed=1)[0]
BUILT: dict[tuple[Kind, Bits], Index] = {}


def built(kind: Kind, bits: Bits) -> Index:
    """Each is built once."""
    if (kind, bits) not in BUILT:
        BUILT[kind, bits] = build_index(ITEMS, IndexConfig(kind=kind, bits=bits), 0, clustered(200, seed=2)[0])
    return BUILT[kind, bits]


def recall(found: TopK, truth: TopK) -> float:
    hits = (found.ids[:, :, None] == truth.ids[:, None, :]) & (truth.ids >= 0)[:, None, :]
    return float(hits.sum() / (truth.ids >= 0).sum())


def exclusions(share: float, seed: int, n: int = 150) -> Csr:
    """The best answers, and some others: what users have lies near what they are told."""
    taken = np.random.default_rng(seed).random((n, N)) < share
    best = ExactIndex(ITEMS).search(QUERIES[:n], 120).ids
    np.put_along_axis(taken, best[:, : int(120 * min(1, 20 * share))].astype(np.int64), values=True, axis=1)
    rows, columns = (axis.astype(np.int32) for axis in np.nonzero(taken))
    return from_pairs(rows, columns, np.ones(len(rows), np.float32), (n, N))


@pytest.mark.parametrize(("kind", "bits"), KINDS)
@pytest.mark.parametrize("share", [0.0, 0.005, 0.3])
def test_recall_is_what_was_asked_for_whatever_is_excluded(kind: Kind, bits: Bits, share: float) -> None:
    exclude = exclusions(share, 3)
    found, truth = (index.search(QUERIES, 10, exclude) for index in (built(kind, bits), ExactIndex(ITEMS)))
    assert recall(found, truth) >= (0.93 if kind != "flat" else 0.999)  # .95 is asked for, on other queries
    assert (found.ids >= 0).all()
    scores = np.einsum("bd,bkd->bk", QUERIES, ITEMS[found.ids])
    np.testing.assert_allclose(found.scores, scores, rtol=1e-4, atol=1e-4)
    assert (np.diff(found.scores, axis=1) <= 0).all()


@pytest.mark.parametrize(("kind", "bits"), KINDS)
@pytest.mark.parametrize("n_clusters", [0, 1, 4, 15])
@pytest.mark.parametrize("few", [0, 5000])
def test_masks_that_go_with_the_clusters(
    monkeypatch: pytest.MonkeyPatch, kind: Kind, bits: Bits, n_clusters: int, few: int
) -> None:
    """Most queries lie in clusters that are not allowed at all."""
    monkeypatch.setattr("pinfold.index.faiss_index.FEW", few)
    allowed: Bools = n_clusters > OWNERS
    exclude = exclusions(0.01, 4)
    found, truth = (index.search(QUERIES, 10, exclude, allowed) for index in (built(kind, bits), ExactIndex(ITEMS)))
    np.testing.assert_array_equal(found.ids >= 0, truth.ids >= 0)
    assert allowed[found.ids[found.ids >= 0]].all()
    assert not n_clusters or recall(found, truth) >= 0.97


def test_without_the_budget_such_masks_lose_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mask that allows a little of many lists: the nearest lists are full of what is not allowed."""
    allowed: Bools = np.random.default_rng(0).random(N) < 0.02
    truth = ExactIndex(ITEMS).search(QUERIES, 10, None, allowed)
    index = built("ivf", 32)
    assert isinstance(index, FaissIndex)
    monkeypatch.setattr("pinfold.index.faiss_index.FEW", 0)
    assert recall(index.with_effort(1).search(QUERIES, 10, None, allowed), truth) == 1
    monkeypatch.setattr("pinfold.index.faiss_index.BUDGET", 1)
    monkeypatch.setattr("pinfold.index.faiss_index.PART", 10**6)
    poor = index.with_effort(1).search(QUERIES, 10, None, allowed)
    assert recall(poor, truth) < 1
    assert (poor.ids >= 0).all(), "but there are always k"


@pytest.mark.parametrize(("kind", "bits"), KINDS)
def test_all_there_is_comes_back(kind: Kind, bits: Bits) -> None:
    index = built(kind, bits)
    assert (np.sort(index.search(QUERIES[:2], N + 5).ids, axis=1)[:, 5:] == np.arange(N)).all()
    only: Bools = np.zeros(N, np.bool_)
    only[[5, 77]] = True
    assert np.sort(index.search(QUERIES[:3], 4, None, only).ids, axis=1).tolist() == [[-1, -1, 5, 77]] * 3
    others = np.arange(3, N, dtype=np.int32)
    exclude = from_pairs(np.zeros(N - 3, np.int32), others, np.ones(N - 3, np.float32), (1, N))
    assert sorted(index.search(QUERIES[:1], 5, exclude).ids[0]) == [-1, -1, 0, 1, 2]
    assert index.search(np.empty((0, DIM), np.float32), 3).ids.shape == (0, 3)


@pytest.mark.parametrize("bits", [32, 8])
def test_equal_scores_are_in_order_of_rows(bits: Bits) -> None:
    items = np.repeat(np.eye(4, dtype=np.float32), 25, axis=0)
    index = build_index(items, IndexConfig(kind="ivf", lists=4, probes=4, bits=bits), 0)
    assert index.search(np.eye(4, dtype=np.float32)[1:2], 25).ids[0].tolist() == list(range(25, 50))


def test_directions_and_lengths_share_a_clustering() -> None:
    config = IndexConfig(kind="ivf")
    clusters = find_clusters(ITEMS, config, 0)
    for of_directions in (False, True):
        index = stored_index(ITEMS, config, clusters, of_directions=of_directions).with_effort(219)
        vectors = unit(ITEMS) if of_directions else ITEMS
        found, truth = index.search(unit(QUERIES), 10), ExactIndex(vectors).search(unit(QUERIES), 10)
        assert recall(found, truth) >= 0.999
        np.testing.assert_allclose(found.scores, truth.scores, rtol=1e-4)


def test_the_seed_decides_and_the_number_of_threads_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    items = clustered(20_000)[0]
    lists = {}
    for seed, threads in ((0, "1"), (0, "2"), (1, "1")):
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        lists[seed, threads] = find_clusters(items, IndexConfig(kind="ivf"), seed).lists
    np.testing.assert_array_equal(lists[0, "1"], lists[0, "2"])
    assert (lists[0, "1"] != lists[1, "1"]).any()


@pytest.mark.parametrize("kind", ["ivf", "hnsw"])
def test_the_same_seed_gives_the_same_answers(kind: Kind) -> None:
    one, other = (build_index(ITEMS, IndexConfig(kind=kind), 5).search(QUERIES, 10) for _ in range(2))
    np.testing.assert_array_equal(one.ids, other.ids)


def test_effort_is_the_least_that_is_enough() -> None:
    config = IndexConfig(kind="ivf")
    made = stored_index(ITEMS, config, find_clusters(ITEMS, config, 0), of_directions=False)
    questions = sampled(ITEMS, 300, 0).questions(ITEMS, slice(None), 10)
    efforts = []
    for wanted in (0.5, 0.9, 0.99, 1.0):
        index = with_effort(made, IndexConfig(kind="ivf", recall=wanted), questions)
        assert questions.shares(index, 10).mean() >= wanted
        efforts.append(index.shape.effort)
    assert efforts == sorted(efforts)
    assert efforts[0] < efforts[-1]


def test_least() -> None:
    assert [least(wanted.__le__, 1, 1000) for wanted in (1, 2, 5, 8)] == [1, 2, 5, 8]
    assert least(lambda n: n >= 700, 1, 1000) in range(700, 800)
    assert least(lambda _: False, 1, 1000) == 1000


def test_threads_search_at_once() -> None:
    index, truth = built("ivf", 32), built("ivf", 32).search(QUERIES, 10).ids
    wrong: list[int] = []

    def ask(start: int) -> None:
        found = {row: index.search(QUERIES[row : row + 1], 10).ids[0] for row in range(start, 150, 4)}
        wrong.extend(row for row, ids in found.items() if (ids != truth[row]).any())

    threads = [threading.Thread(target=ask, args=(start,)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_kinds_by_size() -> None:
    assert chosen_kind(IndexConfig(), SMALL) == "exact"
    assert chosen_kind(IndexConfig(), SMALL + 1) == "ivf"
    assert chosen_kind(IndexConfig(kind="hnsw"), 3) == "hnsw"
    assert isinstance(build_index(ITEMS, IndexConfig(), 0), ExactIndex)
    assert isinstance(build_index(ITEMS[:0], IndexConfig(kind="ivf"), 0), ExactIndex)


@pytest.mark.parametrize("n", [1, 2, 3, 9])
@pytest.mark.parametrize(("kind", "bits"), KINDS)
def test_tiny_catalogues(n: int, kind: Kind, bits: Bits) -> None:
    index = build_index(ITEMS[:n], IndexConfig(kind=kind, bits=bits), 0)
    assert isinstance(index, FaissIndex)
    np.testing.assert_array_equal(index.search(QUERIES, 12).ids, ExactIndex(ITEMS[:n]).search(QUERIES, 12).ids)


@pytest.mark.parametrize(
    ("options", "message"),
    [(IndexConfig(kind="ivf", lists=N + 1), "only 3000 items"),
     (IndexConfig(kind="ivf", lists=4, probes=5), "only 4 lists"),
     (IndexConfig(recall=0.0), "index: recall"), (IndexConfig(recall=2.0), "index: recall"),
     (IndexConfig(lists=-1), "index: lists"), (IndexConfig(neighbors=1), "index: neighbors"),
     (IndexConfig(bits=7), "index: bits"), (IndexConfig(kind="annoy"), "index: kind")],  # type: ignore[arg-type]
)  # fmt: skip
def test_options_that_cannot_be(options: IndexConfig, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_index(ITEMS, options, 0)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_not_finite(value: float) -> None:
    items, queries = ITEMS.copy(), QUERIES.copy()
    items[17, 3] = queries[0, 0] = value
    with pytest.raises(ValueError, match="items must be finite"):
        build_index(items, IndexConfig(kind="flat"), 0)
    with pytest.raises(ValueError, match="queries must be finite"):
        built("ivf", 32).search(queries, 3)


def test_wrong_shapes() -> None:
    index = built("flat", 32)
    for queries in (QUERIES[:, 1:], QUERIES[0], QUERIES[None]):
        with pytest.raises(ValueError, match="queries must have shape"):
            index.search(queries, 3)
    with pytest.raises(TypeError, match="queries must have dtype"):
        index.search(QUERIES.astype(np.float64), 3)
    with pytest.raises(ValueError, match="k must be at least 1"):
        index.search(QUERIES, 0)
    with pytest.raises(ValueError, match="allowed must have shape"):
        index.search(QUERIES, 3, None, np.ones(N - 1, np.bool_))
    with pytest.raises(ValueError, match="exclude must have shape"):
        index.search(QUERIES[:3], 3, exclusions(0.1, 0, 2))
