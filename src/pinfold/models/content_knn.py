"""Content-kNN: items with alike features are alike. What is known without anybody having taken anything."""

from dataclasses import replace
from typing import Literal

import numpy as np

from pinfold.arrays import Bools, Embeddings, Floats, check_array, unit
from pinfold.config import options
from pinfold.graph.bipartite import BipartiteGraph


@options
class ContentKNNConfig:
    """The cosine of item features; a user is the mean of the items they took. Needs features."""

    name: Literal["content-knn"] = "content-knn"


def content_knn(
    _config: ContentKNNConfig, graph: BipartiteGraph, content_items: Floats, indicators: Bools | None = None
) -> Embeddings:
    """Item vectors are feature rows at length 1, users the mean of their history; an event counts once.

    An item without features, a row of zeros, is like nothing: its scores are 0. So are those of a user without events.

    Args:
        _config: has no options.
        graph: who took what.
        content_items: (I, F) features.
        indicators: (F,) columns that say that a value is missing, which does not make two items alike: they are
            counted as 0. See `features.encoders.indicators`.

    Raises:
        TypeError: another dtype.
        ValueError: another number of rows, or features that are not finite.
    """
    units = _directions(content_items, graph.n_items, indicators)
    sums = graph.user_items.to_scipy().sign() @ units
    counts = np.maximum(graph.user_items.degrees(), 1).astype(np.float32)[:, None]
    return Embeddings(np.asarray(sums / counts, np.float32), units, units, history_exponent=1.0)


def extend_content_knn(learned: Embeddings, content_items: Floats) -> Embeddings:
    """The vectors with N more items, of which nothing but their features (N, F) is known; as if computed afresh.

    Features that no old item has, such as indicators that were not counted, are not counted here either.

    Raises:
        TypeError: another dtype.
        ValueError: rows of another length, or features that are not finite.
    """
    check_array("content_items", content_items, np.float32, -1, learned.items.shape[1])
    unused = np.asarray(~learned.items.any(axis=0), np.bool_)
    units = np.vstack([learned.items, _directions(content_items, len(content_items), unused)])
    return replace(learned, items=units, history=units)


def _directions(content_items: Floats, n: int, indicators: Bools | None) -> Floats:
    check_array("content_items", content_items, np.float32, n, -1)
    if not np.isfinite(content_items).all():
        raise ValueError("content_items must be finite; encoders fill in what is missing")
    if indicators is None:
        return unit(content_items)
    check_array("indicators", indicators, np.bool_, content_items.shape[1])
    return unit(np.where(indicators, np.float32(0), content_items))
