"""What models say about pairs, alone and together."""

from dataclasses import dataclass

import numpy as np
import pytest

from pinfold.arrays import Bools, Doubles, Embeddings, Floats, Ints
from pinfold.data.splits import SplitConfig, split_events
from pinfold.data.synthetic import two_tastes
from pinfold.evaluation.item_pairs import ItemPairs, ItemPairsConfig, evaluate_pairs, held_out_pairs
from pinfold.evaluation.item_scorers import (
    ConstantScorer,
    HistoryScorer,
    LogScorer,
    Mixture,
    ProductScorer,
    WeightedScorer,
    fit_weights,
    item_scorer,
    relative,
    standardized,
    user_scorer,
)
from pinfold.graph.bipartite import BipartiteGraph, build_graph
from pinfold.graph.learned import ItemSimilarity
from pinfold.models.item_knn import ItemKNNConfig, item_knn
from pinfold.models.popularity import PopularityConfig, popularity

N_ITEMS = 40
EVEN = np.ones(300, np.float32)
ASKED = np.array([3, 0, 3], np.int32)


def test_vectors_by_cosine() -> None:
    vectors = np.random.default_rng(0).normal(size=(N_ITEMS, 5)).astype(np.float32)
    vectors[7] = 0
    found = item_scorer(Embeddings(vectors, vectors, vectors), N_ITEMS).scores(ASKED)
    lengths = np.maximum(np.linalg.norm(vectors, axis=1), 1e-30)
    expected = vectors[ASKED] @ vectors.T / lengths[ASKED][:, None] / lengths
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert (found[:, 7] == 0).all()


def test_similarities_by_the_item_s_row(graph: BipartiteGraph) -> None:
    learned = item_knn(ItemKNNConfig(), graph)
    scorer = item_scorer(learned, graph.n_items)
    assert isinstance(scorer, HistoryScorer)
    np.testing.assert_array_equal(scorer.scores(ASKED), learned.weights.to_scipy().toarray()[ASKED])


def test_popularity_says_the_same_of_all(graph: BipartiteGraph) -> None:
    counts = graph.item_counts().astype(np.float32)
    learned = popularity(PopularityConfig(), graph)
    for scorer in (item_scorer(learned, graph.n_items), ConstantScorer(counts)):
        found = scorer.scores(ASKED)
        order = np.argsort(-found[0], kind="stable")
        np.testing.assert_array_equal(order, np.argsort(-counts, kind="stable"))
        np.testing.assert_array_equal(found[0], found[1])


def test_scores_are_the_callers_own(graph: BipartiteGraph) -> None:
    vectors = np.ones((N_ITEMS, 2), np.float32)
    learned = item_knn(ItemKNNConfig(), graph)
    for scorer in (ProductScorer(vectors), HistoryScorer(learned, N_ITEMS), ConstantScorer(vectors[:, 0].copy())):
        before = scorer.scores(ASKED)
        scorer.scores(ASKED)[:] = np.nan
        np.testing.assert_array_equal(scorer.scores(ASKED), before)


def test_users_by_their_own_vectors_or_history(graph: BipartiteGraph) -> None:
    similarity = item_knn(ItemKNNConfig(), graph)
    users = np.array([5, 2], np.int32)
    taken = graph.user_items.to_scipy().sign().toarray()
    found = user_scorer(similarity, graph.user_items)(users)
    np.testing.assert_allclose(found, (taken @ similarity.weights.to_scipy().toarray())[users], rtol=1e-5)
    vectors = np.arange(graph.n_users, dtype=np.float32)[:, None] + 1
    ones = np.ones((graph.n_items, 1), np.float32)
    assert user_scorer(Embeddings(vectors, ones, ones), graph.user_items)(users)[:, 0].tolist() == [6, 3]


def test_rows_are_standardized() -> None:
    block = np.random.default_rng(0).normal(3, 7, (4, 50)).astype(np.float32)
    block[2] = 5
    found = standardized(block.copy())
    np.testing.assert_allclose(found.mean(axis=1), 0, atol=1e-6)
    np.testing.assert_allclose(found.std(axis=1), [1, 1, 0, 1], rtol=1e-5)


def test_logs_of_shares_multiply() -> None:
    shares = np.array([0.5, 0.25, 0, 0.25], np.float32)
    found = LogScorer(ConstantScorer(shares), least=1e-3).scores(np.zeros(2, np.int32))
    np.testing.assert_allclose(found, np.log([shares + 1e-3] * 2), rtol=1e-5)
    with pytest.raises(ValueError, match="below 0"):
        LogScorer(ConstantScorer(-shares)).scores(np.zeros(1, np.int32))


