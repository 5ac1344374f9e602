"""A second stage from the command to the answers, on data where what is new is what comes next."""

import hashlib
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pinfold.cli import main
from pinfold.data.dataset import Dataset, load_dataset, save_dataset
from pinfold.data.interactions import Interactions
from pinfold.data.splits import Sealed, SplitConfig
from pinfold.data.synthetic import two_tastes
from pinfold.data.tables import Table
from pinfold.data.vocab import Vocab
from pinfold.embedding.artifact import read_artifact
from pinfold.errors import ArtifactError, ConfigError
from pinfold.evaluation.evaluate import EvaluationConfig
from pinfold.index.answers import Answers
from pinfold.models.item_knn import ItemKNNConfig
from pinfold.models.lightgcn import LightGCNConfig
from pinfold.pipeline import evaluate_artifact, train_run
from pinfold.rankers import RankerReport, train_ranker
from pinfold.ranking.candidates import CandidatesConfig
from pinfold.ranking.learning import RankerConfig
from pinfold.ranking.opening import open_recommender
from pinfold.ranking.store import is_ranker_file
from pinfold.ranking.two_stage import TwoStageRecommender
from pinfold.run import DataConfig, RunConfig
from pinfold.training.config import TrainConfig

QUICK = RankerConfig(candidates=CandidatesConfig(model=40, steps=500), trees=6, patience=3, min_leaf=10, folds=3)


def fashion(n_users: int = 120, n_items: int = 80, n_events: int = 1500) -> Dataset:
    """What users take moves along the items as time goes by, whatever they took before."""
    rng = np.random.default_rng(0)
    times = np.sort(rng.random(n_events))
    items = np.clip(times * n_items + rng.normal(scale=5, size=n_events), 0, n_items - 1).astype(np.int32)
    users = rng.integers(n_users, size=n_events).astype(np.int32)
    _, first = np.unique(users.astype(np.int64) * n_items + items, return_index=True)
    first = np.sort(first)
    events = Interactions(
        users[first], items[first], np.ones(len(first), np.float32), (times[first] * 1e6).astype(np.int64), n_users,
        n_items,
    )  # fmt: skip
    user_ids = Vocab([f"user{row}" for row in range(n_users)], "user")
    item_ids = Vocab([f"i{row}" for row in range(n_items)], "item")
    return Dataset(events, user_ids, item_ids, Table({}, n_users), Table({}, n_items), {"name": "fashion"})


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunConfig:
    data = tmp_path_factory.mktemp("data") / "data"
    save_dataset(fashion(), data)
    return RunConfig(
        data=DataConfig(path=str(data)),
        model=ItemKNNConfig(),
        split=SplitConfig(protocol="time-cut"),
        train=TrainConfig(metric="ndcg"),
        evaluation=EvaluationConfig(ks=(10,), n_resamples=100),
    )


def trained(run: RunConfig, out: Path, config: RankerConfig = QUICK, *, force: bool = False) -> RankerReport:
    train_run(run, out)
    report, _ = train_ranker(out, config, force=force)
    return report


