"""Learned arrays through the disk."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pinfold.arrays import Embeddings, Floats, Takers
from pinfold.artifacts import Folder, open_folder, writing
from pinfold.embedding.store import read_learned, write_learned
from pinfold.errors import ArtifactError
from pinfold.graph.csr import Csr
from pinfold.graph.interests import Interests, InterestsConfig
from pinfold.graph.learned import Blend, DenseSimilarity, ItemSimilarity, Layer, Layered, Learned


def table(n: int, dim: int = 3) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    return np.random.default_rng(n).normal(size=(n, dim)).astype(np.float32)


def test_vectors(tmp_path: Path) -> None:
    learned = Embeddings(table(5), table(4), table(4)[::-1])
    with writing(tmp_path / "out", "artifact") as folder:
        write_learned(folder, learned)
    found = read_learned(open_folder(tmp_path / "out"))
    assert isinstance(found, Embeddings)
    for name in ("users", "items", "history"):
        np.testing.assert_array_equal(getattr(found, name), getattr(learned, name))
        assert isinstance(getattr(found, name), np.memmap)
    assert (found.history_exponent, found.takers) == (0.0, None)


def test_what_users_and_items_are_added_by(tmp_path: Path) -> None:
    takers = Takers(table(5), table(5)[::-1], 0.5, 0.25)
    with writing(tmp_path / "out", "artifact") as folder:
        write_learned(folder, Embeddings(table(5), table(4), table(4), 0.75, takers))
    found = read_learned(open_folder(tmp_path / "out"))
    assert isinstance(found, Embeddings)
    assert found.takers is not None
    assert (found.history_exponent, found.takers.item_exponent, found.takers.history_exponent) == (0.75, 0.5, 0.25)
    np.testing.assert_array_equal(found.takers.items, takers.items)
    np.testing.assert_array_equal(found.takers.history, takers.history)


MAPPED = {"vectors": (5, 4), "layered": (9, 8)}


def mappable(kind: str) -> Embeddings | Layered:
    """What can have a mapping of new items, without one."""
    if kind == "layered":
        return layered()
    return Embeddings(table(5), table(4), table(4), takers=Takers(table(5), table(5)))


def mapping_of(learned: Learned) -> Floats | None:
    if isinstance(learned, Embeddings):
        assert learned.takers is not None
        return learned.takers.mapping
    assert isinstance(learned, Layered)
    return learned.mapping


@pytest.mark.parametrize("kind", list(MAPPED))
def test_mappings_of_new_items(tmp_path: Path, kind: str) -> None:
    """What was stored without one is read as before."""
    learned, mapping = mappable(kind), table(*MAPPED[kind])
    with writing(tmp_path / "bare", "artifact") as folder:
        write_learned(folder, learned)
    assert mapping_of(read_learned(open_folder(tmp_path / "bare"))) is None
    if isinstance(learned, Layered):
        learned = replace(learned, mapping=mapping)
    elif learned.takers is not None:
        learned = replace(learned, takers=replace(learned.takers, mapping=mapping))
    with writing(tmp_path / "out", "artifact") as folder:
        write_learned(folder, learned)
    found = mapping_of(read_learned(open_folder(tmp_path / "out")))
    assert isinstance(found, np.memmap)
    np.testing.assert_array_equal(found, mapping)


@pytest.mark.parametrize("kind", list(MAPPED))
def test_refuses_a_mapping_of_other_vectors(tmp_path: Path, kind: str) -> None:
    with writing(tmp_path / "out", "artifact") as folder:
        write_learned(folder, mappable(kind))
        folder.array("taker_mapping.npy", table(5, 3))
    with pytest.raises(ArtifactError, match="do not fit together: takers' mapping"):
        read_learned(open_folder(tmp_path / "out"))


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({}, "does not say how rows are added"),
        ({"exponents": [1]}, "does not say how rows are added"),
        ({"exponents": {"history": "much", "taker": 0, "taker_history": 0}}, "does not say how rows are added"),
        ({"exponents": {"history": 0, "taker": 0}}, "does not say how rows are added"),
        ({"exponents": {"history": 0, "taker": 1e999, "taker_history": 0}}, "not finite"),
    ],
)
def test_refuses_rows_that_nobody_can_add(tmp_path: Path, said: dict[str, object], message: str) -> None:
    with writing(tmp_path / "out", "artifact") as folder:
        for name, n in (("user", 5), ("item", 4), ("history", 4), ("taker", 5)):
            folder.array(f"{name}_vectors.npy", table(n))
        folder.array("taker_history.npy", table(5))
        folder.text("fold_in.json", json.dumps(said))
    with pytest.raises(ArtifactError, match=rf"fold_in\.json.*{message}"):
        read_learned(open_folder(tmp_path / "out"))


def layered() -> Layered:
    layers = tuple(Layer(table(4, dim), np.zeros((3, dim, 2), np.float32), table(1, 2)[0], 0.2) for dim in (3, 2))
    return Layered(table(5, 7), table(4, 7), layers, 0.5, self_loops=True, concatenated=True, unit_layers=False)


def test_layers(tmp_path: Path) -> None:
    learned = layered()
    with writing(tmp_path / "out", "artifact") as folder:
        write_learned(folder, learned)
    found = read_learned(open_folder(tmp_path / "out"))
    assert isinstance(found, Layered)
    assert (found.exponent, found.self_loops, found.concatenated, found.unit_layers) == (0.5, True, True, False)
    np.testing.assert_array_equal(found.users, learned.users)
    np.testing.assert_array_equal(found.items, learned.items)
    for ours, theirs in zip(found.layers, learned.layers, strict=True):
        assert ours.slope == theirs.slope
        for name in ("items", "weights", "bias"):
            np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
            assert isinstance(getattr(ours, name), np.memmap)


@pytest.mark.parametrize("said", [{}, {"slopes": 3}, {"slopes": ["a"]}, {"slopes": [1, 1], "exponent": "nan"}])
def test_refuses_layers_that_say_too_little(tmp_path: Path, said: dict[str, object]) -> None:
    with writing(tmp_path / "out", "artifact") as folder:
        write_learned(folder, layered())
        form = {"self_loops": False, "concatenated": True, "unit_layers": False}
        folder.json("layers.json", (form | said) if said else {})
    with pytest.raises(ArtifactError, match=r"layers\.json"):
        read_learned(open_folder(tmp_path / "out"))


def test_refuses_layers_of_another_model(tmp_path: Path) -> None:
    with writing(tmp_path / "out", "artifact") as folder:
        write_learned(folder, layered())
        folder.array("layer1_items.npy", table(4, 3))
    with pytest.raises(ArtifactError, match="do not fit together"):
        read_learned(open_folder(tmp_path / "out"))


def test_similarities(tmp_path: Path) -> None:
    weights = Csr(np.array([0, 2, 2, 3]), np.array([1, 2, 0], np.int32), np.array([0.5, 0.25, 1], np.float32), 3)
    with writing(tmp_path / "out", "artifact") as folder:
        write_learned(folder, ItemSimilarity(weights))
    found = read_learned(open_folder(tmp_path / "out"))
    assert isinstance(found, ItemSimilarity)
    for name in ("ptr", "ids", "weights", "n_columns"):
        np.testing.assert_array_equal(getattr(found.weights, name), getattr(weights, name))


def test_dense_similarities(tmp_path: Path) -> None:
    with writing(tmp_path / "out", "artifact") as folder:
        write_learned(folder, DenseSimilarity(table(5, 5)))
    found = read_learned(open_folder(tmp_path / "out"))
    assert isinstance(found, DenseSimilarity)
    assert isinstance(found.weights, np.memmap)
    np.testing.assert_array_equal(found.weights, table(5, 5))


def stored(path: Path, **arrays: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> Folder:
    with writing(path, "artifact") as folder:
        for name, array in arrays.items():
            folder.array(f"{name}.npy", array)
    return open_folder(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    folder = stored(tmp_path / "out", user_vectors=table(5), item_vectors=table(4))
    with pytest.raises(ArtifactError, match=r"has no history_vectors\.npy"):
        read_learned(folder)


def test_vectors_of_other_dtype_or_shape(tmp_path: Path) -> None:
    folder = stored(tmp_path / "a", user_vectors=table(5).astype(np.float64), item_vectors=table(4))
    with pytest.raises(ArtifactError, match=r"user_vectors\.npy.* float32"):
        read_learned(folder)
    folder = stored(tmp_path / "b", user_vectors=table(5), item_vectors=table(4), history_vectors=table(3))
    with pytest.raises(ArtifactError, match="b: its vectors do not fit together: history"):
        read_learned(folder)


def test_similarities_that_are_no_square(tmp_path: Path) -> None:
    folder = stored(
        tmp_path / "out",
        similarity_ptr=np.array([0, 1]),
        similarity_ids=np.array([2], np.int32),
        similarity_weights=np.ones(1, np.float32),
        similarity_columns=np.array([3]),
    )
    with pytest.raises(ArtifactError, match="square"):
        read_learned(folder)


def test_dense_similarities_that_are_no_square_or_not_finite(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="a: its vectors do not fit together: weights"):
        read_learned(stored(tmp_path / "a", dense_weights=table(5, 4)))
    broken = table(5, 5)
    broken[2, 3] = np.nan
    with pytest.raises(ArtifactError, match=r"dense_weights\.npy: holds numbers that are not finite"):
        read_learned(stored(tmp_path / "b", dense_weights=broken))


def blend() -> Blend:
    """Three kinds, one of them a blend with two members of one kind."""
    inner = Blend(
        (Embeddings(table(5), table(4), table(4)), Embeddings(table(5) + 1, table(4), table(4))), table(2)[0, :2]
    )
    takers = Takers(table(5), table(5)[::-1], 0.5, 0.25)
    outer = Embeddings(table(5), table(4) + 2, table(4), 0.75, takers)
    weights = np.array([1, 0.3, 2], np.float32)
    return Blend((outer, DenseSimilarity(table(4, 4)), inner), weights)


def test_a_blend(tmp_path: Path) -> None:
    learned = blend()
    with writing(tmp_path / "out", "artifact") as folder:
        write_learned(folder, learned)
    found = read_learned(open_folder(tmp_path / "out"))
    assert isinstance(found, Blend)
    assert found.weights.dtype == np.float32
    assert_same_blend(found, learned)


def assert_same_blend(found: Blend, learned: Blend) -> None:
    np.testing.assert_array_equal(found.weights, learned.weights)
    for one, other in zip(found.members, learned.members, strict=True):
        match one, other:
            case Embeddings(), Embeddings():
                for name in ("users", "items", "history"):
                    np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
                assert one.history_exponent == other.history_exponent
                assert (one.takers is None) == (other.takers is None)
            case DenseSimilarity(), DenseSimilarity():
                np.testing.assert_array_equal(one.weights, other.weights)
            case Blend(), Blend():
                assert_same_blend(one, other)
            case _:
                raise AssertionError


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("{}", r"blend\.json: holds no list of weights"),
        ("[]", r"blend\.json"),
        ('{"weights": ["much", 1]}', r"blend\.json: holds no list of weights"),
        ('{"weights": 3}', r"blend\.json: holds weights that are no finite numbers"),
        ('{"weights": [1, 1e999, 1]}', r"blend\.json: holds weights that are no finite numbers"),
        ('{"weights": [1]}', "two members or more"),
        ('{"weights": [1, 1, 1, 1]}', "member3_"),
    ],
)
def test_refuses_a_blend_of_nothing(tmp_path: Path, said: str, message: str) -> None:
    with writing(tmp_path / "out", "artifact") as folder:
        for k, member in enumerate(blend().members):
            write_learned(folder, member, f"member{k}_")
        folder.text("blend.json", said)
    with pytest.raises(ArtifactError, match=message):
        read_learned(open_folder(tmp_path / "out"))


def test_a_member_that_is_not_finite_is_refused_by_name(tmp_path: Path) -> None:
    learned = blend()
    bad = DenseSimilarity(np.full((4, 4), np.nan, np.float32))
    with writing(tmp_path / "out", "artifact") as folder:
        write_learned(folder, Blend((learned.members[0], bad), np.ones(2, np.float32)))
    with pytest.raises(ArtifactError, match=r"member1_dense_weights\.npy: holds numbers that are not finite"):
        read_learned(open_folder(tmp_path / "out"))


def interests() -> Interests:
    """Three users of two, no and one interest."""
    medoids, importance = np.array([3, 0, 1], np.int32), np.array([2, 1.5, 3], np.float32)
    config = InterestsConfig(users="medoids", threshold=0.7, most_items=9, decay=0.2, asked=2, merge="weighted")
    return Interests(table(4), np.array([0, 2, 2, 3]), medoids, importance, config)


@pytest.mark.parametrize("prefix", ["", "member1_"])
def test_interests(tmp_path: Path, prefix: str) -> None:
    learned = interests()
    with writing(tmp_path / "out", "artifact") as folder:
        write_learned(folder, learned, prefix)
    found = read_learned(open_folder(tmp_path / "out"), prefix)
    assert isinstance(found, Interests)
    assert found.config == learned.config
    for name in ("items", "ptr", "medoids", "importance"):
        np.testing.assert_array_equal(getattr(found, name), getattr(learned, name))
        assert isinstance(getattr(found, name), np.memmap)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({}, "do not fit together: the mean is no item"),
        ({"users": "several"}, r"interests\.json: users: "),
        ({"users": "last", "ask": 3}, r"interests\.json: ask: unknown option; did you mean 'asked'"),
        ({"users": "last", "asked": 0}, r"interests\.json: asked: "),
        ({"users": "last", "decay": "much"}, r"interests\.json: decay: "),
    ],
)
def test_refuses_interests_of_which_nobody_knows_what_they_are(
    tmp_path: Path, said: dict[str, object], message: str
) -> None:
    with writing(tmp_path / "out", "artifact") as folder:
        write_learned(folder, interests())
        folder.json("interests.json", said)
    with pytest.raises(ArtifactError, match=message):
        read_learned(open_folder(tmp_path / "out"))


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("interest_medoids", np.array([3, 0, 4], np.int32), "do not fit together: medoids must lie in"),
        ("interest_medoids", np.array([3, 0, 1]), r"interest_medoids\.npy.* int32"),
        ("interest_ptr", np.array([0, 2, 1, 3]), "do not fit together: ptr must rise"),
        ("interest_importance", np.array([2, 1, np.nan], np.float32), r"interest_importance\.npy: holds numbers that"),
        ("interest_importance", np.array([1, 2, 3], np.float32), "do not fit together: importance must .* not rise"),
        ("item_vectors", np.full((4, 3), np.inf, np.float32), r"item_vectors\.npy: holds numbers that are not finite"),
    ],
)
def test_refuses_damaged_interests_by_name(
    tmp_path: Path, name: str, array: np.ndarray[tuple[int, ...], np.dtype[np.generic]], message: str
) -> None:
    with writing(tmp_path / "out", "artifact") as folder:
        write_learned(folder, interests())
        folder.array(f"{name}.npy", array)
    with pytest.raises(ArtifactError, match=message):
        read_learned(open_folder(tmp_path / "out"))


def test_missing_interests_are_named(tmp_path: Path) -> None:
    with writing(tmp_path / "out", "artifact") as folder:
        folder.array("item_vectors.npy", table(4))
        folder.json("interests.json", {"users": "last"})
    with pytest.raises(ArtifactError, match=r"has no interest_ptr\.npy"):
        read_learned(open_folder(tmp_path / "out"))
