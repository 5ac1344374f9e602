"""Pinterest-like worlds: the numbers asked for, and statistics that are as they were told."""

import json
import tracemalloc
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from numpy.typing import NDArray

from pinfold.cli import main
from pinfold.data.dataset import load_dataset
from pinfold.data.pinterest import PinterestConfig
from pinfold.data.pinterest_files import FIRST, first_id, generate
from pinfold.data.pinterest_world import Centers, Places, build_world
from pinfold.data.readers import ImportConfig, Sources, import_files
from pinfold.errors import ConfigError, DataError, PinfoldError
from pinfold.kernels.worlds import interests, take

SMALL = PinterestConfig(users=900, items=1800, edges=16_000, features=16, days=30)


def events(folder: Path) -> tuple[NDArray[Any], ...]:
    """Rows of users and of items, and seconds, in the order of the files."""
    with duckdb.connect() as connection:
        table = connection.execute(f"SELECT * FROM read_parquet('{folder}/events-*.parquet')").fetchnumpy()
    world = json.loads((folder / "world.json").read_text())
    return table["user"] - first_id(world["users"]), table["item"] - first_id(world["items"]), table["time"] - FIRST


def pairs(folder: Path) -> NDArray[Any]:
    users, items, times = events(folder)
    return np.sort(np.rec.fromarrays([users, items, times]))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("worlds") / "raw"
    generate(path, SMALL, shards=3)
    return path


@pytest.fixture(scope="module")
def large() -> tuple[Places, NDArray[Any], NDArray[Any], NDArray[Any]]:
    """A world, and the places of the users and items of its edges."""
    places = build_world(PinterestConfig(users=40_000, items=80_000, edges=720_000, features=32))
    ptr = np.concatenate([[0], np.cumsum(places.world.degrees, dtype=np.int64)])
    users = np.arange(40_000, dtype=np.int32)
    items, times = take(places.world, users, ptr)
    return places, np.repeat(users, places.world.degrees), items, times


def test_counts_are_exact_no_pair_comes_twice_and_nobody_is_left_out(folder: Path) -> None:
    users, items, _ = events(folder)
    assert len(users) == 16_000
    assert len(np.unique(users * 1800 + items)) == 16_000
    assert np.bincount(users).min() >= 1
    assert np.bincount(items).min() >= 1
    assert (users.max(), items.max()) == (899, 1799)
    assert len(list(folder.glob("events-*.parquet"))) == 3


def test_events_are_mixed(folder: Path) -> None:
    for column in events(folder):
        assert (np.diff(column) < 0).mean() > 0.4


def test_the_same_options_give_the_same_bytes_and_any_number_of_shards_the_same_edges(
    folder: Path, tmp_path: Path
) -> None:
    generate(tmp_path / "again", SMALL, shards=3)
    for file in folder.iterdir():
        assert file.read_bytes() == (tmp_path / "again" / file.name).read_bytes()
    generate(tmp_path / "one", SMALL, shards=1)
    assert (pairs(tmp_path / "one") == pairs(folder)).all()
    assert (tmp_path / "one" / "features.npy").read_bytes() == (folder / "features.npy").read_bytes()
    other = PinterestConfig(users=900, items=1800, edges=16_000, features=16, days=30, seed=1)
    generate(tmp_path / "other", other)
    assert (pairs(tmp_path / "other") != pairs(folder)).mean() > 0.9


def test_rows_survive_an_import(folder: Path, tmp_path: Path) -> None:
    sources = Sources(sorted(folder.glob("events-*.parquet")), None, folder / "items.parquet")
    import_files(sources, tmp_path / "data", ImportConfig(time="time"))
    data = load_dataset(tmp_path / "data")
    assert data.items.ids(np.array([0, 7, 1799], np.int32)).tolist() == ["10000", "10007", "11799"]
    assert data.users.ids(np.array([0, 899], np.int32)).tolist() == ["1000", "1899"]
    users, items, _ = events(folder)
    order = np.lexsort([items, users])
    assert (data.interactions.users == users[order]).all()
    assert (data.interactions.items == items[order]).all()


def hill(degrees: NDArray[Any], share: float) -> float:
    """The exponent of p(d) estimated from the largest degrees (Hill, 1975)."""
    largest = np.sort(degrees)[::-1][: int(len(degrees) * share) + 1] + 0.5
    return float(1 + 1 / np.log(largest[:-1] / largest[-1]).mean())


