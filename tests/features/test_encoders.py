"""Tables of mixed attributes in, features out; through the disk; one fresh thing."""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinfold.artifacts import Folder, open_folder, writing
from pinfold.data.columns import Column
from pinfold.data.tables import Table
from pinfold.errors import ArtifactError, DataError
from pinfold.features.config import FeaturesConfig, TextColumn, VectorColumn
from pinfold.features.content import fit_table
from pinfold.features.encoders import Encoders, blocks, encode, encode_row, indicators
from pinfold.features.store import read_encoders, write_encoders

N = 60
TRAINING = np.arange(0, 48, dtype=np.int32)


def column(*values: object) -> Column:
    made = np.empty(len(values), dtype=object)
    for row, value in enumerate(values):
        made[row] = value
    return made


def shop() -> Table:
    """Things with attributes of every kind; the last has none."""
    rng = np.random.default_rng(0)
    nouns, colors = ("mug", "shirt", "lamp"), ("red", "blue", "green")
    columns: dict[str, Column] = {
        "title": column(*(f"{colors[i % 3]} {nouns[i % 2]} of size {i % 7}" for i in range(N - 1)), None),
        "price": column(*(float(i % 11) if i % 5 else None for i in range(N - 1)), None),
        "tags": column(*([f"tag{i % 4}", f"tag{i % 6}"] if i % 3 else None for i in range(N))),
        "added": column(*(f"2024-{i % 12 + 1:02}-{i % 28 + 1:02}" for i in range(N - 1)), None),
        "image": column(*rng.normal(size=(N - 1, 5)).astype(np.float32), None),
        "weight": np.arange(N) * 1.5,
        "empty": column(*[None] * N),
        "code": column(*(f"SKU-{i}" for i in range(N))),
    }
    return Table(columns, N)


SHOP = shop()


def encoders() -> Encoders:
    return fit_table(FeaturesConfig(), SHOP, TRAINING, "items")[0]


def saved(found: Encoders, path: Path) -> Folder:
    with writing(path, "features") as folder:
        write_encoders(folder, found, "item_features_")
    return open_folder(path)


def attributes(row: int) -> dict[str, Any]:
    return {name: values[row] for name, values in SHOP.columns.items()}


def test_each_column_has_its_block() -> None:
    found, features = fit_table(FeaturesConfig(), SHOP, TRAINING, "items")
    places = blocks(found)
    assert list(places) == ["title", "price", "tags", "added", "image", "weight"]
    assert [place.start for place in places.values()][1:] == [place.stop for place in places.values()][:-1]
    assert features.shape == (N, found.dim)
    assert features.dtype == np.float32
    np.testing.assert_array_equal(encode(found, SHOP), features)
    assert found.left_out == ("empty", "code")
    assert [note.split(":")[0] for note in found.notes] == [
        "column 'empty' is no feature",
        "column 'code' is no feature",
    ]


def test_no_block_is_louder_than_another() -> None:
    found, features = fit_table(FeaturesConfig(), SHOP, TRAINING, "items")
    silent = indicators(found)
    for name, place in blocks(found).items():
        part = features[TRAINING, place][:, ~silent[place]]
        lengths = np.linalg.norm(part, axis=1)
        known = features[TRAINING, place.stop - 1] == 0 if found.columns[name].indicator else np.ones(48, bool)
        assert lengths[known].mean() == pytest.approx(1, rel=1e-5)
        assert not lengths[~known].any()


def test_missing_values_are_indicated_where_some_were_missing_in_training() -> None:
    found = encoders()
    assert {name for name, block in found.columns.items() if block.indicator} == {"price", "tags"}
    assert indicators(found).sum() == 2
    features = encode(found, SHOP)
    place = blocks(found)["tags"]
    assert features[:, place.stop - 1].tolist() == [float(i % 3 == 0) for i in range(N)]
    nothing = encode_row(found, {})
    np.testing.assert_array_equal(nothing, indicators(found).astype(np.float32))
    np.testing.assert_array_equal(encode_row(found, dict.fromkeys(SHOP.columns)), nothing)


def test_only_training_rows_are_learned_from() -> None:
    changed = dict(SHOP.columns)
    changed["title"] = column(*changed["title"][:48], *["something else entirely, something else"] * 12)
    changed["price"] = column(*changed["price"][:48], *[1e9] * 12)
    changed["image"] = column(*changed["image"][:48], *[np.ones(5)] * 12)
    table = Table(changed, N)
    np.testing.assert_array_equal(
        encode(fit_table(FeaturesConfig(), table, TRAINING, "items")[0], SHOP), encode(encoders(), SHOP)
    )


def test_one_fresh_thing_is_encoded_as_in_the_table_and_at_once() -> None:
    found = encoders()
    features = encode(found, SHOP)
    for row in (0, 7, 50, N - 1):
        np.testing.assert_allclose(encode_row(found, attributes(row)), features[row], atol=1e-6)
    start = time.process_time()
    for _ in range(20):
        encode_row(found, attributes(7))
    assert (time.process_time() - start) / 20 < 0.005


CELLS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**400), 10**400)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["2024-01-01", "red mug", "red lamp", "a|b", "nan", "inf"])
    | st.dates()
    | st.lists(st.sampled_from(["a", "b"]) | st.none() | st.floats() | st.integers(0, 9), max_size=3)
    | st.lists(st.floats(-9, 9), min_size=2, max_size=2)
)


