"""An artifact brought up to date is what inference over the merged graph gives, and nothing is lost on the way."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from pinfold.arrays import Embeddings, unit
from pinfold.cli import main
from pinfold.data.readers import ImportConfig, Sources, import_files
from pinfold.data.splits import SplitConfig
from pinfold.embedding.artifact import Artifact, read_artifact
from pinfold.errors import ArtifactError, ConfigError, DataError
from pinfold.features.config import ColumnConfig, FeaturesConfig, TextColumn, VectorColumn
from pinfold.features.encoders import blocks
from pinfold.graph.bipartite import build_graph
from pinfold.graph.convolve import embed_all
from pinfold.graph.convolved import Convolved, PoolingName
from pinfold.graph.interests import Interests, InterestsConfig
from pinfold.graph.neighborhoods import NeighborhoodConfig, Neighborhoods, neighborhoods
from pinfold.index.answers import Answers
from pinfold.models.pinsage import PinSageConfig, equal_weights
from pinfold.pipeline import evaluate_artifact, train_run
from pinfold.run import DataConfig, RunConfig
from pinfold.sampling.informativeness import InformativenessConfig
from pinfold.sampling.item_batches import ItemNegativesConfig
from pinfold.training.config import TrainConfig
from pinfold.updating.arriving import Arriving
from pinfold.updating.config import UpdateConfig
from pinfold.updating.update import OWED, update_artifact

PINSAGE = PinSageConfig(
    hidden=8, dim=8, neighborhood=NeighborhoodConfig(size=6, steps=60),
    negatives=ItemNegativesConfig(batch_size=64, n_negatives=10), ids=3, unit=True,
)  # fmt: skip
IMPORT = ImportConfig(time="time")
ALL = UpdateConfig(theta=0, tolerance=0)
Rows = list[tuple[str, str]]
Make = Callable[..., Path]


def pairs() -> Rows:
    """60 users of two tastes, 8 of 40 items each."""
    rng = np.random.default_rng(0)
    return [(f"u{u:02}", f"i{i:02}") for u in range(60) for i in sorted(rng.permutation(np.arange(u % 2, 40, 2))[:8])]


def write_events(path: Path, rows: Rows, start: int = 0) -> Path:
    lines = ["user,item,time", *(f"{u},{i},{1_600_000_000 + start + at}" for at, (u, i) in enumerate(rows))]
    path.write_text("\n".join(lines) + "\n")
    return path


def write_items(path: Path, names: dict[str, str]) -> Path:
    path.write_text("item,title,price\n" + "".join(f"{name},{title},{len(title)}.5\n" for name, title in names.items()))
    return path


TITLES = {f"i{i:02}": f"{['even', 'odd'][i % 2]} thing {i}" for i in range(40)}
NEW: Rows = [("u00", "i03"), ("u01", "i04"), ("u00", "j1"), ("u02", "j1"), ("v1", "j1"), ("v1", "i00"), ("a0", "i02")]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """An artifact of a run with other options; each is trained once."""
    folder = tmp_path_factory.mktemp("trained")
    sources = Sources(
        (write_events(folder / "e.csv", pairs()),), write_users(folder / "u.csv"), write_items(folder / "i.csv", TITLES)
    )
    import_files(sources, folder / "data", IMPORT)
    made: dict[str, Path] = {}

    def make(model: Any = PINSAGE, **more: Any) -> Path:
        key = f"{model}{more}"
        if key not in made:
            made[key] = folder / f"out{len(made)}"
            run = RunConfig(
                data=DataConfig(path=str(folder / "data")), model=model, split=SplitConfig(protocol="none"),
                train=TrainConfig(epochs=2), features=FeaturesConfig(items={"title": TextColumn()}),
            )  # fmt: skip
            train_run(replace(run, **more), made[key])
        return made[key]

    return make


def write_users(path: Path) -> Path:
    path.write_text("user,age\n" + "".join(f"u{u:02},{20 + u}\n" for u in range(60)))
    return path


@pytest.fixture
def update(tmp_path: Path) -> Callable[..., tuple[Artifact, dict[str, Any]]]:
    """Update an artifact with these events and items, and read what came out."""

    def run(
        path: Path, rows: Rows, config: UpdateConfig = ALL, items: dict[str, str] | None = None, name: str = "next",
        users: Path | None = None,
    ) -> tuple[Artifact, dict[str, Any]]:  # fmt: skip
        files = (write_events(tmp_path / "new.csv", rows, 10_000),) if rows else ()
        table = None if items is None else write_items(tmp_path / "new-items.csv", items)
        report = update_artifact(path, Arriving(files, users, table), tmp_path / name, IMPORT, config)
        assert sorted(file.name for file in tmp_path.iterdir() if file.name.startswith(".")) == []
        return read_artifact(tmp_path / name), report

    return run


def network(artifact: Artifact) -> Convolved:
    assert isinstance(artifact.learned, Convolved)
    return artifact.learned


def assert_rebuilt(artifact: Artifact, tolerance: float = 1e-6) -> None:
    """Layers and vectors are those of full inference on the artifact's graph, with its neighborhoods."""
    learned = network(artifact)
    content = np.asarray(learned.inputs[0], np.float32)
    assert learned.neighborhoods is not None
    items, inputs = embed_all(learned.network, content, learned.neighborhoods)
    for found, expected in zip((*learned.inputs, learned.vectors.items), (*inputs, items), strict=True):
        np.testing.assert_allclose(np.asarray(found, np.float32), expected, atol=tolerance)
    features = content[:, : content.shape[1] - 1 - learned.growth.n_ids - learned.users.shape[1]]
    again = learned.growth.first_input(features, artifact.graph.item_users, learned.users)
    n = again.shape[1] - learned.growth.n_ids
    np.testing.assert_allclose(content[:, :n], again[:, :n], atol=tolerance)
    if isinstance(learned.vectors, Embeddings):
        np.testing.assert_allclose(learned.vectors.history, unit(items), atol=tolerance)
        once = artifact.graph.user_items.to_scipy().sign()
        users = once @ unit(items) / np.maximum(artifact.graph.user_items.degrees(), 1)[:, None]
        np.testing.assert_allclose(learned.vectors.users, users, atol=tolerance)


