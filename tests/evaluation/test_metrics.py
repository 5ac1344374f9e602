"""The ranking metrics against hand-worked cases, a slow twin, trec_eval, gdeval, MS MARCO, and their own laws."""

import math
import shutil
from random import Random

import ir_measures
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinfold.arrays import Bools, Doubles, Ints, Longs
from pinfold.evaluation.metrics import hits, ranking_metrics

NAMES = ("recall", "precision", "f1", "ndcg", "map", "mrr", "hit")


def csr(lists: list[list[int]]) -> tuple[Longs, Ints]:
    ptr = np.append(0, np.cumsum([len(items) for items in lists])).astype(np.int64)
    return ptr, np.array([item for items in lists for item in items], dtype=np.int32)


def random_case(seed: int, n_users: int = 40, n_items: int = 30, length: int = 12) -> tuple[Ints, list[list[int]]]:
    rng = np.random.default_rng(seed)
    top = np.argsort(rng.random((n_users, n_items)), axis=1)[:, :length].astype(np.int32)
    top[::5, 7:] = -1  # some lists are short
    sizes = rng.integers(1, 21, size=n_users)  # on both sides of every k
    return top, [sorted(rng.choice(n_items, size=size, replace=False).tolist()) for size in sizes]


def evaluate(top: Ints, relevant: list[list[int]], ks: list[int]) -> dict[str, Doubles]:
    ptr, ids = csr(relevant)
    return ranking_metrics(hits(top, ptr, ids), np.diff(ptr), ks)


# --- hits ---


def test_hits_by_hand() -> None:
    # The last user's list starts with item 0 and has two empty places; user 1 has no relevant item.
    top = np.array([[3, 1, 2], [3, 1, 2], [0, -1, -1]], dtype=np.int32)
    found = hits(top, *csr([[1, 3], [], [0, 5]]))
    assert found.tolist() == [[True, True, False], [False, False, False], [True, False, False]]


def test_hits_agrees_with_sets() -> None:
    top, relevant = random_case(0)
    slow = [[item in items for item in row] for row, items in zip(top.tolist(), relevant, strict=True)]
    assert hits(top, *csr(relevant)).tolist() == slow


def test_hits_without_users_or_without_relevant_items() -> None:
    assert hits(np.empty((0, 3), dtype=np.int32), *csr([])).shape == (0, 3)
    assert not hits(np.zeros((2, 3), dtype=np.int32), *csr([[], []])).any()


@pytest.mark.parametrize("items", [[2, 1], [1, 1], [-1, 2]])
def test_hits_refuses_items_that_are_unsorted_repeated_or_negative(items: list[int]) -> None:
    with pytest.raises(ValueError, match="relevant_ids must"):
        hits(np.zeros((1, 1), dtype=np.int32), *csr([items]))


@pytest.mark.parametrize("ptr", [[1, 2], [0, 1], [0, 3]])
def test_hits_refuses_pointers_that_do_not_fit(ptr: list[int]) -> None:
    with pytest.raises(ValueError, match="relevant_ptr must rise"):
        hits(np.zeros((1, 1), dtype=np.int32), np.array(ptr), np.array([0, 1], dtype=np.int32))


# --- ranking_metrics ---


def test_metrics_by_hand() -> None:
    # List of 4 with hits at ranks 2 and 3; 3 relevant items.
    #   @2: 1 hit.  recall 1/3, precision 1/2, f1 = 2 * 1 / (2 + 3) = 2/5
    #       dcg = 1/log2(3); ideal has min(2, 3) = 2 hits: 1/log2(2) + 1/log2(3)
    #       map = (1/2) / min(2, 3) = 1/4; mrr = 1/2
    #   @4: 2 hits. recall 2/3, precision 2/4, f1 = 2 * 2 / (4 + 3) = 4/7
    #       dcg = 1/log2(3) + 1/log2(4); ideal has 3 hits: 1 + 1/log2(3) + 1/2
    #       map = (1/2 + 2/3) / min(4, 3) = 7/18; mrr = 1/2
    found = ranking_metrics(np.array([[False, True, True, False]]), np.array([3]), [2, 4])
    third = 1 / math.log2(3)
    at_2 = (1 / 3, 1 / 2, 2 / 5, third / (1 + third), 1 / 4, 1 / 2, 1)
    at_4 = (2 / 3, 1 / 2, 4 / 7, (third + 0.5) / (1.5 + third), 7 / 18, 1 / 2, 1)
    expected = {f"{name}@2": value for name, value in zip(NAMES, at_2, strict=True)}
    expected |= {f"{name}@4": value for name, value in zip(NAMES, at_4, strict=True)}
    assert list(found) == list(expected)
    assert {name: value[0] for name, value in found.items()} == pytest.approx(expected)


