"""Shares of a batch: every row in exactly one, nothing changed on the way."""

from dataclasses import replace

import numpy as np
import pytest

from pinfold.arrays import Ints, Longs
from pinfold.graph.bipartite import BipartiteGraph
from pinfold.sampling.pairs import PairBatch, SamplingConfig, pair_batches
from pinfold.sampling.shares import share_pairs

EDGES = SamplingConfig(batch_by="edges", batch_size=50, n_negatives=7, shared=False)
CONFIGS = [
    EDGES,
    replace(EDGES, shared=True),
    replace(EDGES, batch_by="users", batch_size=7),
    replace(EDGES, batch_by="users", batch_size=7, shared=True),
]


def batch_of(graph: BipartiteGraph, config: SamplingConfig) -> PairBatch:
    return next(pair_batches(graph, config, np.random.default_rng(0)))


def edges(batch: PairBatch) -> list[tuple[int, int]]:
    return sorted(zip(batch.edge_users().tolist(), batch.positives.tolist(), strict=True))


def excluded(batch: PairBatch) -> list[tuple[int, int]]:
    """User and item of shared negatives that do not count."""
    if batch.taken is None:
        return []
    rows, columns = batch.taken
    found: tuple[Ints | Longs, Ints | Longs] = batch.users[rows], batch.negatives[columns]
    return sorted(set(zip(*(part.tolist() for part in found), strict=True)))


@pytest.mark.parametrize("size", [1, 2, 3, 5])
@pytest.mark.parametrize("config", CONFIGS, ids=["own", "shared", "own-users", "shared-users"])
def test_every_row_is_in_one_share(graph: BipartiteGraph, config: SamplingConfig, size: int) -> None:
    whole = batch_of(graph, config)
    shares = [share for rank in range(size) if (share := share_pairs(whole, rank, size, "edges")) is not None]
    assert len(shares) == size
    assert sorted(user for share in shares for user in share.users.tolist()) == sorted(whole.users.tolist())
    assert sorted(edge for share in shares for edge in edges(share)) == edges(whole)
    assert sorted({pair for share in shares for pair in excluded(share)}) == excluded(whole)
    for rank, share in enumerate(shares):
        rows = np.arange(rank, len(whole.users), size)
        np.testing.assert_array_equal(share.users, whole.users[rows])
        own = whole.negatives.ndim == 2
        np.testing.assert_array_equal(share.negatives, whole.negatives[rows] if own else whole.negatives)
        np.testing.assert_array_equal(share.log_draws, whole.log_draws[rows] if own else whole.log_draws)
        assert share.share is not None
        assert share.share.n_edges == len(whole.positives)
        assert share.share.leads == (rank == 0)


def test_weights_by_hand() -> None:
    """User 4 has rows 0 and 2, user 9 row 1."""
    users, positives = np.array([4, 9, 4], np.int32), np.array([0, 1, 2], np.int32)
    negatives, zeros = np.array([5, 6], np.int32), np.zeros(2, np.float32)
    of_edges = PairBatch(users, positives, None, negatives, None, zeros)
    of_users = PairBatch(users[:2], positives, np.array([0, 0, 1]), negatives, None, zeros)

    def weights(batch: PairBatch, mean: str) -> list[list[float]]:
        shares = [share_pairs(batch, rank, 2, mean) for rank in range(2)]  # type: ignore[arg-type]
        return [share.share.weights.tolist() for share in shares if share is not None and share.share is not None]

    assert weights(of_edges, "edges") == [pytest.approx([1 / 3, 1 / 3]), pytest.approx([1 / 3])]
    assert weights(of_edges, "users") == [pytest.approx([1 / 4, 1 / 4]), pytest.approx([1 / 2])]
    assert weights(of_users, "users") == [pytest.approx([1 / 4, 1 / 4]), pytest.approx([1 / 2])]
    assert weights(of_users, "rows") == [pytest.approx([1 / 2]), pytest.approx([1 / 2])]


def test_fewer_rows_than_shares(graph: BipartiteGraph) -> None:
    batch = batch_of(graph, replace(EDGES, batch_size=2))
    found = [share_pairs(batch, rank, 3, "edges") for rank in range(3)]
    assert [share is None for share in found] == [False, False, True]
