"""What the recommended lists do to the catalogue: coverage, novelty, popularity lift, inequality.

These numbers need no held-out items. They say which items get seen, not whether users like them.
"""

import numpy as np

from pinfold.arrays import Doubles, Ints, Longs, check_array


def mean_popularity(history_ptr: Longs, history_ids: Ints, item_counts: Ints | Longs) -> Doubles:
    """Mean train count of the items each user took; nan for a user who took none. Shape (B,).

    Args:
        history_ptr: (B + 1,) pointers into
        history_ids: (E,) item rows, the train items of the B users one after another.
        item_counts: (I,) train users of each item.
    """
    check_array("history_ptr", history_ptr, np.int64, -1)
    check_array("history_ids", history_ids, np.int32, int(history_ptr[-1]))
    totals = np.append(0, np.cumsum(item_counts[history_ids], dtype=np.int64))  # (E + 1,)
    return _ratio(np.diff(totals[history_ptr]), np.diff(history_ptr))


def exposure_metrics(
    top: Ints, item_counts: Ints | Longs, k: int, *, n_users: int, history_popularity: Doubles
) -> dict[str, float]:
    """Coverage@k, novelty@k, popularity_lift@k and gini@k of the lists, as defined in docs/metrics.md.

    Args:
        top: (B, K) item rows, best first; -1 where there are fewer than K.
        item_counts: (I,) distinct train users of each item. An item that nobody took counts as taken by one user
            in novelty: its surprise is then the greatest finite one, log2(n_users).
        k: cut-off, from 1 to K.
        n_users: train users, at least max(item_counts).
        history_popularity: (B,) from `mean_popularity`, for the users of `top`. Users with nan or with an empty list
            are left out of popularity_lift; when nobody remains, so is the key.

    Raises:
        TypeError: another dtype.
        ValueError: another shape, a number out of range, or lists without any item.

    Novelty: Zhou et al., PNAS 2010. Popularity lift: Abdollahpouri et al., RMSE workshop at RecSys 2019, whose
    delta GAP is our lift - 1.
    """
    _check(top, item_counts, k, n_users, history_popularity)
    lists = top[:, :k]  # (B, k)
    shown = np.bincount(lists[lists >= 0], minlength=len(item_counts))  # (I,) lists that hold each item
    surprise = np.log2(n_users / np.maximum(item_counts, 1))  # (I,) bits
    metrics = {
        f"coverage@{k}": float(np.mean(shown > 0)),
        f"novelty@{k}": float(np.nanmean(_list_means(surprise, lists))),
        f"gini@{k}": _gini(shown),
    }
    popularity = _list_means(item_counts.astype(np.float64), lists)  # (B,)
    both = ~np.isnan(popularity) & ~np.isnan(history_popularity)  # (B,)
    if both.any():
        metrics[f"popularity_lift@{k}"] = float(popularity[both].mean() / history_popularity[both].mean())
    return metrics


def _list_means(values: Doubles, lists: Ints) -> Doubles:
    """Mean value of the items of each list; nan for a list without items. Shape (B,)."""
    is_item = lists >= 0  # (B, k)
    return _ratio(np.where(is_item, values[lists], 0.0).sum(axis=1), is_item.sum(axis=1))


def _ratio(sums: Doubles | Longs, counts: Longs) -> Doubles:
    ratio: Doubles = np.divide(sums, counts, out=np.full(len(sums), np.nan), where=counts > 0)
    return ratio


def _gini(counts: Longs) -> float:
    """Gini coefficient of counts: 0 when all are equal, (I - 1) / I when one item has everything."""
    n = len(counts)
    weights = 2 * np.arange(1, n + 1) - n - 1  # (I,)
    return float(weights @ np.sort(counts) / (n * counts.sum()))


def _check(top: Ints, item_counts: Ints | Longs, k: int, n_users: int, history_popularity: Doubles) -> None:
    check_array("top", top, np.int32, -1, -1)
    check_array("history_popularity", history_popularity, np.float64, len(top))
    if item_counts.dtype not in (np.int32, np.int64):
        raise TypeError(f"item_counts must have dtype int32 or int64, got {item_counts.dtype}")
    if not 1 <= k <= top.shape[1]:
        raise ValueError(f"k must be from 1 to the list length {top.shape[1]}, got {k}")
    if top[:, :k].max(initial=-1) < 0:
        raise ValueError("the lists hold no item")
    if top.max() >= len(item_counts):
        raise ValueError(f"top names item {top.max()}, but item_counts has {len(item_counts)} items")
    if not 1 <= item_counts.max() <= n_users or item_counts.min() < 0:
        raise ValueError(f"item_counts must count distinct train users, 0 to n_users = {n_users}, and not be all 0")
    if history_popularity.min(initial=1, where=~np.isnan(history_popularity)) <= 0:
        raise ValueError("history_popularity must be above 0: an item in a train history has a train user")