@pytest.mark.parametrize(
    ("pooling", "layers"),
    [("importance", 0), ("importance", 1), ("importance", 3), ("mean", 2), ("max", 2), ("attention", 2)],
)
def test_without_tolerance_it_is_what_inference_gives_for_all(
    pooling: PoolingName, layers: int, trained: Make, update: Callable[..., tuple[Artifact, dict[str, Any]]]
) -> None:
    path = trained(replace(PINSAGE, pooling=pooling, layers=layers))
    artifact, report = update(path, NEW, items={"j1": "even thing 99", "i07": "even thing after all"})
    assert_rebuilt(artifact)
    assert (report["new_users"], report["new_items"], report["new_edges"]) == (2, 1, 7)
    assert artifact.test is None
    assert np.isfinite(artifact.learned.inputs[0]).all()  # type: ignore[union-attr]


def test_old_rows_stay_and_new_ones_follow_in_the_order_of_ids(
    trained: Make, update: Callable[..., tuple[Artifact, dict[str, Any]]]
) -> None:
    old = read_artifact(trained())
    artifact, _ = update(trained(), NEW, items={"j1": "even thing 99", "b0": "odd thing nobody took"})
    assert artifact.users.all.tolist() == [*old.users.all, "a0", "v1"]
    assert artifact.items.all.tolist() == [*old.items.all, "b0", "j1"]
    assert artifact.item_table.columns["title"][-2:].tolist() == ["odd thing nobody took", "even thing 99"]
    assert artifact.item_table.columns["price"].dtype == np.float64
    names = [(artifact.users.all[u], artifact.items.all[i]) for u, i in edges(artifact)]
    assert sorted(names) == sorted([*pairs(), *NEW])


def edges(artifact: Artifact) -> list[tuple[int, int]]:
    csr = artifact.graph.user_items
    users = np.repeat(np.arange(csr.n_rows), csr.degrees())
    return list(zip(users.tolist(), csr.ids.tolist(), strict=True))


