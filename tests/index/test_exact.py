"""The exact index against a full numpy sort."""

import numpy as np
import pytest

from pinfold.arrays import Floats, TopK
from pinfold.graph.csr import Csr
from pinfold.index.exact import ExactIndex, block_rows

N_ITEMS, DIM = 50, 4


def whole_numbers(n: int, seed: int) -> Floats:
    """Small whole numbers: inner products are exact and often equal."""
    return np.random.default_rng(seed).integers(-3, 4, (n, DIM)).astype(np.float32)


def csr(rows: list[list[int]], n_columns: int = N_ITEMS) -> Csr:
    ids = np.array([item for row in rows for item in row], np.int32)
    ptr = np.cumsum([0, *map(len, rows)]).astype(np.int64)
    return Csr(ptr, ids, np.ones(len(ids), np.float32), n_columns)


def twin(queries: Floats, items: Floats, k: int, exclude: list[list[int]]) -> TopK:
    scores = (queries @ items.T).astype(np.float32)
    ids, best = np.full((len(queries), k), -1, np.int32), np.full((len(queries), k), -np.inf, np.float32)
    for row, line in enumerate(scores):
        order = [i for i in np.argsort(-line, kind="stable") if i not in exclude[row]][:k]
        ids[row, : len(order)], best[row, : len(order)] = order, line[order]
    return TopK(ids, best)


EXCLUDE = [np.flatnonzero(np.random.default_rng(5).random(N_ITEMS) < share).tolist() for share in np.linspace(0, 1, 40)]


@pytest.mark.parametrize("block_bytes", [1, 4 * N_ITEMS * 7, 64 << 20])
@pytest.mark.parametrize("k", [1, 10, 60])
def test_against_numpy_in_blocks_of_any_size(monkeypatch: pytest.MonkeyPatch, block_bytes: int, k: int) -> None:
    monkeypatch.setattr("pinfold.index.exact.BLOCK_BYTES", block_bytes)
    items, queries = whole_numbers(N_ITEMS, 0), whole_numbers(40, 1)
    index = ExactIndex(items)
    nothing: list[list[int]] = [[]] * 40
    for exclude in (EXCLUDE, nothing):
        found, expected = index.search(queries, k, csr(exclude)), twin(queries, items, k, exclude)
        np.testing.assert_array_equal(found.ids, expected.ids)
        np.testing.assert_array_equal(found.scores, expected.scores)
    np.testing.assert_array_equal(index.search(queries, k).ids, twin(queries, items, k, nothing).ids)


def test_queries_and_items_are_not_changed() -> None:
    items, queries = whole_numbers(N_ITEMS, 0), whole_numbers(2, 1)
    ExactIndex(items).search(queries, 3, csr([[0], [1]]))
    np.testing.assert_array_equal(items, whole_numbers(N_ITEMS, 0))
    np.testing.assert_array_equal(queries, whole_numbers(2, 1))


def test_nobody_asks() -> None:
    found = ExactIndex(whole_numbers(N_ITEMS, 0)).search(np.empty((0, DIM), np.float32), 3)
    assert found.ids.shape == found.scores.shape == (0, 3)


@pytest.mark.parametrize("shape", [(DIM,), (2, DIM + 1), (1, 2, DIM)])
def test_queries_of_another_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"queries must have shape \(B, 4\), got"):
        ExactIndex(whole_numbers(N_ITEMS, 0)).search(np.zeros(shape, np.float32), 3)


@pytest.mark.parametrize("k", [0, -1])
def test_k_below_one(k: int) -> None:
    with pytest.raises(ValueError, match="k must be at least 1"):
        ExactIndex(whole_numbers(N_ITEMS, 0)).search(whole_numbers(2, 1), k)


@pytest.mark.parametrize("exclude", [csr([[0]]), csr([[0]] * 3), csr([[], [N_ITEMS]], N_ITEMS + 1)])
def test_exclusions_of_another_shape(exclude: Csr) -> None:
    """The kernel trusts its callers: without this check it would write outside the scores."""
    with pytest.raises(ValueError, match=r"exclude must have shape \(2, 50\), got"):
        ExactIndex(whole_numbers(N_ITEMS, 0)).search(whole_numbers(2, 1), 3, exclude)


def test_block_rows() -> None:
    assert block_rows(1 << 20) == 16  # 64 MiB of floats
    assert block_rows(10**10) == 1
    assert block_rows(0) > 0
