"""PinSage's layers through the disk."""

import hashlib
import json
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from pinfold.arrays import Embeddings, Floats
from pinfold.artifacts import Folder, open_folder, writing
from pinfold.embedding.store import read_learned, write_learned
from pinfold.errors import ArtifactError
from pinfold.graph.convolve import embed_new
from pinfold.graph.convolved import Convolution, Convolved, Growth, Head, Network, PoolingName
from pinfold.graph.interests import Interests, InterestsConfig
from pinfold.graph.learned import Blend, Learned
from pinfold.graph.neighborhoods import NeighborhoodConfig, Neighborhoods

N_USERS, N_ITEMS, WIDTH, MESSAGE, DIM = 4, 5, 6, 3, 2
GROWTH = Growth(NeighborhoodConfig(size=7, method="push"), 2**40, 1.5, 0.25, 2)


def normal(*shape: int) -> Floats:
    return np.random.default_rng(shape).normal(size=shape).astype(np.float32)


def learned(
    n_layers: int = 2,
    *,
    head: bool = True,
    pooling: PoolingName = "attention",
    unit: bool = False,
    medoids: bool = False,
) -> Convolved:
    layers, inputs, width = [], [], WIDTH
    for _ in range(n_layers):
        attention = normal(width + MESSAGE) if pooling == "attention" else np.zeros(0, np.float32)
        layers.append(
            Convolution(normal(width, MESSAGE), normal(MESSAGE), normal(width + MESSAGE, 8), normal(8), attention)
        )
        inputs.append(normal(N_ITEMS, width))
        width = 8
    network = Network(tuple(layers), Head(normal(width, 3), normal(3), normal(3, DIM)) if head else None, pooling, unit)
    items = normal(N_ITEMS, DIM)
    vectors: Embeddings | Interests = Embeddings(normal(N_USERS, DIM), items, items, 1.0)
    if medoids:
        importance = np.ones(2, np.float32)
        ptr = np.array([0, 1, 1, 2, 2])
        vectors = Interests(items, ptr, np.array([3, 0], np.int32), importance, InterestsConfig(users="last"))
    return Convolved(vectors, network, tuple(inputs) or (normal(N_ITEMS, WIDTH),), GROWTH, normal(N_USERS, 2))


def written(path: Path, what: Learned, prefix: str = "") -> Folder:
    with writing(path, "artifact") as folder:
        write_learned(folder, what, prefix)
    return open_folder(path)


def assert_same(found: object, expected: object) -> None:
    """Dataclasses and tuples of arrays and plain values, bit by bit."""
    if isinstance(expected, np.ndarray):
        assert isinstance(found, np.ndarray)
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)
    elif isinstance(expected, tuple):
        assert isinstance(found, tuple)
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other)
    elif hasattr(expected, "__dataclass_fields__"):
        assert type(found) is type(expected)
        for field in fields(expected):  # type: ignore[arg-type]
            assert_same(getattr(found, field.name), getattr(expected, field.name))
    else:
        assert found == expected


@pytest.mark.parametrize("n_layers", [0, 1, 3])
@pytest.mark.parametrize("head", [True, False])
@pytest.mark.parametrize("pooling", ["importance", "attention"])
def test_round_trip(tmp_path: Path, n_layers: int, head: bool, pooling: PoolingName) -> None:
    what = learned(n_layers, head=head, pooling=pooling)
    found = read_learned(written(tmp_path / "out", what))
    assert_same(found, what)
    assert isinstance(found, Convolved)
    assert isinstance(found.inputs[0], np.memmap)


@pytest.mark.parametrize("unit", [True, False])
@pytest.mark.parametrize("medoids", [True, False])
def test_with_a_prefix(tmp_path: Path, unit: bool, medoids: bool) -> None:
    what = learned(unit=unit, medoids=medoids)
    folder = written(tmp_path / "out", what, "mine_")
    assert all(name.startswith("mine_") for name in folder.files)
    assert_same(read_learned(folder, "mine_"), what)


def test_two_beside_each_other_in_a_blend(tmp_path: Path) -> None:
    what = Blend((learned(1), learned(0, head=False)), np.array([1, 2], np.float32))
    assert_same(read_learned(written(tmp_path / "out", what)), what)


