"""Rows of a CSR against lists of tuples."""

from itertools import pairwise

import numpy as np
import pytest

from pinfold.arrays import Floats, Ints, Longs
from pinfold.kernels.rows import keep_largest, take_rows

Rows = list[list[tuple[int, float]]]
Arrays = tuple[Longs, Ints, Floats]


def arrays(rows: Rows) -> Arrays:
    entries = [entry for row in rows for entry in row]
    ptr = np.cumsum([0, *map(len, rows)]).astype(np.int64)
    return ptr, np.array([c for c, _ in entries], np.int32), np.array([w for _, w in entries], np.float32)


def lists(csr: Arrays) -> Rows:
    ptr, ids, weights = csr
    pairs = list(zip(ids.tolist(), weights.tolist(), strict=True))
    return [pairs[a:b] for a, b in pairwise(ptr)]


def random_rows(n: int, seed: int) -> Rows:
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(n):
        columns = np.flatnonzero(rng.random(12) < rng.random())
        rows.append([(int(c), float(rng.integers(1, 5))) for c in columns])  # weights 1 to 4: many are equal
    return rows


WORLD: Rows = [[(0, 1.0), (3, 2.0)], [], [(1, 5.0)], [(0, 2.0), (1, 2.0), (2, 1.0), (5, 2.0)]]


def test_rows_in_the_given_order_and_as_often() -> None:
    taken = take_rows(*arrays(WORLD), np.array([3, 1, 0, 3], np.int32))
    assert lists(taken) == [WORLD[3], WORLD[1], WORLD[0], WORLD[3]]
    assert [part.dtype for part in taken] == [np.int64, np.int32, np.float32]


def test_no_rows() -> None:
    assert lists(take_rows(*arrays(WORLD), np.empty(0, np.int32))) == []
    assert lists(keep_largest(*arrays([]), 3)) == []
    assert lists(keep_largest(*arrays([[], []]), 3)) == [[], []]


def test_heaviest_stay_in_column_order_and_ties_go_to_the_lower_column() -> None:
    assert lists(keep_largest(*arrays(WORLD), 2)) == [WORLD[0], [], WORLD[2], [(0, 2.0), (1, 2.0)]]
    assert lists(keep_largest(*arrays(WORLD), 1)) == [[(3, 2.0)], [], [(1, 5.0)], [(0, 2.0)]]
    assert lists(keep_largest(*arrays([[(0, 1.0), (1, 3.0), (2, 1.0)]]), 2)) == [[(0, 1.0), (1, 3.0)]]
    assert lists(keep_largest(*arrays(WORLD), 9)) == WORLD


@pytest.mark.parametrize("threads", [1, 3])
def test_many_rows_against_twins(monkeypatch: pytest.MonkeyPatch, threads: int) -> None:
    monkeypatch.setattr("pinfold.kernels.parallel.n_threads", lambda: threads)
    world = random_rows(600, 0)
    chosen = np.random.default_rng(1).integers(0, 600, 900).astype(np.int32)
    assert lists(take_rows(*arrays(world), chosen)) == [world[row] for row in chosen]
    for k in (1, 3, 20):
        expected = [sorted(sorted(row, key=lambda e: (-e[1], e[0]))[:k]) for row in world]
        assert lists(keep_largest(*arrays(world), k)) == expected
