"""Encoders as JSON and npy files in a folder; nothing that would have to be unpickled."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from pinfold.arrays import Floats
from pinfold.artifacts import Folder, FolderWriter
from pinfold.errors import ArtifactError, ConfigError
from pinfold.features.categories import Categories
from pinfold.features.dates import Dates
from pinfold.features.encoders import Block, Encoder, Encoders
from pinfold.features.external import ExternalTexts, TextEncoder, find_encoder
from pinfold.features.numbers import Numbers
from pinfold.features.terms import Terms
from pinfold.features.text import Texts
from pinfold.features.vectors import Vectors


def write_encoders(folder: FolderWriter, encoders: Encoders, prefix: str = "") -> None:
    """`encoders.json`, and for column k `column<k>_terms.json`, `_idf.npy`, `_components.npy` or `_probe.npy`."""
    columns = []
    for k, (name, block) in enumerate(encoders.columns.items()):
        form = _write_encoder(folder, block.encoder, f"{prefix}column{k}_")
        columns.append({"name": name, "scale": block.scale, "indicator": block.indicator} | form)
    notes = {"left_out": list(encoders.left_out), "notes": list(encoders.notes)}
    folder.json(f"{prefix}encoders.json", {"columns": columns} | notes)


def read_encoders(folder: Folder, prefix: str = "", text_encoders: Sequence[TextEncoder] = ()) -> Encoders:
    """What `write_encoders` wrote. Models of sentence-transformers are loaded when a text is first encoded.

    Args:
        folder: an open folder.
        prefix: of the names of the files.
        text_encoders: those that were passed when the features were made, by the same names.

    Raises:
        ArtifactError: a file is missing or does not fit the others, or a text encoder is missing or another one.
    """
    name = f"{prefix}encoders.json"
    form = folder.json(name)
    try:
        columns = {
            str(column["name"]): Block(
                _read_encoder(folder, column, f"{prefix}column{k}_", text_encoders),
                _number(column["scale"]),
                bool(column["indicator"]),
            )
            for k, column in enumerate(form["columns"])
        }
        return Encoders(columns, tuple(map(str, form["left_out"])), tuple(map(str, form["notes"])))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"{folder.path / name}: does not say how features are made: {error}") from error


def _write_encoder(folder: FolderWriter, encoder: Encoder, prefix: str) -> dict[str, Any]:
    match encoder:
        case Texts():
            _write_terms(folder, encoder.terms, prefix)
            return {"kind": "text", "encoder": "tfidf", "ngrams": encoder.ngrams}
        case ExternalTexts():
            folder.array(f"{prefix}probe.npy", encoder.probe)
            return {"kind": "text", "encoder": encoder.encoder.name}
        case Categories():
            _write_terms(folder, encoder.terms, prefix)
            return {"kind": "categories", "separator": encoder.separator}
        case Numbers():
            return {"kind": "number", "mean": encoder.mean, "deviation": encoder.deviation, "log": encoder.log}
        case Dates():
            return {"kind": "date", "mean": encoder.mean, "deviation": encoder.deviation}
        case Vectors():
            if encoder.components is not None:
                folder.array(f"{prefix}components.npy", encoder.components)
            form = {"length": encoder.length, "normalize": encoder.normalize, "path": encoder.path}
            return {"kind": "vector"} | form


def _read_encoder(folder: Folder, form: dict[str, Any], prefix: str, passed: Sequence[TextEncoder]) -> Encoder:
    match form["kind"]:
        case "text" if form["encoder"] == "tfidf":
            return Texts(_read_terms(folder, prefix), int(form["ngrams"]))
        case "text":
            return _read_external(folder, str(form["encoder"]), prefix, passed)
        case "categories":
            return Categories(_read_terms(folder, prefix), _optional(form["separator"]))
        case "number":
            return Numbers(_number(form["mean"]), _deviation(form), bool(form["log"]))
        case "date":
            return Dates(_number(form["mean"]), _deviation(form))
        case "vector":
            components = _components(folder, prefix, int(form["length"]))
            return Vectors(int(form["length"]), components, bool(form["normalize"]), _optional(form["path"]))
        case kind:
            raise ValueError(f"unknown kind {kind!r}")


def _read_external(folder: Folder, name: str, prefix: str, passed: Sequence[TextEncoder]) -> ExternalTexts:
    probe = _finite(folder, f"{prefix}probe.npy", -1)
    try:
        return ExternalTexts(find_encoder(name, passed), probe, trusted=False)
    except ConfigError as error:
        raise ArtifactError(
            f"{folder.path}: its features were made with the text encoder {name!r}; pass it to read them: {error}"
        ) from error


def _write_terms(folder: FolderWriter, terms: Terms, prefix: str) -> None:
    folder.json(f"{prefix}terms.json", {"terms": list(terms.rows)})
    folder.array(f"{prefix}idf.npy", terms.idf)
    if terms.components is not None:
        folder.array(f"{prefix}components.npy", terms.components)


def _read_terms(folder: Folder, prefix: str) -> Terms:
    path = folder.path / f"{prefix}terms.json"
    found = folder.json(f"{prefix}terms.json").get("terms")
    if not isinstance(found, list) or not all(isinstance(term, str) for term in found):
        raise ArtifactError(f"{path}: holds no list of terms")
    rows = {term: row for row, term in enumerate(found)}
    if len(rows) != len(found):
        raise ArtifactError(f"{path}: holds a term twice")
    return Terms(rows, _finite(folder, f"{prefix}idf.npy", len(rows)), _components(folder, prefix, len(rows)))


def _components(folder: Folder, prefix: str, length: int) -> Floats | None:
    name = f"{prefix}components.npy"
    return _finite(folder, name, length, -1) if folder.has(name) else None


def _finite(folder: Folder, name: str, *shape: int) -> Floats:
    array: Floats = folder.array(name, np.float32, *shape)
    if not np.isfinite(array).all():
        raise ArtifactError(f"{folder.path / name}: holds numbers that are not finite; train again")
    return array


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"expected a finite number, found {value!r}")
    return float(value)


def _deviation(form: dict[str, Any]) -> float:
    deviation = _number(form["deviation"])
    if deviation <= 0:
        raise ValueError(f"expected a deviation above 0, found {deviation}")
    return deviation


def _optional(value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise ValueError(f"expected a text or nothing, found {value!r}")
    return value
