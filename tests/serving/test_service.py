"""What the service promises, without HTTP: what is told is durable and in every answer, come what may."""

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pinfold.data.dataset import save_dataset
from pinfold.data.splits import SplitConfig
from pinfold.data.synthetic import two_tastes
from pinfold.embedding.artifact import read_artifact, replace_metrics
from pinfold.errors import ConfigError, ConflictError, DataError, NotFoundError, RequestError, StoreError
from pinfold.graph.neighborhoods import NeighborhoodConfig
from pinfold.models.content_knn import ContentKNNConfig
from pinfold.models.gf_cf import GFCFConfig
from pinfold.models.lightgcn import LightGCNConfig
from pinfold.models.pinsage import PinSageConfig
from pinfold.models.shelf import ModelConfig
from pinfold.pipeline import train_run
from pinfold.run import DataConfig, RunConfig
from pinfold.sampling.item_batches import ItemNegativesConfig
from pinfold.serving import answering
from pinfold.serving.answerers import VectorAnswerer
from pinfold.serving.answering import Question
from pinfold.serving.service import Service
from pinfold.serving.sql_store import open_store
from pinfold.serving.store import NewEvent
from pinfold.training.config import TrainConfig
from pinfold.views import Found

EVEN, ODD = {"title": "even thing"}, {"title": "odd thing"}
MODELS: dict[str, ModelConfig] = {
    "pinsage": PinSageConfig(
        hidden=8, dim=8, neighborhood=NeighborhoodConfig(size=6, steps=60),
        negatives=ItemNegativesConfig(batch_size=64, n_negatives=16),
    ),
    "content": ContentKNNConfig(),
    "lightgcn": LightGCNConfig(dim=8),
    "filter": GFCFConfig(),
}  # fmt: skip


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an artifact of each kind."""
    folder = tmp_path_factory.mktemp("artifacts")
    save_dataset(two_tastes(), folder / "data")
    for name, model in MODELS.items():
        run = RunConfig(
            data=DataConfig(path=str(folder / "data")),
            model=model,
            split=SplitConfig(protocol="none"),
            train=TrainConfig(epochs=10, learning_rate=0.01, checkpoint_seconds=0),
        )
        train_run(run, folder / name)
    return folder


class Place:
    """A service that can be stopped and started."""

    def __init__(self, folder: Path, first: str) -> None:
        self.folder, self._first = folder, first
        self.service = self._open()

    def _open(self) -> Service:
        return Service(self.folder / self._first, open_store(self.folder / "state" / "pinfold.db"))

    def restart(self) -> None:
        self.service.close()
        self.service = self._open()

    def put(self, name: str, attributes: dict[str, Any], collections: Sequence[str] = ()) -> Any:
        return self.service.put_item(name, attributes, collections, time.perf_counter())

    def take(self, user: str, *items: str) -> Any:
        return self.service.add_events([NewEvent(user, item) for item in items])

    def similar(self, item: str, k: int = 100, **question: Any) -> list[str]:
        return ids(answering.similar(self.service.snapshot.live, item, Question(k, **question)))

    def for_user(self, user: str, k: int = 100, **question: Any) -> list[str]:
        return ids(answering.for_user(self.service.snapshot.live, user, Question(k, **question)))


def ids(found: Found) -> list[str]:
    return [one.id for one in found.items]


@pytest.fixture
def place(artifacts: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Place]:
    for name in MODELS:
        shutil.copytree(artifacts / name, tmp_path / name)
    (tmp_path / "state").mkdir()
    place = Place(tmp_path, getattr(request, "param", "pinsage"))
    yield place
    place.service.close()


@pytest.mark.parametrize("place", ["pinsage", "content"], indirect=True)
def test_a_new_item_is_found_at_once_and_after_a_restart(place: Place) -> None:
    stored, new = place.put("fresh", EVEN)
    assert new
    assert stored.findable
    for _ in range(2):
        assert "fresh" in place.similar("item0")
        assert all(int(name[4:]) % 2 == 0 for name in place.similar("fresh", 10))
        assert "fresh" in place.for_user("user0")
        place.restart()
    assert place.service.status(0).n_fresh == 1


@pytest.mark.parametrize("place", list(MODELS), indirect=True)
def test_events_change_the_next_answer_of_somebody_new_and_of_a_known_user(place: Place) -> None:
    place.take("new", "item0", "item2", "item4")
    proposed = place.for_user("new", 10)
    assert not {"item0", "item2", "item4"} & set(proposed)
    assert sum(int(name[4:]) % 2 == 0 for name in proposed) >= 8
    first = place.for_user("user0", 1)[0]
    place.take("user0", first)
    assert first not in place.for_user("user0")
    before = place.for_user("user0"), place.for_user("new")
    place.restart()
    assert (place.for_user("user0"), place.for_user("new")) == before


@pytest.mark.parametrize("place", list(MODELS), indirect=True)
def test_a_deleted_item_is_in_no_answer_and_comes_back_when_it_is_put(place: Place) -> None:
    place.service.delete_item("item2")
    for _ in range(2):
        assert "item2" not in place.similar("item0") + place.for_user("user1")
        with pytest.raises(NotFoundError, match="item2"):
            place.similar("item2")
        place.restart()
    place.put("item2", EVEN, ["user0"])
    assert "item2" in place.similar("item0")
    place.restart()
    assert "item2" in place.similar("item0")


@pytest.mark.parametrize("place", ["lightgcn"], indirect=True)
def test_a_model_without_content_finds_a_new_item_once_somebody_has_it(place: Place) -> None:
    stored, _ = place.put("fresh", EVEN)
    assert not stored.findable
    assert stored.note is not None
    assert "fresh" not in place.similar("item0")
    place.take("user0", "fresh")
    assert "fresh" in place.similar("item0")
    assert "fresh" not in place.for_user("user0")
    before = place.similar("item0")
    place.restart()
    assert place.similar("item0") == before


@pytest.mark.parametrize("place", ["filter"], indirect=True)
def test_a_model_without_vectors_says_that_new_items_wait_for_training(place: Place) -> None:
    stored, _ = place.put("fresh", EVEN, ["user0"])
    assert not stored.findable
    assert "trained again" in str(stored.note)
    with pytest.raises(ConfigError, match="like none yet"):
        place.similar("fresh")
    assert "fresh" not in place.for_user("user2")
    with pytest.raises(ConfigError, match="diversity"):
        place.for_user("user0", diversity=0.5)


def test_collections_have_what_was_put_with_them(place: Place) -> None:
    place.put("fresh", EVEN, ["user0", "nobody-yet"])
    assert "fresh" not in place.for_user("user0")
    assert "fresh" not in place.for_user("nobody-yet")
    place.put("fresh", EVEN, [])  # what was said before is replaced
    assert "fresh" in place.for_user("user0")


def test_users_bring_a_new_item_to_where_they_are(place: Place) -> None:
    """Nothing else tells the two apart."""
    for taste in (0, 1):
        place.put(f"fresh{taste}", {})
        for user in range(taste, 20, 2):
            place.take(f"user{user}", f"fresh{taste}")
    for taste in (0, 1):
        near = [item for item in place.similar(f"fresh{taste}") if item.startswith("item")][:10]
        assert [int(item.removeprefix("item")) % 2 for item in near] == [taste] * 10


def test_an_item_that_cannot_be_understood_is_refused_and_nothing_changes(place: Place) -> None:
    with pytest.raises(DataError, match="did you mean 'title'"):
        place.put("fresh", {"titel": "x"})
    place.restart()
    with pytest.raises(NotFoundError):
        place.similar("fresh")


def test_events_of_unknown_items_are_refused_as_a_whole(place: Place) -> None:
    with pytest.raises(RequestError, match="'nope'") as caught:
        place.take("user0", "item1", "nope")
    assert caught.value.field == "body.events[1].item"
    assert place.service.status(0).n_events == 0


def test_an_event_told_again_counts_once_and_with_other_content_is_refused(place: Place) -> None:
    told = [NewEvent("new", "item0", None, "e1")]
    assert place.service.add_events(told).accepted == 1
    assert place.service.add_events(told).repeated == 1
    assert place.service.status(0).n_events == 1
    with pytest.raises(ConflictError, match="e1"):
        place.service.add_events([NewEvent("new", "item2", None, "e1")])


def test_another_generation_answers_with_all_that_was_told(place: Place) -> None:
    place.put("fresh", EVEN)
    place.take("new", "item0", "fresh")
    place.service.delete_item("item2")
    first = place.service.generations().current
    for name in ("content", "lightgcn", "filter"):
        place.service.publish(name)
        assert place.service.generations().current.startswith(f"{name}@")
        assert not {"item0", "item2"} & set(place.for_user("new"))
    place.restart()
    assert place.service.generations().current.startswith("filter@")
    assert place.service.rollback().current.startswith("lightgcn@")
    place.service.rollback()
    assert place.service.rollback().current == first
    assert "fresh" in place.similar("item0")
    with pytest.raises(RequestError, match="nothing was served before"):
        place.service.rollback()


@pytest.mark.parametrize("place", ["content"], indirect=True)
def test_what_is_trained_later_keeps_its_trained_vector(place: Place) -> None:
    place.put("item0", ODD)  # says something else of an item of the generation
    moved = place.similar("item0", 5)
    assert all(int(name[4:]) % 2 for name in moved)
    shutil.copytree(place.folder / "content", place.folder / "later")
    metrics = read_artifact(place.folder / "later").metrics
    replace_metrics(place.folder / "later", {**metrics, "created": time.time() + 1})
    place.service.publish("later")
    assert all(int(name[4:]) % 2 == 0 for name in place.similar("item0", 5))
    assert answering.item_view(place.service.snapshot.live, "item0").title == "odd thing"


@pytest.mark.parametrize("name", ["nope", "../pinsage", "a/b", "", ".", "state", "pinsage.state"])
def test_a_generation_that_is_none_leaves_the_old_one_in_place(place: Place, name: str) -> None:
    before = place.service.generations()
    with pytest.raises(RequestError):
        place.service.publish(name)
    assert place.service.generations() == before


def test_a_link_is_no_generation(place: Place) -> None:
    (place.folder / "link").symlink_to(place.folder / "content")
    with pytest.raises(RequestError, match="no folder of this name"):
        place.service.publish("link")


def test_a_damaged_generation_is_refused_file_by_file(place: Place) -> None:
    before = place.similar("item0")
    for file in sorted((place.folder / "content").iterdir()):
        whole = file.read_bytes()
        for damaged in (whole[: len(whole) // 2], _flipped(whole)):
            file.write_bytes(damaged)
            with pytest.raises(RequestError):
                place.service.publish("content")
            assert place.similar("item0") == before
        file.write_bytes(whole)
    place.service.publish("content")


def _flipped(whole: bytes) -> bytes:
    middle = len(whole) // 2
    return whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]


@pytest.mark.parametrize("write", ["put", "delete", "events", "publish"])
def test_a_store_that_refuses_changes_nothing(place: Place, write: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = place.service._store  # the tests' own way to a disk that is full

    def refuse(*_: object, **__: object) -> Any:
        raise StoreError("the disk is full; make room")

    before = place.similar("item0"), place.for_user("user0"), place.service.generations()
    with monkeypatch.context() as patch:
        for method in ("put_item", "delete_item", "add_events", "set_meta"):
            patch.setattr(store, method, refuse)
        writes: dict[str, Callable[[], object]] = {
            "put": lambda: place.put("fresh", EVEN),
            "delete": lambda: place.service.delete_item("item2"),
            "events": lambda: place.take("user0", "item2"),
            "publish": lambda: place.service.publish("content"),
        }
        with pytest.raises(StoreError):
            writes[write]()
    assert (place.similar("item0"), place.for_user("user0"), place.service.generations()) == before
    place.put("fresh", EVEN)
    assert "fresh" in place.similar("item0")


@pytest.mark.parametrize("place", ["pinsage"], indirect=True)
def test_a_postgresql_store_serves_as_a_file_does_and_keeps_all_vectors(
    place: Place, new_database: Callable[[], str]
) -> None:
    place.put("fresh", EVEN, ["user0"])
    url = new_database()
    for _ in range(2):
        store = open_store(url)
        other = Service(place.folder / "pinsage", store, keep_vectors=True)
        other.put_item("fresh", EVEN, ["user0"], time.perf_counter())
        live = other.snapshot.live
        assert ids(answering.similar(live, "item0", Question(50))) == place.similar("item0", 50)
        until = time.monotonic() + 20
        while store.meta("vectors") != live.generation.mark and time.monotonic() < until:
            time.sleep(0.02)
        rows = np.array([live.items.any_row("item0")], np.int32)
        near = store.nearest(live.generation.mark, live.answers.directions(rows)[0], 10)
        other.close()
    nearest = ["item0", *place.similar("item0", 9)]
    assert [name for name, _ in near] == nearest


def n_beside(place: Place) -> int:
    answers = place.service.snapshot.live.answers
    assert isinstance(answers, VectorAnswerer)
    return answers._users.n_delta


@pytest.mark.parametrize("place", ["content"], indirect=True)
def test_a_retraining_leaves_nothing_beside_its_index_of_what_it_knew(place: Place) -> None:
    for row in range(10):
        place.put(f"item{row}", EVEN if row % 2 == 0 else ODD)
    before = place.similar("item0")
    shutil.copytree(place.folder / "content", place.folder / "later")
    metrics = read_artifact(place.folder / "later").metrics
    replace_metrics(place.folder / "later", {**metrics, "created": time.time() + 1})
    assert n_beside(place) == 10
    place.service.publish("later")
    assert n_beside(place) == 0
    assert set(place.similar("item0")) == set(before)


def test_what_is_cleaned_up_after_a_swap_may_fail(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: str) -> None:
        raise StoreError("gone")

    monkeypatch.setattr(place.service._store, "delete_vectors", refuse)
    place.service.publish("content")
    assert place.service.rollback().current.startswith("pinsage@")
    place.restart()
    assert place.service.generations().current.startswith("pinsage@")


@pytest.mark.parametrize("place", ["lightgcn"], indirect=True)
def test_an_event_that_training_knew_changes_nothing(place: Place) -> None:
    live = place.service.snapshot.live
    had = live.items.id(int(live.history("user0")[0]))
    before = answering.for_user(live, "user0", Question(10))
    place.take("user0", had)
    assert answering.for_user(live, "user0", Question(10)) == before
    place.take("user0", before.items[0].id)
    assert answering.for_user(live, "user0", Question(10)) != before


def test_users_are_counted_as_they_come_and_go(place: Place) -> None:
    n_users = place.service.status(0).n_users
    place.put("fresh", EVEN, ["user0", "new-1"])
    place.take("new-2", "item0")
    assert place.service.status(0).n_users == n_users + 2
    place.put("fresh", EVEN, [])
    assert place.service.status(0).n_users == n_users + 1
    place.restart()
    assert place.service.status(0).n_users == n_users + 1


def test_what_was_served_last_and_is_gone_is_passed_over(place: Place) -> None:
    place.service.publish("content")
    place.service.close()
    shutil.rmtree(place.folder / "content")
    place.service = place._open()
    assert place.service.generations().current.startswith("pinsage@")


def test_a_place_that_is_a_link_and_an_odd_name_can_be_served_first(place: Place) -> None:
    place.service.close()
    shutil.copytree(place.folder / "content", place.folder / "my model")
    (place.folder / "current").symlink_to(place.folder / "my model")
    place._first = "current"
    place.service = place._open()
    place.service.publish("lightgcn")
    assert place.service.rollback().current.startswith("my model@")


def test_search_looks_at_items_not_at_letters(place: Place) -> None:
    found = place.service.snapshot.live.items.search("e", 1000)
    assert len(found) == 40
