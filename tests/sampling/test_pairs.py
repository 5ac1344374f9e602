"""Pair batches: every edge once, with items that its user did not take."""

from typing import Any, Literal

import numpy as np
import pytest

from pinfold.data.interactions import Interactions
from pinfold.graph.bipartite import BipartiteGraph, build_graph
from pinfold.sampling.pairs import PairBatch, SamplingConfig, is_shared, n_batches, pair_batches


def sampling(size: int, n_negatives: int = 2, **more: Any) -> SamplingConfig:
    """Random edges, each with negatives of its own, where `more` says nothing else."""
    own: dict[str, Any] = {"batch_by": "edges", "shared": False}
    return SamplingConfig(batch_size=size, n_negatives=n_negatives, **(own | more))


def all_batches(graph: BipartiteGraph, size: int, n_negatives: int = 2, seed: int = 0, **more: Any) -> list[PairBatch]:
    config = sampling(size, n_negatives, **more)
    return list(pair_batches(graph, config, np.random.default_rng(seed)))


@pytest.mark.parametrize("size", [1, 7, 100, 480, 5000])
def test_every_edge_once(graph: BipartiteGraph, size: int) -> None:
    batches = all_batches(graph, size)
    assert len(batches) == n_batches(graph, sampling(size))
    assert all(len(batch.users) == size for batch in batches[:-1])
    pairs = [pair for b in batches for pair in zip(b.users.tolist(), b.positives.tolist(), strict=True)]
    edges = [(user, int(item)) for user in range(graph.n_users) for item in graph.user_items.row(user)]
    assert sorted(pairs) == edges
    if size > 1:
        assert pairs != edges  # shuffled


def test_shapes_and_types(graph: BipartiteGraph) -> None:
    for batch in all_batches(graph, 64, n_negatives=3):
        n = len(batch.users)
        assert [a.shape for a in (batch.users, batch.positives, batch.negatives)] == [(n,), (n,), (n, 3)]
        assert {a.dtype for a in (batch.users, batch.positives, batch.negatives)} == {np.dtype(np.int32)}


def test_negatives_are_not_taken_and_reach_all_others(graph: BipartiteGraph) -> None:
    drawn: dict[int, set[int]] = {user: set() for user in range(graph.n_users)}
    for batch in all_batches(graph, 64, n_negatives=40):
        for user, items in zip(batch.users, batch.negatives, strict=True):
            drawn[int(user)] |= set(items.tolist())
    for user, items in drawn.items():
        assert items == set(range(graph.n_items)) - set(graph.user_items.row(user).tolist())


def test_the_generator_decides_everything(graph: BipartiteGraph) -> None:
    for first, again in zip(all_batches(graph, 50), all_batches(graph, 50), strict=True):
        for name in ("users", "positives", "negatives"):
            np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    other = all_batches(graph, 480, seed=1)[0]
    assert (other.users != all_batches(graph, 480)[0].users).any()


def test_two_batches_do_not_repeat_each_others_negatives() -> None:
    # One user with one item: every batch asks the same question, only the seed differs.
    users = np.zeros(6, np.int32)
    graph = build_graph(Interactions.of(users, np.arange(6, dtype=np.int32), 1, 10_000))
    first, second = all_batches(graph, 3, n_negatives=50)
    assert not np.array_equal(first.negatives, second.negatives)


def test_a_repeated_event_is_one_edge() -> None:
    users, items = np.array([0, 0, 1], np.int32), np.array([1, 1, 0], np.int32)
    assert n_batches(build_graph(Interactions.of(users, items, 2, 2)), sampling(1)) == 2


def edges_of(graph: BipartiteGraph) -> list[tuple[int, int]]:
    return [(user, int(item)) for user in range(graph.n_users) for item in graph.user_items.row(user)]


@pytest.fixture
def uneven() -> BipartiteGraph:
    """30 users and 25 items of very unequal popularity; user 4 and item 7 have no edges."""
    rng = np.random.default_rng(0)
    taken = rng.random((30, 25)) < np.linspace(0.02, 0.8, 25)
    taken[4], taken[:, 7] = False, False
    users, items = np.nonzero(taken)
    return build_graph(Interactions.of(users.astype(np.int32), items.astype(np.int32), 30, 25))


@pytest.mark.parametrize("size", [1, 7, 29, 100])
@pytest.mark.parametrize("more", [{}, {"negatives": "popularity"}, {"shared": True}, {"negatives": "mixed"}])
def test_every_user_once_with_all_edges(uneven: BipartiteGraph, size: int, more: dict[str, Any]) -> None:
    batches = all_batches(uneven, size, batch_by="users", **more)
    assert len(batches) == n_batches(uneven, sampling(size, batch_by="users"))
    assert all(len(batch.users) == size for batch in batches[:-1])
    users = [user for batch in batches for user in batch.users.tolist()]
    assert sorted(users) == [user for user in range(30) if user != 4]  # who has no edges is left out
    pairs = []
    for batch in batches:
        assert batch.owner is not None
        assert batch.edge_users().tolist() == [batch.users[row] for row in batch.owner]
        pairs += list(zip(batch.edge_users().tolist(), batch.positives.tolist(), strict=True))
    assert sorted(pairs) == edges_of(uneven)
    if size == 1:
        assert users != sorted(users)  # shuffled


