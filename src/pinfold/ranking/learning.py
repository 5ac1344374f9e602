"""Learning to rank with LightGBM's LambdaMART: lists of candidates with what was taken, in; trees out."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from pinfold.arrays import Bools, Doubles, Floats, Ints, Longs
from pinfold.config import options
from pinfold.errors import ConfigError
from pinfold.ranking.candidates import CandidatesConfig
from pinfold.ranking.features import NAMES, first_places, prior
from pinfold.ranking.forest import Forest, from_lightgbm

INSTALL = "training a ranker needs LightGBM, which is not installed: pip install 'pinfold[rank]'"


@options
class RankerConfig:
    """How the second stage learns."""

    candidates: CandidatesConfig = CandidatesConfig()
    users: Annotated[int, Field(ge=2, description="users to learn from at most, drawn by the seed")] = 5000
    folds: Annotated[
        int, Field(ge=3, le=20, description="shares of users in time; all but the first tell when to stop")
    ] = 5
    trees: Annotated[int, Field(ge=1, le=5000, description="at most")] = 400
    patience: Annotated[int, Field(ge=1, description="trees without a better NDCG@10 before stopping")] = 25
    learning_rate: Annotated[float, Field(gt=0, le=1, description="what each tree counts")] = 0.05
    leaves: Annotated[int, Field(ge=2, le=256, description="of a tree at most")] = 15
    depth: Annotated[int, Field(ge=1, le=16, description="of a tree at most")] = 6
    min_leaf: Annotated[int, Field(ge=1, description="candidates in a leaf at least")] = 50
    l2: Annotated[float, Field(ge=0, description="on the values of leaves")] = 10.0
    columns: Annotated[float, Field(gt=0, le=1, description="share of the features that each tree may use")] = 0.7
    prior: Annotated[
        float,
        Field(ge=0, description="how much the first stage's order counts before the first tree; 0: trees alone"),
    ] = 0.0


@dataclass(frozen=True, slots=True)
class Lists:
    """Lists of candidates, one below the other."""

    sizes: Longs  # (Q,) candidates of each list
    features: Floats  # (C, F)
    taken: Bools  # (C,) the labels

    def take(self, lists: Longs) -> "Lists":
        """Some of the lists, in their order."""
        ends = np.cumsum(self.sizes)
        rows = np.concatenate([np.arange(ends[q] - self.sizes[q], ends[q]) for q in lists])
        return Lists(self.sizes[lists], self.features[rows], self.taken[rows])


@dataclass(frozen=True, slots=True)
class Learned:
    """A forest, and what its candidates were worth without it and with it."""

    forest: Forest
    scores: Doubles  # (C,) of every candidate by trees that learned from earlier lists; 0 in lists not judged
    judged: Bools  # (Q,) which lists have been: all but the first two folds
    n_trees: list[int]  # of each fold but the first


def learn(
    lists: Lists, config: RankerConfig, seed: int, order: Doubles | None = None,
    advance: Callable[[], None] = lambda: None,
) -> Learned:  # fmt: skip
    """Trees by LambdaMART (Burges, MSR-TR-2010-82), as many as did best on later users.

    The lists are cut into folds in the order of time. For each fold but the first trees learn from the earlier ones
    until NDCG@10 on this fold has not risen for `patience` trees: as in use, what was learned has to suit what comes
    later. (With folds of random users a ranker of MovieLens looked good that was not.) A fold is judged by as many
    trees as the median of the folds before it: how many suit it best, it may not say itself, or noise looks like a
    gain. The forest that is kept learns from all lists, as many trees as the median fold.

    Args:
        lists: what to learn from.
        config: the options.
        seed: of the trees, and of the order where there are no times.
        order: (Q,) a time of each list; None: random.
        advance: called after each of `folds` steps.

    Raises:
        ConfigError: LightGBM is not installed, or there are fewer lists with something taken than folds.
    """
    asked = _hits(lists) > 0  # a list without anything taken has no order to learn
    if asked.sum() < config.folds:
        raise ConfigError(
            f"only {asked.sum()} users of the validation part took a candidate, and {config.folds} folds need as many; "
            "raise split.valid_share, or give more candidates"
        )
    by_time = np.random.default_rng([seed, 0xF01D]).random(len(asked)) if order is None else order
    fold = _folds(by_time, asked, config.folds)
    scores = np.zeros(len(lists.features))
    n_trees: list[int] = []
    for k in range(1, config.folds):
        learning = lists.take(np.flatnonzero(asked & (fold < k)))
        if n_trees:
            mine = np.repeat(fold == k, lists.sizes)
            judge = _boost_exactly(learning, config, seed, int(np.median(n_trees)))
            scores[mine] = _prior(config, lists.features[mine]) + judge.predict(lists.features[mine])
        n_trees.append(len(_boost(learning, config, seed, lists.take(np.flatnonzero(asked & (fold == k)))).roots))
        advance()
    forest = _boost_exactly(lists.take(np.flatnonzero(asked)), config, seed, int(np.median(n_trees)))
    advance()
    return Learned(forest, scores, fold > 1, n_trees)


def _boost_exactly(lists: Lists, config: RankerConfig, seed: int, n_trees: int) -> Forest:
    """So many trees, perhaps none."""
    return _boost(lists, config, seed, None, n_trees) if n_trees else from_lightgbm({"tree_info": []})


def _folds(order: Doubles, asked: Bools, n: int) -> Longs:
    """The fold 0, 1, ... of each list (Q,), in the order of time, as many of the asked ones in each."""
    sort = np.argsort(order, kind="stable")
    place = np.maximum(np.cumsum(asked[sort]) - 1, 0)  # among the asked
    fold = np.empty(len(order), np.int64)
    fold[sort] = place * n // asked.sum()
    return fold


def _prior(config: RankerConfig, table: Floats) -> Doubles:
    return prior(table, config.prior, config.candidates.model)


def _hits(lists: Lists) -> Longs:
    starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(lists.taken, dtype=np.int64)])
    ends = np.cumsum(lists.sizes)
    return np.asarray(starts[ends] - starts[ends - lists.sizes], np.int64)


def _boost(lists: Lists, config: RankerConfig, seed: int, valid: Lists | None, n_trees: int | None = None) -> Forest:
    """Trees from these lists; with `valid` as many as do best there, perhaps none."""
    lightgbm = _lightgbm()
    options: dict[str, Any] = {
        "objective": "lambdarank", "metric": "ndcg", "eval_at": [10], "lambdarank_truncation_level": 30,
        "learning_rate": config.learning_rate, "num_leaves": config.leaves, "max_depth": config.depth,
        "min_data_in_leaf": config.min_leaf, "min_sum_hessian_in_leaf": 1e-3, "lambda_l2": config.l2,
        "feature_fraction": config.columns, "seed": seed % 2**31, "deterministic": True, "force_row_wise": True,
        "num_threads": 1, "verbosity": -1,
    }  # fmt: skip
    train = _data(lightgbm, lists, config)
    if valid is None:
        return from_lightgbm(lightgbm.train(options, train, n_trees).dump_model())
    before = float(np.mean(list_ndcg(valid, _prior(config, valid.features)))) if config.prior else -np.inf
    best: dict[str, Any] = {}
    stop = lightgbm.early_stopping(config.patience, verbose=False)
    booster = lightgbm.train(
        options, train, config.trees, [_data(lightgbm, valid, config, train)],
        callbacks=[stop, lightgbm.record_evaluation(best)],
    )  # fmt: skip
    if max(best["valid_0"]["ndcg@10"]) <= before:
        return from_lightgbm({"tree_info": []})
    return from_lightgbm(booster.dump_model(num_iteration=booster.best_iteration))


def _data(lightgbm: Any, lists: Lists, config: RankerConfig, like: Any = None) -> Any:
    start = _prior(config, lists.features) if config.prior else None
    return lightgbm.Dataset(
        lists.features, lists.taken.astype(np.int32), group=lists.sizes, init_score=start,
        feature_name=list(NAMES), reference=like, params={"num_threads": 1, "verbosity": -1},
    )  # fmt: skip


def list_ndcg(lists: Lists, scores: Doubles, n_relevant: Ints | Longs | None = None, k: int = 10) -> Doubles:
    """NDCG@k of each list (Q,) in the order of scores, equal ones as the first stage has them.

    Args:
        lists: the candidates.
        scores: (C,).
        n_relevant: (Q,) how many there were to find; None: those among the candidates.
        k: places that count.
    """
    ends = np.cumsum(lists.sizes)
    wanted = _hits(lists) if n_relevant is None else n_relevant
    gains = 1 / np.log2(np.arange(2, k + 2))
    ideal = np.concatenate([np.zeros(1), np.cumsum(gains)])
    found, first = np.zeros(len(lists.sizes)), first_places(lists.features)
    for q, (start, end) in enumerate(zip(ends - lists.sizes, ends, strict=True)):
        order = np.lexsort((first[start:end], -scores[start:end]))[:k]
        found[q] = lists.taken[start:end][order] @ gains[: len(order)]
    return np.asarray(found / np.maximum(ideal[np.minimum(wanted, k)], 1e-12), np.float64)


def _lightgbm() -> Any:
    """The library, imported when it is needed and no earlier."""
    try:
        import lightgbm
    except ImportError as error:
        raise ConfigError(INSTALL) from error
    return lightgbm
