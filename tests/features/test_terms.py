"""Bags of terms against scikit-learn, and text and categories on top of them."""

import time
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.feature_extraction.text import TfidfVectorizer
from threadpoolctl import threadpool_limits

import pinfold.features.terms as terms_module
from pinfold.data.columns import Column
from pinfold.features.categories import Categories, encode_categories, fit_categories
from pinfold.features.config import CategoriesColumn, TextColumn
from pinfold.features.reduction import principal, unit_rows
from pinfold.features.terms import encode_terms, fit_terms, weighted
from pinfold.features.text import MOST_CHARACTERS, MOST_WORDS, Texts, encode_texts, fit_texts, words
from pinfold.features.values import Values, as_categories

NOUNS = ("mug", "shirt", "lamp", "chair", "clock", "bag")
COLORS = ("red", "blue", "green", "white", "black")


def column(*values: object) -> Column:
    made = np.empty(len(values), dtype=object)
    made[:] = values
    return made


def titles(n: int) -> list[str]:
    rng = np.random.default_rng(n)
    starts = [f"{rng.choice(COLORS)} {rng.choice(COLORS)} {rng.choice(NOUNS)}" for _ in range(n)]
    return [f"{start}, {rng.choice(NOUNS)} {i % 9}0" for i, start in enumerate(starts)]


def text_encoder(texts: list[str], dim: int = 8, **options: int) -> Texts:
    found = fit_texts(TextColumn(**options), Values("title", column(*texts)), dim, 0)  # type: ignore[arg-type]
    assert isinstance(found, Texts)
    return found


def categories_encoder(values: Column, dim: int = 128, **options: object) -> Categories:
    found = fit_categories(CategoriesColumn(**options), Values("tags", values), dim, 0)  # type: ignore[arg-type]
    assert isinstance(found, Categories)
    return found


@pytest.mark.parametrize("ngrams", [1, 2, 3])
def test_weights_are_those_of_scikit_learn(ngrams: int) -> None:
    texts = [*titles(60), "red red RED mug", ""]
    bag = partial(words, ngrams=ngrams)
    twin = TfidfVectorizer(ngram_range=(1, ngrams), sublinear_tf=True, min_df=2)
    expected = twin.fit_transform(texts)
    terms = fit_terms(texts, bag, 2, 50_000, 50_000, 0)
    assert terms is not None
    assert list(terms.rows) == twin.get_feature_names_out().tolist()
    np.testing.assert_allclose(weighted(terms, texts, bag).toarray(), expected.toarray(), rtol=2e-5, atol=1e-7)
    unseen = ["red mug of something new", "nothing"]
    np.testing.assert_allclose(
        weighted(terms, unseen, bag).toarray(), twin.transform(unseen).toarray(), rtol=2e-5, atol=1e-7
    )


def test_components_keep_as_much_as_the_exact_ones() -> None:
    texts = titles(60)
    matrix = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2).fit_transform(texts).toarray()
    components = text_encoder(texts, 12).terms.components
    assert components is not None
    np.testing.assert_allclose(components.T @ components, np.eye(12), atol=1e-5)
    best = (np.linalg.svd(matrix, compute_uv=False)[:12] ** 2).sum()
    assert ((matrix @ components) ** 2).sum() > 0.998 * best
    encoded = encode_texts(text_encoder(texts, 12), Values("title", column(*texts)))
    np.testing.assert_allclose(encoded.matrix, unit_rows(matrix.astype(np.float32) @ components), atol=1e-5)


def test_most_frequent_terms_are_kept_and_rare_ones_are_not() -> None:
    lists = [["a", "b"], ["a", "b", "c"], ["a", "c"], ["a", "d"]]
    kept = fit_terms(lists, list, 1, 2, 9, 0)
    assert kept is not None
    assert list(kept.rows) == ["a", "b"]  # b and c are as frequent: the first in order stays
    assert fit_terms(lists, list, 5, 2, 9, 0) is None


def test_counting_forgets_the_rarest(monkeypatch: pytest.MonkeyPatch) -> None:
    lists = [["often", f"once{i}"] for i in range(500)]
    monkeypatch.setattr(terms_module, "MOST_COUNTED", 50)
    terms = fit_terms(lists, list, 2, 100, 100, 0)
    assert terms is not None
    assert list(terms.rows) == ["often"]


def test_terms_are_fitted_on_rows_spread_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terms_module, "MOST_ROWS", 3)
    terms = fit_terms([["a"], ["b"], ["c"], ["d"], ["e"]], list, 1, 9, 9, 0)
    assert terms is not None
    assert list(terms.rows) == ["a", "c", "e"]


def test_one_row_is_encoded_as_in_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = titles(50)
    encoder = text_encoder(texts)
    together = encode_texts(encoder, Values("title", column(*texts))).matrix
    monkeypatch.setattr(terms_module, "BLOCK", 7)
    np.testing.assert_array_equal(encode_texts(encoder, Values("title", column(*texts))).matrix, together)
    alone = encode_texts(encoder, Values("title", column(texts[31]))).matrix
    np.testing.assert_array_equal(alone[0], together[31])


