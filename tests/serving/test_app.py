"""Each route of the service: what it answers where all is well, and where nothing has the id."""

import numpy as np
import pytest
from tests.serving.shop import N_ITEMS, N_USERS, Shop, error, even, ids, segment


def test_recommendations_for_a_user(calm: Shop) -> None:
    found = calm.get("/v1/users/user2/recommendations", k=5)
    assert len(ids(found)) == 5
    assert even(ids(found)) == 1
    assert found["note"] is None
    assert found["items"][0]["title"].startswith("even thing")
    assert found["generation"].startswith("pinsage@")
    scores = [one["score"] for one in found["items"]]
    assert scores == sorted(scores, reverse=True)
    assert ids(calm.get("/v1/users/user2/recommendations"))[:5] == ids(found)  # 10 unless told


def test_recommendations_hold_what_somebody_has_only_when_asked_to(calm: Shop) -> None:
    has = {one["id"] for one in calm.get("/v1/users/user2")["history"]}
    assert len(has) == 8
    found = calm.get("/v1/users/user2/recommendations", k=1000)
    assert not has & set(ids(found))
    assert found["note"].startswith(f"{N_ITEMS - 8} of 1000: ")
    assert set(calm.recommended("user2", k=1000, seen=True)) == {f"item{row}" for row in range(N_ITEMS)}


def test_recommendations_by_post(calm: Shop) -> None:
    path = "/v1/recommendations"
    assert calm.ask("POST", path, {"user": "user2", "k": 5}).json == calm.get("/v1/users/user2/recommendations", k=5)
    found = calm.ask("POST", path, {"items": ["item0", "item2"], "k": 6}).json
    assert even(ids(found)) == 1
    assert not {"item0", "item2"} & set(ids(found))
    events = [{"item": "item2", "time": 7}, {"item": "item0"}]
    assert calm.ask("POST", path, {"events": events, "k": 6}).json == found
    some = calm.ask("POST", path, {"items": ["item0", "nothing", "item2"], "k": 6}).json
    assert ids(some) == ids(found)
    assert some["note"] == "1 of 3 items are not known and were left out"
    error(calm.ask("POST", path, {"items": ["nothing"]}), 404)
    error(calm.ask("POST", path, {"user": "nobody"}), 404)


def test_users(calm: Shop) -> None:
    found = calm.get("/v1/users/user1")
    assert set(found) == {"id", "title", "history", "n_history"}
    assert (found["id"], found["title"], found["n_history"]) == ("user1", None, 8)
    assert all(set(one) == {"id", "title"} and one["title"].startswith("odd") for one in found["history"])


def test_items(calm: Shop) -> None:
    found = calm.get("/v1/items/item8")
    assert found["title"] == "even thing 8"
    expected = {"title": "even thing 8", "section": "even", "price": 8.0, "tags": ["mod2", "all"], "available": False}
    assert found["attributes"] == expected
    assert (found["origin"], found["findable"]) == ("trained", True)
    users = [f"user{row}" for row in range(N_USERS)]
    assert found["n_users"] == sum("item8" in str(calm.get(f"/v1/users/{user}")["history"]) for user in users)
    assert "price" not in calm.get("/v1/items/item5")["attributes"]  # missing


@pytest.mark.parametrize("by", ["model", "content", "walk"])
def test_similar_items(calm: Shop, by: str) -> None:
    found = calm.get("/v1/items/item4/similar", k=6, by=by)
    assert even(ids(found)) == 1
    assert "item4" not in ids(found)
    assert len(ids(found)) == 6
    allowed = [name for name in calm.similar("item4", k=1000, by=by) if name in ("item3", "item6", "item8")]
    assert calm.similar("item4", k=1000, by=by, filter={"allow": ["item3", "item6", "item8"]}) == allowed


def test_diverse_answers_are_less_alike(calm: Shop) -> None:
    plain, diverse = calm.similar("item4", k=5), calm.similar("item4", k=5, diversity=0.9)
    assert len(diverse) == 5
    assert set(diverse) != set(plain)
    assert calm.recommended("user0", k=5, diversity=0) == calm.recommended("user0", k=5)


def test_related_collections(calm: Shop) -> None:
    found = calm.get("/v1/collections/user4/related", k=6)
    names = ids(found)
    assert len(names) == 6
    assert "user4" not in names
    assert all(int(name.removeprefix("user")) % 2 == 0 for name in names)
    assert calm.get("/v1/collections/user4/related", k=1000)["note"] is not None


