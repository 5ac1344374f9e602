"""Both stages in the service: the answers that are judged, and what came since among them."""

import time
from pathlib import Path

import numpy as np
import pytest

from pinfold.data.dataset import save_dataset
from pinfold.data.splits import SplitConfig
from pinfold.data.synthetic import two_tastes
from pinfold.embedding.artifact import read_artifact
from pinfold.evaluation.evaluate import EvaluationConfig
from pinfold.graph.csr import from_pairs
from pinfold.models.content_knn import ContentKNNConfig
from pinfold.models.gf_cf import GFCFConfig
from pinfold.models.shelf import ModelConfig
from pinfold.pipeline import train_run
from pinfold.rankers import train_ranker
from pinfold.ranking.candidates import CandidatesConfig
from pinfold.ranking.learning import RankerConfig
from pinfold.ranking.opening import open_recommender
from pinfold.run import DataConfig, RunConfig
from pinfold.serving import answering
from pinfold.serving.answering import Question
from pinfold.serving.filters import Filter
from pinfold.serving.service import Service
from pinfold.serving.sql_store import open_store
from pinfold.serving.store import NewEvent

QUICK = RankerConfig(candidates=CandidatesConfig(model=30, steps=500), trees=5, patience=3, min_leaf=10, folds=3)


@pytest.fixture(scope="module", params=["content", "filter"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artifact with a ranker."""
    models: dict[str, ModelConfig] = {"content": ContentKNNConfig(), "filter": GFCFConfig()}
    model = models[request.param]
    place = tmp_path_factory.mktemp("ranked")
    save_dataset(two_tastes(), place / "data")
    run = RunConfig(
        data=DataConfig(path=str(place / "data")), model=model, split=SplitConfig(valid_share=0.3),
        evaluation=EvaluationConfig(n_resamples=100),
    )  # fmt: skip
    train_run(run, place / "out")
    train_ranker(place / "out", QUICK, force=True)
    return place / "out"


@pytest.fixture
def service(folder: Path, tmp_path: Path) -> Service:
    return Service(folder, open_store(tmp_path / "pinfold.db"))


def proposed(service: Service, user: str, k: int = 10, wanted: Filter | None = None) -> list[str]:
    question = Question(k, wanted or Filter())
    return [one.id for one in answering.for_user(service.snapshot.live, user, question).items]


def test_the_answers_are_those_that_are_judged(service: Service, folder: Path) -> None:
    artifact = read_artifact(folder)
    offline = open_recommender(folder, artifact)
    found = offline.recommend(np.arange(20, dtype=np.int32), 10)
    for user in range(20):
        ids = artifact.items.ids(found.ids[user][found.ids[user] >= 0]).tolist()
        assert proposed(service, f"user{user}") == ids
    service.close()


def test_what_came_since_is_known_and_what_is_gone_is_not(service: Service) -> None:
    model = service.snapshot.live.generation.model
    service.put_item("fresh", {"title": "even thing"}, [], time.perf_counter())
    if model == "content-knn":
        assert "fresh" in proposed(service, "user0", 40)
    gone = proposed(service, "user0", 1)[0]
    service.delete_item(gone)
    assert gone not in proposed(service, "user0", 40)
    taken = proposed(service, "user0", 1)[0]
    service.add_events([NewEvent("user0", taken), NewEvent("new", "item2"), NewEvent("new", "fresh")])
    assert taken not in proposed(service, "user0", 40)
    assert not {"item2", "fresh", gone} & set(proposed(service, "new", 40))
    assert len(proposed(service, "new", 5)) == 5
    kept = Filter(allow=("item4", "item6", "item2"))
    assert set(proposed(service, "new", 5, kept)) == {"item4", "item6"} - {gone}
    service.close()


def test_a_list_of_items_has_no_order_and_is_answered_as_offline(service: Service, folder: Path) -> None:
    artifact = read_artifact(folder)
    items = ["item4", "item12", "item0", "item8"]
    histories = from_pairs(
        np.zeros(4, np.int32), artifact.items.rows(items), np.ones(4, np.float32), (1, len(artifact.items))
    )
    found = open_recommender(folder, artifact).recommend_new(histories, 36)
    for given in (items, items[::-1]):
        answers = answering.for_items(service.snapshot.live, given, Question(36))
        assert [one.id for one in answers.items] == artifact.items.ids(found.ids[0][found.ids[0] >= 0]).tolist()
    service.close()


def test_more_than_the_first_stage_is_asked_for_are_there(service: Service, folder: Path) -> None:
    offline = open_recommender(folder, read_artifact(folder)).recommend(np.zeros(1, np.int32), 32)
    assert (offline.ids >= 0).sum() == 32
    service.close()
