"""Learned arrays through the disk."""

from pathlib import Path

import numpy as np
import pytest

from pinfold.arrays import Embeddings
from pinfold.artifacts import Folder, open_folder, writing
from pinfold.embedding.store import read_learned, write_learned
from pinfold.errors import ArtifactError
from pinfold.graph.csr import Csr
from pinfold.graph.learned import ItemSimilarity


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


def test_similarities(tmp_path: Path) -> None:
    weights = Csr(np.array([0, 2, 2, 3]), np.array([1, 2, 0], np.int32), np.array([0.5, 0.25, 1], np.float32), 3)
    with writing(tmp_path / "out", "artifact") as folder:
        write_learned(folder, ItemSimilarity(weights))
    found = read_learned(open_folder(tmp_path / "out"))
    assert isinstance(found, ItemSimilarity)
    for name in ("ptr", "ids", "weights", "n_columns"):
        np.testing.assert_array_equal(getattr(found.weights, name), getattr(weights, name))


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
