"""Regression trees as plain arrays: what LightGBM learned, evaluated without it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pinfold.arrays import Bools, Doubles, Floats, Ints, check_array
from pinfold.kernels.trees import tree_sums


@dataclass(frozen=True, slots=True)
class Forest:
    """Binary trees, all their nodes in one table, each parent above its children.

    A node with feature f sends x[f] <= threshold to the left, all else to the right, and NaN to the side that was
    learned. A leaf has feature -1.

    Raises:
        TypeError: an array of another dtype.
        ValueError: arrays that do not fit, children above their parents or out of range, numbers that are not finite.
    """

    roots: Ints  # (T,) the first node of each tree
    features: Ints  # (N,) columns; -1 for a leaf
    thresholds: Doubles  # (N,)
    left: Ints  # (N,) nodes; a leaf's own number
    right: Ints  # (N,)
    nan_left: Bools  # (N,)
    values: Doubles  # (N,) of leaves

    def __post_init__(self) -> None:
        n = len(self.features)
        check_array("roots", self.roots, np.int32, -1)
        for name in ("features", "left", "right"):
            check_array(name, getattr(self, name), np.int32, n)
        for name in ("thresholds", "values"):
            check_array(name, getattr(self, name), np.float64, n)
            if not np.isfinite(getattr(self, name)).all():
                raise ValueError(f"{name} must be finite")
        check_array("nan_left", self.nan_left, np.bool_, n)
        own = np.arange(n)
        leaf = self.features < 0
        for children in (self.left, self.right):
            fits = np.where(leaf, children == own, (children > own) & (children < n))
            if not fits.all():  # rising numbers: no walk down a tree goes round
                raise ValueError("the children of a node must come after it, and a leaf's are itself")
        if len(self.roots) and not (self.roots.min() >= 0 and self.roots.max() < n):
            raise ValueError(f"roots must lie in [0, {n})")

    def n_features(self) -> int:
        """The least number of columns that it can be asked with."""
        return int(self.features.max(initial=-1)) + 1

    def predict(self, table: Floats) -> Doubles:
        """The sum of what each tree says of each row of `table` (C, F). Shape (C,).

        Raises:
            TypeError: another dtype.
            ValueError: fewer columns than the trees ask for.
        """
        check_array("table", table, np.float32, -1, -1)
        if table.shape[1] < self.n_features():
            raise ValueError(f"table must have {self.n_features()} columns or more, got {table.shape[1]}")
        nodes = (self.features, self.thresholds, self.left, self.right, self.nan_left, self.values)
        return tree_sums(table, self.roots, *nodes)


def from_lightgbm(dump: dict[str, Any]) -> Forest:
    """The trees of a booster's `dump_model()`.

    Raises:
        ValueError: a split that is not numerical, or counts zeros as missing.
    """
    roots: list[int] = []
    nodes: list[list[float]] = []  # feature, threshold, left, right, nan_left, value
    for tree in dump["tree_info"]:
        roots.append(len(nodes))
        _flatten(tree["tree_structure"], nodes)
    table: NDArray[np.float64] = np.array(nodes, np.float64).reshape(-1, 6)
    features, left, right = (table[:, column].astype(np.int32) for column in (0, 2, 3))
    thresholds, values = (np.ascontiguousarray(table[:, column]) for column in (1, 5))
    return Forest(np.array(roots, np.int32), features, thresholds, left, right, table[:, 4] > 0, values)


def _flatten(node: dict[str, Any], nodes: list[list[float]]) -> int:
    """Write the node and all below it; returns its number."""
    own = len(nodes)
    if "leaf_value" in node:
        nodes.append([-1, 0, own, own, 0, node["leaf_value"]])
        return own
    if node["decision_type"] != "<=" or node["missing_type"] == "Zero":
        raise ValueError(f"cannot read a split of kind {node['decision_type']!r}, missing {node['missing_type']!r}")
    nan_left = node["default_left"] if node["missing_type"] == "NaN" else node["threshold"] >= 0  # else NaN is 0
    entry: list[float] = [node["split_feature"], node["threshold"], 0, 0, nan_left, 0]
    nodes.append(entry)
    entry[2] = _flatten(node["left_child"], nodes)
    entry[3] = _flatten(node["right_child"], nodes)
    return own