FILES = [
    "layer0_neighbor.npy", "layer0_neighbor_bias.npy", "layer1_both.npy", "layer1_bias.npy", "layer0_attention.npy",
    "layer1_inputs.npy", "head_first.npy", "head_bias.npy", "head_second.npy", "users_content.npy",
]  # fmt: skip


def changed(path: Path, name: str, content: bytes | Floats | None) -> Folder:
    """The folder with another file, or without it, and a manifest that knows nothing better."""
    manifest = json.loads((path / "manifest.json").read_text())
    if content is None:
        (path / name).unlink()
        del manifest["files"][name]
    else:
        if isinstance(content, bytes):
            (path / name).write_bytes(content)
        else:
            np.save(path / name, content, allow_pickle=False)
        data = (path / name).read_bytes()
        manifest["files"][name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (path / "manifest.json").write_text(json.dumps(manifest))
    return open_folder(path)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["missing", "nan", "double", "flat"])
def test_damaged_files_are_named(tmp_path: Path, name: str, damage: str) -> None:
    path = tmp_path / "out"
    written(path, learned())
    array = np.load(path / name, allow_pickle=False)
    broken = {
        "missing": None,
        "nan": np.full_like(array, np.nan),
        "double": array.astype(np.float64),
        "flat": array.reshape(1, 1, -1),
    }[damage]
    with pytest.raises(ArtifactError, match=name.replace(".", r"\.")):
        read_learned(changed(path, name, broken))


@pytest.mark.parametrize("name", FILES)
def test_files_that_do_not_fit_are_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "out"
    written(path, learned())
    array = np.load(path / name, allow_pickle=False)
    with pytest.raises(ArtifactError):
        read_learned(changed(path, name, np.ascontiguousarray(array[:-1])))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("layers", None, "does not describe a network"),
        ("layers", "two", "does not describe a network"),
        ("pooling", "median", "unknown pooling 'median'; train again"),
        ("growth", {"seed": 1}, "does not describe a network"),
        ("unit", ..., "does not describe a network"),
        ("head", ..., "does not describe a network"),
    ],
)
def test_a_damaged_description_is_named(tmp_path: Path, key: str, value: object, message: str) -> None:
    path = tmp_path / "out"
    written(path, learned())
    form = json.loads((path / "network.json").read_text())
    form = {name: one for name, one in form.items() if name != key} if value is ... else {**form, key: value}
    with pytest.raises(ArtifactError, match=rf"network\.json: {message}"):
        read_learned(changed(path, "network.json", json.dumps(form).encode()))


def test_vectors_must_be_users_and_items(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    written(folder, learned())
    changed(folder, "vectors_item_vectors.npy", normal(N_ITEMS + 1, DIM))
    with pytest.raises(ArtifactError):
        read_learned(changed(folder, "vectors_history_vectors.npy", normal(N_ITEMS + 1, DIM)))


def test_layers_in_half_precision(tmp_path: Path) -> None:
    whole = learned()
    halves = replace(whole, inputs=tuple(inputs.astype(np.float16) for inputs in whole.inputs))
    found = read_learned(written(tmp_path / "half", halves))
    assert isinstance(found, Convolved)
    for inputs, expected in zip(found.inputs, halves.inputs, strict=True):
        assert inputs.dtype == np.float16
        np.testing.assert_array_equal(inputs, expected)
    new = normal(2, WIDTH)
    near = Neighborhoods(np.array([[0, 3], [1, -1]], np.int32), np.array([[0.5, 0.5], [1, 0]], np.float32))
    ours, layers = embed_new(found.network, found.inputs, new, near)
    theirs, _ = embed_new(whole.network, whole.inputs, new, near)
    assert ours.dtype == np.float32
    assert {inputs.dtype for inputs in layers} == {np.dtype(np.float32)}
    np.testing.assert_allclose(ours, theirs, atol=0.02)
    with pytest.raises(TypeError, match="inputs must have dtype float32"):
        replace(whole, inputs=tuple(inputs.astype(np.float64) for inputs in whole.inputs))  # type: ignore[misc]
