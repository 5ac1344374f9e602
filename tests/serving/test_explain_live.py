"""Reasons add up to the score that was recommended, also of what came after training."""

from collections.abc import Callable
from typing import Any

import pytest
from tests.serving.shop import Shop, error

EVEN: dict[str, Any] = {"title": "even thing", "section": "even", "price": 4.0}


def adds_up(found: Any) -> float:
    """The score of an explanation, whose parts are added."""
    assert set(found) == {"id", "title", "score", "reasons", "rest", "n_rest", "own"}
    terms = [one["term"] for one in found["reasons"]]
    assert terms == sorted(terms, reverse=True)
    assert sum(terms) + found["rest"] + found["own"] == pytest.approx(found["score"], abs=1e-5)
    return float(found["score"])


def check_user(shop: Shop, user: str, k: int = 4) -> None:
    """All that is recommended to a user is explained by what they have."""
    history = {one["id"] for one in shop.get(f"/v1/users/{user}")["history"]}
    for one in shop.get(f"/v1/users/{user}/recommendations", k=1000)["items"]:
        found = shop.get("/v1/explain", item=one["id"], user=user, k=k)
        assert adds_up(found) == pytest.approx(one["score"], abs=1e-4), one
        assert {reason["id"] for reason in found["reasons"]} <= history
        assert len(found["reasons"]) + found["n_rest"] <= max(len(history), k)
        assert len(found["reasons"]) <= k


@pytest.mark.parametrize("model", ["pinsage", "medoids", "mf", "gf-cf", "item-knn"])
def test_terms_add_up_to_the_score_that_is_recommended(served: Callable[..., Shop], model: str) -> None:
    shop = served(model)
    check_user(shop, "user3")
    for one in shop.ask("POST", "/v1/recommendations", {"items": ["item4", "item9", "item6"], "k": 10}).json["items"]:
        found = shop.get("/v1/explain", item=one["id"], items=["item4", "item9", "item6"])
        assert adds_up(found) == pytest.approx(one["score"], abs=1e-4)
        assert {reason["id"] for reason in found["reasons"]} <= {"item4", "item9", "item6"}


@pytest.mark.parametrize("model", ["pinsage", "medoids", "mf"])
def test_also_where_something_came_since(served: Callable[..., Shop], model: str) -> None:
    shop = served(model)
    shop.put("new", EVEN, ["user2"])
    shop.put("item4", {**EVEN, "price": 30.0}, ["user2"])
    check_user(shop, "user0")  # the same as in training, new things among what is recommended
    shop.take(("user0", "new"), ("user0", "item1"), ("nobody", "item1"), ("nobody", "new"))
    for user in ("user0", "user2", "nobody"):
        check_user(shop, user)
    found = shop.get("/v1/explain", item="item8", user="nobody")
    assert {(one["id"], one["title"]) for one in found["reasons"]} <= {("new", "even thing"), ("item1", "odd thing 1")}
    shop.delete("new")
    for user in ("user0", "nobody"):
        check_user(shop, user)
    assert "new" not in str(shop.get("/v1/explain", item="item8", user="nobody"))


def test_what_speaks_for_it_stands_first(calm: Shop) -> None:
    found = calm.get("/v1/explain", item="item8", items=["item1", "item4", "item6"], k=1)
    assert found["reasons"][0]["id"] in ("item4", "item6")
    assert found["n_rest"] == 2
    assert (found["id"], found["title"]) == ("item8", "even thing 8")


def test_scores_that_are_no_sums_are_409(served: Callable[..., Shop]) -> None:
    shop = served("lightgcn")
    found = shop.ask("GET", "/v1/explain?item=item8&user=user0")
    if found.status != 200:
        error(found, 409)
    shop.put("new", EVEN, ["user2"])
    assert shop.ask("GET", "/v1/explain?item=new&user=user0").status in (200, 409)


@pytest.mark.parametrize(
    "query", ["item=item0", "item=item0&user=user0&items=item1", "user=user0", "", "item=&user=user0"]
)
def test_it_must_be_said_what_and_for_whom(calm: Shop, query: str) -> None:
    field = "user" if query.startswith("item=item0") else "item"
    error(calm.ask("GET", f"/v1/explain?{query}"), 422, field)


def test_items_are_named_once(calm: Shop) -> None:
    error(calm.ask("GET", "/v1/explain?item=item0&items=item1&items=item1"), 422, "items[1]")