def test_a_weighted_sum_by_hand() -> None:
    first, second = np.array([2, 0, 0, 0], np.float32), np.array([0, 0, 4, 4], np.float32)
    weights = np.array([1, 3], np.float32)
    both, counts = (ConstantScorer(first), ConstantScorer(second)), np.array([1, 4, 1, 1], np.float32)
    found = WeightedScorer(both, Mixture(weights, 0.5), counts).scores(np.array([0, 1], np.int32))
    # Means 1/2 and 2; deviations sqrt(3)/2 and 2. The second counts half for an item taken four times as often.
    parts = (first - 0.5) / (3**0.5 / 2), (second - 2) / 2
    np.testing.assert_allclose(found[0], parts[0] + 3 * parts[1], rtol=1e-6)
    np.testing.assert_allclose(found[1], parts[0] + 1.5 * parts[1], rtol=1e-6)
    with pytest.raises(ValueError, match="weights"):
        WeightedScorer(both[:1], Mixture(weights), counts)
    with pytest.raises(TypeError, match="counts"):
        WeightedScorer(both, Mixture(weights), counts.astype(np.int64))


def test_counts_are_multiples_of_the_median() -> None:
    assert relative(np.array([0, 2, 4, 8])).tolist() == [0.25, 0.5, 1, 2]
    assert relative(np.zeros(3, np.int64)).tolist() == [1, 1, 1]


@dataclass(frozen=True)
class Either:
    """One scorer for some items, another for the rest."""

    which: Bools
    one: ProductScorer
    other: ProductScorer

    def scores(self, items: Ints) -> Floats:
        return np.where(self.which[items, None], self.one.scores(items), self.other.scores(items))


def noisy(targets: Doubles, noise: float, seed: int) -> ProductScorer:
    vectors = targets + np.random.default_rng(seed).normal(0, noise, targets.shape)
    return ProductScorer((vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32))


def hidden_truth() -> tuple[Doubles, ItemPairs]:
    """Directions of 300 items, and pairs that are near in them."""
    truth = np.random.default_rng(0).normal(size=(300, 8))
    truth /= np.linalg.norm(truth, axis=1, keepdims=True)
    near = truth @ truth.T
    np.fill_diagonal(near, -1)
    targets = np.argsort(-near, axis=1)[:, :3].ravel().astype(np.int32)
    return truth, ItemPairs(np.repeat(np.arange(300), 3).astype(np.int32), targets, 300)


def test_two_that_err_differently_are_better_together() -> None:
    truth, pairs = hidden_truth()
    scorers = (noisy(truth, 0.2, 1), noisy(truth, 0.2, 2))
    mixture = fit_weights(scorers, pairs, EVEN)
    assert (mixture.weights > 0).all()
    config = ItemPairsConfig(ks=(10,), n_resamples=100)
    both = evaluate_pairs(WeightedScorer(scorers, mixture, EVEN), pairs, config, seed=0).intervals["hit@10"].mean
    alone = [evaluate_pairs(one, pairs, config, seed=0).intervals["hit@10"].mean for one in scorers]
    assert both > max(alone)


def test_one_that_is_right_about_common_items_counts_more_there() -> None:
    truth, pairs = hidden_truth()
    common = np.arange(300) < 150
    first, second = (noisy(truth, 0.05, 1), noisy(truth, 0.6, 2)), (noisy(truth, 0.6, 3), noisy(truth, 0.05, 4))
    scorers = tuple(Either(common, *which) for which in (first, second))
    counts = np.where(common, 30, 1 / 30).astype(np.float32)
    assert fit_weights(scorers, pairs, counts).power == 1
    assert fit_weights(scorers[::-1], pairs, counts, powers=(0, -1)).power == -1


def test_what_knows_nothing_gets_no_weight() -> None:
    truth, pairs = hidden_truth()
    good, useless = noisy(truth, 0.1, 1), ConstantScorer(np.ones(300, np.float32))
    assert fit_weights((good, useless), pairs, EVEN).weights.tolist() == [1, 0]
    assert fit_weights((useless, good), pairs, EVEN).weights.tolist() == [0, 1]
    harmful = noisy(truth, 100, 3)
    assert fit_weights((harmful, good, useless), pairs, EVEN, "mrr", (0.5, 2)).weights.tolist() == [0, 1, 0]


@pytest.mark.parametrize("metric", ["hit", "hit@", "hit@x", "hit@0", "recall@20"])
def test_unknown_metrics_are_refused(metric: str) -> None:
    _, pairs = hidden_truth()
    with pytest.raises(ValueError, match="unknown metric"):
        fit_weights((ConstantScorer(np.ones(300, np.float32)),), pairs, EVEN, metric)
    with pytest.raises(ValueError, match="must be a scorer"):
        fit_weights((), pairs, EVEN)


def test_item_knn_finds_the_taste_and_popularity_half_of_it() -> None:
    split = split_events(two_tastes(n_users=400).interactions, SplitConfig(), 0)
    assert split.valid is not None
    graph = build_graph(split.train)
    pairs = held_out_pairs(split.valid, ItemPairsConfig(), 0)

    def hit(learned: Embeddings | ItemSimilarity) -> float:
        config = ItemPairsConfig(ks=(19,), n_resamples=100)
        found = evaluate_pairs(item_scorer(learned, graph.n_items), pairs, config, seed=0)
        return found.intervals["hit@19"].mean

    assert hit(item_knn(ItemKNNConfig(), graph)) > 0.95
    assert 0.3 < hit(popularity(PopularityConfig(), graph)) < 0.7


def test_floats_stay_floats() -> None:
    scores: Floats = ProductScorer(np.ones((4, 2), np.float32)).scores(np.zeros(1, np.int32))
    assert scores.dtype == np.float32
