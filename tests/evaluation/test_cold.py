"""Items held out of everything: nobody knows them, and knowing nothing is worth what chance is worth."""

import numpy as np
import pytest

from pinfold.arrays import Embeddings
from pinfold.data.dataset import Dataset
from pinfold.data.interactions import Interactions
from pinfold.data.synthetic import two_tastes
from pinfold.errors import DataError
from pinfold.evaluation.cold import ColdConfig, ColdSplit, evaluate_cold, split_cold
from pinfold.evaluation.item_pairs import ItemPairsConfig, evaluate_pairs
from pinfold.evaluation.item_scorers import item_scorer, user_scorer
from pinfold.graph.bipartite import build_graph
from pinfold.models.content_knn import ContentKNNConfig, content_knn
from pinfold.models.item_knn import ItemKNNConfig, item_knn
from pinfold.models.popularity import PopularityConfig, popularity

CONFIG = ColdConfig(share=0.2, ks=(4,))


@pytest.fixture(scope="module")
def split() -> ColdSplit:
    return split_cold(two_tastes(n_users=200).interactions, CONFIG, 0)


def pairs_of(events: Interactions) -> set[tuple[int, int]]:
    return set(zip(events.users.tolist(), events.items.tolist(), strict=True))


def test_nothing_of_a_cold_item_is_warm(split: ColdSplit) -> None:
    assert len(split.items) == 8  # a fifth of 40
    assert not np.isin(split.warm.items, split.items).any()
    assert np.isin(split.asked.items, split.items).all()
    assert np.isin(split.shown.items, split.items).all()


def test_every_event_is_in_one_part(split: ColdSplit) -> None:
    parts = [pairs_of(part) for part in (split.warm, split.shown, split.asked)]
    assert set.union(*parts) == pairs_of(two_tastes(n_users=200).interactions)
    assert sum(map(len, parts)) == len(set.union(*parts))
    assert pairs_of(split.ceiling) == parts[0] | parts[1]


def test_half_of_each_cold_item_is_asked(split: ColdSplit) -> None:
    for item in split.items:
        asked, shown = ((part.items == item).sum() for part in (split.asked, split.shown))
        assert abs(asked - shown) <= 1


def test_few_users_leave_one_on_each_side() -> None:
    users, items = np.divmod(np.arange(40, dtype=np.int32), 20)  # two users, each with all 20 items
    split = split_cold(Interactions.of(users, items, 2, 20), ColdConfig(share=0.5, asked_share=0.01), 0)
    assert np.bincount(split.asked.items).max() == np.bincount(split.shown.items).max() == 1
    assert len(split.asked) == len(split.shown) == 10


def test_repeated_events_stay_together() -> None:
    users = np.tile(np.repeat(np.arange(10), 2), 3).astype(np.int32)
    items = np.tile(np.tile([0, 1], 10), 3).astype(np.int32)  # everybody takes both items three times
    split = split_cold(Interactions.of(users, items, 10, 2), ColdConfig(share=0.5), 0)
    assert not pairs_of(split.asked) & pairs_of(split.shown)
    assert len(split.asked) == len(split.shown) == 15


def test_users_without_anything_warm_are_in_no_part() -> None:
    users, items = np.array([0, 1, 2, 3, 0, 1], np.int32), np.array([0, 0, 0, 0, 1, 1], np.int32)
    split = split_cold(Interactions.of(users, items, 4, 2), ColdConfig(share=0.9, asked_share=0.9, min_users=3), 0)
    assert split.items.tolist() == [0]  # the only one with three users, of whom 2 and 3 have nothing else
    assert pairs_of(split.ceiling) | pairs_of(split.asked) == {(0, 0), (1, 0), (0, 1), (1, 1)}


def test_nobody_to_ask_is_an_error() -> None:
    users = np.arange(6, dtype=np.int32)
    with pytest.raises(DataError, match="nobody can be asked"):
        split_cold(Interactions.of(users, users % 2, 6, 2), ColdConfig(share=0.5), 0)


