"""How far an update moved the items: cosines with what they were, and whether the same ones are nearest."""

from typing import Any

import numpy as np

from pinfold.arrays import Floats, Ints, unit
from pinfold.index.exact import ExactIndex, itself
from pinfold.updating.scratch import blocks, cosines

SAMPLE = 200  # items whose nearest are compared
AMONG = 100_000  # items that they are looked for among, drawn evenly, where there are more
K = 10


def drift(old: Floats, new: Floats, moved: Ints, seed: int) -> dict[str, Any]:
    """What became of the I items of `old` (I, D), the first rows of `new` (I', D).

    Args:
        old: before.
        new: after.
        moved: rows that may have changed.
        seed: of the sample.

    Returns:
        Mean, 5th and 1st percentile of the cosines of old with new, the share below 0.99, and the mean share of the 10
        nearest that stayed, of a sample of items.
    """
    if not len(old):
        return {}
    found = np.ones(len(old), np.float32)
    for part in blocks(moved[moved < len(old)]):
        found[part] = cosines(np.asarray(old[part]), np.asarray(new[part]))
    fifth, first = np.percentile(found, [5, 1])
    return {
        "cosine_mean": round(float(found.mean(dtype=np.float64)), 5),
        "cosine_p5": round(float(fifth), 5),
        "cosine_p1": round(float(first), 5),
        "below_99": round(float((found < 0.99).mean()), 5),
        f"overlap@{K}": round(overlap(old, new, seed), 4),
    }


def overlap(one: Floats, other: Floats, seed: int) -> float:
    """The mean share of the K nearest by the cosine that both tables agree on, of a sample of their first rows."""
    n = min(len(one), len(other))
    if n < 2:
        return 1.0
    among = np.sort(np.random.default_rng(seed).permutation(n)[:AMONG])
    asked = np.random.default_rng(seed).permutation(len(among))[:SAMPLE].astype(np.int32)
    found = []
    for table in (one, other):
        units = unit(np.asarray(table[among], np.float32))
        found.append(ExactIndex(units).search(units[asked], K, itself(asked, len(units))).ids)
    hits = (found[0][:, :, None] == found[1][:, None, :]) & (found[0] >= 0)[:, :, None]
    return float((hits.sum(axis=(1, 2)) / np.maximum((found[0] >= 0).sum(axis=1), 1)).mean())
