"""Items and events that are told to the service, through its routes: known to the next answer, whatever they are."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from tests.serving.shop import N_ITEMS, Shop, error, even, ids, segment

EVEN: dict[str, Any] = {"title": "even thing", "section": "even", "price": 4.0, "tags": ["mod1", "all"]}
ODD_IDS = ["a/b", "%2F", "..", ".", "a b", "é", "e\u0301", "\u202e", "𝄞", "?k=3", "#", "a&b=c", "'; DROP--", "\\", "\n",
           "+", ";v=1", "x" * 512]  # fmt: skip


def test_an_item_comes_changes_and_goes(served: Callable[..., Shop]) -> None:
    shop = served()
    body = {"attributes": EVEN, "collections": ["user0", "somebody"]}
    found = shop.ask("PUT", "/v1/items/new", body)
    assert found.status == 201
    stored = found.json
    assert set(stored) == {"id", "sequence", "findable", "note", "generation", "seconds"}
    assert (stored["id"], stored["sequence"], stored["findable"], stored["note"]) == ("new", 1, True, None)
    assert 0 < stored["seconds"] < 5
    assert even(shop.similar("new", k=6)) == 1
    assert "new" in shop.similar("item0", k=1000)
    assert "new" in shop.recommended("user2", k=1000)
    assert "new" not in shop.recommended("user0", k=1000)  # a collection that holds it
    assert shop.get("/v1/users/somebody")["history"] == [{"id": "new", "title": "even thing"}]
    view = shop.get("/v1/items/new")
    assert (view["attributes"], view["origin"], view["n_users"]) == (EVEN, "fresh", 2)
    assert shop.get("/v1/search", q="new")["items"] == [{"id": "new", "title": "even thing"}]
    assert shop.get("/v1/items/new/neighborhood", hops=1)["nodes"][0]["id"] == "new"
    assert len(shop.similar("new", k=5, by="walk")) == 5
    assert even(shop.similar("new", k=5, by="content")) == 1

    found = shop.ask("PUT", "/v1/items/new", {"attributes": {**EVEN, "title": "odd thing", "section": "odd"}})
    assert (found.status, found.json["sequence"]) == (200, 2)
    assert shop.get("/v1/items/new")["title"] == "odd thing"
    assert "new" in shop.recommended("user0", k=1000)  # no longer among its collections
    error(shop.ask("GET", "/v1/users/somebody"), 404)
    assert shop.get("/v1/status")["n_fresh"] == 1
    assert shop.get("/v1/status")["freshness"]["count"] == 2

    assert shop.delete("new") == {"id": "new", "sequence": 3}
    assert shop.ask("DELETE", "/v1/items/new").status == 404
    for path in ("/v1/items/new", "/v1/items/new/similar", "/v1/explain?item=new&user=user0"):
        error(shop.ask("GET", path), 404)
    assert "new" not in shop.similar("item0", k=1000)
    assert shop.get("/v1/search", q="new")["items"] == []
    assert (shop.get("/v1/status")["n_fresh"], shop.get("/v1/status")["n_items"]) == (0, N_ITEMS)


@pytest.mark.parametrize("by", ["model", "content", "walk"])
def test_a_deleted_item_of_the_training_data_is_gone_from_everywhere(served: Callable[..., Shop], by: str) -> None:
    shop = served()
    assert "item6" in shop.similar("item4", k=1000, by=by)
    shop.delete("item6")
    assert shop.get("/v1/status")["n_deleted"] == 1
    assert "item6" not in shop.similar("item4", k=1000, by=by)
    for user in ("user0", "user2", "user4"):
        assert "item6" not in shop.recommended(user, k=1000, seen=True)
        assert "item6" not in [one["id"] for one in shop.get(f"/v1/users/{user}")["history"]]
    assert "item6" not in shop.get("/v1/map")["ids"]
    assert "item6" not in [one["id"] for one in shop.get("/v1/items/item4/neighborhood", size=50)["nodes"]]
    assert shop.ask("POST", "/v1/recommendations", {"items": ["item6"]}).status == 404
    shop.put("item6", {"title": "even thing 6", "section": "even", "price": 6.0})
    assert "item6" in shop.similar("item4", k=1000, by=by)


def test_events_are_known_to_the_next_answer(served: Callable[..., Shop]) -> None:
    shop = served()
    first, *_ = shop.recommended("user0")
    stored = shop.take(("user0", first), ("nobody", "item1"), ("nobody", "item1"))
    assert stored == {"accepted": 3, "repeated": 0, "sequence": 3}
    assert first not in shop.recommended("user0", k=1000)
    assert shop.get("/v1/users/user0")["history"][0]["id"] == first
    assert shop.get("/v1/users/nobody")["n_history"] == 1
    assert even(shop.recommended("nobody", k=5)) == 0
    assert shop.get("/v1/items/item1")["n_users"] == calm_users(shop, "item1") + 1
    again = {"events": [{"user": "user4", "item": "item0", "id": "e", "time": 5}]}
    assert shop.ask("POST", "/v1/events", again).json == {"accepted": 1, "repeated": 0, "sequence": 4}
    assert shop.ask("POST", "/v1/events", again).json == {"accepted": 0, "repeated": 1, "sequence": 4}
    other = {"events": [{"user": "user4", "item": "item0"}, {"user": "user4", "item": "item2", "id": "e"}]}
    error(shop.ask("POST", "/v1/events", other), 409, "body.events[1].id")
    nothing = {"events": [{"user": "user4", "item": "item0"}, {"user": "user4", "item": "nothing"}]}
    assert "PUT it first" in error(shop.ask("POST", "/v1/events", nothing), 422, "body.events[1].item")
    assert shop.get("/v1/status")["n_events"] == 4  # all or none


def calm_users(shop: Shop, item: str) -> int:
    """How many users of the training data have an item."""
    graph = shop.service.snapshot.live.generation.artifact.graph
    return len(graph.item_users.row(int(item.removeprefix("item"))))


def test_ids_may_be_any_text(served: Callable[..., Shop]) -> None:
    shop = served()
    for name in ODD_IDS:
        shop.put(name, EVEN, [name])
        assert shop.get(f"/v1/items/{segment(name)}")["id"] == name
        assert name in shop.similar("item4", k=1000)
        assert shop.similar(name, k=3, filter={"deny": ["item4"]})
        shop.take((name, name))
        assert shop.get(f"/v1/users/{segment(name)}")["history"] == [{"id": name, "title": "even thing"}]
        assert name not in shop.recommended(name, k=1000)
        reasons = shop.get("/v1/explain", item="item4", items=[name])["reasons"]
        assert [one["id"] for one in reasons] == [name]
    shop.restart()
    for name in ODD_IDS:
        assert shop.get(f"/v1/items/{segment(name)}")["id"] == name
        shop.delete(name)
    assert shop.get("/v1/status")["n_items"] == N_ITEMS


def test_what_a_model_cannot_do_is_409_and_says_what_can(served: Callable[..., Shop]) -> None:
    shop = served("item-knn")
    for path in ("/v1/map", "/v1/items/item0/similar?by=content", "/v1/items/item0/similar?diversity=0.5",
                 "/v1/users/user0/recommendations?seen=true", "/v1/collections/user0/related"):  # fmt: skip
        error(shop.ask("GET", path), 409)
    stored = shop.put("new", EVEN)
    assert (stored["findable"], "train" in stored["note"]) == (False, True)
    assert "train" in error(shop.ask("GET", "/v1/items/new/similar"), 409)
    error(shop.ask("GET", "/v1/explain?item=new&user=user0"), 409)
    assert shop.get("/v1/items/new")["findable"] is False
    shop.take(("nobody", "new"))
    found = shop.get("/v1/users/nobody/recommendations")
    assert (found["items"], found["note"] is None) == ([], False)
    assert even(shop.similar("item4", k=5)) == 1
    assert len(shop.similar("item4", k=5, by="walk")) == 5


def test_another_generation_and_back(served: Callable[..., Shop], trained: Callable[[str], Any]) -> None:
    trained("gf-cf")
    shop = served()
    shop.put("new", EVEN)
    shop.delete("item6")
    before = shop.get("/v1/items/item4/similar", k=1000)
    found = shop.ask("POST", "/v1/generations", {"name": "gf-cf"}).json
    assert found["history"] == ["pinsage", "gf-cf"]
    assert found["current"].startswith("gf-cf@")
    other = shop.get("/v1/items/item4/similar", k=1000)
    assert other["generation"] == found["current"]
    assert "item6" not in ids(other)
    assert shop.get("/v1/items/new")["findable"] is False
    assert found["current"].encode() in shop.ask("GET", "/metrics").body
    shop.restart()
    assert shop.get("/v1/generations") == found
    back = shop.ask("POST", "/v1/generations/rollback").json
    assert back["history"] == ["pinsage"]
    assert shop.get("/v1/items/item4/similar", k=1000) == before
    error(shop.ask("POST", "/v1/generations/rollback"), 409)
    for name in ("nothing", "..", "data", "pinsage/", "/etc", "x.state"):
        error(shop.ask("POST", "/v1/generations", {"name": name}), 422, "body.name")
    assert shop.get("/v1/items/item4/similar", k=1000) == before


def test_readers_never_fail_while_items_come_and_go(served: Callable[..., Shop]) -> None:
    """Below HTTP, in threads: an item is found whole or not at all."""
    from pinfold.errors import NotFoundError, RequestError
    from pinfold.serving import answering
    from pinfold.serving.answering import Question
    from pinfold.serving.filters import Condition, Filter
    from pinfold.serving.store import NewEvent

    service = served().service
    names = [f"new{n}" for n in range(12)]
    done: list[int] = []

    def read(seed: int) -> int:
        rng = np.random.default_rng(seed)
        n = 0
        while not done:
            live, name = service.snapshot.live, str(rng.choice(names))
            wanted = Filter(where=(Condition("section", among=("even",)),)) if rng.random() < 0.3 else Filter()
            try:
                answering.similar(live, name, Question(1000, wanted))
                answering.explain(live, "user0", [], name, 5)
                answering.item_view(live, name)
            except (NotFoundError, RequestError):
                pass
            found = answering.for_user(live, "user0", Question(1000, wanted))
            assert "item1" not in [one.id for one in found.items]
            answering.user_view(live, "user0")
            live.items.search("new", 10)
            service.status(0)
            n += 1
        return n

    service.add_events([NewEvent("user0", "item1")])
    with ThreadPoolExecutor(3) as pool:
        readers = [pool.submit(read, seed) for seed in range(3)]
        try:
            for turn in range(2):
                for name in names:
                    service.put_item(name, EVEN, ["user0"] if turn % 2 else [], 0.0)
                    service.add_events([NewEvent("user0", "item1"), NewEvent("user4", name)])
                for name in names:
                    service.delete_item(name)
        finally:
            done.append(1)
        assert all(reader.result() > 0 for reader in readers)
