"""Csr against scipy, and every way in which three arrays are not a Csr."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from pinfold.arrays import Ints
from pinfold.graph.csr import Csr, from_pairs, from_scipy

QUICK = settings(max_examples=50, deadline=None)


def ints(*values: int) -> Ints:
    return np.array(values, np.int32)


def csr(ptr: list[int], ids: list[int], weights: list[float] | None = None, n_columns: int = 4) -> Csr:
    return Csr(
        np.array(ptr, np.int64),
        np.array(ids, np.int32),
        np.array(weights if weights is not None else [1.0] * len(ids), np.float32),
        n_columns,
    )


def dense(matrix: Csr) -> Any:
    return matrix.to_scipy().toarray()


@st.composite
def matrices(draw: st.DrawFn) -> Csr:
    """Any small matrix, with empty rows, no rows, or no columns."""
    n_rows, n_columns = draw(st.integers(0, 6)), draw(st.integers(0, 6))
    cells = st.tuples(st.integers(0, max(n_rows - 1, 0)), st.integers(0, max(n_columns - 1, 0)))
    taken = sorted(draw(st.sets(cells, max_size=20))) if n_rows and n_columns else []
    weights = draw(st.lists(st.integers(1, 5), min_size=len(taken), max_size=len(taken)))
    rows, columns = (np.array([cell[side] for cell in taken], np.int32) for side in (0, 1))
    return from_pairs(rows, columns, np.array(weights, np.float32), (n_rows, n_columns))


GOOD: dict[str, Any] = {
    "ptr": np.array([0, 2, 2, 3]), "ids": ints(1, 3, 0), "weights": np.ones(3, np.float32), "n_columns": 4,
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"ptr": np.array([0, 2, 2, 3], np.int32)}, TypeError, "ptr must have dtype int64"),
        ({"ids": np.array([1, 3, 0])}, TypeError, "ids must have dtype int32"),
        ({"weights": np.ones(3)}, TypeError, "weights must have dtype float32"),
        ({"weights": np.ones(2, np.float32)}, ValueError, "weights must have shape"),
        ({"ids": ints(1, 3, 0).reshape(3, 1)}, ValueError, "ids must have shape"),
        ({"ptr": np.array([[0, 3]])}, ValueError, "ptr must have shape"),
        ({"ptr": np.zeros(0, np.int64)}, ValueError, "ptr must rise from 0 to 3"),
        ({"ptr": np.array([1, 2, 2, 3])}, ValueError, "ptr must rise from 0 to 3"),
        ({"ptr": np.array([0, 2, 2, 2])}, ValueError, "ptr must rise from 0 to 3"),
        ({"ptr": np.array([0, 2, 2, 4])}, ValueError, "ptr must rise from 0 to 3"),
        ({"ptr": np.array([0, 2, 1, 3])}, ValueError, "ptr must rise from 0 to 3"),
        ({"ptr": np.array([0, 4, 2, 3])}, ValueError, "ptr must rise from 0 to 3"),
        ({"ptr": np.array([0, -1, 2, 3])}, ValueError, "ptr must rise from 0 to 3"),
        ({"ptr": np.array([0])}, ValueError, "ptr must rise from 0 to 3"),
        ({"ids": ints(1, 4, 0)}, ValueError, r"ids must lie in \[0, 4\)"),
        ({"ids": ints(-1, 3, 0)}, ValueError, r"ids must lie in \[0, 4\)"),
        ({"n_columns": 0}, ValueError, r"ids must lie in \[0, 0\)"),
        ({"ids": ints(3, 1, 0)}, ValueError, "ids must be sorted and distinct within each row"),
        ({"ids": ints(1, 1, 0)}, ValueError, "ids must be sorted and distinct within each row"),
        ({"ptr": np.array([0, 0, 3, 3])}, ValueError, "ids must be sorted and distinct within each row"),
        ({"ptr": np.array([0, 1, 3, 3])}, ValueError, "ids must be sorted and distinct within each row"),
    ],
)
def test_what_is_not_a_csr_is_refused(change: dict[str, Any], error: type[Exception], message: str) -> None:
    Csr(**GOOD)
    with pytest.raises(error, match=message):
        Csr(**GOOD | change)


@pytest.mark.parametrize(
    ("ptr", "ids", "degrees"),
    [
        ([0], [], []),
        ([0, 0, 0], [], [0, 0]),
        ([0, 0, 0, 2], [1, 3], [0, 0, 2]),
        ([0, 2, 2, 2], [1, 3], [2, 0, 0]),
        ([0, 0, 1, 1, 2, 2], [3, 0], [0, 1, 0, 1, 0]),
        ([0, 2, 4], [2, 3, 0, 3], [2, 2]),  # ids may fall and repeat from row to row
    ],
)
def test_empty_rows_anywhere(ptr: list[int], ids: list[int], degrees: list[int]) -> None:
    matrix = csr(ptr, ids)
    assert matrix.n_rows == len(degrees)
    assert matrix.degrees().tolist() == degrees
    assert [matrix.row(row).tolist() for row in range(len(degrees))] == [
        ids[start:stop] for start, stop in pairwise(ptr)
    ]


def test_a_row_may_end_where_the_next_begins() -> None:
    assert csr([0, 2, 3], [1, 3, 3]).row(1).tolist() == [3]


@QUICK
@given(matrices(), st.data())
def test_take_agrees_with_scipy(matrix: Csr, data: st.DataObject) -> None:
    rows = data.draw(st.lists(st.integers(0, matrix.n_rows - 1), max_size=12)) if matrix.n_rows else []
    taken = matrix.take(np.array(rows, np.int32))
    assert (taken.n_rows, taken.n_columns) == (len(rows), matrix.n_columns)
    assert dense(taken).tolist() == dense(matrix)[np.array(rows, np.int64)].tolist()


@pytest.mark.parametrize("rows", [[-1], [3], [0, -1], [-1, 0, 0], [2**31 - 1]])
def test_take_refuses_rows_that_are_not_there(rows: list[int]) -> None:
    with pytest.raises(ValueError, match=r"rows must lie in \[0, 3\)"):
        Csr(**GOOD).take(np.array(rows, np.int32))


def test_take_reads_mapped_arrays(tmp_path: Any) -> None:
    np.save(tmp_path / "ids.npy", GOOD["ids"])
    mapped = Csr(**GOOD | {"ids": np.load(tmp_path / "ids.npy", mmap_mode="r")})
    assert mapped.take(ints(2, 0)).ids.tolist() == [0, 1, 3]
    assert mapped.keep_largest(1).ids.tolist() == [1, 0]
    assert mapped.transpose().row(3).tolist() == [0]


def slow_largest(matrix: Csr, k: int) -> list[list[tuple[int, float]]]:
    kept = []
    for row in range(matrix.n_rows):
        span = slice(matrix.ptr[row], matrix.ptr[row + 1])
        entries = list(zip(matrix.ids[span].tolist(), matrix.weights[span].tolist(), strict=True))
        kept.append(sorted(sorted(entries, key=lambda entry: (-entry[1], entry[0]))[:k]))
    return kept


@QUICK
@given(matrices(), st.integers(0, 7))
def test_keep_largest_agrees_with_the_slow_twin(matrix: Csr, k: int) -> None:
    found = matrix.keep_largest(k)
    assert slow_largest(found, 7) == slow_largest(matrix, k)
    assert found.n_columns == matrix.n_columns


@QUICK
@given(matrices(), st.data())
def test_only_some_entries(matrix: Csr, data: st.DataObject) -> None:
    n = len(matrix.ids)
    kept = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)), np.bool_)
    found = matrix.only(kept)
    rows = np.repeat(np.arange(matrix.n_rows), matrix.degrees())
    expected = dense(matrix)
    expected[rows[~kept], matrix.ids[~kept]] = 0
    np.testing.assert_array_equal(dense(found), expected)
    assert (found.n_rows, found.n_columns, len(found.ids)) == (matrix.n_rows, matrix.n_columns, int(kept.sum()))


def test_keep_largest_of_equal_weights_keeps_the_lower_columns() -> None:
    matrix = csr([0, 4, 4, 6], [0, 1, 2, 3, 1, 2], [1, 2, 2, 2, 5, 5])
    kept = matrix.keep_largest(2)
    assert [kept.row(row).tolist() for row in range(3)] == [[1, 2], [], [1, 2]]
    with pytest.raises(ValueError, match="k must not be negative, got -1"):
        matrix.keep_largest(-1)


@QUICK
@given(matrices())
def test_transpose_agrees_with_numpy_and_undoes_itself(matrix: Csr) -> None:
    assert dense(matrix.transpose()).tolist() == dense(matrix).T.tolist()
    assert dense(matrix.transpose().transpose()).tolist() == dense(matrix).tolist()


def test_from_pairs_sorts_and_sums_what_is_repeated() -> None:
    matrix = from_pairs(ints(2, 0, 2, 0, 2), ints(3, 1, 0, 0, 3), np.array([1, 2, 4, 8, 16], np.float32), shape=(4, 5))
    assert matrix.ptr.tolist() == [0, 2, 2, 4, 4]
    assert matrix.ids.tolist() == [0, 1, 0, 3]
    assert matrix.weights.tolist() == [8, 2, 4, 17]
    assert (matrix.n_rows, matrix.n_columns) == (4, 5)


def test_from_pairs_of_nothing() -> None:
    matrix = from_pairs(ints(), ints(), np.zeros(0, np.float32), (0, 0))
    assert (matrix.n_rows, matrix.n_columns, len(matrix.ids)) == (0, 0, 0)


@pytest.mark.parametrize(("row", "column"), [(2, 0), (0, 3), (-1, 0), (0, -1)])
def test_from_pairs_refuses_what_lies_outside(row: int, column: int) -> None:
    with pytest.raises(ValueError, match="index"):
        from_pairs(ints(row), ints(column), np.ones(1, np.float32), (2, 3))


def test_from_scipy_leaves_the_matrix_as_it_was() -> None:
    unsorted = sparse.csr_array((np.array([1, 2, 4], np.float32), ints(2, 0, 2), ints(0, 3)), shape=(1, 3))
    matrix = from_scipy(unsorted)
    assert matrix.ids.tolist() == [0, 2]
    assert matrix.weights.tolist() == [2, 5]
    assert unsorted.indices.tolist() == [2, 0, 2]
    assert unsorted.data.tolist() == [1, 2, 4]


def test_to_scipy_shares_ids_and_weights() -> None:
    matrix = Csr(**GOOD)
    assert np.shares_memory(matrix.to_scipy().indices, matrix.ids)
    assert np.shares_memory(matrix.to_scipy().data, matrix.weights)
