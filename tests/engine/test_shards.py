"""Index shards: asked together they answer as one index of all items."""

from pathlib import Path

import numpy as np
import pytest

from pinfold.arrays import Floats, TopK, unit
from pinfold.artifacts import writing
from pinfold.engine.interface import Job
from pinfold.engine.local import LocalEngine
from pinfold.engine.partition import Ranges
from pinfold.engine.shards import SHARDS, build_shards, search_shards
from pinfold.errors import ConfigError
from pinfold.graph.csr import Csr
from pinfold.index.config import IndexConfig
from pinfold.index.exact import ExactIndex, itself
from pinfold.index.merging import merged, search_rows

DIM = 8


def vectors(n: int, seed: int = 0) -> Floats:
    rng = np.random.default_rng(seed)
    centers = np.random.default_rng(9).standard_normal((20, DIM))
    found = centers[rng.integers(0, 20, n)] + 0.4 * rng.standard_normal((n, DIM))
    return (found * rng.lognormal(0, 0.3, (n, 1))).astype(np.float32)


def engine_of(work: Path, items: Floats, size: int) -> LocalEngine:
    """Workers with their parts of the vectors."""
    ranges = Ranges(len(items), size)
    for rank in range(size):
        with writing(work / f"vectors-{rank:04d}", "vectors") as folder:
            folder.array("items.npy", items[ranges.start(rank) : ranges.stop(rank)])
    return LocalEngine(Job(work, work, work, 0, len(items), 0, 0), size, SHARDS)


@pytest.mark.parametrize("size", [1, 2, 5, 41])
@pytest.mark.parametrize("of_directions", [False, True])
def test_exact_shards_are_one_exact_index(tmp_path: Path, size: int, of_directions: bool) -> None:
    items, queries = vectors(40), vectors(7, 1)
    items[11] = items[30]  # equal scores in different shards
    engine = engine_of(tmp_path, items, size)
    assert build_shards(engine, IndexConfig(kind="exact"), 0, of_directions=of_directions) == 40
    whole = ExactIndex(unit(items) if of_directions else items)
    for k in (1, 10, 60):
        found, truth = search_shards(engine, queries, k), whole.search(queries, k)
        np.testing.assert_array_equal(found.ids, truth.ids)
        np.testing.assert_allclose(found.scores, truth.scores, atol=1e-5)


def test_shards_of_lists_find_what_is_asked_for(tmp_path: Path) -> None:
    items, queries = vectors(3000), vectors(200, 1)
    engine = engine_of(tmp_path, items, 3)
    build_shards(engine, IndexConfig(kind="ivf"), 0)
    found, truth = search_shards(engine, queries, 10), ExactIndex(items).search(queries, 10)
    shares = (found.ids[:, :, None] == truth.ids[:, None, :]).any(axis=1).mean()
    assert shares > 0.93


def test_wrong_questions(tmp_path: Path) -> None:
    engine = engine_of(tmp_path, vectors(40), 2)
    with pytest.raises(ValueError, match="build the shards first"):
        search_shards(engine, vectors(2), 3)
    with pytest.raises(ConfigError, match="there are only 20 items"):
        build_shards(engine, IndexConfig(kind="ivf", lists=30), 0)
    build_shards(engine, IndexConfig(), 0)
    with pytest.raises(ValueError, match="k must be at least 1"):
        search_shards(engine, vectors(2), 0)
    with pytest.raises(ValueError, match="finite"):
        search_shards(engine, np.full((1, DIM), np.nan, np.float32), 3)
    engine.revive()
    with pytest.raises(ValueError, match="whose worker was lost"):
        search_shards(engine, vectors(2), 3)


def test_nothing_is_merged_of_nothing() -> None:
    with pytest.raises(ValueError, match="at least one part"):
        merged([], 3)
    few = TopK(np.array([[4, -1]], np.int32), np.array([[0.5, -np.inf]], np.float32))
    assert merged([few, few], 3).ids.tolist() == [[4, 4, -1]]


@pytest.mark.parametrize("of_directions", [False, True])
def test_rows_searched_in_blocks_are_an_exact_search(monkeypatch: pytest.MonkeyPatch, of_directions: bool) -> None:
    monkeypatch.setattr("pinfold.index.merging.BLOCK", 64)
    items, rows = vectors(700), np.arange(0, 700, 9, dtype=np.int32)
    queries = items[rows]
    seen: Csr = itself(rows, len(items))
    whole = ExactIndex(unit(items) if of_directions else items)
    for exclude in (None, seen):
        found = search_rows(items, queries, 100, exclude, of_directions=of_directions)
        truth = whole.search(queries, 100, exclude)
        np.testing.assert_array_equal(found.ids, truth.ids)
        np.testing.assert_allclose(found.scores, truth.scores, atol=1e-5)
