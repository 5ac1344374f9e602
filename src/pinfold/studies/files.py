"""The files of a study: written whole or not at all, in a folder that belongs to one study."""

import hashlib
import json
from pathlib import Path

import numpy as np

from pinfold import __version__
from pinfold.config import to_toml
from pinfold.data.columns import Column
from pinfold.data.interactions import Interactions
from pinfold.data.tables import Table
from pinfold.errors import ArtifactError, ConfigError
from pinfold.files import write_json

MARK = "study.json"


def claim(folder: Path, kind: str, identity: str) -> None:
    """Make the folder, or see that it belongs to this very study, which then goes on where it was.

    Raises:
        ConfigError: the folder belongs to another study.
        ArtifactError: the folder holds something else.
    """
    mark = {"kind": kind, "identity": identity}
    if (folder / MARK).is_file():
        if _read_mark(folder / MARK) != mark:
            raise ConfigError(
                f"{folder}: holds another study (another run file, data or version of Pinfold); "
                "remove it to start afresh, or name another folder with --out"
            )
        return
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ArtifactError(f"{folder}: exists and was not made by `pinfold {kind}`; name another folder with --out")
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / MARK, mark)


def identity_of(run: object, *facts: str) -> str:
    """What must be equal for results to be of one study: Pinfold's version, the options, and the data as `facts`."""
    return hashlib.sha256("\n".join([__version__, to_toml(run), *facts]).encode()).hexdigest()


def fingerprint(events: Interactions) -> str:
    """SHA-256 of the pairs, in their order."""
    digest = hashlib.sha256()
    for column in (events.users, events.items):
        digest.update(np.ascontiguousarray(column).tobytes())
    return digest.hexdigest()


def fingerprint_table(table: Table) -> str:
    """The SHA-256 of an attribute table's names and values."""
    values = {name: _hashable(column) for name, column in table.columns.items()}
    return hashlib.sha256(repr(values).encode("utf-8", "surrogatepass")).hexdigest()


def _hashable(column: Column) -> object:
    """The values; of vectors the SHA-256, since as Python numbers they would take ten times the room."""
    return column.tolist() if column.ndim == 1 else hashlib.sha256(column.tobytes()).hexdigest()


def _read_mark(path: Path) -> object:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path}: is damaged: {error}; remove its folder to start afresh") from error
