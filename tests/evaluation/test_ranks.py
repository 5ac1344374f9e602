"""Ranks against loops, and ties against all orders of them."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinfold.arrays import Floats, Ints
from pinfold.evaluation.ranks import Questions, Ranks, Score, find_ranks, find_several_ranks, rank_metrics
from pinfold.graph.csr import Csr, from_pairs

N_ROWS, N_ITEMS = 7, 30


def nothing(n_rows: int = N_ROWS, n_items: int = N_ITEMS) -> Csr:
    return Csr(np.zeros(n_rows + 1, np.int64), np.empty(0, np.int32), np.empty(0, np.float32), n_items)


def table(seed: int = 0, n_levels: int = 6) -> Floats:
    """Scores with many ties; some are -inf."""
    scores = np.random.default_rng(seed).integers(n_levels, size=(N_ROWS, N_ITEMS)).astype(np.float32)
    scores[scores == 0] = -np.inf
    return scores


def scorer(scores: Floats) -> Score:
    return lambda rows: scores[rows].copy()


def some_questions(left_out: Csr, candidates: Ints | None = None, n: int = 50) -> Questions:
    rng = np.random.default_rng(1)
    able = np.arange(N_ITEMS) if candidates is None else candidates
    pairs = [(row, item) for row in range(N_ROWS) for item in able.tolist() if item not in left_out.row(row)]
    rows, targets = np.array([pairs[which] for which in rng.integers(len(pairs), size=n)], np.int32).T.copy()
    return Questions(rows, targets, left_out, candidates)


def twin(scores: Floats, questions: Questions) -> list[tuple[int, int]]:
    """First and last place of each target, by sorting what is counted."""
    places = []
    for row, target in zip(questions.rows.tolist(), questions.targets.tolist(), strict=True):
        counted = range(N_ITEMS) if questions.candidates is None else questions.candidates.tolist()
        others = [scores[row, item] for item in counted if item not in questions.left_out.row(row)]
        line = sorted(others, reverse=True)
        own = scores[row, target]
        places.append((line.index(own) + 1, len(line) - line[::-1].index(own)))
    return places


@pytest.mark.parametrize("block", [1, 4 * N_ITEMS * 3, 64 << 20])
@pytest.mark.parametrize("candidates", [None, np.array([0, 3, 4, 9, 20, 29], np.int32)])
def test_against_sorting(monkeypatch: pytest.MonkeyPatch, block: int, candidates: Ints | None) -> None:
    monkeypatch.setattr("pinfold.index.exact.BLOCK_BYTES", block)
    rng = np.random.default_rng(2)
    rows, items = rng.integers(N_ROWS, size=25), rng.integers(N_ITEMS, size=25)
    ones = np.ones(25, np.float32)
    left_out = from_pairs(rows.astype(np.int32), items.astype(np.int32), ones, (N_ROWS, N_ITEMS))
    questions = some_questions(left_out, candidates)
    found = find_ranks(scorer(table()), questions)
    assert list(zip(found.first.tolist(), found.last.tolist(), strict=True)) == twin(table(), questions)


def test_several_scores_are_counted_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pinfold.index.exact.BLOCK_BYTES", 4 * N_ITEMS * 2)
    questions = some_questions(nothing())
    tables = [table(seed) for seed in range(3)]
    asked: list[Ints] = []

    def each(rows: Ints) -> list[Floats]:
        asked.append(rows)
        return [scores[rows].copy() for scores in tables]

    for found, scores in zip(find_several_ranks(each, 3, questions), tables, strict=True):
        alone = find_ranks(scorer(scores), questions)
        np.testing.assert_array_equal(found.first, alone.first)
        np.testing.assert_array_equal(found.last, alone.last)
    assert len(np.concatenate(asked)) == N_ROWS  # every row once


def test_metrics_by_hand() -> None:
    # Places 1; 3 to 5; 100 to 101.
    ranks = Ranks(np.array([1, 3, 100]), np.array([1, 5, 101]))
    found = rank_metrics(ranks, (4, 100))
    assert found["hit@4"].tolist() == pytest.approx([1, 2 / 3, 0])
    assert found["hit@100"].tolist() == pytest.approx([1, 1, 1 / 2])
    assert found["mrr"].tolist() == pytest.approx([1, (1 / 3 + 1 / 4 + 1 / 5) / 3, (1 / 100 + 1 / 101) / 2])
    assert found["mrr_scaled"].tolist() == pytest.approx([1, 1, (1 + 1 / 2) / 2])  # ranks 1 to 100 count as 1


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 2), min_size=2, max_size=6), st.integers(1, 6))
def test_ties_are_worth_the_mean_over_all_orders(levels: list[int], k: int) -> None:
    """Every permutation of the items, sorted stably by score, is one list; the target is item 0."""
    scores = np.array([levels], np.float32)
    questions = Questions(np.zeros(1, np.int32), np.zeros(1, np.int32), nothing(1, len(levels)))
    found = rank_metrics(find_ranks(scorer(scores), questions), (k,))
    places = [sorted(order, key=lambda item: -levels[item]).index(0) + 1 for order in permutations(range(len(levels)))]
    assert found[f"hit@{k}"][0] == pytest.approx(np.mean([place <= k for place in places]))
    assert found["mrr"][0] == pytest.approx(np.mean([1 / place for place in places]))


def test_equal_scores_look_like_chance() -> None:
    """Neither first nor in the middle: with 30 items, hit@10 is 1/3 and hit@20 is 2/3."""
    constant = np.ones((N_ROWS, N_ITEMS), np.float32)
    found = rank_metrics(find_ranks(scorer(constant), some_questions(nothing())), (10, 20))
    assert found["hit@10"] == pytest.approx(1 / 3)
    assert found["hit@20"] == pytest.approx(2 / 3)
    assert found["mrr"] == pytest.approx(np.mean(1 / np.arange(1, 31)))


def test_nan_is_refused() -> None:
    scores = table()
    scores[3, 2] = np.nan
    with pytest.raises(ValueError, match="must not be NaN"):
        find_ranks(scorer(scores), some_questions(nothing()))


def test_a_target_that_is_left_out_is_refused() -> None:
    left_out = from_pairs(np.array([2], np.int32), np.array([5], np.int32), np.ones(1, np.float32), (N_ROWS, N_ITEMS))
    questions = Questions(np.array([2], np.int32), np.array([5], np.int32), left_out)
    with pytest.raises(ValueError, match="left out for its row"):
        find_ranks(scorer(table()), questions)


@pytest.mark.parametrize(
    ("rows", "targets", "candidates", "message"),
    [
        ([], [], None, "must be a question"),
        ([N_ROWS], [0], None, "rows must lie"),
        ([0], [-1], None, "targets must lie"),
        ([0], [1], [0, 2], "must be a candidate"),
        ([0], [1], [1, 1], "ascending"),
        ([0], [1], [2, 1], "ascending"),
        ([0], [1], [1, N_ITEMS], "ascending"),
        ([0], [1], [-1, 1], "ascending"),
        ([0], [1], [], "ascending"),
    ],
)
def test_wrong_questions_are_refused(
    rows: list[int], targets: list[int], candidates: list[int] | None, message: str
) -> None:
    able = None if candidates is None else np.array(candidates, np.int32)
    with pytest.raises(ValueError, match=message):
        Questions(np.array(rows, np.int32), np.array(targets, np.int32), nothing(), able)
