"""A small catalogue with every kind of attribute, models trained on it, and services that answer from them."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote, urlencode

import numpy as np
import pytest
from tests.serving.asgi import Answer, asked

from pinfold.data.dataset import Dataset, save_dataset
from pinfold.data.splits import SplitConfig
from pinfold.data.synthetic import two_tastes
from pinfold.data.tables import Table
from pinfold.graph.interests import InterestsConfig
from pinfold.graph.neighborhoods import NeighborhoodConfig
from pinfold.models.gf_cf import GFCFConfig
from pinfold.models.item_knn import ItemKNNConfig
from pinfold.models.lightgcn import LightGCNConfig
from pinfold.models.mf import MFConfig
from pinfold.models.pairwise import ObjectiveConfig
from pinfold.models.pinsage import PinSageConfig
from pinfold.models.shelf import ModelConfig
from pinfold.pipeline import train_run
from pinfold.run import DataConfig, RunConfig
from pinfold.sampling.item_batches import ItemNegativesConfig
from pinfold.sampling.pairs import SamplingConfig
from pinfold.serving.app import build_app
from pinfold.serving.guard import Guard
from pinfold.serving.limits import Limits, ServeConfig
from pinfold.serving.page import read_page
from pinfold.serving.service import Service
from pinfold.serving.sql_store import open_store
from pinfold.serving.tokens import Tokens
from pinfold.training.config import TrainConfig

N_ITEMS, N_USERS = 40, 60
PINSAGE = PinSageConfig(
    hidden=8, dim=8, neighborhood=NeighborhoodConfig(size=6, steps=60),
    negatives=ItemNegativesConfig(batch_size=64, n_negatives=16),
)  # fmt: skip
MODELS: dict[str, ModelConfig] = {
    "pinsage": PINSAGE,
    "other": replace(PINSAGE, hidden=6, dim=6),  # the same kind, other vectors
    "medoids": replace(PINSAGE, users=InterestsConfig(users="medoids")),
    "lightgcn": LightGCNConfig(dim=8, n_layers=2, objective=ObjectiveConfig(sampling=SamplingConfig(batch_size=256))),
    "mf": MFConfig(dim=8),
    "gf-cf": GFCFConfig(),
    "item-knn": ItemKNNConfig(),
}


def shop() -> Dataset:
    """Two tastes; even rows are of section "even", tags, prices and availability are missing here and there."""
    plain = two_tastes(N_USERS, N_ITEMS)
    columns = {
        **plain.item_table.columns,
        "section": _column(["even" if row % 2 == 0 else "odd" for row in range(N_ITEMS)]),
        "price": _column([None if row % 5 == 0 else float(row) for row in range(N_ITEMS)]),
        "tags": _column([[f"mod{row % 3}", "all"] if row % 7 else None for row in range(N_ITEMS)]),
        "available": _column([None if row % 11 == 0 else row % 4 != 0 for row in range(N_ITEMS)]),
    }
    return replace(plain, item_table=Table(columns, N_ITEMS))


def train(name: str, folder: Path) -> Path:
    """The artifact of one of MODELS in `folder`, beside the data."""
    if not (folder / "data").is_dir():
        save_dataset(shop(), folder / "data")
    run = RunConfig(
        data=DataConfig(path=str(folder / "data")),
        model=MODELS[name],
        split=SplitConfig(protocol="none"),
        train=TrainConfig(epochs=15, learning_rate=0.01, checkpoint_seconds=0),
    )
    train_run(run, folder / name)
    return folder / name


class Shop:
    """A running service with a client, without a network. Asked in turn, in a loop of its own."""

    def __init__(self, artifact: Path, state: Path, tokens: Tokens | None = None, **limits: Any) -> None:
        self._artifact, self._state = artifact, state
        self._tokens, self._config = tokens or Tokens(), ServeConfig(limits=Limits(**limits))
        self._runner = asyncio.Runner()
        self.start()

    def start(self) -> None:
        """Open the store and load what was served last."""
        self.store = open_store(self._state)
        self.service = Service(self._artifact, self.store)
        self.app: Guard = build_app(self.service, self._config, self._tokens, read_page())

    def restart(self, tokens: Tokens | None = None) -> None:
        """End, and begin again with what is on disk; from now on with other tokens, where there are any."""
        self.service.close()
        self._tokens = tokens or self._tokens
        self.start()

    def close(self) -> None:
        """End."""
        self.service.close()
        self._runner.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(self, method: str, target: str, body: Any = None, token: str | None = None) -> Answer:
        """Any request; a body that is not bytes is sent as JSON."""
        raw = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        headers = () if token is None else ((b"authorization", b"Bearer " + token.encode()),)
        return self._runner.run(asked(self.app, method, target, raw, headers))

    def get(self, path: str, **query: Any) -> Any:
        """What is answered to a question that is in order."""
        found = self.ask("GET", address(path, **query))
        assert found.status == 200, (path, query, found.body)
        return found.json

    def put(self, item: str, attributes: Mapping[str, Any] | None = None, collections: list[str] | None = None) -> Any:
        """Put an item."""
        body = {"attributes": attributes or {}, "collections": collections or []}
        found = self.ask("PUT", f"/v1/items/{segment(item)}", body)
        assert found.status in (200, 201), (item, found.body)
        return found.json

    def delete(self, item: str) -> Any:
        """Delete an item."""
        found = self.ask("DELETE", f"/v1/items/{segment(item)}")
        assert found.status == 200, (item, found.body)
        return found.json

    def take(self, *pairs: tuple[str, str]) -> Any:
        """Tell that users took items."""
        found = self.ask("POST", "/v1/events", {"events": [{"user": user, "item": item} for user, item in pairs]})
        assert found.status == 200, (pairs, found.body)
        return found.json

    def recommended(self, user: str, **query: Any) -> list[str]:
        """Ids."""
        return ids(self.get(f"/v1/users/{segment(user)}/recommendations", **query))

    def similar(self, item: str, **query: Any) -> list[str]:
        """Ids."""
        return ids(self.get(f"/v1/items/{segment(item)}/similar", **query))


def ids(found: Any) -> list[str]:
    """The ids of a list of answers, whose form is checked."""
    assert set(found) == {"generation", "items", "note"}
    assert [one["rank"] for one in found["items"]] == list(range(1, len(found["items"]) + 1))
    names = [one["id"] for one in found["items"]]
    assert len(set(names)) == len(names), "an item twice"
    scores = [one["score"] for one in found["items"]]
    assert all(isinstance(score, float) and np.isfinite(score) for score in scores)
    return names


def even(found: list[str]) -> float:
    """The share that is of the even taste."""
    return float(np.mean([int(name.removeprefix("item")) % 2 == 0 for name in found]))


def segment(name: str) -> str:
    """An id as one part of a path."""
    return quote(name, safe="")


def address(path: str, **query: Any) -> str:
    """A path and its query: a filter as JSON, true and false in small letters, lists as several parts."""
    texts = {name: json.dumps(value) if isinstance(value, dict | bool) else value for name, value in query.items()}
    return path + ("?" + urlencode(texts, doseq=True, quote_via=quote) if texts else "")


def error(found: Answer, status: int, field: str | None = None) -> str:
    """What an error says, whose form, status and field are checked."""
    assert found.headers["content-type"] == "application/json"
    assert set(found.json) == {"status", "error", "field"}
    assert (found.status, found.json["status"], found.json["field"]) == (status, status, field), found.body
    return str(found.json["error"])


def assert_same(found: dict[str, Any], before: dict[str, Any]) -> None:
    """The same answers; of the same scores, up to rounding, the order may differ."""
    for path, was in before.items():
        now = found[path]
        if "items" not in was or "items" not in now:
            assert close(now, was), path
            continue
        scores = {one["id"]: one["score"] for one in was["items"]}
        assert {one["id"]: one["score"] for one in now["items"]} == pytest.approx(scores, abs=1e-5), path
        assert now["note"] == was["note"], path


def close(now: Any, was: Any) -> bool:
    """Equal, but for the last bits of numbers."""
    if isinstance(was, dict) and isinstance(now, dict):
        return set(now) == set(was) and all(close(now[name], was[name]) for name in was)
    if isinstance(was, list) and isinstance(now, list):
        return len(now) == len(was) and all(map(close, now, was))
    if isinstance(was, float) and isinstance(now, float):
        return abs(now - was) <= 1e-5
    return bool(now == was)


def _column(values: list[Any]) -> Any:
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column
