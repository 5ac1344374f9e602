"""Two stages as one recommender."""

from dataclasses import replace

import numpy as np
import pytest

from pinfold.arrays import Ints
from pinfold.data.dataset import Dataset
from pinfold.data.splits import SplitConfig, split_events
from pinfold.evaluation.evaluate import EvaluationConfig, evaluate
from pinfold.graph.bipartite import BipartiteGraph
from pinfold.graph.csr import Csr, from_pairs
from pinfold.index.recommender import recommender
from pinfold.models.item_knn import ItemKNNConfig, item_knn
from pinfold.ranking.candidates import CandidatesConfig, Person, union
from pinfold.ranking.features import NAMES
from pinfold.ranking.forest import Forest, from_lightgbm
from pinfold.ranking.statistics import item_statistics, latest_items
from pinfold.ranking.two_stage import Ranker, Stages, TwoStageRecommender

CONFIG = CandidatesConfig(model=30, similar=10, walk=10, popular=5, trending=5)


def ints(*values: int) -> Ints:
    return np.array(values, np.int32)


def histories(*rows: tuple[int, ...]) -> Csr:
    users = np.repeat(np.arange(len(rows)), [len(row) for row in rows]).astype(np.int32)
    items = np.array([item for row in rows for item in row], np.int32)
    return from_pairs(users, items, np.ones(len(items), np.float32), (len(rows), 40))


def by(feature: str, threshold: float) -> Forest:
    """One tree: 1 for candidates above the threshold, else (and for those without the number) 0."""
    split = {"split_feature": NAMES.index(feature), "threshold": threshold, "decision_type": "<="}
    missing = {"default_left": True, "missing_type": "NaN"}
    children = {"left_child": {"leaf_value": 0.0}, "right_child": {"leaf_value": 1.0}}
    return from_lightgbm({"tree_info": [{"tree_structure": split | missing | children}]})


def two_stages(world: Dataset, graph: BipartiteGraph, forest: Forest, prior: float = 0.0) -> TwoStageRecommender:
    learned = item_knn(ItemKNNConfig(), graph)
    statistics, latest = item_statistics(world.interactions), latest_items(world.interactions, CONFIG.latest)
    stages = Stages(recommender(learned, graph.user_items), learned, graph, statistics, latest, CONFIG)
    return TwoStageRecommender(stages, Ranker(CONFIG, prior, forest, statistics, latest))


@pytest.fixture
def no_trees(world: Dataset, graph: BipartiteGraph) -> TwoStageRecommender:
    return two_stages(world, graph, from_lightgbm({"tree_info": []}), prior=1.0)


@pytest.fixture
def popular_first(world: Dataset, graph: BipartiteGraph) -> TwoStageRecommender:
    return two_stages(world, graph, by("log_count", float(np.log1p(12.5))), prior=1e-3)


def test_without_trees_the_first_stages_order(no_trees: TwoStageRecommender) -> None:
    first = no_trees.stages.stage_one
    users = ints(0, 7, 31)
    np.testing.assert_array_equal(no_trees.recommend(users, 10).ids, first.recommend(users, 10).ids)
    people = histories((0, 2), (1, 3, 5))
    np.testing.assert_array_equal(no_trees.recommend_new(people, 10).ids, first.recommend_new(people, 10).ids)


def test_trees_decide(popular_first: TwoStageRecommender, graph: BipartiteGraph) -> None:
    counts = graph.item_counts()
    found = popular_first.recommend(ints(4), 10)
    popular = counts[found.ids[0]] > 12.5
    assert popular[0]
    assert (np.diff(popular.astype(int)) <= 0).all()  # all popular ones before all others
    assert (np.diff(found.scores[0]) <= 0).all()