def test_degrees_have_the_tails_asked_for(large: tuple[Places, NDArray[Any], NDArray[Any], NDArray[Any]]) -> None:
    _, users, items, _ = large
    assert hill(np.bincount(users), 0.01) == pytest.approx(2.3, abs=0.2)
    # What is taken for its place, not its popularity, makes the tail of items somewhat steeper.
    assert hill(np.bincount(items), 0.01) == pytest.approx(2.3, abs=0.4)


@pytest.mark.parametrize("exponent", [2.5, 3.0])
def test_other_exponents_give_other_tails(exponent: float) -> None:
    world = build_world(
        PinterestConfig(users=40_000, items=80_000, edges=720_000, user_exponent=exponent, most_user_edges=5000)
    ).world
    assert hill(world.degrees, 0.005) == pytest.approx(exponent, abs=0.25)
    assert world.degrees.max() <= 5000
    assert world.degrees.sum() == 720_000


@pytest.mark.parametrize(("most", "least"), [(200, 0.77), (10_000, 0.7)])
def test_most_edges_are_within_a_users_communities(most: int, least: float) -> None:
    # Those who take thousands have most of their communities before long, and must look elsewhere.
    places = build_world(PinterestConfig(users=40_000, items=80_000, edges=600_000, features=2, most_user_edges=most))
    users, centers = np.arange(40_000, dtype=np.int32), Centers(places)
    items, _ = take(places.world, users, np.concatenate([[0], np.cumsum(places.world.degrees, dtype=np.int64)]))
    own = interests(places.world, users)
    homes = np.where(own < 0, -1, centers.communities(np.maximum(own, 0)))
    assert ((own >= 0).sum(axis=1).min(), (own >= 0).sum(axis=1).max()) == (1, 3)
    within = (homes[np.repeat(users, places.world.degrees)] == centers.communities(items)[:, None]).any(axis=1)
    assert least < within.mean() < 0.84
    sizes = np.diff(places.world.communities)
    assert sizes.min() >= 1
    assert sizes.max() > 5 * np.median(sizes)


def test_items_of_a_topic_are_taken_together_more_than_those_of_a_community_and_those_more_than_others(
    large: tuple[Places, NDArray[Any], NDArray[Any], NDArray[Any]],
) -> None:
    places, _, items, _ = large
    centers, rng = Centers(places), np.random.default_rng(0)
    degrees = places.world.degrees
    ends = np.cumsum(degrees)
    chosen = np.flatnonzero((degrees >= 2) & (degrees <= 100))
    first, second = (items[ends[chosen] - degrees[chosen] + rng.integers(degrees[chosen])] for _ in range(2))
    first, second = first[first != second], second[first != second]
    others = rng.permutation(second)
    for group in (centers.topics, centers.communities):
        together, apart = (group(first) == group(second)).mean(), (group(first) == group(others)).mean()
        assert together > 5 * apart
    same_topic = (centers.topics(first) == centers.topics(second)).mean() / 50
    same_community = (centers.communities(first) == centers.communities(second)).mean() / 1000
    assert same_topic > 2 * same_community


def test_features_agree_with_topics_and_communities(folder: Path) -> None:
    features = np.load(folder / "features.npy", allow_pickle=False)
    assert (features.dtype, features.shape) == (np.float16, (1800, 16))
    vectors = features.astype(np.float32)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=2e-3)
    places = build_world(SMALL)
    centers, at = Centers(places), np.argsort(places.items).astype(np.int32)
    topics, communities = centers.topics(at), centers.communities(at)
    same_topic = topics[:, None] == topics
    same_community = communities[:, None] == communities
    cosines = vectors @ vectors.T
    np.fill_diagonal(same_topic, val=False)
    near = cosines[same_topic].mean()
    middle = cosines[same_community & ~same_topic & ~np.eye(1800, dtype=bool)].mean()
    assert near > middle + 0.1
    assert middle > cosines[~same_community].mean() + 0.1
    with duckdb.connect() as connection:
        table = connection.execute(f"SELECT * FROM '{folder}/items.parquet'").fetchnumpy()
    assert table["item"].tolist() == list(range(10_000, 11_800))
    assert table["title"][5] == "pin 5"
    assert table["category"].tolist() == [f"community {c}" for c in communities]


