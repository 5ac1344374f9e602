"""Negatives: never a taken item, uniform over the rest, the same on any number of threads."""

import numpy as np
import pytest
from scipy.stats import chisquare

from pinfold.arrays import Ints
from pinfold.graph.csr import Csr
from pinfold.kernels.negatives import MAX_TRIES, sample_negatives

N_ITEMS = 20
TAKEN: list[list[int]] = [[], [0], [19], [0, 1, 2, 10, 18, 19], list(range(1, 20)), list(range(20))]


def csr(rows: list[list[int]] = TAKEN, n_items: int = N_ITEMS) -> Csr:
    ids = np.array([item for row in rows for item in row], np.int32)
    ptr = np.cumsum([0, *map(len, rows)]).astype(np.int64)
    return Csr(ptr, ids, np.ones(len(ids), np.float32), n_items)


ALL = np.arange(N_ITEMS, dtype=np.int32)


def draw(users: Ints, n_negatives: int, seed: int = 7, pool: Ints = ALL) -> Ints:
    taken = csr()
    return sample_negatives(taken.ptr, taken.ids, users, pool, n_negatives, seed)


@pytest.mark.parametrize("user", range(4))
def test_uniform_over_the_items_not_taken(user: int) -> None:
    drawn = draw(np.full(8000, user, np.int32), 5)
    counts = np.bincount(drawn.ravel(), minlength=N_ITEMS)
    assert counts[TAKEN[user]].sum() == 0
    assert len(counts) == N_ITEMS
    left = np.setdiff1d(np.arange(N_ITEMS), TAKEN[user])
    assert chisquare(counts[left]).pvalue > 1e-3
    for column in range(5):  # each place of its own
        assert chisquare(np.bincount(drawn[:, column], minlength=N_ITEMS)[left]).pvalue > 1e-3


def test_a_pool_gives_each_item_as_often_as_it_is_in_it() -> None:
    times = np.arange(N_ITEMS) % 4  # some items not at all
    pool = np.random.default_rng(0).permutation(np.repeat(ALL, times)).astype(np.int32)
    counts = np.bincount(draw(np.full(20_000, 3, np.int32), 2, pool=pool).ravel(), minlength=N_ITEMS)
    left = times.copy()
    left[TAKEN[3]] = 0
    assert (counts[left == 0] == 0).all()
    expected = left[left > 0] / left.sum() * counts.sum()
    assert chisquare(counts[left > 0], expected).pvalue > 1e-3


def test_a_pool_of_taken_items_gives_one_of_them_and_an_end() -> None:
    pool = np.array([2, 10], np.int32)
    assert set(draw(np.full(50, 3, np.int32), 2, pool=pool).ravel().tolist()) == {2, 10}


def test_draws_of_a_row_do_not_hang_together() -> None:
    pairs = draw(np.zeros(40_000, np.int32), 2)
    counts = np.bincount(pairs[:, 0] * N_ITEMS + pairs[:, 1], minlength=N_ITEMS**2)
    assert chisquare(counts).pvalue > 1e-3
    steps = pairs[:-1, 0] * N_ITEMS + pairs[1:, 0]  # one row and the next
    assert chisquare(np.bincount(steps, minlength=N_ITEMS**2)).pvalue > 1e-3


def test_one_item_left_is_found() -> None:
    # A try finds item 0 with probability 1/20, so 100 tries fail with 0.95^100 = 0.6 %.
    drawn = draw(np.full(1000, 4, np.int32), 1)
    assert MAX_TRIES == 100
    assert (drawn == 0).mean() > 0.97


def test_who_took_everything_gets_some_item_and_an_end() -> None:
    drawn = draw(np.full(300, 5, np.int32), 3)
    assert drawn.min() >= 0
    assert drawn.max() < N_ITEMS


def test_only_one_item_exists() -> None:
    alone = csr([[], [0]], 1)
    users = np.array([0, 1], np.int32)
    assert sample_negatives(alone.ptr, alone.ids, users, ALL[:1], 2, 0).tolist() == [[0, 0], [0, 0]]


def test_many_items_are_reached_to_both_ends() -> None:
    n_items = 1_000_000
    nobody = csr([[]], n_items)
    drawn = sample_negatives(
        nobody.ptr, nobody.ids, np.zeros(200_000, np.int32), np.arange(n_items, dtype=np.int32), 1, 3
    )
    assert drawn.dtype == np.int32
    assert drawn.min() < 100
    assert n_items - 100 < drawn.max() < n_items
    assert chisquare(np.bincount(drawn.ravel() // 10_000, minlength=100)).pvalue > 1e-3


def test_threads_do_not_change_the_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    users = np.random.default_rng(0).integers(0, len(TAKEN), 1001).astype(np.int32)
    drawn = []
    for threads in (1, 2, 3):
        monkeypatch.setattr("pinfold.kernels.parallel.n_threads", lambda threads=threads: threads)
        drawn.append(draw(users, 3))
    np.testing.assert_array_equal(drawn[0], drawn[1])
    np.testing.assert_array_equal(drawn[0], drawn[2])


def test_a_row_does_not_depend_on_the_others() -> None:
    users = np.random.default_rng(0).integers(0, len(TAKEN), 1000).astype(np.int32)
    whole = draw(users, 4)
    np.testing.assert_array_equal(draw(users[:37], 4), whole[:37])
    others = users.copy()
    others[:500] = 0
    np.testing.assert_array_equal(draw(others, 4)[500:], whole[500:])


@pytest.mark.parametrize("seed", [0, 1, 2**63 - 1])
def test_same_seed_same_draws_and_other_seed_others(seed: int) -> None:
    users = np.zeros(100, np.int32)
    np.testing.assert_array_equal(draw(users, 2, seed), draw(users, 2, seed))
    assert (draw(users, 2, seed) != draw(users, 2, 12345)).mean() > 0.8
