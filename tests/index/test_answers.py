"""Answers by id."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from pinfold.arrays import Embeddings
from pinfold.data.interactions import Interactions
from pinfold.data.tables import Table
from pinfold.data.vocab import Vocab
from pinfold.embedding.artifact import Artifact
from pinfold.errors import ConfigError, DataError
from pinfold.graph.bipartite import build_graph
from pinfold.graph.interests import InterestsConfig, make_interests
from pinfold.graph.learned import DenseSimilarity, Learned
from pinfold.index.answers import Answer, Answers, Reason
from pinfold.index.vectors import similar_users


def artifact(*, titles: bool) -> Artifact:
    """Two users, three items; u0 has item a and, by the validation part, b."""
    events = Interactions.of(np.array([0, 1], np.int32), np.array([0, 2], np.int32), 2, 3)
    valid = Interactions.of(np.array([0], np.int32), np.array([1], np.int32), 2, 3)
    items = np.array([[3, 0], [2, 1], [1, 2]], np.float32)
    learned = Embeddings(np.array([[1, 0], [0, 1]], np.float32), items, items)
    columns = {"title": np.array(["A", None, "C"], dtype=object)} if titles else {}
    return Artifact(
        learned,
        build_graph(events),
        valid,
        None,
        Vocab(["u0", "u1"], "user"),
        Vocab(["a", "b", "c"], "item"),
        Table({}, 2),
        Table(columns, 3),
        "",
        {},
    )


def test_what_a_user_has_is_left_out_and_fewer_than_k_are_returned() -> None:
    assert Answers(artifact(titles=True)).for_user("u0", 5) == [Answer(1, "c", "C", 1.0)]
    assert [a.id for a in Answers(artifact(titles=True)).for_user("u1", 5)] == ["b", "a"]


def test_titles_may_be_missing() -> None:
    assert [a.title for a in Answers(artifact(titles=True)).for_user("u1", 1)] == [None]
    assert [a.title for a in Answers(artifact(titles=False)).for_user("u1", 1)] == [None]


def test_items_of_a_stranger_are_summed_once_each() -> None:
    # history b + b counts once: (2, 1) . a = 6, . c = 4
    found = Answers(artifact(titles=True)).for_items(["b", "b"], 5)
    assert [(a.id, a.score) for a in found] == [("a", 6.0), ("c", 4.0)]


def test_similar_is_by_cosine_and_leaves_itself_out() -> None:
    found = Answers(artifact(titles=True)).similar("c", 2)
    assert [a.id for a in found] == ["b", "a"]  # cosines 4/5 and 1/sqrt(5)
    assert [a.score for a in found] == pytest.approx([0.8, 1 / np.sqrt(5)])


def test_similar_users_are_by_the_cosine_of_their_vectors() -> None:
    """Collections as things to be found: the related ones, by name where they have names."""
    users = np.array([[1, 0], [9, 9], [0, 0], [-1, 0], [3, 1]], np.float32)
    ids = Vocab([f"u{u}" for u in range(5)], "user")
    titles = Table({"title": np.array(["A", None, "C", "D", "E"], dtype=object)}, 5)
    plain = artifact(titles=True)
    events = Interactions.of(np.zeros(1, np.int32), np.zeros(1, np.int32), 5, 3)
    items = np.eye(3, 2, dtype=np.float32)
    learned = Embeddings(users, items, items)
    whole = replace(plain, learned=learned, users=ids, user_table=titles, graph=build_graph(events), valid=events)
    found = Answers(whole).similar_users("u0", 3)
    assert [(a.rank, a.id, a.title) for a in found] == [(1, "u4", "E"), (2, "u1", None), (3, "u2", "C")]
    assert [a.score for a in found] == pytest.approx([3 / np.sqrt(10), 1 / np.sqrt(2), 0])
    assert len(Answers(whole).similar_users("u0", 50)) == 4, "all but the user"
    assert Answers(whole).similar_users("u2", 3) == [], "a vector of zeros is like nothing"
    rows = np.array([2, 3], np.int32)
    assert similar_users(users, rows, 2).ids.tolist() == [[-1, -1], [2, 1]]
    untitled = Answers(replace(whole, user_table=Table({}, 5)))
    assert [a.title for a in untitled.similar_users("u0", 2)] == [None, None]


@pytest.mark.parametrize("kind", ["similarity", "interests"])
def test_users_without_one_vector_are_not_compared(kind: str) -> None:
    plain = artifact(titles=True)
    learned: Learned = DenseSimilarity(np.zeros((3, 3), np.float32))
    if kind == "interests":
        items = np.eye(3, 2, dtype=np.float32)
        learned = make_interests(items, plain.graph.user_items, None, InterestsConfig(users="medoids"))
    with pytest.raises(ConfigError, match="no single vector for each user"):
        Answers(replace(plain, learned=learned)).similar_users("u0", 1)


@pytest.mark.parametrize(
    ("ask", "message"), [("user", "no user"), ("other", "no user"), ("item", "no item"), ("items", "no items given")]
)
def test_unknown_ids(ask: str, message: str) -> None:
    answers = Answers(artifact(titles=True))
    asks: dict[str, Callable[[], list[Answer]]] = {
        "other": lambda: answers.similar_users("nobody", 1),
        "user": lambda: answers.for_user("nobody", 1),
        "item": lambda: answers.similar("nothing", 1),
        "items": lambda: answers.for_items([], 1),
    }
    with pytest.raises(DataError, match=message):
        asks[ask]()


def test_explains_by_the_largest_terms() -> None:
    """u0 has a (3, 0) and b (2, 1) and the vector (1, 0); c is (1, 2): terms 3 and 4, and 1 in all."""
    answers = Answers(artifact(titles=True))
    found = answers.explain_for_user("u0", "c", 1)
    assert (found.id, found.title, found.score) == ("c", "C", 1.0)
    assert found.reasons == [Reason("b", None, 4.0)]
    assert (found.rest, found.n_rest, found.own) == (3.0, 1, -6.0)
    found = answers.explain_for_items(["a", "b", "a"], "c", 5)
    assert found.reasons == [Reason("b", None, 4.0), Reason("a", "A", 3.0)]
    assert (found.score, found.rest, found.n_rest, found.own) == (7.0, 0.0, 0, 0.0)
    assert found.to_json()["reasons"][1] == {"id": "a", "title": "A", "term": 3.0}


@pytest.mark.parametrize(
    ("user", "items", "item", "message"),
    [("nobody", None, "a", "no user"), ("u0", None, "x", "no item"), (None, ["x"], "a", "no item"),
     (None, ["a"], "x", "no item"), (None, [], "a", "no items given")],
)  # fmt: skip
def test_unknown_ids_are_not_explained(user: str | None, items: list[str] | None, item: str, message: str) -> None:
    answers = Answers(artifact(titles=True))
    ask = partial(answers.explain_for_items, items or []) if user is None else partial(answers.explain_for_user, user)
    with pytest.raises(DataError, match=message):
        ask(item, 3)
