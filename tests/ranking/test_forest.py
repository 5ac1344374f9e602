"""Trees as arrays: the same answers as LightGBM's, and no absurd ones."""

from dataclasses import replace
from typing import Any

import lightgbm
import numpy as np
import pytest

from pinfold.arrays import Floats
from pinfold.ranking.forest import Forest, from_lightgbm


def rows(n: int, seed: int, nan: float = 0.3) -> Floats:
    """Numbers with gaps, ties, zeros and tiny values."""
    rng = np.random.default_rng(seed)
    table = rng.normal(size=(n, 6)).astype(np.float32)
    table[:, 1] = rng.integers(-2, 3, n)
    table[:, 2] *= np.float32(1e-38)
    table[rng.random(table.shape) < nan] = np.nan
    return table


@pytest.fixture(scope="module", params=[0.3, 0.0], ids=["gaps", "no gaps"])
def booster(request: pytest.FixtureRequest) -> Any:
    table = rows(3000, 0, request.param)
    target = np.nan_to_num(table[:, 0]) * 2 + np.isnan(table[:, 3]) + np.nan_to_num(table[:, 1]) ** 2
    options = {"objective": "regression", "num_leaves": 15, "verbosity": -1, "num_threads": 1, "min_data_in_leaf": 5}
    return lightgbm.train(options, lightgbm.Dataset(table, target), 60)


@pytest.fixture
def forest(booster: Any) -> Forest:
    return from_lightgbm(booster.dump_model())


def test_equal_to_lightgbm(booster: Any, forest: Forest) -> None:
    table = rows(2000, 1)  # with gaps, also where learning saw none
    np.testing.assert_allclose(forest.predict(table), booster.predict(table), rtol=1e-12, atol=1e-12)
    met = forest.thresholds[np.abs(forest.thresholds) < 1e30]  # a gap alone splits at 1e300
    at_thresholds = np.repeat(met[:, None], 6, axis=1).astype(np.float32)
    np.testing.assert_allclose(forest.predict(at_thresholds), booster.predict(at_thresholds), rtol=1e-12, atol=1e-12)
    assert len(forest.roots) == 60
    assert forest.n_features() <= 6


def test_by_hand() -> None:
    leaf = {"leaf_value": 2.5}
    split = {"split_feature": 1, "threshold": 0.5, "decision_type": "<=", "default_left": False, "missing_type": "NaN"}
    tree = {"tree_structure": split | {"left_child": {"leaf_value": -1.0}, "right_child": leaf}}
    alone = {"tree_structure": {"leaf_value": 10.0}}
    forest = from_lightgbm({"tree_info": [tree, alone]})
    table = np.array([[9, 0.5], [9, 0.6], [9, np.nan]], np.float32)
    assert forest.predict(table).tolist() == [9.0, 12.5, 12.5]
    assert from_lightgbm({"tree_info": []}).predict(table).tolist() == [0, 0, 0]
    with pytest.raises(ValueError, match="cannot read a split"):
        from_lightgbm({"tree_info": [{"tree_structure": tree["tree_structure"] | {"decision_type": "=="}}]})


def test_absurd_trees_are_refused(forest: Forest) -> None:
    inner = int(np.flatnonzero(forest.features >= 0)[1])
    for name, value in (("left", 0), ("left", inner), ("right", len(forest.features)), ("right", -1)):
        children = getattr(forest, name).copy()
        children[inner] = value
        with pytest.raises(ValueError, match="children of a node must come after it"):
            replace(forest, **{name: children})
    broken = forest.values.copy()
    broken[3] = np.inf
    with pytest.raises(ValueError, match="values must be finite"):
        replace(forest, values=broken)
    with pytest.raises(ValueError, match="roots must lie in"):
        replace(forest, roots=np.array([len(forest.features)], np.int32))
    with pytest.raises(TypeError, match="features must have dtype"):
        replace(forest, features=forest.features.astype(np.int64))
    with pytest.raises(ValueError, match="columns or more"):
        forest.predict(np.zeros((2, 1), np.float32))
