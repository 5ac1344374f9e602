"""Boards held out of the graph, and whether pins that they hold together are found from each other.

    python benchmarks/pinterest_quality.py hold-out RAW KEPT 200

The paper's hit-rate (Ying et al., KDD 2018, section 4.1): of pairs (q, i), the share whose i is among the K nearest
of q. Here pairs are two pins of a held-out board, and "among" is among all pins, none sampled.
"""

import sys
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

PAIRS = 2000
BLOCK = 100_000  # pins scored at once
KS = (10, 100, 500)


def hold_out(raw: Path, kept: Path, one_in: int) -> None:
    """Copy the shards of `raw` without the boards whose number is a multiple of `one_in`."""
    kept.mkdir()
    for shard in sorted(raw.glob("events-*.parquet")):
        query = f"SELECT * FROM read_parquet('{shard}') WHERE user % {one_in} <> 0"
        duckdb.sql(f"SET threads = 1; COPY ({query}) TO '{kept / shard.name}' (FORMAT parquet)")


def ids_of(folder: Path) -> NDArray[np.int64]:
    """The ids of the items of a data set or an artifact, in the order of its rows."""
    found = duckdb.sql(f"SELECT CAST(id AS BIGINT) AS id FROM read_parquet('{folder / 'items.parquet'}')").fetchnumpy()
    return np.asarray(found["id"], np.int64)


def with_features_of(data: Path, raw: Path, out: Path) -> Path:
    """The raw features of the items that the import kept, in its order, as an npy file."""
    if out.exists():
        return out
    features = open_memmap(raw / "features.npy", mode="r")
    first = raw_ids(raw)[0]
    rows = ids_of(data) - first
    partial = out.with_suffix(".partial.npy")
    made = open_memmap(partial, mode="w+", dtype=features.dtype, shape=(len(rows), features.shape[1]))
    for start in range(0, len(rows), BLOCK):
        made[start : start + BLOCK] = features[rows[start : start + BLOCK]]
    made.flush()
    partial.rename(out)
    return out


def raw_ids(raw: Path) -> tuple[int, int]:
    """The lowest and the highest id of the generated items."""
    low, high = duckdb.sql(f"SELECT min(item), max(item) FROM read_parquet('{raw / 'items.parquet'}')").fetchall()[0]
    return int(low), int(high)


def held_out_pairs(artifact: Path, raw: Path, one_in: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Rows (n, 2) of two pins of a held-out board, a pair a board, both in the catalogue."""
    events = f"read_parquet('{raw}/events-*.parquet')"
    found = duckdb.sql(f"SELECT user, item FROM {events} WHERE user % {one_in} = 0 ORDER BY user, item").fetchnumpy()
    users, items = np.asarray(found["user"]), np.asarray(found["item"])
    ids = ids_of(artifact)
    places = np.searchsorted(ids, items)
    there = ids[np.minimum(places, len(ids) - 1)] == items
    users, places = users[there], places[there]
    starts = np.flatnonzero(np.r_[True, users[1:] != users[:-1]])
    sizes = np.diff(np.r_[starts, len(users)])
    starts, sizes = starts[sizes > 1], sizes[sizes > 1]
    chosen = rng.permutation(len(starts))[:PAIRS]
    starts, sizes = starts[chosen], sizes[chosen]
    one = (rng.random(len(starts)) * sizes).astype(np.int64)
    other = (one + 1 + (rng.random(len(starts)) * (sizes - 1)).astype(np.int64)) % sizes
    return np.stack([places[starts + one], places[starts + other]], axis=1)


def ranks(vectors: Any, pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many pins are nearer to each query, by cosine, than its partner is; ties count by half. (n,)."""
    queries, partners = (directions(vectors[pairs[:, side]]) for side in (0, 1))
    wanted = np.einsum("nd,nd->n", queries, partners)[:, None]
    above, equal = np.zeros(len(pairs), np.int64), np.zeros(len(pairs), np.int64)
    for start in range(0, len(vectors), BLOCK):
        scores = queries @ directions(vectors[start : start + BLOCK]).T
        above += (scores > wanted + 1e-6).sum(axis=1)
        equal += (np.abs(scores - wanted) <= 1e-6).sum(axis=1)
    return above - 1 + equal // 2  # the query itself is nearer than anything


def directions(block: Any) -> NDArray[np.float32]:
    """The rows at length 1."""
    rows = np.asarray(block, np.float32)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def in_tables(artifact: Path, pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """The places of the partners in the queries' neighborhoods; the end of the catalogue where they are not in it."""
    table = np.load(artifact / "neighbor_ids.npy", mmap_mode="r")
    hit = np.asarray(table[pairs[:, 0]]) == pairs[:, 1:]
    return np.where(hit.any(axis=1), hit.argmax(axis=1), len(table))


def hit_rates(artifact: Path, features: Path, raw: Path, one_in: int) -> dict[str, Any]:
    """Hit-rates of PinSage's vectors, of content alone, of neighborhoods alone, and of the most popular pins."""
    rng = np.random.default_rng(0)
    pairs = held_out_pairs(artifact, raw, one_in, rng)
    degrees = np.diff(np.load(artifact / "item_users_ptr.npy", mmap_mode="r"))
    found = {
        "pinsage": ranks(np.load(artifact / "vectors_item_vectors.npy", mmap_mode="r"), pairs),
        "content": ranks(np.load(features, mmap_mode="r"), pairs),
        "walk": in_tables(artifact, pairs),
        "popularity": np.array([(degrees > degrees[item]).sum() for item in pairs[:, 1]]),
    }
    told: dict[str, Any] = {"pairs": len(pairs), "pins": len(degrees)}
    for name, places in found.items():
        told[name] = {f"hit@{k}": round(float((places < k).mean()), 4) for k in KS}
        told[name]["mrr/100"] = round(float((1 / np.ceil((places + 1) / 100)).mean()), 4)
    return told


if __name__ == "__main__":
    if sys.argv[1] == "hold-out":
        hold_out(Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
    else:
        with_features_of(Path(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4]))
