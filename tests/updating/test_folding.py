"""Models other than networks: what came is folded in, and the new artifact answers."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pinfold.arrays import Embeddings
from pinfold.data.readers import ImportConfig, Sources, import_files
from pinfold.data.splits import SplitConfig
from pinfold.embedding.artifact import Artifact, read_artifact
from pinfold.errors import ConfigError
from pinfold.features.config import FeaturesConfig, TextColumn
from pinfold.graph.convolved import Convolved
from pinfold.graph.learned import Blend, Layered
from pinfold.index.answers import Answers
from pinfold.index.vectors import newcomers
from pinfold.models.chebycf import ChebyCFConfig
from pinfold.models.content_knn import ContentKNNConfig
from pinfold.models.ease import EASEConfig
from pinfold.models.gf_cf import GFCFConfig
from pinfold.models.item_knn import ItemKNNConfig
from pinfold.models.lightgcn import LightGCNConfig
from pinfold.models.mf import MFConfig
from pinfold.models.ngcf import NGCFConfig
from pinfold.models.pinsage import PinSageConfig
from pinfold.models.popularity import PopularityConfig
from pinfold.models.rp3beta import RP3betaConfig
from pinfold.models.shelf import BlendConfig
from pinfold.models.slim import SLIMConfig
from pinfold.models.walk import WalkConfig
from pinfold.pipeline import train_run
from pinfold.run import DataConfig, RunConfig
from pinfold.sampling.item_batches import ItemNegativesConfig
from pinfold.training.config import TrainConfig
from pinfold.updating.arriving import Arriving
from pinfold.updating.config import UpdateConfig
from pinfold.updating.update import update_artifact

N = 16
SMALL = PinSageConfig(hidden=4, dim=4, negatives=ItemNegativesConfig(batch_size=32, n_negatives=4))
MODELS = [
    PopularityConfig(), ItemKNNConfig(), RP3betaConfig(), WalkConfig(size=10, epsilon=1e-3), EASEConfig(), SLIMConfig(),
    GFCFConfig(n_factors=4), ChebyCFConfig(), ContentKNNConfig(), MFConfig(dim=4), LightGCNConfig(dim=4),
    NGCFConfig(dim=4), BlendConfig(members=(ItemKNNConfig(), LightGCNConfig(dim=4))),
    BlendConfig(members=(ContentKNNConfig(), SMALL)),
]  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 users of two tastes."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    rows = [f"u{u:02},i{i:02}" for u in range(24) for i in sorted(rng.permutation(np.arange(u % 2, N, 2))[:4])]
    (folder / "e.csv").write_text("user,item\n" + "\n".join(rows) + "\n")
    titles = [f"i{i:02},{['even', 'odd'][i % 2]} thing {i}" for i in range(N)]
    (folder / "i.csv").write_text("item,title\n" + "\n".join(titles) + "\n")
    import_files(Sources((folder / "e.csv",), None, folder / "i.csv"), folder / "data", ImportConfig())
    return folder / "data"


def updated(model: Any, data: Path, place: Path) -> tuple[Artifact, Artifact, dict[str, Any]]:
    run = RunConfig(
        data=DataConfig(path=str(data)), model=model, split=SplitConfig(protocol="none"), train=TrainConfig(epochs=1),
        features=FeaturesConfig(items={"title": TextColumn()}),
    )  # fmt: skip
    train_run(run, place / "out")
    (place / "new.csv").write_text("user,item\nu00,i14\nu00,j1\nu02,j1\nv1,j1\nv1,i00\n")
    (place / "new-items.csv").write_text("item,title\nj1,even thing 99\ni00,odd thing now\n")
    arriving = Arriving((place / "new.csv",), None, place / "new-items.csv")
    report = update_artifact(place / "out", arriving, place / "next", ImportConfig())
    return read_artifact(place / "out"), read_artifact(place / "next"), report


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_what_came_can_be_recommended_and_answered(model: Any, data: Path, tmp_path: Path) -> None:
    old, new, report = updated(model, data, tmp_path)
    assert (len(new.users), len(new.items)) == (len(old.users) + 1, N + 1)
    assert (report["new_edges"], report["new_items"], report["new_users"]) == (5, 1, 1) or report["new_edges"] == 4
    answers = Answers(new)
    for user in ("u00", "u05", "v1"):
        found = answers.for_user(user, 5)
        assert len(found) >= 3  # similarities know nothing of the other taste
        assert all(np.isfinite(answer.score) for answer in found)
    assert "j1" not in {answer.id for answer in answers.for_user("v1", N)}
    assert "j1" in {answer.id for answer in answers.for_user("u04", N + 1)}
    assert report["notes"]


@pytest.mark.parametrize("model", [MFConfig(dim=4), LightGCNConfig(dim=4), NGCFConfig(dim=4)], ids=lambda m: m.name)
def test_old_rows_stay_and_those_who_took_something_are_newcomers(model: Any, data: Path, tmp_path: Path) -> None:
    old, new, _ = updated(model, data, tmp_path)
    was, now = old.learned, new.learned
    assert isinstance(was, Embeddings | Layered)
    assert isinstance(now, Embeddings | Layered)
    np.testing.assert_array_equal(now.items[:N], was.items)
    quiet = new.users.row("u05")
    np.testing.assert_array_equal(now.users[quiet], was.users[quiet])
    assert now.users[new.users.row("v1")].any()
    if isinstance(now, Embeddings):
        rows = np.array([new.users.row("u00"), new.users.row("v1")], np.int32)
        np.testing.assert_allclose(now.users[rows], newcomers(now, new.graph.user_items.take(rows)), rtol=1e-6)
        assert not (tmp_path / "next" / "model.safetensors").exists()


def test_content_knn_follows_changed_attributes(data: Path, tmp_path: Path) -> None:
    old, new, report = updated(ContentKNNConfig(), data, tmp_path)
    assert isinstance(old.learned, Embeddings)
    assert isinstance(new.learned, Embeddings)
    moved = (old.learned.items != new.learned.items[:N]).any(axis=1)
    assert moved.nonzero()[0].tolist() == [0]
    similar = [answer.id for answer in Answers(new).similar("i00", 4)]
    assert sum(int(name[1:]) % 2 for name in similar if name != "j1") >= 3
    assert report["drift"]["below_99"] > 0


def test_a_blend_takes_its_network_along(data: Path, tmp_path: Path) -> None:
    _, new, _ = updated(MODELS[-1], data, tmp_path)
    assert isinstance(new.learned, Blend)
    member = new.learned.members[1]
    assert isinstance(member, Convolved)
    assert member.neighborhoods is None
    assert len(member.vectors.items) == N + 1


def test_going_on_training_is_for_networks(data: Path, tmp_path: Path) -> None:
    updated(ItemKNNConfig(), data, tmp_path)
    arriving = Arriving((tmp_path / "new.csv",))
    with pytest.raises(ConfigError, match="--train goes on training a pinsage"):
        update_artifact(tmp_path / "out", arriving, tmp_path / "x", ImportConfig(), UpdateConfig(train=1))