@pytest.mark.parametrize("pooling", ["importance", "mean"])
def test_neighborhoods_made_afresh_are_those_of_the_merged_graph(
    pooling: PoolingName, trained: Make, update: Callable[..., tuple[Artifact, dict[str, Any]]]
) -> None:
    path = trained(replace(PINSAGE, pooling=pooling))
    artifact, report = update(path, NEW, UpdateConfig(theta=0.1, tolerance=0))
    learned, old = network(artifact), network(read_artifact(path))
    assert learned.neighborhoods is not None
    assert old.neighborhoods is not None
    whole = neighborhoods(artifact.graph, learned.growth.neighborhood, learned.growth.seed)
    weights = equal_weights(whole.ids) if pooling == "mean" else whole.weights
    as_rebuilt = (learned.neighborhoods.ids == whole.ids).all(axis=1) & np.isclose(
        learned.neighborhoods.weights, weights
    ).all(axis=1)
    as_before = np.append((learned.neighborhoods.ids[:40] == old.neighborhoods.ids).all(axis=1), False)
    assert (as_rebuilt | as_before).all()
    assert as_rebuilt.sum() >= report["neighborhoods"]
    assert 0 < report["neighborhoods"] < 41
    touched = [artifact.items.row(name) for name in ("j1",)]
    assert as_rebuilt[touched].all()
    assert_rebuilt(artifact)  # whatever the table is, the layers are what it says


def test_training_stores_the_neighborhoods_that_its_vectors_are_made_of(trained: Make) -> None:
    artifact = read_artifact(trained(replace(PINSAGE, pooling="mean")))
    assert_rebuilt(artifact)
    near = network(artifact).neighborhoods
    assert near is not None
    np.testing.assert_array_equal(near.weights, equal_weights(near.ids))


def test_tolerance_stops_the_spread_and_owes_the_rest(
    trained: Make, update: Callable[..., tuple[Artifact, dict[str, Any]]], tmp_path: Path
) -> None:
    whole, all_of_it = update(trained(), NEW, UpdateConfig(theta=0.2, tolerance=0), name="whole")
    artifact, some = update(trained(), NEW, UpdateConfig(theta=0.2, tolerance=0.2))
    assert some["layers"][0] == all_of_it["layers"][0]  # the content is what it is
    assert sum(some["layers"]) < sum(all_of_it["layers"])
    assert sum(some["stopped"]) > 0
    assert all_of_it["stopped"] == [0, 0]
    owed = np.load(tmp_path / "next" / OWED)
    assert (owed >= 0).all()
    assert owed[:, 1:].any()
    assert (owed[:, 0] <= 0.2).all()
    assert (owed[:, 1:] <= 0.2 + 1e-6).all()
    far = np.linalg.norm(network(artifact).vectors.items - network(whole).vectors.items, axis=1)
    assert far.max() < 0.3


def test_what_was_owed_is_paid_by_a_later_update(
    trained: Make, update: Callable[..., tuple[Artifact, dict[str, Any]]], tmp_path: Path
) -> None:
    update(trained(), NEW, UpdateConfig(theta=0.3, tolerance=0.3), name="one")
    artifact, report = update(tmp_path / "one", [NEW[0]], ALL, name="two")  # known by now: nothing but debts
    straight, _ = update(trained(), NEW, ALL, name="straight")
    assert report["number"] == 2
    assert_rebuilt(artifact)
    assert not np.load(tmp_path / "two" / OWED).any()
    near, expected = network(artifact).neighborhoods, network(straight).neighborhoods
    assert near is not None
    assert expected is not None
    np.testing.assert_array_equal(near.ids, expected.ids)
    np.testing.assert_allclose(network(artifact).vectors.items, network(straight).vectors.items, atol=1e-6)


def test_weights_of_a_known_pair_are_added(
    trained: Make, update: Callable[..., tuple[Artifact, dict[str, Any]]]
) -> None:
    first = pairs()[0]
    artifact, report = update(trained(), [first])
    assert (report["merged_pairs"], report["new_edges"]) == (1, 0)
    assert artifact.graph.user_items.weights.max() == 2
    assert artifact.graph.user_items.weights.sum() == len(pairs()) + 1
    assert report["neighborhoods"] == 0  # walks do not weigh


