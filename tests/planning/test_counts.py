from pathlib import Path

import numpy as np
import pytest

from pinfold.artifacts import writing
from pinfold.data.dataset import Dataset, save_dataset
from pinfold.data.interactions import Interactions
from pinfold.data.tables import Table
from pinfold.data.vocab import Vocab
from pinfold.errors import ArtifactError, ConfigError
from pinfold.features.config import CategoriesColumn, FeaturesConfig, NumberColumn, VectorColumn
from pinfold.planning.counts import count, count_lines


def save(path: Path, n_users: int = 30, n_items: int = 50, n_edges: int = 400) -> None:
    rng = np.random.default_rng(0)
    events = Interactions.of(
        rng.integers(n_users, size=n_edges).astype(np.int32), rng.integers(n_items, size=n_edges).astype(np.int32),
        n_users, n_items,
    )  # fmt: skip
    users = Vocab([f"user{row:04d}" for row in range(n_users)], "user")
    items = Vocab([f"item{row:04d}" for row in range(n_items)], "item")
    kinds = np.array([f"kind {row % 7}" for row in range(n_items)], dtype=object)
    table = Table({"kind": kinds, "price": np.arange(n_items) / 3}, n_items)
    save_dataset(Dataset(events, users, items, Table({}, n_users), table), path)


def test_counts_are_those_of_the_loaded_data(tmp_path: Path) -> None:
    save(tmp_path / "data")
    found = count(str(tmp_path / "data"), FeaturesConfig())
    assert (found.users, found.items, found.edges) == (30, 50, 400)
    assert found.id_bytes == pytest.approx(8, abs=2)
    assert found.item_bytes > 8 > found.user_bytes == 0


def test_feature_lengths_follow_the_options(tmp_path: Path) -> None:
    save(tmp_path / "data")
    np.save(tmp_path / "v.npy", np.ones((50, 12), np.float32), allow_pickle=False)
    of_file = FeaturesConfig(items={"v": VectorColumn(path=str(tmp_path / "v.npy")), "price": NumberColumn()})
    found = count(str(tmp_path / "data"), of_file)
    assert found.item_dim == 13
    assert found.mapped_features == (tmp_path / "v.npy").stat().st_size
    kinds = FeaturesConfig(items={"kind": CategoriesColumn()})
    assert count(str(tmp_path / "data"), kinds).item_dim == 7
    few = FeaturesConfig(items={"kind": CategoriesColumn(dim=3)})
    assert count(str(tmp_path / "data"), few).item_dim == 3


def test_the_bundled_data_is_counted() -> None:
    found = count("debian", FeaturesConfig())
    assert (found.users, found.items, found.edges) == (30_627, 13_839, 224_677)
    assert found.item_dim > 128


def test_a_part_has_its_share_of_everything(tmp_path: Path) -> None:
    save(tmp_path / "data")
    half = count(str(tmp_path / "data"), FeaturesConfig()).times(0.5)
    assert (half.users, half.items, half.edges) == (15, 25, 200)


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no data set there"):
        count(str(tmp_path / "nothing"), FeaturesConfig())
    save(tmp_path / "data")
    (tmp_path / "data" / "items.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(ArtifactError, match=r"items\.parquet.*import the data again"):
        count(str(tmp_path / "data"), FeaturesConfig())


def test_pairs_of_text_files_are_estimated(tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text("query,item\n" + "item00001,item00002\n" * 1000)
    assert count_lines(path) == pytest.approx(1000, rel=0.1)
    assert count_lines(tmp_path / "none.csv") == 0


def test_a_folder_that_is_no_data_set_is_named(tmp_path: Path) -> None:
    with writing(tmp_path / "model", "artifact"):
        pass
    with pytest.raises(ArtifactError, match="model: expected a dataset"):
        count(str(tmp_path / "model"), FeaturesConfig())
