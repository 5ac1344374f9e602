"""A batch among processes: each takes some of its rows, and their losses add up to the whole batch's."""

from dataclasses import replace
from typing import Literal

import numpy as np

from pinfold.arrays import Doubles, Longs
from pinfold.sampling.pairs import PairBatch, Share

Mean = Literal["edges", "rows", "users"]


def share_pairs(batch: PairBatch, rank: int, size: int, mean: Mean) -> PairBatch | None:
    """Rows rank, rank + size, rank + 2 size .. of the batch; None where there are none.

    Args:
        batch: the same in all processes.
        rank: which share, from 0.
        size: how many shares.
        mean: what the loss of the batch is a mean over: its edges; its rows; or its users' means over their edges.
    """
    rows = np.arange(rank, len(batch.users), size)
    if not len(rows):
        return None
    edges = rows if batch.owner is None else np.flatnonzero(batch.owner % size == rank)
    weights = _weights(batch, mean)[rows if mean == "rows" else edges]
    return replace(
        batch,
        users=batch.users[rows],
        positives=batch.positives[edges],
        owner=None if batch.owner is None else batch.owner[edges] // size,
        negatives=batch.negatives if batch.negatives.ndim == 1 else batch.negatives[rows],
        taken=None if batch.taken is None else _taken_of(batch.taken, rank, size),
        log_draws=batch.log_draws if batch.log_draws.ndim == 1 else batch.log_draws[rows],
        share=Share(len(batch.positives), weights.astype(np.float32), rank == 0),
    )


def _weights(batch: PairBatch, mean: Mean) -> Doubles:
    """What each value, of an edge (E,) or of a row (R,), weighs in the batch's mean."""
    match mean:
        case "edges":
            return np.full(len(batch.positives), 1 / len(batch.positives))
        case "rows":
            return np.full(len(batch.users), 1 / len(batch.users))
        case "users":
            _, place, counts = np.unique(batch.edge_users(), return_inverse=True, return_counts=True)
            weights: Doubles = 1 / (counts[place] * len(counts))
            return weights


def _taken_of(taken: tuple[Longs, Longs], rank: int, size: int) -> tuple[Longs, Longs]:
    """The entries of these rows, by their new numbers."""
    rows, columns = taken
    own = rows % size == rank
    return rows[own] // size, columns[own]