def test_by_weight_a_known_pair_changes_the_walks(
    trained: Make, update: Callable[..., tuple[Artifact, dict[str, Any]]]
) -> None:
    path = trained(replace(PINSAGE, neighborhood=replace(PINSAGE.neighborhood, weighted=True)))
    artifact, report = update(path, [pairs()[0]])
    assert 0 < report["neighborhoods"] < 40
    assert_rebuilt(artifact)


def test_features_of_users_reach_their_items(
    trained: Make, update: Callable[..., tuple[Artifact, dict[str, Any]]], tmp_path: Path
) -> None:
    path = trained(replace(PINSAGE, collections=True))
    table = tmp_path / "users.csv"
    table.write_text("user,age\nu00,80\nv1,30\nnobody,3\n")
    artifact, report = update(path, NEW, users=table, name="one")
    assert_rebuilt(artifact)
    assert report["changed_attributes"]["users"] == 1
    assert "nobody" not in artifact.users
    assert artifact.user_table.columns["age"][artifact.users.row("u00")] == 80
    again, _ = update(tmp_path / "one", [("w", "i00")], name="two")  # the encoders are stored by now
    assert_rebuilt(again)
    np.testing.assert_allclose(network(again).users[:-1], network(artifact).users)


@pytest.mark.parametrize("users", ["last", "medoids"])
def test_interests_of_those_who_took_something_are_found_again(
    users: Literal["last", "medoids"], trained: Make, update: Callable[..., tuple[Artifact, dict[str, Any]]]
) -> None:
    path = trained(replace(PINSAGE, users=InterestsConfig(users=users)))
    artifact, report = update(path, NEW)
    old, new = network(read_artifact(path)).vectors, network(artifact).vectors
    assert isinstance(old, Interests)
    assert isinstance(new, Interests)
    assert report["users"] == 5
    quiet = artifact.users.row("u10")
    mine = slice(new.ptr[quiet], new.ptr[quiet + 1])
    np.testing.assert_array_equal(new.medoids[mine], old.medoids[old.ptr[quiet] : old.ptr[quiet + 1]])
    if users == "last":
        newest = {user: artifact.items.row(item) for user, item in NEW}
        for name, item in newest.items():
            row = artifact.users.row(name)
            assert new.medoids[new.ptr[row]] == item


def test_only_attributes_came(trained: Make, update: Callable[..., tuple[Artifact, dict[str, Any]]]) -> None:
    artifact, report = update(trained(), [], items={"i00": "odd thing now", "z": "even thing 5"})
    assert_rebuilt(artifact)
    assert (report["new_items"], report["changed_attributes"]["items"]) == (1, 1)
    assert artifact.item_table.columns["title"][0] == "odd thing now"
    assert len(Answers(artifact).similar("z", 3)) == 3


