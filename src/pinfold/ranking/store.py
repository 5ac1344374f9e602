"""The ranker in an artifact: JSON and npy files, whose reading runs nothing."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from pinfold.artifacts import Folder, FolderWriter, open_folder
from pinfold.config import parse
from pinfold.embedding.artifact import KIND
from pinfold.errors import ArtifactError, ConfigError
from pinfold.graph.bipartite import read_csr, write_csr
from pinfold.graph.csr import Csr
from pinfold.ranking.candidates import SOURCES, CandidatesConfig
from pinfold.ranking.features import NAMES
from pinfold.ranking.forest import Forest
from pinfold.ranking.statistics import COLUMNS, from_table
from pinfold.ranking.two_stage import Ranker

PREFIX = "ranker"  # what names of its files begin with
FILE = f"{PREFIX}.json"
MOST_PRIOR = 1e6
ARRAYS = {
    "roots": np.int32, "features": np.int32, "thresholds": np.float64, "left": np.int32, "right": np.int32,
    "nan_left": np.bool_, "values": np.float64,
}  # fmt: skip


def write_ranker(folder: FolderWriter, ranker: Ranker, figures: dict[str, Any]) -> None:
    """`ranker.json` with options and figures, the trees, the items' numbers and the users' latest items."""
    for name in ARRAYS:
        folder.array(f"{PREFIX}_forest_{name}.npy", getattr(ranker.forest, name))
    folder.array(f"{PREFIX}_statistics.npy", ranker.statistics.table())
    if ranker.latest is not None:
        write_csr(folder, f"{PREFIX}_latest", ranker.latest)
    folder.json(
        FILE,
        {"candidates": asdict(ranker.candidates), "prior": ranker.prior, "sources": SOURCES, "features": NAMES,
         "figures": figures},
    )  # fmt: skip


def is_ranker_file(name: str) -> bool:
    """Whether a file of an artifact belongs to the ranker."""
    return name == FILE or name.startswith(f"{PREFIX}_")


def open_ranker(path: Path, n_users: int, n_items: int) -> Ranker | None:
    """The ranker in the artifact at `path`; None where there is none.

    Raises:
        ArtifactError: as `read_ranker`.
    """
    if not (path / FILE).is_file():  # whoever has read the artifact knows that none of its files is missing
        return None
    return read_ranker(open_folder(path, KIND), n_users, n_items)


def read_ranker(folder: Folder, n_users: int, n_items: int) -> Ranker | None:
    """The ranker in an open artifact, its arrays memory-mapped; None where there is none.

    Raises:
        ArtifactError: a file is missing or damaged, does not fit the artifact, or was made by a Pinfold whose ranker
            has other features.
    """
    if not folder.has(FILE):
        return None
    path, form = folder.path / FILE, folder.json(FILE)
    if form.get("sources") != list(SOURCES) or form.get("features") != list(NAMES):
        raise ArtifactError(f"{path}: is of a Pinfold with other features; run `pinfold train-ranker` again")
    prior = form.get("prior")
    if isinstance(prior, bool) or not isinstance(prior, int | float) or not 0 <= prior <= MOST_PRIOR:
        raise ArtifactError(f"{path}: prior must be a number from 0 to {MOST_PRIOR:g}, found {str(prior)[:40]}")
    candidates = form.get("candidates")
    try:
        config = parse(candidates if isinstance(candidates, dict) else {"?": 0}, CandidatesConfig, "candidates")
    except ConfigError as error:
        raise ArtifactError(f"{path}: {error}") from error
    statistics = from_table(folder.array(f"{PREFIX}_statistics.npy", np.float32, n_items, COLUMNS))
    return Ranker(config, float(prior), _forest(folder), statistics, _latest(folder, n_users, n_items))


def _forest(folder: Folder) -> Forest:
    """The trees; absurd ones are refused, so that no answer reads outside them or goes round in them."""
    # copies, small ones: the kernel is compiled once for arrays that may be written, and again for those that may not
    arrays = {name: np.array(folder.array(f"{PREFIX}_forest_{name}.npy", dtype, -1)) for name, dtype in ARRAYS.items()}
    try:
        forest = Forest(**arrays)
    except (TypeError, ValueError) as error:
        raise ArtifactError(f"{folder.path}: the files {PREFIX}_forest_*.npy are no trees: {error}") from error
    if forest.n_features() > len(NAMES):
        raise ArtifactError(f"{folder.path}: {PREFIX}_forest_features.npy names more features than there are")
    return forest


def _latest(folder: Folder, n_users: int, n_items: int) -> Csr | None:
    name = f"{PREFIX}_latest"
    if not folder.has(f"{name}_ptr.npy"):
        return None
    latest = read_csr(folder, name)
    if (latest.n_rows, latest.n_columns) != (n_users, n_items):
        raise ArtifactError(f"{folder.path}: the files {name}_*.npy are of other users or items")
    return latest