def test_a_hit_below_k_does_not_count() -> None:
    found = ranking_metrics(np.array([[False, False, True]]), np.array([1]), [2])
    assert all(value[0] == 0 for value in found.values())


def test_precision_divides_by_k_when_the_list_is_shorter() -> None:
    found = evaluate(np.array([[5, -1, -1, -1]], dtype=np.int32), [[5]], [4])
    assert found["precision@4"][0] == 0.25
    assert found["recall@4"][0] == 1


def test_no_users_give_empty_columns() -> None:
    found = ranking_metrics(np.empty((0, 3), dtype=np.bool_), np.empty(0, dtype=np.int32), [1, 3])
    assert {value.shape for value in found.values()} == {(0,)}


@pytest.mark.parametrize("ks", [[], [0], [4], [1, 4]])
def test_cut_offs_out_of_range_are_refused(ks: list[int]) -> None:
    with pytest.raises(ValueError, match="from 1 to the list length 3"):
        ranking_metrics(np.zeros((1, 3), dtype=np.bool_), np.array([1]), ks)


def test_wrong_users_are_refused() -> None:
    hit = np.ones((1, 3), dtype=np.bool_)
    with pytest.raises(ValueError, match="must have a relevant item"):
        ranking_metrics(~hit, np.array([0]), [3])
    with pytest.raises(ValueError, match="more hits than relevant"):
        ranking_metrics(hit, np.array([2]), [3])
    with pytest.raises(ValueError, match="shape"):
        ranking_metrics(hit, np.array([3, 3]), [3])
    with pytest.raises(TypeError, match="int32 or int64"):
        ranking_metrics(hit, np.array([3.0]), [3])


# --- other implementations ---


def slow_twin(recommended: list[int], relevant: list[int], k: int) -> dict[str, float]:
    """One user, loops only. Recall, precision and ndcg follow LightGCN-PyTorch, map follows Kaggle's apk."""
    labels = [1.0 if item in relevant else 0.0 for item in recommended[:k]]
    n_right = sum(labels)
    dcg = sum(label / math.log2(rank + 2) for rank, label in enumerate(labels))
    ideal = sum(1 / math.log2(rank + 2) for rank in range(min(k, len(relevant))))
    precision_sum, reciprocal = 0.0, 0.0
    for rank, label in enumerate(labels, start=1):
        if label:
            precision_sum += sum(labels[:rank]) / rank
            reciprocal = reciprocal or 1 / rank
    recall, precision = n_right / len(relevant), n_right / k
    f1 = 2 * precision * recall / (precision + recall) if n_right else 0.0
    mean_precision = precision_sum / min(k, len(relevant))
    return dict(
        zip(NAMES, (recall, precision, f1, dcg / ideal, mean_precision, reciprocal, float(n_right > 0)), strict=True)
    )


@pytest.mark.parametrize("k", [1, 5, 12])
def test_agrees_with_the_slow_twin(k: int) -> None:
    top, relevant = random_case(1)
    found = evaluate(top, relevant, [k])
    for user, (row, items) in enumerate(zip(top.tolist(), relevant, strict=True)):
        assert {name: found[f"{name}@{k}"][user] for name in NAMES} == pytest.approx(slow_twin(row, items, k))


def as_trec(top: Ints, relevant: list[list[int]]) -> tuple[dict[str, dict[str, int]], dict[str, dict[str, float]]]:
    """Judgements and a run; scores fall strictly, because trec_eval sorts by score and not by place."""
    judged = {str(user): {f"d{item}": 1 for item in items} for user, items in enumerate(relevant)}
    run = {
        str(user): {f"d{item}": float(len(row) - place) for place, item in enumerate(row) if item >= 0}
        for user, row in enumerate(top.tolist())
    }
    return judged, run


