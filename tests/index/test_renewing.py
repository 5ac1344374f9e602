"""An index brought up to date: its clusters stay while they serve, and what it finds is measured."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pinfold.arrays import Embeddings, Floats, Ints, unit
from pinfold.artifacts import open_folder, writing
from pinfold.embedding.artifact import KIND
from pinfold.index.config import IndexConfig
from pinfold.index.renewing import kept_clusters, renew_indexes
from pinfold.index.stored import Figures, open_indexes, write_indexes

IVF = IndexConfig(kind="ivf", lists=20, recall=0.9)


def vectors(n: int = 600, seed: int = 0, *, unequal: bool = False) -> Floats:
    rng = np.random.default_rng(seed)
    centers, noise = rng.normal(size=(20, 8)), 0.3 * rng.normal(size=(n, 8))
    made = unit((centers[rng.integers(20, size=n)] + noise).astype(np.float32))
    if unequal:
        made *= rng.uniform(0.5, 2, size=(n, 1)).astype(np.float32)
    return made


def learned(items: Floats) -> Embeddings:
    return Embeddings(items[:50].copy(), items, items)


def write(path: Path, items: Floats, config: IndexConfig) -> None:
    with writing(path, KIND) as folder:
        write_indexes(folder, learned(items), config, 0)


def renew(path: Path, old: Floats, items: Floats, rows: Ints, config: IndexConfig, out: Path) -> Figures:
    with writing(out, KIND) as folder:
        figures = renew_indexes(folder, learned(items), config, 0, path, old, rows)
    assert figures is not None
    return figures


@pytest.mark.parametrize("unequal", [False, True])
@pytest.mark.parametrize("bits", [8, 32])
def test_changed_and_new_rows_are_found(unequal: bool, bits: int, tmp_path: Path) -> None:
    old = vectors(unequal=unequal)
    items = np.vstack([old, vectors(30, 1, unequal=unequal)])
    items[[3, 77]] = vectors(2, 2)
    rows = np.array([3, 77, *range(600, 630)], np.int32)
    config = replace(IVF, bits=bits)  # type: ignore[arg-type]
    write(tmp_path / "old", old, config)
    figures = renew(tmp_path / "old", old, items, rows, config, tmp_path / "new")
    assert figures["clustered"] == 600
    assert figures["users"]["recall@10"] >= 0.9
    indexes = open_indexes(tmp_path / "new", learned(items))
    assert indexes is not None
    found = indexes.alike.search(unit(items[rows]), 1).ids[:, 0]
    assert (found == rows).mean() > 0.9
    before = open_folder(tmp_path / "old").array("index_lists.npy", np.int32, 600)
    after = open_folder(tmp_path / "new").array("index_lists.npy", np.int32, 630)
    stayed = np.setdiff1d(np.arange(600), rows)
    np.testing.assert_array_equal(before[stayed], after[stayed])


def test_doubled_items_are_clustered_again(tmp_path: Path) -> None:
    old, items = vectors(), np.vstack([vectors(), vectors(600, 1)])
    write(tmp_path / "old", old, IVF)
    figures = renew(tmp_path / "old", old, items, np.arange(600, 1200, dtype=np.int32), IVF, tmp_path / "new")
    assert "clustered" not in figures


def test_updates_add_up_to_doubled_items(tmp_path: Path) -> None:
    old, items = vectors(), np.vstack([vectors(), vectors(400, 1)])
    write(tmp_path / "old", old, IVF)
    renew(tmp_path / "old", old, items, np.arange(600, 1000, dtype=np.int32), IVF, tmp_path / "new")
    more = np.vstack([items, vectors(300, 2)])
    assert kept_clusters(tmp_path / "new", items, more, np.arange(1000, 1300, dtype=np.int32)) is None


def test_too_little_found_is_built_anew(tmp_path: Path) -> None:
    """With a fixed number of probes, lists of vectors that have all moved find little."""
    old, items = vectors(), vectors(600, 5)
    config = replace(IVF, probes=1, recall=0.99)
    write(tmp_path / "old", old, config)
    figures = renew(tmp_path / "old", old, items, np.zeros(0, np.int32), config, tmp_path / "new")
    assert "clustered" not in figures
    assert open_indexes(tmp_path / "new", learned(items)) is not None


@pytest.mark.parametrize("kind", ["exact", "flat", "hnsw"])
def test_other_kinds_are_built_as_ever(kind: str, tmp_path: Path) -> None:
    old, items = vectors(100), np.vstack([vectors(100), vectors(9, 1)])
    config = IndexConfig(kind=kind)  # type: ignore[arg-type]
    write(tmp_path / "old", old, config)
    figures = renew(tmp_path / "old", old, items, np.arange(100, 109, dtype=np.int32), config, tmp_path / "new")
    assert figures["kind"] == kind
    indexes = open_indexes(tmp_path / "new", learned(items))
    assert indexes is not None
    assert indexes.alike.search(unit(items[100:]), 1).ids[:, 0].tolist() == list(range(100, 109))
