"""The tree of errors, and the hint that most of their messages end with."""

import pytest

from pinfold.errors import (
    ArtifactError,
    ConfigError,
    ConflictError,
    DataError,
    PinfoldError,
    StoreError,
    TrainingError,
    did_you_mean,
    separator_hint,
)


@pytest.mark.parametrize("kind", [ConfigError, DataError, TrainingError, ArtifactError, StoreError, ConflictError])
def test_one_base_catches_every_error_raised_on_purpose(kind: type[Exception]) -> None:
    assert issubclass(kind, PinfoldError)


@pytest.mark.parametrize(
    ("word", "known", "hint"),
    [
        ("dmi", ["dim", "epochs"], "; did you mean 'dim'?"),
        ("lightgnc", ["mf", "lightgcn"], "; did you mean 'lightgcn'?"),
        ("zzz", ["dim", "epochs"], ""),
        ("dim", [], ""),
    ],
)
def test_did_you_mean_names_the_nearest_known_word(word: str, known: list[str], hint: str) -> None:
    assert did_you_mean(word, known) == hint


def test_did_you_mean_takes_any_iterable() -> None:
    assert did_you_mean("dmi", iter(["dim"])) == "; did you mean 'dim'?"


def test_a_header_of_one_name_may_have_another_separator() -> None:
    assert "--format tsv" in separator_hint(["user\titem"])
    assert "with commas" in separator_hint(["user;item"])
    assert separator_hint(["user"]) == separator_hint(["user;item", "time"]) == ""