SHARED: list[dict[str, Any]] = [
    {"negatives": "uniform", "shared": True},
    {"negatives": "popularity", "shared": True},
    {"negatives": "in-batch"},
    {"negatives": "mixed"},
]
every_shared = pytest.mark.parametrize("more", SHARED, ids=lambda m: m["negatives"])
both_ways = pytest.mark.parametrize("batch_by", ["edges", "users"])


@every_shared
@both_ways
@pytest.mark.parametrize("n_negatives", [1, 8, 60])
def test_shared_negatives_are_distinct_and_taken_marks_the_positives(
    uneven: BipartiteGraph, more: dict[str, Any], batch_by: Literal["edges", "users"], n_negatives: int
) -> None:
    assert is_shared(sampling(9, **more))
    for batch in all_batches(uneven, 9, n_negatives, batch_by=batch_by, **more):
        assert batch.negatives.ndim == 1
        assert batch.negatives.dtype == np.int32
        assert len(np.unique(batch.negatives)) == len(batch.negatives) <= min(n_negatives, 25)
        assert batch.log_draws.shape == batch.negatives.shape
        assert batch.log_draws.dtype == np.float32
        assert batch.taken is not None
        expected = {
            (row, column)
            for row, user in enumerate(batch.users)
            for column, item in enumerate(batch.negatives)
            if item in uneven.user_items.row(int(user))
        }
        marked = list(zip(*(part.tolist() for part in batch.taken), strict=True))
        assert set(marked) == expected
        assert len(marked) == len(expected)
        if more["negatives"] == "in-batch":
            assert set(batch.negatives) <= set(batch.positives)


def test_shared_uniform_negatives_are_as_many_as_asked(uneven: BipartiteGraph) -> None:
    for n, expected in ((6, 6), (25, 25), (99, 25)):
        for batch in all_batches(uneven, 50, n, shared=True):
            assert len(batch.negatives) == expected


def test_own_negatives_by_popularity(uneven: BipartiteGraph) -> None:
    counts = np.zeros(25)
    for seed in range(20):
        for batch in all_batches(uneven, 1000, 20, seed=seed, batch_by="users", negatives="popularity"):
            for user, items in zip(batch.users, batch.negatives, strict=True):
                assert not set(items.tolist()) & set(uneven.user_items.row(int(user)).tolist())
            counts += np.bincount(batch.negatives.ravel(), minlength=25)
    assert counts[7] == 0
    assert counts[15] > 4 * counts[1]


def expected_draws(graph: BipartiteGraph, n: int, more: dict[str, Any]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """How often each item is in a batch's negatives, counted; the batch is the whole epoch."""
    counts = np.zeros(25)
    for seed in range(2000):
        config = sampling(10**6, n, **more)
        batch = next(pair_batches(graph, config, np.random.default_rng(seed)))
        counts[batch.negatives] += 1
    return counts / 2000


@every_shared
@pytest.mark.parametrize("n_negatives", [4, 12])
def test_log_draws_of_shared_negatives_against_counts(
    uneven: BipartiteGraph, more: dict[str, Any], n_negatives: int
) -> None:
    found = np.full(25, np.nan)
    for seed in range(200):
        config = sampling(10**6, n_negatives, **more)
        batch = next(pair_batches(uneven, config, np.random.default_rng(seed)))
        found[batch.negatives] = np.exp(batch.log_draws)
    counted = expected_draws(uneven, n_negatives, more)
    seen = ~np.isnan(found)
    assert seen.sum() > 20
    # 5 standard deviations of 2,000 coin tosses
    assert (np.abs(found - counted)[seen] < 5 * np.sqrt(counted * (1 - counted) / 2000)[seen] + 0.002).all()


@pytest.mark.parametrize("negatives", ["uniform", "popularity"])
def test_log_draws_of_own_negatives(uneven: BipartiteGraph, negatives: Literal["uniform", "popularity"]) -> None:
    """n draws by the item's chance among all; that users' own items are drawn again is left out."""
    popular = uneven.item_counts() / uneven.n_edges
    for batch in all_batches(uneven, 50, 6, negatives=negatives):
        chances = popular[batch.negatives] if negatives == "popularity" else 1 / 25
        np.testing.assert_allclose(np.exp(batch.log_draws), 6 * chances * np.ones_like(batch.negatives), rtol=1e-5)
        assert batch.taken is None


@every_shared
@both_ways
def test_the_generator_decides_shared_draws_too(
    uneven: BipartiteGraph, more: dict[str, Any], batch_by: Literal["edges", "users"]
) -> None:
    first, again = (all_batches(uneven, 20, 8, batch_by=batch_by, **more) for _ in range(2))
    for one, two in zip(first, again, strict=True):
        for name in ("users", "positives", "negatives", "log_draws"):
            np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
    other = all_batches(uneven, 20, 8, seed=1, batch_by=batch_by, **more)
    assert any(not np.array_equal(one.users, two.users) for one, two in zip(first, other, strict=True))