def test_what_somebody_has_never_comes_back(popular_first: TwoStageRecommender, graph: BipartiteGraph) -> None:
    users = np.arange(graph.n_users, dtype=np.int32)
    for user, ids in zip(users.tolist(), popular_first.recommend(users, 40).ids, strict=True):
        assert not np.isin(ids[ids >= 0], graph.user_items.row(user)).any()
        assert len(np.unique(ids[ids >= 0])) == (ids >= 0).sum()
    ids = popular_first.recommend_new(histories((0, 2)), 40).ids[0]
    assert not np.isin(ids, [0, 2]).any()


def test_only_what_is_allowed(popular_first: TwoStageRecommender) -> None:
    allowed = np.zeros(40, np.bool_)
    allowed[[1, 5, 6, 9, 11]] = True
    for found in (
        popular_first.recommend(ints(0, 3), 10, allowed),
        popular_first.recommend_new(histories((0, 1), (3,)), 10, allowed),
        popular_first.similar(ints(3), 10, allowed),
    ):
        assert set(found.ids[found.ids >= 0]) <= {1, 5, 6, 9, 11}
        assert (found.scores[found.ids < 0] == -np.inf).all()
    assert (popular_first.recommend(ints(0), 3, np.zeros(40, np.bool_)).ids == -1).all()


def test_one_answer_does_not_depend_on_the_others(popular_first: TwoStageRecommender) -> None:
    together = popular_first.recommend(ints(3, 8, 20), 5)
    alone = popular_first.recommend(ints(8), 5)
    np.testing.assert_array_equal(together.ids[1:2], alone.ids)
    np.testing.assert_array_equal(together.scores[1:2], alone.scores)


def test_nothing_is_known_of_somebody_without_history(no_trees: TwoStageRecommender) -> None:
    assert (no_trees.recommend_new(histories(()), 5).ids == -1).all()


def test_it_is_evaluated_like_any_other(world: Dataset, popular_first: TwoStageRecommender) -> None:
    split = split_events(world.interactions, SplitConfig(), 0)
    assert split.valid is not None
    config = EvaluationConfig(ks=(5,), n_resamples=100)
    seen = popular_first.stages.graph.user_items
    assert evaluate(popular_first, split.valid, seen, config, seed=0).n_users == len(split.valid.users())


def test_the_rest_is_the_first_stages(no_trees: TwoStageRecommender) -> None:
    first = no_trees.stages.stage_one
    np.testing.assert_array_equal(no_trees.similar(ints(3), 5).ids, first.similar(ints(3), 5).ids)
    np.testing.assert_array_equal(no_trees.explain(3, 9).terms, first.explain(3, 9).terms)
    np.testing.assert_array_equal(no_trees.explain_new(ints(1, 3), 9).terms, first.explain_new(ints(1, 3), 9).terms)


def test_ranking_what_others_gathered_with_fresh_items(popular_first: TwoStageRecommender) -> None:
    person = popular_first.person(ints(0, 2))
    assert person.ordered
    model = (ints(41, 4, 40, 6), np.array([4, 3, 2, 1], np.float32))
    rows, scores = popular_first.rank(person, union({"model": model}, person.history), 10)
    assert set(rows) == {4, 6, 40, 41}  # fresh ones have no count, go left, and keep their place in the list
    assert rows[np.isin(rows, [40, 41])].tolist() == [41, 40]
    assert (np.diff(scores) <= 0).all()
    assert popular_first.rank(person, union({}, person.history), 3)[0].tolist() == []


def test_the_latest_come_last(no_trees: TwoStageRecommender, world: Dataset) -> None:
    person, _ = next(no_trees.stages.users(ints(5)))
    mine = world.interactions.users == 5
    order = np.argsort(world.interactions.times[mine], kind="stable")
    assert person == Person(person.history, ordered=True)
    assert person.history.tolist() == world.interactions.items[mine][order].tolist()


def test_a_ranker_that_learned_without_order_takes_none(no_trees: TwoStageRecommender) -> None:
    unordered = replace(no_trees, ranker=replace(no_trees.ranker, latest=None))
    assert not unordered.person(ints(3, 1)).ordered
