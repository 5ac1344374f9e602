"""The shape check and the two bundles that rely on it."""

import numpy as np
import pytest

from pinfold.arrays import Embeddings, TopK, check_array, narrow, spans


def test_check_array_lets_a_fitting_array_through() -> None:
    check_array("x", np.zeros((2, 3), np.float32), np.float32, 2, 3)
    check_array("x", np.zeros((2, 3), np.float32), np.float32, -1, 3)
    check_array("x", np.zeros((), np.int64), np.int64)
    check_array("x", np.zeros((0, 3), np.float32), np.float32, -1, -1)


def test_check_array_names_the_dtypes() -> None:
    with pytest.raises(TypeError, match=r"^x must have dtype float32, got float64$"):
        check_array("x", np.zeros(2), np.float32, 2)


def test_check_array_refuses_the_other_byte_order() -> None:
    with pytest.raises(TypeError, match="x must have dtype int32, got >i4"):
        check_array("x", np.zeros(2, ">i4"), np.int32, 2)


@pytest.mark.parametrize("shape", [(2,), (2, 4), (3, 3), (2, 3, 1), ()])
def test_check_array_refuses_another_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"^x must have shape .* \(-1: any\), got \(2, 3\)$"):
        check_array("x", np.zeros((2, 3), np.float32), np.float32, *shape)


def test_top_k_needs_a_score_for_every_id() -> None:
    ids = np.zeros((2, 3), np.int32)
    TopK(ids, np.zeros((2, 3), np.float32))
    with pytest.raises(ValueError, match="scores must have shape"):
        TopK(ids, np.zeros((2, 2), np.float32))
    with pytest.raises(ValueError, match="ids must have shape"):
        TopK(ids[0], np.zeros(3, np.float32))


def test_embeddings_need_one_dimension_for_all() -> None:
    users, items = np.zeros((4, 2), np.float32), np.zeros((3, 2), np.float32)
    Embeddings(users, items, items)
    with pytest.raises(ValueError, match="items must have shape"):
        Embeddings(users, np.zeros((3, 5), np.float32), items)
    with pytest.raises(ValueError, match="history must have shape"):
        Embeddings(users, items, items[:2])
    with pytest.raises(TypeError, match="users must have dtype float32"):
        Embeddings(users.astype(np.float64), items, items)


def test_spans_cover_everything_once() -> None:
    assert [list(range(8)[span]) for span in spans(8, 3)] == [[0, 1, 2], [3, 4, 5], [6, 7]]
    assert list(spans(0, 3)) == []
    assert list(spans(3, 3)) == [slice(0, 3)]
    assert list(spans(2**20)) == [slice(0, 2**20)]


def test_half_precision_holds_what_it_can() -> None:
    rows = np.array([[1e6, -1e6, 0.1]], np.float32)
    assert narrow(rows, np.float16).tolist() == [[65504, -65504, float(np.float16(0.1))]]
    assert narrow(rows, np.float32) is rows
