"""A sample holds whole users and the items they took, whatever the blocks, and nothing else."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pinfold.artifacts import writing
from pinfold.cli import main
from pinfold.data import sample
from pinfold.data.dataset import Dataset, load_dataset, save_dataset
from pinfold.data.interactions import Interactions
from pinfold.data.sample import Features, draw_rows, sample_dataset
from pinfold.data.tables import Table
from pinfold.data.vocab import Vocab
from pinfold.errors import ArtifactError, ConfigError, DataError

N_USERS, N_ITEMS, N_EDGES = 300, 4000, 3000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    rows = np.sort(rng.choice(N_USERS * N_ITEMS, N_EDGES, replace=False))
    users, items = (rows // N_ITEMS).astype(np.int32), (rows % N_ITEMS).astype(np.int32)
    weights, times = rng.random(N_EDGES, np.float32) + 1, rng.integers(0, 10**9, N_EDGES)
    events = Interactions(users, items, weights, times, N_USERS, N_ITEMS)
    titles = np.array([f"thing {row}" if row % 3 else None for row in range(N_ITEMS)], dtype=object)
    table = Table({"title": titles, "v": rng.random((N_ITEMS, 3), np.float32)}, N_ITEMS)
    user_ids, item_ids = (Vocab([f"x{row * 7919 % n:04}" for row in range(n)], "thing") for n in (N_USERS, N_ITEMS))
    save_dataset(Dataset(events, user_ids, item_ids, Table({}, N_USERS), table, {"name": "all"}), tmp_path / "data")
    return tmp_path / "data"


def triples(dataset: Dataset) -> set[Any]:
    events = dataset.interactions
    names = (dataset.users.ids(events.users), dataset.items.ids(events.items), events.weights, events.times)
    return set(zip(*(column.tolist() for column in names), strict=True))


@pytest.mark.parametrize("step", [1 << 22, 7])
def test_a_sample_is_whole_users_and_the_items_they_took(
    folder: Path, tmp_path: Path, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sample, "STEP", step)
    report = sample_dataset(folder, tmp_path / "small", 0.3, seed=5)
    whole, small = load_dataset(folder), load_dataset(tmp_path / "small")
    drawn = set(small.users.all.tolist())
    assert 60 < len(drawn) < 120
    assert triples(small) == {one for one in triples(whole) if one[0] in drawn}
    assert set(small.items.all.tolist()) == {one[1] for one in triples(small)}
    assert (report.users, report.items, report.edges) == (len(drawn), len(small.items), len(small.interactions))
    for name, column in small.item_table.columns.items():
        assert column.tolist() == whole.item_table.columns[name][whole.items.rows(small.items.all)].tolist()
    kept = [name for name in whole.items.all.tolist() if name in small.items]
    assert small.items.all.tolist() == kept  # rows keep their order
    of = {"users": N_USERS, "items": N_ITEMS, "edges": N_EDGES}
    assert small.source == {"name": "all", "sample": {"users": 0.3, "seed": 5, "of": of}}


def test_the_same_seed_draws_the_same_users_and_another_one_others(folder: Path, tmp_path: Path) -> None:
    manifests = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        sample_dataset(folder, tmp_path / name, 0.2, seed=seed)
        manifests.append((tmp_path / name / "manifest.json").read_text())
    assert manifests[0] == manifests[1] != manifests[2]


def test_rows_are_drawn_evenly_and_a_larger_share_holds_the_smaller_one() -> None:
    few, many = draw_rows(100_000, 0.1, 3), draw_rows(100_000, 0.4, 3)
    assert abs(few.mean() - 0.1) < 0.005
    assert abs(many.mean() - 0.4) < 0.01
    assert not (few & ~many).any()
    assert abs(np.corrcoef(few[1:], few[:-1])[0, 1]) < 0.02
    assert draw_rows(50, 1.0, 0).all()
    assert np.array_equal(draw_rows(1000, 0.1, 3), few[:1000])


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_features_beside_the_data_set_are_cut_too(folder: Path, tmp_path: Path, dtype: Any) -> None:
    matrix = np.random.default_rng(0).random((N_ITEMS, 5)).astype(dtype)
    np.save(tmp_path / "all.npy", matrix)
    sample_dataset(folder, tmp_path / "small", 0.3, features=Features(tmp_path / "all.npy", tmp_path / "few.npy"))
    rows = load_dataset(folder).items.rows(load_dataset(tmp_path / "small").items.all)
    few = np.load(tmp_path / "few.npy")
    assert few.dtype == dtype
    assert np.array_equal(few, matrix[rows])


@pytest.mark.parametrize("share", [0.0, -1.0, 1.5, float("nan")])
def test_a_share_that_is_none(folder: Path, tmp_path: Path, share: float) -> None:
    with pytest.raises(ConfigError, match="expected a share above 0 and up to 1"):
        sample_dataset(folder, tmp_path / "small", share)


def test_a_sample_without_events_and_features_that_do_not_fit(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="of the 0 users drawn none has an event; raise --users"):
        sample_dataset(folder, tmp_path / "small", 1e-9)
    np.save(tmp_path / "all.npy", np.zeros((3, 2)))
    cut = Features(tmp_path / "all.npy", tmp_path / "few.npy")
    with pytest.raises(DataError, match=r"all.npy: expected one row for each of the 4000 items, found shape \(3, 2\)"):
        sample_dataset(folder, tmp_path / "small", 0.5, features=cut)
    (tmp_path / "few.npy").write_text("mine")
    with pytest.raises(ArtifactError, match=r"few.npy: exists already"):
        sample_dataset(folder, tmp_path / "small", 0.5, features=cut)
    assert sorted(left.name for left in tmp_path.iterdir()) == ["all.npy", "data", "few.npy"]


def test_only_a_data_set_can_be_sampled(tmp_path: Path) -> None:
    with writing(tmp_path / "other", "artifact") as other:
        other.json("x.json", {})
    with pytest.raises(ArtifactError, match="expected a dataset, found a artifact"):
        sample_dataset(tmp_path / "other", tmp_path / "small", 0.5)


def test_the_command_says_what_the_sample_holds(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "all.npy", np.zeros((N_ITEMS, 2), np.float32))
    words = ["sample", str(folder), "--users", "0.3", "--seed", "2", "--out", str(tmp_path / "small")]
    with pytest.raises(SystemExit) as ended:
        main([*words, "--features", str(tmp_path / "all.npy")])
    assert ended.value.code == 1
    assert "--features and --features-out go together" in capsys.readouterr().err.replace("\n", " ")
    with suppress(SystemExit):
        main([*words, "--features", str(tmp_path / "all.npy"), "--features-out", str(tmp_path / "few.npy")])
    small = load_dataset(tmp_path / "small")
    assert np.load(tmp_path / "few.npy").shape == (len(small.items), 2)
    assert f"{len(small.interactions):,}" in capsys.readouterr().out
