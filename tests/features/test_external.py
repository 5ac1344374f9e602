"""Text encoders that somebody else made."""

import builtins
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pinfold.arrays import Floats
from pinfold.artifacts import Folder, open_folder, writing
from pinfold.data.columns import Column
from pinfold.data.tables import Table
from pinfold.errors import ArtifactError, ConfigError
from pinfold.features.config import FeaturesConfig, TextColumn
from pinfold.features.content import fit_table, load_content
from pinfold.features.encoders import Encoders, encode, encode_row
from pinfold.features.store import read_encoders, write_encoders


class Letters:
    """How often each of the first letters occurs."""

    def __init__(self, name: str = "letters", dim: int = 26, first: str = "a") -> None:
        self.name = name
        self.dim = dim
        self._first = ord(first)
        self.asked = 0

    def encode(self, texts: list[str]) -> Floats:
        self.asked += len(texts)
        counts = [[text.lower().count(chr(self._first + i)) for i in range(self.dim)] for text in texts]
        return np.array(counts, np.float32)


def titles(*values: object) -> Table:
    column: Column = np.empty(len(values), dtype=object)
    column[:] = values
    return Table({"title": column}, len(values))


TITLES = titles("red mug", None, "blue mug", "green lamp")
ROWS = np.arange(4, dtype=np.int32)
CONFIG = FeaturesConfig(items={"title": TextColumn(encoder="letters")})


def fitted() -> tuple[Encoders, Floats]:
    return fit_table(CONFIG, TITLES, ROWS, "items", passed=[Letters()])


def saved(encoders: Encoders, path: Path) -> Folder:
    with writing(path, "features") as folder:
        write_encoders(folder, encoders)
    return open_folder(path)


def test_a_passed_encoder_makes_vectors_of_length_one() -> None:
    content = load_content(CONFIG, TITLES, Table({}, 1), ROWS, ROWS[:1], text_encoders=[Letters()])
    assert content.items.shape == (4, 27)
    np.testing.assert_allclose(np.linalg.norm(content.items[:, :26], axis=1), [1, 0, 1, 1], rtol=1e-5)
    assert content.items[:, 26].tolist() == [0, 1, 0, 0]


def test_an_encoder_comes_back_by_its_name(tmp_path: Path) -> None:
    encoders, features = fitted()
    folder = saved(encoders, tmp_path / "out")
    passed = Letters()
    again = read_encoders(folder, text_encoders=[passed])
    assert passed.asked == 0  # a large model is not loaded before it is needed
    np.testing.assert_array_equal(encode(again, TITLES), features)
    np.testing.assert_allclose(encode_row(again, {"title": "red mug"}), features[0], atol=1e-6)


@pytest.mark.parametrize("other", [Letters(first="b"), Letters(dim=25)])
def test_another_encoder_of_the_same_name_is_refused(tmp_path: Path, other: Letters) -> None:
    folder = saved(fitted()[0], tmp_path / "out")
    again = read_encoders(folder, text_encoders=[other])
    with pytest.raises(ArtifactError, match="'letters' is not the one that the features were made with"):
        encode(again, TITLES)


def test_an_encoder_that_is_not_passed_is_asked_for(tmp_path: Path) -> None:
    folder = saved(fitted()[0], tmp_path / "out")
    with pytest.raises(ArtifactError, match="made with the text encoder 'letters'; pass it"):
        read_encoders(folder, text_encoders=[Letters("other")])


def test_an_encoder_that_nobody_knows_is_refused() -> None:
    config = FeaturesConfig(items={"title": TextColumn(encoder="letter")})
    with pytest.raises(ConfigError, match="no text encoder 'letter'; did you mean 'letters'"):
        fit_table(config, TITLES, ROWS, "items", passed=[Letters()])


def test_an_encoder_that_breaks_its_promise_is_refused() -> None:
    class Broken(Letters):
        def encode(self, texts: list[str]) -> Floats:
            return super().encode(texts)[:, :3]

    with pytest.raises(ValueError, match=r"'letters' must give finite numbers of shape \(1, 26\), got shape \(1, 3\)"):
        fit_table(CONFIG, TITLES, ROWS, "items", passed=[Broken()])


def test_without_the_package_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refuse(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "sentence_transformers":
            raise ImportError("No module named 'sentence_transformers'")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    config = FeaturesConfig(items={"title": TextColumn(encoder="sentence-transformers:all-MiniLM-L6-v2")})
    with pytest.raises(ConfigError, match=r"'sentence-transformers:all-MiniLM-L6-v2' needs .*'pinfold\[text\]'"):
        fit_table(config, TITLES, ROWS, "items")