@pytest.fixture(scope="module")
def bare(run: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artifact without a ranker."""
    out = tmp_path_factory.mktemp("bare") / "out"
    train_run(run, out)
    return out


@pytest.fixture(scope="module")
def ranked(bare: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RankerReport]:
    """The same artifact with one."""
    out = tmp_path_factory.mktemp("ranked") / "out"
    shutil.copytree(bare, out)
    with pytest.MonkeyPatch.context() as sealed:
        sealed.setattr(Sealed, "unseal", None)  # nobody calls it while a ranker learns
        report, written = train_ranker(out, QUICK)
    assert written
    return out, report


@pytest.fixture
def out(ranked: tuple[Path, RankerReport], tmp_path: Path) -> Path:
    """A copy of the artifact with a ranker."""
    return shutil.copytree(ranked[0], tmp_path / "out")


def test_it_helps_where_it_can_and_is_evaluated_beside_the_first(ranked: tuple[Path, RankerReport], out: Path) -> None:
    report = ranked[1]
    assert report.gain.low > 0.05
    assert report.later == 0
    verdict = evaluate_artifact(out)
    assert list(verdict.evaluations)[:2] == ["item-knn + ranker", "item-knn"]
    means = [verdict.evaluations[name].intervals["ndcg@10"].mean for name in list(verdict.evaluations)[:2]]
    assert means[0] > means[1] + 0.05
    assert verdict.tests["item-knn"].difference == pytest.approx(means[0] - means[1])


def test_everything_else_in_the_artifact_stays(bare: Path, out: Path) -> None:
    before, after = ({path.name: path.read_bytes() for path in folder.iterdir()} for folder in (bare, out))
    assert {name for name in before if after[name] != before[name]} == {"manifest.json"}
    assert after.keys() - before.keys() == {name for name in after if is_ranker_file(name)}
    with pytest.raises(ArtifactError, match="has a ranker already"):
        train_ranker(out, QUICK)
    train_ranker(out, QUICK, replace_old=True)
    again = {path.name: path.read_bytes() for path in out.iterdir()}
    assert {name for name in again if again[name] != after[name]} <= {"ranker.json", "manifest.json"}  # seconds differ


def test_it_comes_back_as_it_was(out: Path) -> None:
    artifact = read_artifact(out)
    one, other = (open_recommender(out, artifact) for _ in range(2))
    assert isinstance(one, TwoStageRecommender)
    users = np.arange(120, dtype=np.int32)
    np.testing.assert_array_equal(one.recommend(users, 10).scores, other.recommend(users, 10).scores)
    counts = np.bincount(artifact.known().items, minlength=80)
    np.testing.assert_array_equal(
        one.ranker.statistics.counts, counts
    )  # of all known events, not of those it learned by
    answers = Answers(artifact, one).for_user("user3", 5)
    assert [answer.id for answer in answers] == [f"i{row}" for row in one.recommend(users[3:4], 5).ids[0]]


@pytest.mark.parametrize("model", [ItemKNNConfig(), LightGCNConfig(dim=4, n_layers=1)], ids=lambda model: model.name)
def test_after_a_refit_the_first_stage_learns_again_without_the_answers(
    run: RunConfig, tmp_path: Path, model: ItemKNNConfig | LightGCNConfig
) -> None:
    short = TrainConfig(epochs=2, validate_every=1, metric="ndcg")
    once = trained(replace(run, model=model, train=short), tmp_path / "once", force=True)
    refitted = trained(replace(run, model=model, train=replace(short, refit=True)), tmp_path / "refit", force=True)
    assert refitted.stage_one == once.stage_one  # the very same first stage
    assert refitted.two_stages == once.two_stages
    files = [(tmp_path / name / "ranker_forest_values.npy").read_bytes() for name in ("once", "refit")]
    assert files[0] == files[1]


@pytest.mark.parametrize("protocol", ["random", "leave-last-out", "newest-collections"])
def test_every_protocol_with_a_validation_part(run: RunConfig, tmp_path: Path, protocol: str) -> None:
    split = SplitConfig(protocol=protocol, valid_share=0.3)  # type: ignore[arg-type]
    report = trained(replace(run, split=split), tmp_path / "out", force=True)
    assert report.n_users > 10
    assert report.later > 0.01  # users take over months what others took meanwhile: none of these is a cut in time
    assert evaluate_artifact(tmp_path / "out").evaluations["item-knn + ranker"].n_users > 0


def test_what_does_not_help_is_not_written(run: RunConfig, tmp_path: Path) -> None:
    save_dataset(two_tastes(n_users=80, n_items=40, n_each=10), tmp_path / "tastes")
    bare = replace(run, data=DataConfig(path=str(tmp_path / "tastes")), split=SplitConfig())
    train_run(bare, tmp_path / "out")
    blind = replace(QUICK, trees=1, learning_rate=1e-9, prior=1.0)
    report, written = train_ranker(tmp_path / "out", blind)
    assert not written
    assert report.two_stages <= report.stage_one
    assert not isinstance(open_recommender(tmp_path / "out", read_artifact(tmp_path / "out")), TwoStageRecommender)


def test_bad_beginnings(run: RunConfig, tmp_path: Path) -> None:
    save_dataset(fashion(), tmp_path / "data")
    run = replace(run, data=DataConfig(path=str(tmp_path / "data")))
    train_run(replace(run, split=SplitConfig(protocol="none")), tmp_path / "none")
    with pytest.raises(ConfigError, match="no validation part to learn from"):
        train_ranker(tmp_path / "none", QUICK)
    train_run(run, tmp_path / "out")
    data = load_dataset(tmp_path / "data")
    fewer = replace(data, interactions=data.interactions.take(np.arange(1000)))
    save_dataset(fewer, tmp_path / "data", replace=True)
    with pytest.raises(ArtifactError, match="its data set is not what it was made of"):
        train_ranker(tmp_path / "out", QUICK)


def forge(out: Path, name: str, content: bytes) -> None:
    """Another content with a manifest that says so."""
    (out / name).write_bytes(content)
    manifest = json.loads((out / "manifest.json").read_text())
    manifest["files"][name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    (out / "manifest.json").write_text(json.dumps(manifest))


def test_damaged_and_absurd_rankers_are_refused_by_name(out: Path) -> None:
    artifact, good = read_artifact(out), {path.name: path.read_bytes() for path in out.iterdir()}

    def refused(name: str, content: bytes, message: str) -> None:
        forge(out, name, content)
        with pytest.raises(ArtifactError, match=message):
            open_recommender(out, artifact)
        forge(out, name, good[name])

    form = json.loads(good["ranker.json"])
    refused("ranker.json", b"{", "not JSON")
    refused("ranker.json", json.dumps(form | {"features": ["a"]}).encode(), "of a Pinfold with other features")
    refused("ranker.json", json.dumps(form | {"prior": True}).encode(), "prior must be a number")
    refused("ranker.json", json.dumps(form | {"prior": 1e300}).encode(), "prior must be a number")
    refused("ranker.json", json.dumps(form | {"candidates": {"model": -1}}).encode(), "candidates")
    refused("ranker.json", json.dumps(form | {"candidates": None}).encode(), "candidates")
    refused("ranker_statistics.npy", good["ranker_forest_roots.npy"], "ranker_statistics")
    refused("ranker_forest_values.npy", good["ranker_forest_roots.npy"], "ranker_forest_values")
    left = np.load(out / "ranker_forest_left.npy", allow_pickle=False)
    np.save(out / "ranker_forest_left.npy", np.zeros_like(left), allow_pickle=False)  # round and round
    refused("ranker_forest_left.npy", (out / "ranker_forest_left.npy").read_bytes(), "are no trees")
    features = np.load(out / "ranker_forest_features.npy", allow_pickle=False)
    np.save(out / "ranker_forest_features.npy", np.where(features >= 0, 10**6, -1).astype(np.int32), allow_pickle=False)
    refused("ranker_forest_features.npy", (out / "ranker_forest_features.npy").read_bytes(), "more features than")
    (out / "ranker_statistics.npy").write_bytes(good["ranker_statistics.npy"][:-1])
    with pytest.raises(ArtifactError, match="truncated or replaced"):
        open_recommender(out, artifact)


def test_answering_needs_neither_lightgbm_nor_torch(out: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from pinfold.embedding.artifact import read_artifact;"
        "from pinfold.ranking.opening import open_recommender; import numpy as np;"
        f"path = Path({str(out)!r}); answers = open_recommender(path, read_artifact(path));"
        "print(answers.recommend(np.zeros(1, np.int32), 3).ids.shape, {'lightgbm', 'torch'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "(1, 3) set()"


def test_the_command(bare: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def call(*words: str) -> tuple[str, str]:
        with pytest.raises(SystemExit):
            main(words)
        captured = capsys.readouterr()
        return captured.out, captured.err

    out = str(shutil.copytree(bare, tmp_path / "out"))
    options = ("--set", "trees=6", "--set", "min_leaf=10", "--set", "folds=3", "--set", "candidates.model=40")
    said, _ = call("train-ranker", out, *options)
    assert "validation NDCG@10 of" in said
    assert "trees into" in said
    assert len(json.loads(call("recommend", out, "--user", "user3", "-k", "3", "--json")[0])) == 3
    assert json.loads(call("train-ranker", out, *options, "--replace", "--json")[0])["written"] is True
    assert "tree: unknown option; did you mean 'trees'?" in call("train-ranker", out, "--set", "tree=10")[1]