def test_the_seed_decides(world: Dataset) -> None:
    first, again, other = (split_cold(world.interactions, CONFIG, seed) for seed in (0, 0, 1))
    assert pairs_of(first.asked) == pairs_of(again.asked)
    assert first.items.tolist() != other.items.tolist()


def test_too_few_items_are_an_error() -> None:
    events = Interactions.of(np.arange(3, dtype=np.int32), np.arange(3, dtype=np.int32), 3, 3)
    with pytest.raises(DataError, match="0 items have 2 users"):
        split_cold(events, ColdConfig(), 0)


def test_recall_by_hand() -> None:
    """Cold items 2, 3, 4. User 0 is asked for 2 and 3; user 1 for 4, and was shown 3."""
    columns = (([0, 1], [0, 1]), ([1], [3]), ([0, 0, 1], [2, 3, 4]))
    parts = [Interactions.of(np.array(users, np.int32), np.array(items, np.int32), 2, 5) for users, items in columns]
    split = ColdSplit(np.array([2, 3, 4], np.int32), *parts)
    table = np.array([[9, 9, 1, 2, 3], [9, 9, 1, 2, 0]], np.float32)
    found = evaluate_cold(lambda users: table[users], split, ColdConfig(ks=(1, 2)), seed=0, n_resamples=100)
    # User 0: 4, 3, 2, so of two items the second place has one. User 1, without 3: 2, 4.
    assert found.per_user["recall@1"].tolist() == [0, 0]
    assert found.per_user["recall@2"].tolist() == [1 / 2, 1]
    assert found.intervals["recall@2"].mean == pytest.approx(3 / 4)
    assert (found.n_users, found.n_questions) == (2, 3)


def test_who_knows_nothing_scores_chance_and_features_find_the_taste(split: ColdSplit) -> None:
    graph = build_graph(split.warm)
    taste = np.eye(2, dtype=np.float32)[np.arange(graph.n_items) % 2]

    def recall(learned: Embeddings) -> float:
        score = user_scorer(learned, graph.user_items)
        return evaluate_cold(score, split, CONFIG, seed=0, n_resamples=100).intervals["recall@4"].mean

    # Chance has 4 places for at most 8 cold items, less those that the user was shown.
    assert 0.45 < recall(popularity(PopularityConfig(), graph)) < 0.65
    n_even = int((split.items % 2 == 0).sum())
    expected = float(np.mean([min(1, 4 / (n_even if user % 2 == 0 else 8 - n_even)) for user in range(200)]))
    assert recall(content_knn(ContentKNNConfig(), graph, taste)) > min(0.9, expected)


def test_the_ceiling_knows_the_items(split: ColdSplit) -> None:
    graph = build_graph(split.ceiling)
    learned = item_knn(ItemKNNConfig(), graph)
    score = user_scorer(learned, graph.user_items)
    cold = user_scorer(item_knn(ItemKNNConfig(), build_graph(split.warm)), build_graph(split.warm).user_items)
    found, blind = (
        evaluate_cold(one, split, CONFIG, seed=0, n_resamples=100).intervals["recall@4"].mean for one in (score, cold)
    )
    assert found > 0.9
    assert blind < 0.65


def test_pairs_lead_from_warm_to_cold(split: ColdSplit) -> None:
    pairs = split.pairs(ItemPairsConfig(), 0)
    assert not np.isin(pairs.queries, split.items).any()
    assert np.isin(pairs.targets, split.items).all()
    graph = build_graph(split.warm)
    taste = np.eye(2, dtype=np.float32)[np.arange(graph.n_items) % 2]
    scorer = item_scorer(content_knn(ContentKNNConfig(), graph, taste), graph.n_items)
    config = ItemPairsConfig(ks=(8,), n_resamples=100)
    assert evaluate_pairs(scorer, pairs, config, seed=0, candidates=split.items).intervals["hit@8"].mean == 1
