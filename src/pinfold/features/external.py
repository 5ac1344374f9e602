"""Text encoders that are not Pinfold's: whatever the user passes, and sentence-transformers."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from pinfold.arrays import Floats
from pinfold.errors import ArtifactError, ConfigError, did_you_mean
from pinfold.features.reduction import unit_rows
from pinfold.features.values import Encoded, Values, as_text

PROBE = "The quick brown fox jumps over the lazy dog."
ALIKE = 0.999  # cosine between vectors of the probe: half precision or another processor may round otherwise
SENTENCES = "sentence-transformers:"


class TextEncoder(Protocol):
    """Texts in, vectors out. The same name must always stand for the same vectors."""

    @property
    def name(self) -> str:
        """What it is called in a run file, and in artifacts made with it."""

    @property
    def dim(self) -> int:
        """D, the length of a vector."""

    def encode(self, texts: list[str]) -> Floats:
        """One vector for each text. Shape (n, D)."""


class SentenceTransformer:
    """A model of the package sentence-transformers, loaded when it is first asked."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._model: Any = None

    @property
    def dim(self) -> int:
        """D, the length of a vector."""
        return len(self.encode([PROBE])[0])

    def encode(self, texts: list[str]) -> Floats:
        """One vector for each text (n, D).

        Raises:
            ConfigError: the package is not installed, or has no such model.
        """
        if self._model is None:
            self._model = _load(self.name.removeprefix(SENTENCES))
        return np.asarray(self._model.encode(texts, show_progress_bar=False, convert_to_numpy=True), np.float32)


class ExternalTexts:
    """A text column whose vectors somebody else makes.

    With the vector that it gave a fixed sentence when the features were made: another encoder under the same name is
    refused when it is first asked.
    """

    def __init__(self, encoder: TextEncoder, probe: Floats, *, trusted: bool) -> None:
        self.encoder = encoder
        self.probe = probe  # (D,)
        self._trusted = trusted

    @property
    def dim(self) -> int:
        """D, the length of a vector."""
        return len(self.probe)

    def encode(self, texts: list[str]) -> Floats:
        """Vectors of length 1 (n, D).

        Raises:
            ArtifactError: the encoder is not the one that the features were made with.
            ValueError: the encoder breaks its promise.
        """
        if not self._trusted:
            _check_probe(self.encoder, self.probe)
            self._trusted = True
        return _vectors(self.encoder, texts, self.dim)


def fit_external(encoder: TextEncoder) -> ExternalTexts:
    """The encoder with its vector of the probe."""
    return ExternalTexts(encoder, _vectors(encoder, [PROBE], encoder.dim)[0], trusted=True)


def encode_external(encoder: ExternalTexts, values: Values) -> Encoded:
    """Vectors of length 1 (n, D), zeros where the text is missing."""
    texts = [as_text(value) for value in values.column]
    known = np.array([bool(text) for text in texts], np.bool_)
    matrix = np.zeros((len(texts), encoder.dim), np.float32)
    if known.any():
        matrix[known] = encoder.encode([text for text in texts if text])
    return Encoded(matrix, known)


def find_encoder(name: str, passed: Sequence[TextEncoder]) -> TextEncoder:
    """The encoder of this name: one that was passed, or one of sentence-transformers.

    Raises:
        ConfigError: there is none.
    """
    for encoder in passed:
        if encoder.name == name:
            return encoder
    if name.startswith(SENTENCES):
        return SentenceTransformer(name)
    known = ["tfidf", f"{SENTENCES}MODEL", *(encoder.name for encoder in passed)]
    raise ConfigError(f"no text encoder {name!r}{did_you_mean(name, known)} (known: {', '.join(known)})")


def _load(model: str) -> Any:
    try:
        import sentence_transformers  # torch and seconds to import
    except ImportError as error:
        raise ConfigError(
            f"the text encoder {SENTENCES + model!r} needs the package sentence-transformers: "
            f"pip install 'pinfold[text]' ({error})"
        ) from error
    try:
        return sentence_transformers.SentenceTransformer(model)
    except Exception as error:  # of the hub, the file system, the tokenizer: whatever it is, there is no model
        raise ConfigError(f"the text encoder {SENTENCES + model!r} cannot be loaded: {error}") from error


def _vectors(encoder: TextEncoder, texts: list[str], dim: int) -> Floats:
    vectors = np.asarray(encoder.encode(texts), np.float32)
    if vectors.shape != (len(texts), dim) or not np.isfinite(vectors).all():
        raise ValueError(
            f"the text encoder {encoder.name!r} must give finite numbers of shape {(len(texts), dim)}, "
            f"got shape {vectors.shape}"
        )
    return unit_rows(vectors)


def _check_probe(encoder: TextEncoder, probe: Floats) -> None:
    found = np.asarray(encoder.encode([PROBE]), np.float32)
    if found.shape != (1, len(probe)) or float(unit_rows(found)[0] @ probe) < ALIKE:
        raise ArtifactError(
            f"the text encoder {encoder.name!r} is not the one that the features were made with: it gives another "
            f"vector for the same sentence; use the old encoder, or train again"
        )
