"""The whole job on data with a known answer."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pinfold.arrays import Embeddings
from pinfold.artifacts import is_folder
from pinfold.data.dataset import save_dataset
from pinfold.data.splits import ProtocolName, SplitConfig, split_events
from pinfold.data.synthetic import two_tastes
from pinfold.embedding.artifact import read_artifact
from pinfold.errors import ArtifactError, ConfigError, DataError
from pinfold.evaluation.evaluate import EvaluationConfig, mean_metric
from pinfold.fitting import fit
from pinfold.graph.bipartite import build_graph
from pinfold.graph.learned import Blend, ItemSimilarity
from pinfold.index.answers import Answers
from pinfold.index.recommender import recommender
from pinfold.models.ease import EASEConfig
from pinfold.models.item_knn import ItemKNNConfig
from pinfold.models.lightgcn import LightGCNConfig
from pinfold.models.mf import MFConfig
from pinfold.models.pairwise import ObjectiveConfig
from pinfold.models.rp3beta import RP3betaConfig
from pinfold.models.shelf import BlendConfig, ModelConfig
from pinfold.models.slim import SLIMConfig
from pinfold.pipeline import evaluate_artifact, train_run
from pinfold.run import DataConfig, RunConfig, load_data
from pinfold.sampling.pairs import SamplingConfig
from pinfold.training.config import TrainConfig


@pytest.fixture
def run(tmp_path: Path) -> RunConfig:
    save_dataset(two_tastes(n_users=80, n_items=40, n_each=10), tmp_path / "data")
    return RunConfig(
        data=DataConfig(path=str(tmp_path / "data")),
        model=LightGCNConfig(dim=8, n_layers=2, objective=ObjectiveConfig(sampling=SamplingConfig(batch_size=256))),
        train=TrainConfig(epochs=30, learning_rate=0.05, validate_every=10, checkpoint_seconds=0),
        evaluation=EvaluationConfig(ks=(5,), n_resamples=100),
    )


def test_files_in_answers_out(run: RunConfig, tmp_path: Path) -> None:
    out = tmp_path / "out"
    train_run(run, out)
    verdict = evaluate_artifact(out)
    ours, floor = verdict.evaluations["lightgcn"], verdict.evaluations["popularity"]
    # 2 hidden items of 12 possible ones of the own taste, 5 proposed: 5/12 by chance within the taste
    assert ours.intervals["recall@5"].mean > 1.5 * floor.intervals["recall@5"].mean
    assert verdict.tests["popularity"].p_value < 0.01
    answers = Answers(read_artifact(out)).for_user("user3", 5)
    assert all(int(answer.id.removeprefix("item")) % 2 == 1 for answer in answers)
    assert answers[0].title is not None
    assert answers[0].title.startswith("odd thing")
    with_even = Answers(read_artifact(out)).for_items(["item0", "item2"], 5)
    assert all(int(answer.id.removeprefix("item")) % 2 == 0 for answer in with_even)


def test_evaluating_counts_the_openings_and_changes_nothing_else(run: RunConfig, tmp_path: Path) -> None:
    out = tmp_path / "out"
    trained = train_run(run, out)
    assert trained.metrics["test_openings"] == 0
    assert "test" not in trained.metrics
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    first = evaluate_artifact(out)
    second = evaluate_artifact(out)
    assert first.evaluations["lightgcn"].intervals == second.evaluations["lightgcn"].intervals
    after = {path.name: path.read_bytes() for path in out.iterdir()}
    assert {name for name in after if after[name] != before[name]} == {"metrics.json", "manifest.json"}
    metrics = read_artifact(out).metrics
    assert metrics["test_openings"] == 2
    recall = metrics["test"]["models"]["lightgcn"]["metrics"]["recall@5"]["mean"]
    assert recall == first.evaluations["lightgcn"].intervals["recall@5"].mean


@pytest.mark.parametrize("protocol", ["random", "leave-last-out", "time-cut", "held-out-collections"])
@pytest.mark.parametrize("refit", [False, True])
def test_every_protocol_goes_through(run: RunConfig, tmp_path: Path, protocol: ProtocolName, refit: bool) -> None:
    short = replace(run.train, epochs=2, validate_every=1, refit=refit)
    chosen = replace(run, split=SplitConfig(protocol=protocol), train=short)
    trained = train_run(chosen, tmp_path / "out")
    assert evaluate_artifact(tmp_path / "out").evaluations["lightgcn"].n_users > 0
    back = read_artifact(tmp_path / "out")
    for name in ("users", "items"):
        np.testing.assert_array_equal(getattr(back.known(), name), getattr(trained.known(), name))
    assert (len(back.valid) == 0) == refit
    assert back.test is not None
    assert trained.test is not None
    restored, kept = back.test.unseal(), trained.test.unseal()
    assert restored.new_users == kept.new_users
    for part in ("given", "target"):
        pairs = [set(zip(getattr(p, part).users, getattr(p, part).items, strict=True)) for p in (restored, kept)]
        assert pairs[0] == pairs[1]


def test_given_test_files(run: RunConfig, tmp_path: Path) -> None:
    whole = two_tastes(n_users=80, n_items=40, n_each=10)
    hidden = np.arange(800) % 10 == 0
    train = replace(whole, interactions=whole.interactions.take(~hidden))
    test = replace(whole, interactions=whole.interactions.take(hidden))
    save_dataset(train, tmp_path / "train")
    save_dataset(test, tmp_path / "test")
    data = DataConfig(path=str(tmp_path / "train"), test=str(tmp_path / "test"))
    chosen = replace(run, data=data, split=SplitConfig(protocol="files"), model=ItemKNNConfig())
    train_run(chosen, tmp_path / "out")
    assert evaluate_artifact(tmp_path / "out").evaluations["item-knn"].n_users == 80


def test_protocol_none_learns_from_everything(run: RunConfig, tmp_path: Path) -> None:
    chosen = replace(run, split=SplitConfig(protocol="none"), train=replace(run.train, epochs=1))
    artifact = train_run(chosen, tmp_path / "out")
    assert artifact.graph.n_edges == 800
    with pytest.raises(ArtifactError, match="no test part"):
        evaluate_artifact(tmp_path / "out")


def test_checkpoints_go_when_the_artifact_is_there(run: RunConfig, tmp_path: Path) -> None:
    train_run(replace(run, train=replace(run.train, refit=True, epochs=10)), tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "out"]


def test_the_same_seed_gives_the_same_artifact(run: RunConfig, tmp_path: Path) -> None:
    for name in ("a", "b"):
        train_run(replace(run, train=replace(run.train, epochs=3)), tmp_path / name)
    a, b = ({p.name: p.read_bytes() for p in (tmp_path / name).iterdir()} for name in ("a", "b"))
    assert {name for name in a if a[name] != b[name]} <= {"metrics.json", "manifest.json"}  # seconds differ


def test_bad_beginnings_are_refused_before_any_work(run: RunConfig, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no data set there; make one with `pinfold import"):
        train_run(replace(run, data=DataConfig(path=str(tmp_path / "nowhere"))), tmp_path / "out")
    with pytest.raises(DataError, match=r"set data\.test"):
        train_run(replace(run, split=SplitConfig(protocol="files")), tmp_path / "out")
    unused = DataConfig(path=run.data.path, test="somewhere")
    with pytest.raises(ConfigError, match=r"data\.test is set, but split\.protocol 'random' does not use it"):
        train_run(replace(run, data=unused), tmp_path / "out")
    (tmp_path / "out").mkdir()
    with pytest.raises(ArtifactError, match="exists already"):
        train_run(run, tmp_path / "out")
    assert not is_folder(tmp_path / "out")


def test_an_artifact_that_cannot_take_its_numbers_is_not_opened(run: RunConfig, tmp_path: Path) -> None:
    train_run(replace(run, train=replace(run.train, epochs=1)), tmp_path / "out")
    (tmp_path / "out" / "notes.txt").write_text("mine")
    with pytest.raises(ArtifactError, match=r"holds notes\.txt, which Pinfold did not write"):
        evaluate_artifact(tmp_path / "out")
    assert read_artifact(tmp_path / "out").metrics["test_openings"] == 0


@pytest.mark.parametrize(
    ("name", "content"),
    [("run.toml", b"x ="), ("run.toml", b"x = 1\n"), ("item_vectors.npy", None)],
    ids=["no-toml", "no-run", "nan"],
)
def test_a_forged_artifact_is_refused_by_name(run: RunConfig, tmp_path: Path, name: str, content: bytes | None) -> None:
    out = tmp_path / "out"
    train_run(replace(run, train=replace(run.train, epochs=1)), out)
    if content is None:
        vectors = np.load(out / name, allow_pickle=False)
        vectors[0, 0] = np.nan
        np.save(out / name, vectors, allow_pickle=False)
    else:
        (out / name).write_bytes(content)
    manifest = json.loads((out / "manifest.json").read_text())
    data = (out / name).read_bytes()
    manifest["files"][name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (out / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ArtifactError, match=name.replace(".", "[.]")):
        evaluate_artifact(out)


@pytest.mark.parametrize("refit", [False, True])
def test_a_model_without_training_has_a_validation_score_too(run: RunConfig, tmp_path: Path, refit: bool) -> None:
    chosen = replace(run, model=ItemKNNConfig(), train=replace(run.train, refit=refit))
    training = train_run(chosen, tmp_path / "out").metrics["training"]
    assert training["epochs"] == 0
    # 1 hidden item of 13 possible ones of the own taste, 5 proposed: well above 5 of 33 by chance
    assert training["best_validation_score"] > 0.25


@pytest.mark.parametrize("model", [EASEConfig(), RP3betaConfig(), SLIMConfig()], ids=lambda model: model.name)
def test_similarities_answer_from_the_artifact(run: RunConfig, tmp_path: Path, model: ModelConfig) -> None:
    train_run(replace(run, model=model), tmp_path / "out")
    answers = Answers(read_artifact(tmp_path / "out")).for_items(["item0", "item2"], 5)
    assert len(answers) == 5
    assert all(int(answer.id.removeprefix("item")) % 2 == 0 for answer in answers)


BLEND = BlendConfig(members=(ItemKNNConfig(), MFConfig(dim=8), MFConfig(dim=4)), weights=(1.0, 0.5, 2.0))


@pytest.mark.parametrize("refit", [False, True])
def test_members_of_a_blend_learn_as_they_would_alone(run: RunConfig, refit: bool) -> None:
    run = replace(run, model=BLEND, train=replace(run.train, epochs=4, validate_every=2, refit=refit))
    split = split_events(load_data(run.data).interactions, run.split, run.seed)
    fitted = fit(run, split)
    assert isinstance(fitted.learned, Blend)
    assert fitted.learned.weights.tolist() == [1, 0.5, 2]
    similarity, *vectors = fitted.learned.members
    alone = [fit(replace(run, model=member), split) for member in BLEND.members]
    assert isinstance(similarity, ItemSimilarity)
    assert isinstance(alone[0].learned, ItemSimilarity)
    np.testing.assert_array_equal(similarity.weights.weights, alone[0].learned.weights.weights)
    for found, other in zip(vectors, alone[1:], strict=True):
        assert isinstance(found, Embeddings)
        assert isinstance(other.learned, Embeddings)
        np.testing.assert_array_equal(found.users, other.learned.users)
        np.testing.assert_array_equal(found.items, other.learned.items)
    tables = {f"member{k}.{name}": array for k in (1, 2) for name, array in alone[k].parameters.items()}
    assert set(fitted.parameters) == set(tables)
    assert all(np.array_equal(fitted.parameters[name], array) for name, array in tables.items())
    assert (fitted.report.epochs, fitted.report.best_epoch) == (0, 0)
    if refit:
        assert fitted.report.best_score is None  # the members have learned from the validation part
    else:
        assert split.valid is not None
        asked = recommender(fitted.learned, build_graph(split.train).user_items)
        assert fitted.report.best_score == mean_metric(asked, split.valid, "recall", 5)
        assert fitted.report.best_score > 0.2  # 5 of 33 by chance are .15


def test_a_blend_from_files_to_answers(run: RunConfig, tmp_path: Path) -> None:
    out = tmp_path / "out"
    trained = train_run(replace(run, model=BLEND, train=replace(run.train, epochs=10, refit=True)), out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "out"]  # no member's checkpoint is left
    assert isinstance(trained.learned, Blend)
    verdict = evaluate_artifact(out)
    ours, floor = verdict.evaluations["blend"], verdict.evaluations["popularity"]
    assert ours.intervals["recall@5"].mean > 1.5 * floor.intervals["recall@5"].mean
    answers = Answers(read_artifact(out)).for_items(["item0", "item2"], 5)
    assert len(answers) == 5
    assert all(int(answer.id.removeprefix("item")) % 2 == 0 for answer in answers)


def test_a_killed_blend_goes_on_where_it_was(run: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first trained member has ended, the second dies in the middle."""
    run = replace(run, model=BLEND, train=replace(run.train, epochs=6, validate_every=2))
    whole = train_run(run, tmp_path / "whole").learned
    steps: list[int] = []
    step = torch.optim.Adam.step

    def counted(self: torch.optim.Adam, *rest: Any) -> Any:
        steps.append(0)
        if len(steps) == 10:
            raise KeyboardInterrupt
        return step(self, *rest)

    monkeypatch.setattr(torch.optim.Adam, "step", counted)
    with pytest.raises(KeyboardInterrupt):
        train_run(run, tmp_path / "out")
    train_run(run, tmp_path / "out")
    # one step an epoch: 6 and 3 were kept, the 10th was not
    assert len(steps) == 10 + 3
    found = read_artifact(tmp_path / "out").learned
    assert isinstance(whole, Blend)
    assert isinstance(found, Blend)
    for one, other in zip(found.members[1:], whole.members[1:], strict=True):
        assert isinstance(one, Embeddings)
        assert isinstance(other, Embeddings)
        np.testing.assert_array_equal(one.items, other.items)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "out", "whole"]


def test_a_blend_with_other_weights_than_members_is_refused_before_training(run: RunConfig, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"model\.weights has 1 numbers for 3 members; give one for each, or none"):
        train_run(replace(run, model=replace(BLEND, weights=(1.0,))), tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]
