"""How good the recommended lists are: one value per user and metric.

Callers mask what a user already took and rank the full catalogue. docs/metrics.md has every formula and the
published code it agrees with. Batches keep memory small: `ranking_metrics` makes a few (B, K) arrays of doubles.
"""

from collections.abc import Sequence

import numpy as np

from pinfold.arrays import Bools, Doubles, Ints, Longs, check_array


def hits(top: Ints, relevant_ptr: Longs, relevant_ids: Ints) -> Bools:
    """Whether each recommended item is relevant. Shape (B, K).

    Args:
        top: (B, K) item rows, best first, distinct within a list; -1 where there are fewer than K.
        relevant_ptr: (B + 1,) pointers into
        relevant_ids: (R,) item rows, the held-out items of the same B users; they increase inside a user.

    Raises:
        TypeError: another dtype.
        ValueError: another shape, or item rows of a user that are not sorted and distinct.
    """
    check_array("top", top, np.int32, -1, -1)
    check_array("relevant_ptr", relevant_ptr, np.int64, len(top) + 1)
    check_array("relevant_ids", relevant_ids, np.int32, -1)
    n_relevant = np.diff(relevant_ptr)  # (B,)
    if relevant_ptr[0] != 0 or relevant_ptr[-1] != len(relevant_ids) or (n_relevant < 0).any():
        raise ValueError(f"relevant_ptr must rise from 0 to the {len(relevant_ids)} relevant_ids")
    if relevant_ids.min(initial=0) < 0:
        raise ValueError("relevant_ids must not be negative")
    n_items = 1 + int(max(top.max(initial=0), relevant_ids.max(initial=0)))
    users = np.arange(len(top), dtype=np.int64)  # (B,)
    # One number per pair (user, item): all users are looked up in a single sorted array.
    keys = np.repeat(users, n_relevant) * n_items + relevant_ids  # (R,)
    if (np.diff(keys) <= 0).any():
        raise ValueError("relevant_ids must be sorted and distinct inside each user")
    wanted = users[:, None] * n_items + top  # (B, K)
    # The appended -1 answers for places behind the last key; no item >= 0 has that key.
    nearest = np.append(keys, -1)[np.searchsorted(keys, wanted)]  # (B, K)
    found: Bools = (nearest == wanted) & (top >= 0)  # (B, K)
    return found


def ranking_metrics(hit: Bools, n_relevant: Ints | Longs, ks: Sequence[int]) -> dict[str, Doubles]:
    """Per-user recall, precision, f1, ndcg, map, mrr and hit at each k, under keys like "recall@20"; each (B,).

    Args:
        hit: (B, K) from `hits`.
        n_relevant: (B,) held-out items of each user, at least 1: users without any are not evaluated.
        ks: cut-offs, each from 1 to K.

    Raises:
        TypeError: another dtype.
        ValueError: another shape, a k out of range, a user without relevant items, or more hits than relevant items.

    Recall, precision and ndcg are LightGCN's (He et al., SIGIR 2020; gusye1234/LightGCN-PyTorch, code/utils.py).
    map divides by min(k, n_relevant) as Kaggle's MAP@12 does; trec_eval's map_cut divides by n_relevant.
    """
    _check(hit, n_relevant, ks)
    hit = hit[:, : max(ks)]
    ranks = np.arange(1, hit.shape[1] + 1, dtype=np.float64)  # (K,)
    # Running sums up to every rank. Sums in rank order keep a perfect list at exactly 1.
    found = np.cumsum(hit, axis=1)  # (B, K)
    gains = np.cumsum(hit / np.log2(ranks + 1), axis=1)  # (B, K)
    ideal_gains = np.cumsum(1 / np.log2(ranks + 1))  # (K,)
    precisions = np.cumsum(hit * found / ranks, axis=1)  # (B, K)
    first_rank = np.where(hit.any(axis=1), hit.argmax(axis=1) + 1, np.inf)  # (B,)
    metrics: dict[str, Doubles] = {}
    for k in ks:
        n_found = found[:, k - 1]  # (B,)
        n_possible = np.minimum(n_relevant, k)  # (B,)
        metrics[f"recall@{k}"] = n_found / n_relevant
        metrics[f"precision@{k}"] = n_found / k
        metrics[f"f1@{k}"] = 2 * n_found / (k + n_relevant)  # 2PR / (P + R) without its 0 / 0
        metrics[f"ndcg@{k}"] = gains[:, k - 1] / ideal_gains[n_possible - 1]
        metrics[f"map@{k}"] = precisions[:, k - 1] / n_possible
        metrics[f"mrr@{k}"] = np.where(first_rank <= k, 1 / first_rank, 0.0)
        metrics[f"hit@{k}"] = (n_found > 0).astype(np.float64)
    return metrics


def _check(hit: Bools, n_relevant: Ints | Longs, ks: Sequence[int]) -> None:
    check_array("hit", hit, np.bool_, -1, -1)
    if n_relevant.dtype not in (np.int32, np.int64):
        raise TypeError(f"n_relevant must have dtype int32 or int64, got {n_relevant.dtype}")
    if n_relevant.shape != (len(hit),):
        raise ValueError(f"n_relevant must have shape ({len(hit)},), got {n_relevant.shape}")
    if not ks or min(ks) < 1 or max(ks) > hit.shape[1]:
        raise ValueError(f"ks must be from 1 to the list length {hit.shape[1]}, got {list(ks)}")
    if n_relevant.min(initial=1) < 1:
        raise ValueError("every user must have a relevant item; leave out users without held-out items")
    if (hit.sum(axis=1) > n_relevant).any():
        raise ValueError("a user has more hits than relevant items; each item may stand once in a list")