def test_search(calm: Shop) -> None:
    assert [one["id"] for one in calm.get("/v1/search", q="ITEM3", k=1)["items"]] == ["item3"]
    found = calm.get("/v1/search", q="odd thing", k=1000)["items"]
    assert {one["id"] for one in found} == {f"item{row}" for row in range(1, N_ITEMS, 2)}
    assert calm.get("/v1/search", q="thing 39")["items"] == [{"id": "item39", "title": "odd thing 39"}]
    for text in ("nothing like it", "\nitem", "3\n", "item3\nodd", "\x0b", "\n\n"):  # the texts searched stand in lines
        assert calm.get("/v1/search", q=text)["items"] == [], text
    assert calm.get("/v1/search", q="\n", k=1000) == calm.get("/v1/search", q=" ", k=1000)
    error(calm.ask("GET", "/v1/search"), 422, "q")
    error(calm.ask("GET", "/v1/search?q="), 422, "q")


def test_the_neighborhood_of_an_item(calm: Shop) -> None:
    found = calm.get("/v1/items/item4/neighborhood", size=5, hops=2)
    nodes = {node["id"]: node for node in found["nodes"]}
    assert len(nodes) == len(found["nodes"])
    assert (found["nodes"][0]["id"], found["nodes"][0]["hop"]) == ("item4", 0)
    assert sum(node["hop"] == 1 for node in nodes.values()) == 5
    assert {node["hop"] for node in nodes.values()} <= {0, 1, 2}
    assert even(list(nodes)) == 1
    for edge in found["edges"]:
        assert edge["source"] in nodes
        assert edge["target"] in nodes
        assert 0 < edge["weight"] <= 1
    assert {node["hop"] for node in calm.get("/v1/items/item4/neighborhood", hops=1)["nodes"]} == {0, 1}


def test_the_map(calm: Shop) -> None:
    found = calm.get("/v1/map", field="section")
    assert found["field"] == "section"
    assert set(found["ids"]) == {f"item{row}" for row in range(N_ITEMS)}
    names = [found["categories"][place] for place in found["category"]]
    assert names == ["even" if int(name.removeprefix("item")) % 2 == 0 else "odd" for name in found["ids"]]
    assert all(-1 <= place <= 1 for axis in ("x", "y") for place in found[axis])
    sides = [np.mean([x for x, name in zip(found["x"], names, strict=True) if name == one]) for one in ("even", "odd")]
    assert abs(sides[0] - sides[1]) > 0.5  # two tastes lie apart
    plain = calm.get("/v1/map", n=10)
    assert (len(plain["ids"]), plain["categories"], plain["field"]) == (10, [], None)
    assert set(plain["category"]) == {-1}
    error(calm.ask("GET", "/v1/map?field=colour"), 422, "field")


def test_status_and_generations(calm: Shop) -> None:
    found = calm.get("/v1/status")
    assert (found["model"], found["n_items"], found["n_users"], found["n_deleted"]) == ("pinsage", N_ITEMS, N_USERS, 0)
    assert found["fields"] == ["title", "section", "price", "tags", "available"]
    assert found["freshness"] == {"count": 0, "p50": None, "p99": None, "last": None}
    assert calm.get("/v1/status")["requests"] == found["requests"] + 1
    assert calm.get("/v1/generations") == {"current": found["generation"], "history": ["pinsage"]}


def test_health_metrics_and_the_page(calm: Shop) -> None:
    assert calm.get("/healthz") == calm.get("/readyz") == {"status": "ok"}
    text = calm.ask("GET", "/metrics")
    assert text.headers["content-type"].startswith("text/plain")
    assert b'pinfold_requests_total{method="GET",route="/healthz",status="200"}' in text.body
    assert b"item4" not in text.body
    page = calm.ask("GET", "/")
    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")


@pytest.mark.parametrize(
    "path",
    ["/v1/users/X", "/v1/users/X/recommendations", "/v1/items/X", "/v1/items/X/similar", "/v1/items/X/similar?by=walk",
     "/v1/items/X/similar?by=content", "/v1/items/X/neighborhood", "/v1/collections/X/related",
     "/v1/explain?item=X&user=user0", "/v1/explain?item=item0&user=X", "/v1/explain?item=item0&items=X"],
)  # fmt: skip
@pytest.mark.parametrize("name", ["nothing", "a/b", "item0 ", "ITEM0"])
def test_what_nothing_has_is_404_and_says_the_id(calm: Shop, path: str, name: str) -> None:
    assert name in error(calm.ask("GET", path.replace("X", segment(name))), 404)
    assert "did you mean 'item0'" in error(calm.ask("GET", "/v1/items/item_0"), 404)
