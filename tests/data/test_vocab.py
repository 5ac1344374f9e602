"""Vocab: ids to rows and back."""

import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinfold.data.vocab import Vocab
from pinfold.errors import DataError

QUICK = settings(max_examples=50, deadline=None)


@QUICK
@given(st.lists(st.text(max_size=4), unique=True))
def test_rows_and_ids_are_inverse(ids: list[str]) -> None:
    vocab = Vocab(ids, "item")
    rows = vocab.rows(ids)
    assert rows.dtype == np.int32
    assert rows.tolist() == list(range(len(ids)))
    assert vocab.ids(rows[::-1]).tolist() == ids[::-1]
    assert vocab.all.tolist() == ids
    assert len(vocab) == len(ids)


def test_ids_that_only_look_alike_are_different() -> None:
    composed = "é"
    ids = ["1", "01", "1.0", " 1", "", composed, unicodedata.normalize("NFD", composed), "E", "e", "a\0", "a"]
    assert Vocab(ids, "item").rows(ids).tolist() == list(range(len(ids)))


def test_ids_take_the_shape_of_the_rows() -> None:
    found = Vocab(["a", "b", "c"], "item").ids(np.array([[2, 0], [1, 1]], np.int32))
    assert found.tolist() == [["c", "a"], ["b", "b"]]


@pytest.mark.parametrize("ids", [["a", "b", "a"], ["", ""]])
def test_an_id_that_occurs_twice_is_refused(ids: list[str]) -> None:
    with pytest.raises(ValueError, match="user ids must be distinct"):
        Vocab(ids, "user")


def test_an_unknown_id_is_named_with_a_near_one() -> None:
    vocab = Vocab(["python3-numpy", "gimp"], "package")
    with pytest.raises(DataError, match=r"^no package has the id 'python-numpy'; did you mean 'python3-numpy'\?$"):
        vocab.row("python-numpy")
    with pytest.raises(DataError, match=r"^no package has the id 'zzz'$"):
        vocab.rows(["gimp", "zzz"])


def test_what_is_known() -> None:
    vocab = Vocab(np.array(["a", "b"], dtype=object), "item")
    assert vocab.known(["z", "b", "a", "b"]) == ["b", "a", "b"]
    assert vocab.known([]) == []
    assert "a" in vocab
    assert "z" not in vocab
    assert vocab.row_or("b", -1) == 1
    assert vocab.row_or("z", -1) == -1
