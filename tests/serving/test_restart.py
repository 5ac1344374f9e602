"""A restart, or another generation, changes nothing of what was told."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.serving.shop import Shop, assert_same

EVEN: dict[str, Any] = {"title": "even thing", "section": "even", "price": 4.0}


def restarted(shop: Shop, *paths: str) -> None:
    """Ask the same before and after a restart."""
    before = {path: shop.ask("GET", path).json for path in paths}
    shop.restart()
    assert_same({path: shop.ask("GET", path).json for path in paths}, before)


def test_a_restart_forgets_no_event_of_an_item_that_came_and_went(served: Callable[..., Shop]) -> None:
    shop = served()
    shop.put("new", EVEN)
    shop.take(("user1", "new"), ("nobody", "new"))
    shop.delete("new")
    asked = [f"/v1/users/{user}{rest}" for user in ("user1", "nobody") for rest in ("", "/recommendations")]
    restarted(shop, *asked, "/v1/items/new")
    assert shop.get("/v1/users/nobody")["history"] == []
    assert shop.ask("POST", "/v1/events", {"events": [{"user": "user3", "item": "new"}]}).status == 200
    shop.put("new", EVEN)
    assert [one["id"] for one in shop.get("/v1/users/nobody")["history"]] == ["new"]
    restarted(shop, *asked, "/v1/items/new", "/v1/items/new/similar", "/v1/users/user3/recommendations")


def test_a_restart_moves_no_item_that_was_changed(served: Callable[..., Shop]) -> None:
    shop = served()
    shop.put("item0", {"title": "odd thing", "section": "odd"})
    shop.take(*((f"user{user}", "item0") for user in range(1, 40, 2)))
    restarted(shop, "/v1/items/item0/similar?k=1000", "/v1/items/item0", "/v1/users/user0/recommendations?k=1000")


def test_a_restart_knows_a_changed_item_that_is_gone_as_before(served: Callable[..., Shop]) -> None:
    """It still speaks for those who have it, by the vector that it was trained to."""
    shop = served()
    shop.take(("user0", "item2"))
    shop.put("item2", {"title": "odd thing", "section": "odd", "price": 33.0})
    changed = shop.get("/v1/users/user0/recommendations", k=1000)
    shop.delete("item2")
    assert shop.get("/v1/users/user0/recommendations", k=1000) != changed
    restarted(shop, "/v1/users/user0/recommendations?k=1000", "/v1/users/user0",
              "/v1/explain?user=user0&item=item4&k=1000")  # fmt: skip


def test_what_another_model_cannot_read_is_kept_and_said(served: Callable[..., Shop], trained: Any) -> None:
    """LightGCN takes any value; PinSage reads prices."""
    trained("pinsage")
    shop = served("lightgcn")
    assert shop.put("new", {"price": "cheap"}, ["user0"])["findable"]
    found = shop.ask("POST", "/v1/generations", {"name": "pinsage"})
    assert found.status == 200, found.body
    view = shop.get("/v1/items/new")
    assert (view["attributes"], view["findable"]) == ({"price": "cheap"}, False)
    shop.take(("user2", "new"))  # it moves nowhere
    assert "expected a number" in str(shop.ask("GET", "/v1/items/new/similar").json["error"])
    restarted(shop, "/v1/items/new", "/v1/items/new/similar", "/v1/users/user2/recommendations")


def test_another_artifact_on_the_same_store_begins_its_own_list(trained: Any, tmp_path: Path) -> None:
    """What was published for the first one is not served for it, and what is published for it is."""
    first, second = trained("pinsage"), trained("item-knn")
    trained("other")
    trained("gf-cf")
    with Shop(first, tmp_path / "store.db") as shop:
        shop.ask("POST", "/v1/generations", {"name": "other"})
    with Shop(second, tmp_path / "store.db") as shop:
        assert shop.service.generations().current.startswith("item-knn@")
        shop.ask("POST", "/v1/generations", {"name": "gf-cf"})
        shop.restart()
        assert shop.service.generations().current.startswith("gf-cf@")
