"""Index shards: every worker has an index of its own items, and all are searched together.

A query goes to every shard, and the K best of what they find are the answer: with exact shards the same as of one
exact index. Workers build their shards from the part `vectors` of the embed job; what they build is lost with them.
"""

from dataclasses import asdict
from typing import Any

import numpy as np

from pinfold.arrays import Floats, TopK, check_array, unit
from pinfold.config import parse
from pinfold.engine.interface import Engine, Options, Shard, Steps
from pinfold.engine.parts import read_rows
from pinfold.index.building import build_index
from pinfold.index.config import IndexConfig
from pinfold.index.interface import Index
from pinfold.index.merging import merged, shifted


def build(shard: Shard, options: Options) -> int:
    """Build the index of own items, as `options` say; how many they are.

    Options:
        index: the options of an `IndexConfig`, plain values.
        seed: of its clustering.
        of_directions: whether the vectors are taken at length 1, so that scores are cosines.

    Raises:
        ArtifactError: the part `vectors` is missing or damaged.
        ConfigError: an option out of range, or more lists than own items.
    """
    items = np.asarray(read_rows(shard, "vectors", "items.npy"))
    config = parse(dict(options["index"]), IndexConfig, "index")
    made = build_index(unit(items) if options["of_directions"] else items, config, options["seed"])
    shard.kept["index"] = made
    return len(items)


def ask(shard: Shard, options: Options) -> TopK:
    """The best of own items for `options["queries"]` (B, D), under their global rows. Shape (B, min(k, own items)).

    Raises:
        ValueError: this worker has built no index.
    """
    if "index" not in shard.kept:
        raise ValueError("a shard is asked that was not built, or whose worker was lost: build the shards first")
    index: Index = shard.kept["index"]
    queries, own = options["queries"], shard.items.count(shard.rank)
    if not own:
        return TopK(np.empty((len(queries), 0), np.int32), np.empty((len(queries), 0), np.float32))
    found = index.search(queries, min(options["k"], own))
    return shifted(found, shard.items.start(shard.rank))


SHARDS = Steps(run={"shards.build": build, "shards.ask": ask})


def build_shards(engine: Engine, config: IndexConfig, seed: int, *, of_directions: bool = False) -> int:
    """Build every worker's index; how many items they hold together.

    Args:
        engine: with the steps of SHARDS among its own, after the stage `vectors`.
        config: of each shard; 'auto' goes by the items of a shard.
        seed: of the clusterings.
        of_directions: cosines in place of inner products.

    Raises:
        PinfoldError: see `build`.
    """
    told: dict[str, Any] = {"index": asdict(config), "seed": seed, "of_directions": of_directions}
    return sum(engine.run("shards.build", told))


def search_shards(engine: Engine, queries: Floats, k: int) -> TopK:
    """The k best of all items for each query (B, D); of equal ones the lower row. Shape (B, k).

    Moved: 4 B D bytes to each worker, 8 B k bytes from each.

    Raises:
        ValueError: k below 1, queries that are not finite, or shards that are not built.
    """
    check_array("queries", queries, np.float32, -1, -1)
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    if not np.isfinite(queries).all():
        raise ValueError("queries must be finite")
    return merged(engine.run("shards.ask", {"queries": queries, "k": k}), k)