@settings(max_examples=100, deadline=None)
@given(st.lists(CELLS, max_size=3) | st.one_of(*(st.lists(one, max_size=12) for one in CELLS.branches)))
def test_whatever_is_in_a_column_there_are_features_or_a_message(cells: list[object]) -> None:
    table = Table({"x": column(*cells)}, len(cells))
    rows = np.arange(0, len(cells), 2, dtype=np.int32)
    try:
        found, features = fit_table(FeaturesConfig(dim=2), table, rows, "items")
    except DataError as error:
        message = str(error)
        assert message.startswith("column 'x', row ")
        return
    assert np.isfinite(features).all()
    assert features.shape == (len(cells), found.dim)
    assert bool(found.columns) != bool(found.notes)
    for row, cell in enumerate(cells):
        np.testing.assert_allclose(encode_row(found, {"x": cell}), features[row], atol=1e-5)


def test_an_attribute_that_nobody_knows_is_refused() -> None:
    found = encoders()
    encode_row(found, {"id": "x", "code": "SKU-9", "empty": 3})  # of the table, though no features
    with pytest.raises(DataError, match="no attribute 'titel'; did you mean 'title'"):
        encode_row(found, {"titel": "red mug"})
    with pytest.raises(DataError, match="column 'price', row 0: expected a number, found 'cheap'"):
        encode_row(found, {"price": "cheap"})


def test_a_table_without_a_column_is_refused() -> None:
    columns = {name: values for name, values in SHOP.columns.items() if name != "price"}
    with pytest.raises(DataError, match="no column 'price'"):
        encode(encoders(), Table(columns, N))
    broken = column(*SHOP.columns["image"][:-1], np.ones(4))
    with pytest.raises(DataError, match="column 'image', id 'x59': expected a vector of length 5, found length 4"):
        encode(encoders(), Table({**SHOP.columns, "image": broken}, N), [f"x{i}" for i in range(N)])


def test_vectors_of_a_file_are_a_column(tmp_path: Path) -> None:
    path = str(tmp_path / "images.npy")
    np.save(path, np.random.default_rng(1).normal(size=(N, 4)).astype(np.float32))
    config = FeaturesConfig(items={"image": VectorColumn(path=path), "title": TextColumn(dim=3)})
    found, features = fit_table(config, SHOP, TRAINING, "items")
    assert blocks(found) == {"image": slice(0, 4), "title": slice(4, 7)}
    found = read_encoders(saved(found, tmp_path / "out"), "item_features_")
    np.testing.assert_array_equal(encode(found, SHOP), features)
    alone = encode_row(found, {"image": np.load(path, allow_pickle=False)[3].tolist()})
    np.testing.assert_allclose(alone[:4], features[3, :4], atol=1e-6)


def test_what_was_saved_encodes_as_before(tmp_path: Path) -> None:
    found = encoders()
    again = read_encoders(saved(found, tmp_path / "out"), "item_features_")
    assert (again.left_out, again.notes, again.dim) == (found.left_out, found.notes, found.dim)
    assert blocks(again) == blocks(found)
    np.testing.assert_array_equal(encode(again, SHOP), encode(found, SHOP))
    np.testing.assert_array_equal(encode_row(again, attributes(7)), encode_row(found, attributes(7)))
    assert {path.suffix for path in (tmp_path / "out").iterdir()} == {".json", ".npy"}


def damaged(form: dict[str, Any], change: str) -> dict[str, Any]:
    match change:
        case "kind":
            form["columns"][0]["kind"] = "sound"
        case "scale":
            form["columns"][0]["scale"] = "loud"
        case "deviation":
            form["columns"][1]["deviation"] = 0
        case "names":
            del form["columns"][2]["name"]
        case "columns":
            form["columns"] = 3
    return form


@pytest.mark.parametrize("change", ["kind", "scale", "deviation", "names", "columns"])
def test_damaged_options_are_named(tmp_path: Path, change: str) -> None:
    folder = saved(encoders(), tmp_path / "out")
    path = folder.file("item_features_encoders.json")
    path.write_text(json.dumps(damaged(json.loads(path.read_text()), change)))
    with pytest.raises(ArtifactError, match=r"item_features_encoders\.json: does not say how features are made"):
        read_encoders(folder, "item_features_")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("column0_terms.json", b'{"terms": [1]}', "holds no list of terms"),
        ("column0_terms.json", b'{"terms": ["mug", "mug"]}', "holds a term twice"),
        ("column0_terms.json", b'{"terms": ["mug"]}', "idf.npy: .*must have shape"),
        ("column0_idf.npy", b"", "column0_idf.npy: not an npy array"),
    ],
)
def test_damaged_files_are_named(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    folder = saved(encoders(), tmp_path / "out")
    folder.file(f"item_features_{name}").write_bytes(content)
    with pytest.raises(ArtifactError, match=message):
        read_encoders(folder, "item_features_")


def test_numbers_that_are_not_finite_are_named(tmp_path: Path) -> None:
    folder = saved(encoders(), tmp_path / "out")
    path = folder.file("item_features_column0_idf.npy")
    idf = np.load(path, allow_pickle=False)
    idf[0] = np.nan
    np.save(path, idf, allow_pickle=False)
    with pytest.raises(ArtifactError, match=r"column0_idf\.npy: holds numbers that are not finite"):
        read_encoders(folder, "item_features_")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with writing(tmp_path / "out", "features") as folder:
        folder.json("other.json", {})
    with pytest.raises(ArtifactError, match=r"has no encoders\.json"):
        read_encoders(open_folder(tmp_path / "out"))