def test_the_same_seed_gives_the_same_components_with_fixed_signs() -> None:
    one, other = (text_encoder(titles(80)).terms.components for _ in range(2))
    assert one is not None
    np.testing.assert_array_equal(one, other)
    assert (one[np.abs(one).argmax(axis=0), np.arange(one.shape[1])] > 0).all()


def test_the_number_of_threads_changes_no_digit() -> None:
    matrix = sparse.random_array((2000, 1500), density=0.01, rng=0, dtype=np.float32, format="csr")
    found = []
    for n_threads in (1, 2):
        with threadpool_limits(n_threads, "blas"):
            found.append(principal(matrix, 32, 0))
    np.testing.assert_array_equal(found[0], found[1])


def test_components_without_size_are_left_out() -> None:
    flat = np.outer(np.arange(1, 7), np.ones(9)).astype(np.float32)
    assert principal(flat, 5, 0).shape == (9, 1)


def test_texts_of_nothing_known_are_zeros() -> None:
    texts = titles(40)
    encoder = text_encoder(texts)
    encoded = encode_texts(encoder, Values("title", column("zebra", "", "   ", None, float("nan"), "?!", "red mug")))
    assert encoded.known.tolist() == [False] * 6 + [True]
    assert not encoded.matrix[:6].any()
    np.testing.assert_allclose(np.linalg.norm(encoded.matrix[6]), 1, rtol=1e-5)


def test_texts_without_a_common_word_give_no_feature() -> None:
    found = fit_texts(TextColumn(), Values("title", column("one", "two")), 8, 0)
    assert found == "no term occurs in 2 or more of its texts"


def test_a_text_of_a_megabyte_costs_no_more_than_an_article() -> None:
    encoder = text_encoder(titles(40))
    huge = [" ".join(NOUNS) * 50_000, "x" * 1_500_000, "mug " * 300_000]
    start = time.process_time()
    encoded = encode_texts(encoder, Values("title", column(*huge)))
    assert time.process_time() - start < 1
    assert encoded.known.tolist() == [True, False, True]
    assert len(words(huge[2], 1)) == MOST_WORDS
    assert words("x" * (MOST_CHARACTERS + 9) + " mug", 2) == []


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=60), st.integers(1, 4))
def test_any_text_has_words_and_runs(text: str, ngrams: int) -> None:
    found = words(text, ngrams)
    single = words(text, 1)
    assert found[: len(single)] == single
    assert len(found) == sum(max(0, len(single) - n) for n in range(ngrams))
    assert all(2 <= len(word) <= 64 for word in single)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=6), min_size=1, max_size=30), st.integers(1, 10))
def test_rows_have_length_one_or_are_zeros(lists: list[list[str]], dim: int) -> None:
    terms = fit_terms(lists, sorted, 1, 100, dim, 0)
    if terms is None:
        assert not any(lists)
        return
    assert terms.dim <= max(dim, 1)
    encoded = encode_terms(terms, lists, sorted)
    lengths = np.linalg.norm(encoded.matrix, axis=1)
    np.testing.assert_allclose(lengths, encoded.known, rtol=1e-5)
    assert all(not known or bag for known, bag in zip(encoded.known, lists, strict=True))


def test_categories_are_indicators_weighted_by_rarity() -> None:
    encoder = categories_encoder(column(["game", "x11"], ["game"], "net", None))
    encoded = encode_categories(encoder, Values("tags", column(["x11", "game", "game"], "net", [], "unseen", None)))
    assert list(encoder.terms.rows) == ["game", "net", "x11"]
    game, net, x11 = encoder.terms.idf
    assert x11 == net > game
    np.testing.assert_allclose(encoded.matrix[0], np.array([game, 0, x11]) / np.hypot(game, x11), rtol=1e-6)
    np.testing.assert_array_equal(encoded.matrix[1:], [[0, 1, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0]])
    assert encoded.known.tolist() == [True, True, False, False, False]


def test_many_categories_are_reduced() -> None:
    sides = ("left", "right")
    cells = column(*([f"{sides[i % 2]}{i % 7}", f"{sides[i % 2]}{(i + 1) % 7}"] for i in range(80)))
    encoder = categories_encoder(cells, 4)
    matrix = encode_categories(encoder, Values("tags", cells)).matrix
    assert matrix.shape == (80, 4)
    near = matrix @ matrix.T
    assert near[1::2, 1::2].mean() > near[1::2, ::2].mean() + 0.2


def test_categories_of_every_form() -> None:
    assert as_categories("Action | Comedy|Action|", "|") == ["Action", "Comedy"]
    assert as_categories("a|b", None) == ["a|b"]
    assert as_categories([3, 3.0, "3", True, None, float("nan"), ""], None) == ["3", "True"]
    assert as_categories(np.array([2, 1]), "|") == ["1", "2"]
    assert as_categories(4.5, None) == ["4.5"]


def test_one_value_for_all_is_no_feature() -> None:
    assert fit_categories(CategoriesColumn(), Values("kind", column("a", ["a"])), 9, 0) == "all rows say 'a'"
    assert categories_encoder(column("a", None)).dim == 1  # here the missing ones differ
    found = fit_categories(CategoriesColumn(min_df=3), Values("kind", column("a", "b")), 9, 0)
    assert found == "no value occurs in 3 or more of its rows"