def test_nobody_takes_an_item_before_its_birth(large: tuple[Places, NDArray[Any], NDArray[Any], NDArray[Any]]) -> None:
    places, users, items, times = large
    births = places.world.births
    assert (times >= births[items]).all()
    assert times.min() >= 0
    assert times.max() < 365 * 86_400
    first = np.full(80_000, 2**31 - 1)
    np.minimum.at(first, items, times)
    assert (first == births).all()
    spans = [np.ptp(times[users == user]) for user in np.flatnonzero(places.world.degrees > 5)[:200]]
    assert np.median(spans) < 250 * 86_400


def test_memory_holds_a_shard_and_not_the_edges(tmp_path: Path) -> None:
    config = PinterestConfig(users=5000, items=5000, edges=1_000_000, features=2)
    generate(tmp_path / "compiled", SMALL)
    tracemalloc.start()
    try:
        generate(tmp_path / "raw", config, shards=40)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4_000_000  # the edges alone are 12 MB


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"edges": 1799}, "at least 1800"),
        ({"edges": 900 * 901}, "at most 900 of the 1800 items"),
        ({"most_user_edges": 10}, "9000 in all"),
        ({"communities": 1801}, "communities = 1801"),
    ],
)
def test_sizes_that_cannot_be_are_refused(tmp_path: Path, changed: dict[str, int], message: str) -> None:
    sizes = {"users": 900, "items": 1800, "edges": 16_000} | changed
    with pytest.raises(ConfigError, match=message):
        generate(tmp_path / "raw", PinterestConfig(**sizes))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("users", "items", "edges"), [(5, 8, 8), (1, 2, 2), (8, 5, 16), (3, 1000, 1000), (30, 20, 300), (2000, 2, 2000)]
)
def test_the_smallest_and_densest_worlds(tmp_path: Path, users: int, items: int, edges: int) -> None:
    config = PinterestConfig(users=users, items=items, edges=edges, features=2, days=1)
    if users == 1:
        with pytest.raises(ConfigError):
            generate(tmp_path / "raw", config)
        return
    generate(tmp_path / "raw", config)
    found = pairs(tmp_path / "raw")
    assert len(found) == edges
    assert (np.bincount(found["f0"], minlength=users).min(), np.bincount(found["f1"], minlength=items).min()) >= (1, 1)
    assert len({(user, item) for user, item, _ in found.tolist()}) == edges


def test_a_folder_that_is_there_stays(folder: Path) -> None:
    before = sorted(folder.iterdir())
    with pytest.raises(DataError, match="exists already"):
        generate(folder, SMALL)
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize("shards", [0, -1, 901])
def test_shards_that_cannot_be_are_refused(tmp_path: Path, shards: int) -> None:
    with pytest.raises(ConfigError, match="expected 1 to 900"):
        generate(tmp_path / "raw", SMALL, shards)


def test_after_an_error_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pinfold.data.pinterest_files._write_events", full)
    with pytest.raises(PinfoldError, match="No space left"):
        generate(tmp_path / "raw", SMALL)
    assert not list(tmp_path.iterdir())


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def call(edges: int, *more: str) -> int:
        sizes = ["--users", "50", "--items", "80", "--edges", str(edges), "--features", "4"]
        with pytest.raises(SystemExit) as end:
            main(["generate", *sizes, *more, "--out", str(tmp_path / str(edges))])
        return int(str(end.value.code or 0))

    assert call(400, "--seed", "3", "--days", "9", "--shards", "2") == 0
    assert "50 users, 80 items, 400 edges" in capsys.readouterr().out
    world = json.loads((tmp_path / "400" / "world.json").read_text())
    assert (world["seed"], world["days"], world["features"], world["edges"]) == (3, 9, 4, 400)
    assert len(list((tmp_path / "400").glob("events-*.parquet"))) == 2
    assert call(10) == 1
    assert "at least 80" in capsys.readouterr().err


def test_no_shard_is_empty(tmp_path: Path) -> None:
    """Where some users have more edges than a shard should; an import refuses a file without events."""
    generate(tmp_path / "raw", PinterestConfig(users=20, items=2000, edges=2100, features=2), shards=20)
    shards = sorted((tmp_path / "raw").glob("events-*.parquet"))
    report = import_files(Sources(shards), tmp_path / "out", ImportConfig(time="time"))
    assert (len(shards), report.edges, report.users) == (20, 2100, 20)
