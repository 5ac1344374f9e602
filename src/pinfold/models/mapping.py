"""Where a newcomer lies, learned from those who are known: from what gathering makes of them to where they lie.

With a loss on cosines, popularity lies in the vectors' direction. What is gathered from users does not know it: new
items would enter thirteen times as many lists as after retraining. Nor does a sum over a history know what all users
have in common (docs/decisions/0003-history-vectors.md).
"""

from dataclasses import replace

import numpy as np
from threadpoolctl import threadpool_limits

from pinfold.arrays import BLOCK, Doubles, Embeddings, Floats, Longs, Takers, spans, unit
from pinfold.graph.bipartite import BipartiteGraph
from pinfold.graph.csr import Csr
from pinfold.graph.learned import Layered, Vectors
from pinfold.graph.passing import joined, pass_layers

RIDGE = 0.001
ROWS_RIDGE = 0.01  # .0001 to .01 give the same

# A predicted direction is shorter than 1, the more so the less is known. At length 1 new items stand in 2.6 times as
# many lists as after retraining, with 3/4 in as many, at its own length in .75 times as many (LightGCN, bundled data,
# benchmarks/fold_in.py). MF: 2.3, 1.9, 1.8 times; SGC: 6.2, 3.3, 2.9 times
SHRINKAGE = 0.75


def with_mapping(vectors: Vectors, graph: BipartiteGraph) -> Vectors:
    """The vectors with what newcomers need: history rows that are fitted, and the mapping that new items pass through.

    As they are where items cannot come after training. `Layered` keeps passing histories through its layers.
    """
    counts = graph.item_users.degrees()
    match vectors:
        case Embeddings(takers=Takers() as takers):
            mapping = fit_mapping(sums(takers, graph.item_users), counts, vectors.items)
            return _with_histories(replace(vectors, takers=replace(takers, mapping=mapping)), graph)
        case Layered(takers=(_, *_)):
            gathered = joined(vectors, pass_layers(vectors, vectors.takers, graph.item_users))
            return replace(vectors, mapping=fit_mapping(gathered, counts, vectors.items))
    return vectors


def _with_histories(vectors: Embeddings, graph: BipartiteGraph) -> Embeddings:
    """A newcomer is the mean of rows that are linear in item directions, a new item's row the mean of such of users."""
    if vectors.takers is None:
        raise ValueError("vectors without takers")
    directions, known = unit(vectors.users), graph.user_items.degrees() > 0  # the others are as long as at the start
    length = np.linalg.norm(vectors.users, axis=1).sum(dtype=np.float64, where=known) / max(known.sum(), 1)
    history = fit_rows(unit(vectors.items), graph.user_items, directions * np.float32(length))
    takers = replace(vectors.takers, history=fit_rows(directions, graph.item_users, history), history_exponent=1.0)
    return replace(vectors, history=history, history_exponent=1.0, takers=takers)


def fit_rows(rows: Floats, who: Csr, wanted: Floats) -> Floats:
    """Linear functions r M + c of rows (n, D), whose means over the entries of `who` (m, n) come nearest to `wanted`.

    Ridge regression over the rows of `who` that have entries; the penalty is ROWS_RIDGE times the mean square of a
    feature. Memory beside the result is that of `who` again and of BLOCK of its rows.

    Args:
        rows: (n, D).
        who: (m, n), each entry counted once.
        wanted: (m, D').

    Returns:
        (n, D').
    """
    once, counts = who.to_scipy().sign(), who.degrees()
    square, cross = (np.zeros((rows.shape[1] + 1, n)) for n in (rows.shape[1] + 1, wanted.shape[1]))
    with threadpool_limits(limits=1, user_api="blas"):  # more would change the last digits
        for span in spans(who.n_rows, BLOCK):
            known = counts[span] > 0
            means = (once[span] @ rows)[known] / counts[span][known, None].astype(np.float32)
            features = np.hstack([means, np.ones((len(means), 1))])
            square += features.T @ features
            cross += features.T @ wanted[span][known]
        penalty = max(ROWS_RIDGE * float(np.trace(square)) / len(square), 1e-12)
        found = np.linalg.solve(square + penalty * np.eye(len(square)), cross).astype(np.float32)
        return np.asarray(rows @ found[:-1] + found[-1], np.float32)


def sums(takers: Takers, who: Csr) -> Floats:
    """The vectors (N, D) of items that these users took (N, U), each counted once, before any mapping."""
    counts = np.maximum(who.degrees(), 1).astype(np.float32)[:, None]
    found: Floats = (who.to_scipy().sign() @ takers.items * counts**-takers.item_exponent).astype(np.float32)
    return found


def fit_mapping(gathered: Floats, counts: Longs, items: Floats) -> Floats:
    """What turns (gathered vector at length 1, 1, log n) into an item's vector at length 1 and the log of its length.

    Ridge regression over the items that somebody took; the penalty is RIDGE times the mean square of a feature.

    Args:
        gathered: (I, D) what the items get from their takers.
        counts: (I,) numbers n of takers.
        items: (I, D) the vectors that answers use.

    Returns:
        (D + 2, D + 1).
    """
    lengths = np.linalg.norm(items, axis=1).astype(np.float64)
    known = (counts > 0) & (lengths > 0)
    features = _features(gathered[known], counts[known])
    wanted = np.hstack([unit(items[known]), np.log(lengths[known])[:, None]])
    square = features.T @ features
    penalty = max(RIDGE * float(np.trace(square)) / len(square), 1e-12)
    return np.linalg.solve(square + penalty * np.eye(len(square)), features.T @ wanted).astype(np.float32)


def mapped(gathered: Floats, counts: Longs, mapping: Floats) -> Floats:
    """The vectors (N, D) of items with these gathered ones (N, D) and numbers of takers (N,); zero without takers."""
    found = (_features(gathered, counts) @ mapping).astype(np.float32)
    directions = found[:, :-1]
    certainty = np.linalg.norm(directions, axis=1, keepdims=True) ** SHRINKAGE
    lengths = np.exp(found[:, -1:]) * certainty * (counts > 0)[:, None]
    return np.asarray(unit(directions) * lengths, np.float32)


def _features(gathered: Floats, counts: Longs) -> Doubles:
    logs = np.log(np.maximum(counts, 1))[:, None]
    return np.hstack([unit(gathered), np.ones_like(logs), logs]).astype(np.float64)
