"""Served answers are those of the artifact on disk, as long as nothing was told since."""

from collections.abc import Callable
from typing import Any

import pytest
from tests.serving.shop import N_ITEMS, N_USERS, Shop, close, ids

from pinfold.embedding.artifact import read_artifact
from pinfold.errors import ConfigError
from pinfold.index.answers import Answers

MODELS = ["pinsage", "medoids", "lightgcn", "mf", "gf-cf", "item-knn"]


@pytest.fixture(params=MODELS)
def both(request: pytest.FixtureRequest, served: Callable[..., Shop], trained: Any) -> tuple[Shop, Answers]:
    """A service and the artifact itself."""
    return served(request.param), Answers(read_artifact(trained(request.param)))


def same(found: Any, expected: list[Any]) -> None:
    """The same ids, ranks, titles and scores."""
    ids(found)
    assert [(one["rank"], one["id"], one["title"]) for one in found["items"]] == [
        (one.rank, one.id, one.title) for one in expected
    ]
    assert [one["score"] for one in found["items"]] == pytest.approx([one.score for one in expected], abs=1e-6)


def test_served_answers_equal_those_of_the_artifact(both: tuple[Shop, Answers]) -> None:
    shop, answers = both
    for user in range(0, N_USERS, 3):
        same(shop.get(f"/v1/users/user{user}/recommendations", k=7), answers.for_user(f"user{user}", 7))
    for item in range(0, N_ITEMS, 3):
        same(shop.get(f"/v1/items/item{item}/similar", k=7), answers.similar(f"item{item}", 7))
    for some in (["item0"], ["item4", "item2", "item9"], [f"item{row}" for row in range(20)]):
        found = shop.ask("POST", "/v1/recommendations", {"items": some, "k": 7}).json
        same(found, answers.for_items(some, 7))


def test_reasons_equal_those_of_the_artifact(both: tuple[Shop, Answers]) -> None:
    shop, answers = both
    for user, item in (("user0", "item2"), ("user1", "item2"), ("user7", "item39")):
        try:
            expected = answers.explain_for_user(user, item, 3)
        except ConfigError:
            assert shop.ask("GET", f"/v1/explain?item={item}&user={user}").status == 409
            continue
        assert close(shop.get("/v1/explain", item=item, user=user, k=3), expected.to_json())
        some = ["item4", "item8", "item3"]
        expected = answers.explain_for_items(some, item, 3)
        assert close(shop.get("/v1/explain", item=item, items=some, k=3), expected.to_json())


def test_a_restart_with_nothing_told_changes_nothing(both: tuple[Shop, Answers]) -> None:
    shop, _ = both
    asked = [
        "/v1/users/user0/recommendations?k=40",
        "/v1/items/item0/similar?k=40",
        "/v1/users/user0",
        "/v1/items/item0",
    ]
    before = [shop.ask("GET", path).body for path in asked]
    shop.restart()
    assert [shop.ask("GET", path).body for path in asked] == before