def test_an_artifact_without_neighborhoods_gets_them_all(
    trained: Make, update: Callable[..., tuple[Artifact, dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from pinfold.updating import update as module

    def forgetful(path: Path) -> Artifact:
        artifact = read_artifact(path)
        return replace(artifact, learned=replace(network(artifact), neighborhoods=None))

    monkeypatch.setattr(module, "read_artifact", forgetful)
    artifact, report = update(trained(), NEW)
    assert report["neighborhoods"] == 41
    assert "no neighborhoods stored" in report["notes"][0]
    assert_rebuilt(artifact)
    whole = neighborhoods(artifact.graph, network(artifact).growth.neighborhood, network(artifact).growth.seed)
    near = network(artifact).neighborhoods
    assert isinstance(near, Neighborhoods)
    np.testing.assert_array_equal(near.ids, whole.ids)


def test_with_pruning_a_new_edge_changes_which_old_ones_are_walked(
    trained: Make, update: Callable[..., tuple[Artifact, dict[str, Any]]]
) -> None:
    path = trained(replace(PINSAGE, neighborhood=replace(PINSAGE.neighborhood, prune=0.5)))
    artifact, report = update(path, [("u01", "i01"), ("u01", "i37")])
    assert "prune" in report["notes"][0]
    whole = neighborhoods(artifact.graph, network(artifact).growth.neighborhood, network(artifact).growth.seed)
    near = network(artifact).neighborhoods
    assert isinstance(near, Neighborhoods)
    np.testing.assert_array_equal(near.ids, whole.ids)
    assert_rebuilt(artifact)


def test_it_says_why_it_cannot_be_judged(
    trained: Make, update: Callable[..., tuple[Artifact, dict[str, Any]]], tmp_path: Path
) -> None:
    update(trained(), NEW)
    with pytest.raises(ArtifactError, match="made by `pinfold update`"):
        evaluate_artifact(tmp_path / "next")


def test_training_goes_on(trained: Make, update: Callable[..., tuple[Artifact, dict[str, Any]]]) -> None:
    path = trained()
    artifact, report = update(path, NEW, UpdateConfig(train=2))
    assert report["train_epochs"] == 2
    assert_rebuilt(artifact)
    assert_changed(network(read_artifact(path)), network(artifact))
    again, _ = update(path, NEW, UpdateConfig(train=2), name="again")
    np.testing.assert_array_equal(network(again).vectors.items, network(artifact).vectors.items)


def assert_changed(old: Convolved, new: Convolved) -> None:
    assert not np.allclose(old.network.convolutions[0].both, new.network.convolutions[0].both)
    assert np.abs(old.network.convolutions[0].both - new.network.convolutions[0].both).max() < 0.5  # no fresh start


def test_metrics_and_options_of_the_new_artifact(
    trained: Make, update: Callable[..., tuple[Artifact, dict[str, Any]]], tmp_path: Path
) -> None:
    old = read_artifact(trained())
    artifact, report = update(trained(), NEW)
    metrics = json.loads((tmp_path / "next" / "metrics.json").read_text())
    assert metrics["created"] > old.metrics["created"]
    assert metrics["training"] == old.metrics["training"]
    assert metrics["update"]["new_edges"] == report["new_edges"] == 7
    assert set(metrics["update"]["stage_seconds"]) >= {"reading", "graph", "neighborhoods", "layers", "users", "index"}
    assert 0 <= report["drift"]["overlap@10"] <= 1
    assert report["drift"]["cosine_p1"] <= report["drift"]["cosine_p5"] <= report["drift"]["cosine_mean"] <= 1
    assert artifact.run == old.run
    assert (tmp_path / "next" / "model.safetensors").is_file()


def call(*words: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert not ended.value.code


def test_the_command_says_what_it_did(trained: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    events = write_events(tmp_path / "new.csv", NEW)
    words = ["update", str(trained()), str(events), "--time", "time", "--out", str(tmp_path / "next")]
    call(*words, "--theta", "0", "--json")
    assert json.loads(capsys.readouterr().out)["new_edges"] == 7
    call(*words, "--replace")
    assert "7 new edges, 0 known pairs, 2 new users, 1 new items" in capsys.readouterr().out
    call("verify", str(tmp_path / "next"))
    with pytest.raises(SystemExit, match="1"):
        main(words)
    assert "exists already" in capsys.readouterr().err


def wrong(path: Path) -> Path:
    path.write_text("item,titel\ni00,even thing\n")
    return path


def test_what_is_wrong_is_said_and_nothing_is_written(trained: Make, tmp_path: Path) -> None:
    events, out = write_events(tmp_path / "new.csv", NEW), tmp_path / "next"
    with pytest.raises(DataError, match=r"no column 'title' \(did you mean 'titel'\?\)|no column 'title'"):
        update_artifact(trained(), Arriving((events,), None, wrong(tmp_path / "w.csv")), out, IMPORT)
    with pytest.raises(ConfigError, match="nothing to update from"):
        Arriving()
    (tmp_path / "empty.csv").write_text("user,item,time\n")
    with pytest.raises(DataError):
        update_artifact(trained(), Arriving((tmp_path / "empty.csv",)), out, IMPORT)
    (tmp_path / "none.csv").write_text("item,title,price\n")
    with pytest.raises(DataError, match="nothing came"):
        update_artifact(trained(), Arriving((), None, tmp_path / "none.csv"), out, IMPORT)
    with pytest.raises(DataError, match="who"):
        update_artifact(trained(), Arriving((events,)), out, replace(IMPORT, user="who"))
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactError, match="cannot be written"):
        update_artifact(trained(), Arriving((events,)), tmp_path / "file" / "x", IMPORT)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty.csv", "file", "new.csv", "none.csv", "w.csv"]


def test_walks_by_what_is_not_kept_cannot_be_updated(trained: Make, tmp_path: Path) -> None:
    near = replace(PINSAGE.neighborhood, weighted=True)
    path = trained(replace(PINSAGE, neighborhood=near, edges=InformativenessConfig(activity=-0.5)))
    events = write_events(tmp_path / "new.csv", NEW)
    with pytest.raises(ConfigError, match=r"model\.edges .* train it anew"):
        update_artifact(path, Arriving((events,)), tmp_path / "next", IMPORT)


def test_a_damaged_artifact_is_refused(trained: Make, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(trained(), tmp_path / "bad")
    (tmp_path / "bad" / "neighbor_ids.npy").write_bytes(b"no")
    events = write_events(tmp_path / "new.csv", NEW)
    with pytest.raises(ArtifactError, match=r"neighbor_ids\.npy"):
        update_artifact(tmp_path / "bad", Arriving((events,)), tmp_path / "next", IMPORT)
    assert not (tmp_path / "next").exists()


def test_held_out_events_that_came_are_known_now(trained: Make, tmp_path: Path) -> None:
    path = trained(split=SplitConfig(protocol="leave-last-out"))
    old = read_artifact(path)
    assert old.test is not None
    valid = [(old.users.all[u], old.items.all[i]) for u, i in zip(old.valid.users, old.valid.items, strict=True)]
    events = write_events(tmp_path / "new.csv", valid[:10])
    report = update_artifact(path, Arriving((events,)), tmp_path / "next", IMPORT, ALL)
    artifact = read_artifact(tmp_path / "next")
    assert report["new_edges"] == 10
    assert (artifact.test, len(artifact.valid)) == (None, len(old.valid) - 10)
    assert build_graph(artifact.known()).n_edges == old.graph.n_edges + len(old.valid)
    assert_rebuilt(artifact)


def test_vectors_from_a_file_beside_the_table(trained: Make, tmp_path: Path) -> None:
    """New items bring theirs in a column of the table; those of old items stay, the file has no row for new ones."""
    looks = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    np.save(tmp_path / "looks.npy", looks)
    columns: dict[str, ColumnConfig] = {
        "title": TextColumn(),
        "look": VectorColumn(path=str(tmp_path / "looks.npy"), normalize=False),
    }
    path = trained(features=FeaturesConfig(items=columns))
    rows = [{"item": "j1", "title": "even thing", "look": [1.0, 2.0, 3.0]}, {"item": "z", "title": "odd", "look": None}]
    (tmp_path / "new.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "old.jsonl").write_text(json.dumps({"item": "i00", "title": "odd thing now"}) + "\n")
    events = write_events(tmp_path / "new.csv", NEW)
    report = update_artifact(path, Arriving((events,), None, tmp_path / "new.jsonl"), tmp_path / "one", IMPORT, ALL)
    update_artifact(tmp_path / "one", Arriving((), None, tmp_path / "old.jsonl"), tmp_path / "two", IMPORT, ALL)
    assert report["columns_left_out"]["items"] == []
    for name in ("one", "two"):
        artifact = read_artifact(tmp_path / name)
        assert artifact.encoders is not None
        place, scale = blocks(artifact.encoders)["look"], artifact.encoders.columns["look"].scale
        found = np.asarray(network(artifact).inputs[0], np.float32)[:, place][:, :3]
        np.testing.assert_allclose(found[:40], looks * scale, rtol=1e-5)
        np.testing.assert_allclose(found[artifact.items.row("j1")], np.array([1, 2, 3]) * scale, rtol=1e-5)
        assert not found[artifact.items.row("z")].any()
        assert_rebuilt(artifact)