@pytest.mark.parametrize("k", [1, 5, 12])
def test_agrees_with_trec_eval(k: int) -> None:
    pytrec_eval = pytest.importorskip("pytrec_eval", reason="no wheel for this machine")
    top, relevant = random_case(2)
    found = evaluate(top, relevant, [k])
    judged, run = as_trec(top[:, :k], relevant)  # cut at k: recip_rank and set_F know no cut-off
    names = {"recall": f"recall_{k}", "precision": f"P_{k}", "ndcg": f"ndcg_cut_{k}", "map": f"map_cut_{k}"}
    names |= {"hit": f"success_{k}", "mrr": "recip_rank"}
    asked = {f"{name}.{k}" for name in ("recall", "P", "ndcg_cut", "map_cut", "success")} | {"recip_rank", "set_F"}
    theirs = pytrec_eval.RelevanceEvaluator(judged, asked).evaluate(run)
    for user, items in enumerate(relevant):
        expected = {name: theirs[str(user)][trec] for name, trec in names.items()}
        expected["map"] *= len(items) / min(k, len(items))  # trec_eval divides by |T|, we by min(k, |T|)
        if (top[user, :k] >= 0).all():  # set_F divides by the length of the list, not by k
            expected["f1"] = theirs[str(user)]["set_F"]
        assert {name: found[f"{name}@{k}"][user] for name in expected} == pytest.approx(expected)


@pytest.mark.parametrize("k", [1, 5, 12])
def test_mrr_agrees_with_ms_marco(k: int) -> None:
    # MS MARCO's own Python, shipped with ir_measures: no trec_eval underneath. It lists users with a hit only.
    top, relevant = random_case(3)
    theirs = dict.fromkeys(range(len(top)), 0.0)
    for row in ir_measures.msmarco.iter_calc([ir_measures.RR @ k], *as_trec(top, relevant)):
        theirs[int(row.query_id)] = row.value
    assert evaluate(top, relevant, [k])[f"mrr@{k}"].tolist() == pytest.approx([theirs[user] for user in theirs])


@pytest.mark.skipif(shutil.which("perl") is None, reason="gdeval is a Perl script")
@pytest.mark.parametrize("k", [1, 5, 12])
def test_ndcg_agrees_with_gdeval(k: int) -> None:
    # TREC's gdeval.pl, run by ir_measures: no trec_eval underneath. 2 ** 1 - 1 = 1, so its exponential gain is ours.
    top, relevant = random_case(4)
    measure = ir_measures.nDCG(dcg="exp-log2") @ k
    theirs = {int(row.query_id): row.value for row in ir_measures.gdeval.iter_calc([measure], *as_trec(top, relevant))}
    expected = [theirs[user] for user in range(len(top))]
    assert evaluate(top, relevant, [k])[f"ndcg@{k}"].tolist() == pytest.approx(expected, abs=6e-6)  # prints 5 digits


# --- laws ---


@st.composite
def one_user(draw: st.DrawFn) -> tuple[Bools, int, int]:
    labels = draw(st.lists(st.booleans(), min_size=1, max_size=40))
    n_relevant = draw(st.integers(max(1, sum(labels)), 60))
    return np.array([labels]), n_relevant, draw(st.integers(1, len(labels)))


def values(hit: Bools, n_relevant: int, k: int) -> dict[str, float]:
    return {name: float(value[0]) for name, value in ranking_metrics(hit, np.array([n_relevant]), [k]).items()}


@settings(deadline=None)
@given(one_user())
def test_values_are_between_0_and_1(case: tuple[Bools, int, int]) -> None:
    assert all(0 <= value <= 1 for value in values(*case).values())


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(1, 60))
def test_a_perfect_list_scores_the_best_possible(k: int, n_relevant: int) -> None:
    found = values(np.arange(k)[None, :] < n_relevant, n_relevant, k)
    assert found[f"ndcg@{k}"] == found[f"map@{k}"] == found[f"mrr@{k}"] == found[f"hit@{k}"] == 1
    assert found[f"recall@{k}"] == min(k, n_relevant) / n_relevant
    assert found[f"precision@{k}"] == min(k, n_relevant) / k


@settings(deadline=None)
@given(one_user(), st.randoms(use_true_random=False))
def test_order_below_k_is_not_seen(case: tuple[Bools, int, int], random: Random) -> None:
    hit, n_relevant, k = case
    tail = hit[0, k:].tolist()
    random.shuffle(tail)
    shuffled = np.array([hit[0, :k].tolist() + tail])
    assert values(shuffled, n_relevant, k) == values(hit, n_relevant, k)


@settings(deadline=None)
@given(one_user(), st.data())
def test_one_more_hit_never_lowers_a_value(case: tuple[Bools, int, int], data: st.DataObject) -> None:
    hit, n_relevant, k = case
    better = hit.copy()
    better[0, data.draw(st.integers(0, hit.shape[1] - 1))] = True
    n_relevant = max(n_relevant, int(better.sum()))  # the same for both lists
    before, after = values(hit, n_relevant, k), values(better, n_relevant, k)
    assert all(after[name] >= before[name] for name in before)
