"""Whatever is put, deleted and told, in whatever order, with restarts between: it is as a plain model of it."""

from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, settings, strategies
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from tests.serving.shop import N_ITEMS, N_USERS, Shop, assert_same, segment, shop

SECTIONS = ("even", "odd")
TRAINED = ["item0", "item17"]
FRESH = ["new", "neu/é %2F?b#c"]
USERS = ["user0", "user1", "some/body %"]
MANY = 1000  # answers: all that there are
titles = strategies.sampled_from(["even thing", "odd thing", "even thing 4", "something else"])
attributes = strategies.fixed_dictionaries(
    {"title": titles},
    optional={
        "section": strategies.sampled_from(SECTIONS),
        "price": strategies.sampled_from([0.0, 3.5, 20.0, 39]),
        "tags": strategies.lists(strategies.sampled_from(["mod0", "mod1", "all", "other"]), max_size=3),
        "available": strategies.booleans(),
    },
)
items = strategies.sampled_from(TRAINED + FRESH)
users = strategies.sampled_from(USERS)


class Model(RuleBasedStateMachine):
    """The service beside what it should be."""

    begin: Callable[[], Shop]
    seen: dict[str, set[str]]  # what users of the training data have

    @initialize()
    def started(self) -> None:
        self.shop = type(self).begin()
        table = shop().item_table.columns
        self.there = {f"item{row}": {name: table[name][row] for name in table} for row in range(N_ITEMS)}
        self.known = set(self.there)  # also what is gone
        self.given: dict[str, list[str]] = {}  # by item: its collections
        self.taken: dict[str, set[str]] = {}  # by user: items of their events
        self.told: dict[str, tuple[str, str]] = {}  # events by their own id
        self.sequence = self.n_events = 0
        self.served = ["pinsage"]

    def teardown(self) -> None:
        if hasattr(self, "shop"):
            self.shop.close()

    # ---- what it should be

    def has(self, user: str) -> set[str]:
        given = {item for item, some in self.given.items() if user in some}
        return type(self).seen.get(user, set()) | self.taken.get(user, set()) | given

    def findable(self) -> set[str]:
        """All that is there, but what the service says it cannot find; that has to be of what came since."""
        lost = {item for item in self.there if item in FRESH and not self.view(item)["findable"]}
        return set(self.there) - lost

    def view(self, item: str) -> Any:
        return self.shop.get(f"/v1/items/{segment(item)}")

    # ---- what may happen

    @rule(item=items, values=attributes, collections=strategies.lists(users, max_size=3, unique=True))
    def put(self, item: str, values: dict[str, Any], collections: list[str]) -> None:
        body = {"attributes": values, "collections": collections}
        found = self.shop.ask("PUT", f"/v1/items/{segment(item)}", body)
        assert found.status == (200 if item in self.there else 201), found.body
        assert found.json["id"] == item
        self.rises(found.json["sequence"])
        self.there[item], self.given[item] = values, collections
        self.known.add(item)
        view = self.view(item)
        assert (view["attributes"], view["title"]) == (values, values["title"])
        assert view["origin"] == ("changed" if item in TRAINED else "fresh")
        assert view["findable"] == found.json["findable"] == (found.json["note"] is None)
        assert item in [one["id"] for one in self.shop.get("/v1/search", q=values["title"], k=MANY)["items"]]

    @rule(item=items)
    def delete(self, item: str) -> None:
        found = self.shop.ask("DELETE", f"/v1/items/{segment(item)}")
        if item not in self.there:
            assert found.status == 404, found.body
            return
        assert found.status == 200, found.body
        self.rises(found.json["sequence"])
        del self.there[item]
        self.given.pop(item, None)
        for rest in ("", "/similar", "/neighborhood"):
            assert self.shop.ask("GET", f"/v1/items/{segment(item)}{rest}").status == 404
        assert item not in [one["id"] for one in self.shop.get("/v1/search", q=item[:100], k=MANY)["items"]]

    @rule(pairs=strategies.lists(strategies.tuples(users, items), min_size=1, max_size=4))
    def take(self, pairs: list[tuple[str, str]]) -> None:
        body = {"events": [{"user": user, "item": item} for user, item in pairs]}
        found = self.shop.ask("POST", "/v1/events", body)
        unknown = [place for place, (_, item) in enumerate(pairs) if item not in self.known]
        if unknown:
            assert (found.status, found.json["field"]) == (422, f"body.events[{unknown[0]}].item")
            return
        assert found.status == 200, found.body
        assert (found.json["accepted"], found.json["repeated"]) == (len(pairs), 0)
        self.rises(found.json["sequence"])
        for user, item in pairs:
            self.taken.setdefault(user, set()).add(item)
            self.n_events += 1
        user, item = pairs[-1]
        if item in self.there:  # the latest first
            assert self.shop.get(f"/v1/users/{segment(user)}")["history"][0]["id"] == item

    @rule(name=strategies.sampled_from(["e1", "e2"]), user=users, item=strategies.sampled_from(TRAINED))
    def tell_again(self, name: str, user: str, item: str) -> None:
        body = {"events": [{"user": user, "item": item, "id": name}]}
        found = self.shop.ask("POST", "/v1/events", body)
        if name not in self.told:
            assert (found.json["accepted"], found.json["repeated"]) == (1, 0)
            self.told[name] = user, item
            self.taken.setdefault(user, set()).add(item)
            self.n_events += 1
            self.rises(found.json["sequence"])
        elif self.told[name] == (user, item):
            assert (found.json["accepted"], found.json["repeated"]) == (0, 1)
        else:
            assert (found.status, found.json["field"]) == (409, "body.events[0].id")

    @rule(user=users, section=strategies.sampled_from([None, *SECTIONS]), diverse=strategies.booleans())
    def recommend(self, user: str, section: str | None, diverse: bool) -> None:
        query: dict[str, Any] = {"k": MANY}
        if section is not None:
            query["filter"] = {"where": [{"field": "section", "in": [section]}]}
        if diverse:
            query |= {"k": 5, "diversity": 0.5}
        if user not in type(self).seen and not self.has(user):  # nobody knows them
            assert self.shop.ask("GET", f"/v1/users/{segment(user)}/recommendations").status == 404
            return
        history = {one["id"] for one in self.shop.get(f"/v1/users/{segment(user)}")["history"]}
        assert history == self.has(user) & set(self.there)
        found = set(self.shop.recommended(user, **query))
        expected = {item for item in self.findable() if section in (None, self.there[item].get("section"))}
        expected -= self.has(user)
        speaking = [item for item in self.has(user) if item not in FRESH or item in self.findable()]
        if not speaking:
            assert not found
        elif diverse:
            assert found <= expected
            assert len(found) == min(5, len(expected))
        else:
            assert found == expected

    @rule(item=items)
    def similar(self, item: str) -> None:
        path = f"/v1/items/{segment(item)}/similar"
        if item not in self.there:
            assert self.shop.ask("GET", path).status == 404
        elif item not in self.findable():
            assert self.shop.ask("GET", path).status == 409
        else:
            assert set(self.shop.similar(item, k=MANY)) == self.findable() - {item}

    @rule()
    def restart(self) -> None:
        before = self.answers()
        self.shop.restart()
        assert_same(self.answers(), before)

    @precondition(lambda self: len(self.served) < 4)
    @rule()
    def publish(self) -> None:
        name = "other" if self.served[-1] == "pinsage" else "pinsage"
        found = self.shop.ask("POST", "/v1/generations", {"name": name})
        assert found.status == 200, found.body
        self.served.append(name)
        assert found.json["history"] == self.served

    @rule()
    def rollback(self) -> None:
        found = self.shop.ask("POST", "/v1/generations/rollback")
        if len(self.served) == 1:
            assert found.status == 409
            return
        assert found.status == 200, found.body
        self.served.pop()
        assert found.json["history"] == self.served

    # ---- what always holds

    @invariant()
    def status(self) -> None:
        if not hasattr(self, "shop"):
            return
        status = self.shop.get("/v1/status")
        assert status["generation"].partition("@")[0] == self.served[-1]
        assert status["n_items"] == len(self.there)
        assert status["n_fresh"] == len(set(self.there) & set(FRESH))
        assert status["n_deleted"] == len(set(TRAINED) - set(self.there))
        assert status["n_events"] == self.n_events

    def rises(self, sequence: int) -> None:
        assert sequence > self.sequence
        self.sequence = sequence

    def answers(self) -> dict[str, Any]:
        """What is said of everything that the rules touch."""
        paths = [f"/v1/users/{segment(user)}{rest}" for user in USERS for rest in ("", "/recommendations?k=1000")]
        paths += [f"/v1/items/{segment(item)}{rest}" for item in TRAINED + FRESH for rest in ("", "/similar?k=1000")]
        paths += [f"/v1/explain?user=user0&item=item{row}&k=1000" for row in (4, 5)]
        return {path: self.shop.ask("GET", path).json for path in paths}


def known_histories() -> dict[str, set[str]]:
    """What users of the training data have."""
    events = shop().interactions
    owners = [np.flatnonzero(events.users == user) for user in range(N_USERS)]
    return {f"user{user}": {f"item{item}" for item in events.items[rows]} for user, rows in enumerate(owners)}


def test_the_service_is_as_its_model_says(trained: Callable[[str], Path], tmp_path: Path) -> None:
    artifact, numbers = trained("pinsage"), count()
    trained("other")

    class Machine(Model):
        seen = known_histories()

        @staticmethod
        def begin() -> Shop:
            return Shop(artifact, tmp_path / f"{next(numbers)}.db")

    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=16, stateful_step_count=28, deadline=None, derandomize=True, database=None,
            phases=[Phase.generate, Phase.shrink], suppress_health_check=list(HealthCheck),
        ),
    )  # fmt: skip
