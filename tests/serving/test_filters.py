"""Filters: every condition against a plain loop over the catalogue, whatever the model, with what came since."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tests.serving.shop import N_ITEMS, Shop, address, error, shop

from pinfold.data.tables import Table
from pinfold.serving.filters import Columns, Condition

TABLE = shop().item_table.columns
ALL = {f"item{row}": {name: TABLE[name][row] for name in TABLE} for row in range(N_ITEMS)}


def where(field: str, **condition: Any) -> dict[str, Any]:
    """One condition; `among` for what JSON calls in."""
    names = {"among": "in", "low": "min", "high": "max", "flag": "is"}
    return {"field": field, **{names[name]: value for name, value in condition.items()}}


def kind(value: Any) -> type:
    """Of whole and other numbers the same."""
    return float if type(value) is int else type(value)


def fits(value: Any, condition: dict[str, Any]) -> bool:
    """What the documentation says, by itself."""
    if isinstance(value, list):
        return any(fits(one, condition) for one in value)
    if value is None:
        return False
    if "in" in condition:
        return any(value == one and kind(value) is kind(one) for one in condition["in"])
    if "is" in condition:
        return isinstance(value, bool) and value == condition["is"]
    if isinstance(value, bool | str):
        return False
    return bool(condition.get("min", value) <= value <= condition.get("max", value))


CONDITIONS = [
    where("section", among=["even"]),
    where("section", among=["odd", "nothing"]),
    where("section", among=[]),
    where("section", among=["EVEN"]),
    where("tags", among=["mod1"]),  # a list fits where one of its values does
    where("tags", among=["mod0", "mod2"]),
    where("tags", among=["all"]),
    where("price", low=10),
    where("price", high=7.5),
    where("price", low=7, high=7),
    where("price", low=1e300),
    where("price", low=-1e308, high=1e308),  # a missing value never fits
    where("price", among=[7, 8.0, "9"]),
    where("price", flag=True),
    where("available", flag=True),
    where("available", flag=False),
    where("available", among=[True]),
    where("available", among=[1]),
    where("available", low=0),
    where("title", among=["even thing 4", "odd thing 5"]),
    where("title", low=0),
]
FILTERS: list[dict[str, Any]] = [
    *({"where": [one]} for one in CONDITIONS),
    {},
    {"where": []},
    {"where": [where("section", among=["even"]), where("price", low=5), where("available", flag=False)]},
    {"allow": ["item1", "item2", "nothing"]},
    {"allow": []},
    {"allow": None},
    {"deny": ["item1", "item2", "nothing"]},
    {"allow": ["item1", "item2", "item4"], "deny": ["item2"], "where": [where("section", among=["even"])]},
]


def expected(wanted: dict[str, Any], there: dict[str, dict[str, Any]]) -> set[str]:
    """Which items a filter lets through."""
    names = set(there) if wanted.get("allow") is None else set(there) & set(wanted["allow"])
    names -= set(wanted.get("deny", ()))
    conditions = wanted.get("where", ())
    return {name for name in names if all(fits(there[name].get(one["field"]), one) for one in conditions)}


@pytest.mark.parametrize("wanted", FILTERS, ids=str)
def test_filters_let_through_what_fits(calm: Shop, wanted: dict[str, Any]) -> None:
    fitting = expected(wanted, ALL)
    assert set(calm.similar("item5", k=1000, filter=wanted)) == fitting - {"item5"}
    history = {one["id"] for one in calm.get("/v1/users/user3")["history"]}
    assert set(calm.recommended("user3", k=1000, filter=wanted)) == fitting - history
    by_post = calm.ask("POST", "/v1/recommendations", {"items": ["item5"], "k": 1000, "filter": wanted}).json
    assert {one["id"] for one in by_post["items"]} == fitting - {"item5"}


@pytest.mark.parametrize("model", ["medoids", "lightgcn", "gf-cf", "item-knn"])
def test_every_model_keeps_to_them(served: Callable[..., Shop], model: str) -> None:
    """Of some models a score may be missing, so there may be fewer; never another item."""
    one = served(model)
    for wanted in FILTERS:
        fitting = expected(wanted, ALL)
        assert set(one.similar("item5", k=1000, filter=wanted)) <= fitting - {"item5"}
        history = {item["id"] for item in one.get("/v1/users/user3")["history"]}
        found = set(one.recommended("user3", k=1000, filter=wanted))
        assert found <= fitting - history
        assert found == set(one.recommended("user3", k=1000)) & fitting


@pytest.mark.parametrize("by", ["model", "content", "walk"])
def test_filters_keep_the_order_and_give_k_answers_or_a_note(calm: Shop, by: str) -> None:
    everything = calm.similar("item5", k=1000, by=by)
    for wanted in FILTERS:
        fitting = [name for name in everything if name in expected(wanted, ALL)]
        for k in (1, 4, 1000):
            found = calm.get("/v1/items/item5/similar", k=k, filter=wanted, by=by)
            assert [one["id"] for one in found["items"]] == fitting[:k], wanted
            assert (found["note"] is None) == (len(fitting) >= k)
            if found["note"] is not None:
                assert found["note"].startswith(f"{len(fitting)} of {k}")


def test_filters_know_what_came_since(served: Callable[..., Shop]) -> None:
    one = served()
    new: dict[str, dict[str, Any]] = {
        "cheap": {"title": "even thing", "section": "even", "price": 1, "tags": "mod1", "available": True},
        "dear": {"title": "odd thing", "section": "odd", "price": 300.5, "tags": ["new", "mod1"]},
        "bare": {"title": "odd thing", "price": None},
        "item4": {"title": "odd thing 4", "section": "odd"},  # it had a price, and was even
    }
    for name, attributes in new.items():
        assert one.put(name, attributes)["findable"]
    one.delete("item6")
    one.delete("dear")
    one.put("dear", new["dear"])
    there = {name: values for name, values in (ALL | new).items() if name != "item6"}
    wanted = [*FILTERS, {"where": [where("price", low=300)]}, {"where": [where("tags", among=["new"])]},
              {"allow": ["cheap", "item6", "item7"]}, {"deny": ["cheap"]}]  # fmt: skip
    for turn in range(2):
        for each in wanted:
            found = set(one.similar("item5", k=1000, filter=each))
            assert found == expected(each, there) - {"item5"}, (turn, each)
        one.restart()


def test_filters_and_diversity_together(calm: Shop) -> None:
    wanted = {"where": [where("section", among=["odd"])]}
    found = calm.similar("item4", k=6, filter=wanted, diversity=0.7)
    assert len(found) == 6
    assert set(found) <= expected(wanted, ALL)


BAD: list[tuple[Any, str]] = [
    ([], "filter"),
    (None, "filter"),
    ("even", "filter"),
    ({"whre": []}, "filter.whre"),
    ({"where": {}}, "filter.where"),
    ({"where": [{"field": "section"}]}, "filter.where[0]"),
    ({"where": [{"field": "sectoin", "in": ["python"]}]}, "filter.where[0].field"),
    ({"where": [{"in": ["even"]}]}, "filter.where[0].field"),
    ({"where": [where("section", among=["even"], flag=True)]}, "filter.where[0]"),
    ({"where": [where("section", among="even")]}, "filter.where[0].in"),
    ({"where": [where("section", among=[["even"]])]}, "filter.where[0].in[0]"),
    ({"where": [where("section", among=[None])]}, "filter.where[0].in[0]"),
    ({"where": [where("price", low="1")]}, "filter.where[0].min"),
    ({"where": [where("price", low=True)]}, "filter.where[0].min"),
    ({"where": [where("price", low=None)]}, "filter.where[0].min"),
    ({"where": [where("price", low=2, high=1)]}, "filter.where[0].min"),
    ({"where": [where("available", flag="true")]}, "filter.where[0].is"),
    ({"where": [where("available", flag=1)]}, "filter.where[0].is"),
    ({"where": [where("", flag=True)]}, "filter.where[0].field"),
    ({"where": [{"field": 1, "is": True}]}, "filter.where[0].field"),
    ({"where": [where("price", low=1)] * 33}, "filter.where"),
    ({"allow": ["item1", "item1"]}, "filter.allow[1]"),
    ({"allow": [1]}, "filter.allow[0]"),
    ({"allow": "item1"}, "filter.allow"),
    ({"deny": None}, "filter.deny"),
    ({"deny": ["item1", ""]}, "filter.deny[1]"),
    ({"deny": ["\0"]}, "filter.deny[0]"),
    ({"deny": ["\ud800"]}, "filter.deny[0]"),
]


@pytest.mark.parametrize(("wanted", "field"), BAD, ids=str)
def test_other_filters_are_refused_by_name(calm: Shop, wanted: Any, field: str) -> None:
    if isinstance(wanted, dict):
        for path in ("/v1/items/item0/similar", "/v1/users/user0/recommendations"):
            error(calm.ask("GET", address(path, filter=wanted)), 422, field)
        found = calm.ask("POST", "/v1/recommendations", {"items": ["item0"], "filter": wanted})
        error(found, 422, f"body.{field}")
    elif wanted is not None:
        error(calm.ask("POST", "/v1/recommendations", {"items": ["item0"], "filter": wanted}), 422, f"body.{field}")


@pytest.mark.parametrize("text", ["", "{", "nothing", "{'where': []}", "{}{}"])
def test_what_is_no_json_is_400(calm: Shop, text: str) -> None:
    error(calm.ask("GET", address("/v1/items/item0/similar", filter=text)), 400, "filter")


def test_a_column_of_vectors_is_shown_for_one_item_and_fits_no_condition() -> None:
    vectors = np.arange(6, dtype=np.float32).reshape(3, 2)
    columns = Columns(Table({"v": vectors, "year": np.array([1, 2, 3])}, 3))
    assert columns.row(1) == {"v": [2.0, 3.0], "year": 2}
    assert not columns.fitting(Condition("v", among=(2.0,))).any()
    assert not columns.fitting(Condition("v", low=0.0)).any()
