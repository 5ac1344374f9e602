"""What models say about pairs of items, and two of them together."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from pinfold.arrays import Embeddings, Floats, Ints, Longs, check_array, unit
from pinfold.evaluation.item_pairs import ItemPairs, ItemScorer
from pinfold.evaluation.ranks import Score, find_several_ranks, rank_metrics
from pinfold.graph.convolved import Convolved
from pinfold.graph.csr import Csr
from pinfold.graph.interests import Interests
from pinfold.graph.learned import Layered, Learned
from pinfold.index.exact import itself
from pinfold.index.scores import scores, scores_new

GRID = tuple(2.0**power for power in range(-6, 7))
POWERS = (0.0, 0.5, 1.0)


@dataclass(frozen=True, slots=True)
class ProductScorer:
    """The product of item vectors: their cosine, where they have length 1."""

    vectors: Floats  # (I, D)

    def scores(self, items: Ints) -> Floats:
        """Products (B, I) with all items."""
        return np.asarray(self.vectors[items] @ self.vectors.T, np.float32)


@dataclass(frozen=True, slots=True)
class HistoryScorer:
    """What a model says to a newcomer who took one item."""

    learned: Learned
    n_items: int

    def scores(self, items: Ints) -> Floats:
        """Scores (B, I) of all items."""
        return np.array(scores_new(self.learned, itself(items, self.n_items)), np.float32)


@dataclass(frozen=True, slots=True)
class ConstantScorer:
    """The same scores whatever is asked: popularity."""

    values: Floats  # (I,)

    def scores(self, items: Ints) -> Floats:
        """The values in each row (B, I)."""
        return np.tile(self.values, (len(items), 1))


@dataclass(frozen=True, slots=True)
class LogScorer:
    """The logs of a scorer's shares: added to log chances, which is what a softmax learns, they multiply them."""

    scorer: ItemScorer
    least: float = 1e-5  # added before, so that what is never met has a log

    def scores(self, items: Ints) -> Floats:
        """Logs (B, I).

        Raises:
            ValueError: a score below 0, which is no share.
        """
        shares = self.scorer.scores(items)
        if (shares < 0).any():
            raise ValueError("a score is below 0 and has no log; only shares, such as those of walks, have logs")
        return np.asarray(np.log(shares + np.float32(self.least)), np.float32)


@dataclass(frozen=True, slots=True)
class Mixture:
    """How much each of several scorers counts: the first `weights[0]`, another m `weights[m]` / c^power.

    c is how often the item that is asked about was taken, as a multiple of the median: walks from an item of many
    users have seen more of them, so that beside them all else should count less.
    """

    weights: Floats  # (M,)
    power: float = 0.0

    def of(self, counts: Floats) -> Floats:
        """Weights (M, B) for items of these counts (B,), multiples of the median."""
        found = np.repeat(self.weights[:, None], len(counts), axis=1)
        found[1:] *= counts ** np.float32(-self.power)
        return found


@dataclass(frozen=True, slots=True)
class WeightedScorer:
    """The weighted sum of what several scorers say, each row of each brought to mean 0 and deviation 1 first."""

    scorers: tuple[ItemScorer, ...]
    mixture: Mixture
    counts: Floats  # (I,) how often each item was taken, see `relative`

    def __post_init__(self) -> None:
        check_array("weights", self.mixture.weights, np.float32, len(self.scorers))
        check_array("counts", self.counts, np.float32, -1)

    def scores(self, items: Ints) -> Floats:
        """The sums (B, I); a row of equal scores adds nothing."""
        return _weighted([standardized(one.scores(items)) for one in self.scorers], self.mixture.of(self.counts[items]))


def relative(counts: Longs) -> Floats:
    """How often items were taken (I,), at least once, as multiples of the median of those that were taken."""
    taken = np.maximum(counts, 1)
    return np.asarray(taken / np.median(taken[counts > 0] if (counts > 0).any() else taken), np.float32)


def item_scorer(learned: Learned, n_items: int) -> ItemScorer:
    """How a model is asked about one item.

    PinSage by the product of item vectors, which is what it learns, and how it answers somebody who has one item (with
    length_exponent 1). Other vectors by their cosine, as `similar` answers. All others, and popularity, whose vectors
    have one dimension and so no angle, by what they say to a newcomer who took this item: for item similarities that
    is the item's row.
    """
    match learned:
        case Convolved():
            return ProductScorer(learned.vectors.items)
        case Interests():
            return ProductScorer(unit(learned.items))
        case Embeddings() | Layered() if learned.items.shape[1] > 1:
            return ProductScorer(unit(learned.items))
        case _:
            return HistoryScorer(learned, n_items)


def user_scorer(learned: Learned, histories: Csr) -> Score:
    """How a model is asked about users who have histories (U, I): by row, the scores (B, I) of all items."""
    return lambda users: np.array(scores(learned, users, histories.take(users)), np.float32)


def fit_weights(
    scorers: Sequence[ItemScorer],
    pairs: ItemPairs,
    counts: Floats,
    metric: str = "hit@10",
    grid: Sequence[float] = GRID,
    powers: Sequence[float] = POWERS,
) -> Mixture:
    """The mixture for `WeightedScorer` with the highest mean of `metric` on pairs of the validation part.

    Tried are: each scorer alone; and the first with weight 1 beside every combination of `grid` for the others, with
    every power. Of equals the earlier one in this order is taken. Every query is scored once by each scorer; memory is
    that of M + 2 blocks (index/exact.py).

    Raises:
        ValueError: no scorers, or an unknown metric; known are hit@K, mrr and mrr_scaled.
    """
    if not scorers:
        raise ValueError("there must be a scorer")
    name, _, k = metric.partition("@")
    if not (name == "hit" and k.isdecimal() and int(k) > 0) and metric not in ("mrr", "mrr_scaled"):
        raise ValueError(f"unknown metric {metric!r}; known are hit@K, mrr and mrr_scaled")
    tried = [Mixture(weights) for weights in np.eye(len(scorers), dtype=np.float32)]
    if len(scorers) > 1:
        mixed = [np.array((1.0, *others), np.float32) for others in product(grid, repeat=len(scorers) - 1)]
        tried += [Mixture(weights, power) for power in powers for weights in mixed]

    def each(rows: Ints) -> Iterator[Floats]:
        parts = [standardized(one.scores(rows)) for one in scorers]
        for mixture in tried:
            yield _weighted(parts, mixture.of(counts[rows]))

    ks = (int(k),) if k else ()
    found = find_several_ranks(each, len(tried), pairs.questions())
    return tried[int(np.argmax([rank_metrics(ranks, ks)[metric].mean() for ranks in found]))]


def standardized(block: Floats) -> Floats:
    """The rows (B, I) with mean 0 and deviation 1; a row of equal scores becomes 0. Overwrites them."""
    block -= block.mean(axis=1, keepdims=True, dtype=np.float64).astype(np.float32)
    spread = block.std(axis=1, keepdims=True, dtype=np.float64).astype(np.float32)
    block *= np.divide(np.float32(1), spread, out=np.zeros_like(spread), where=spread > 0)
    return block


def _weighted(parts: Sequence[Floats], weights: Floats) -> Floats:
    """The sum (B, I) of the parts with weights (M, B)."""
    total = np.zeros_like(parts[0])
    for each, part in zip(weights, parts, strict=True):
        if each.any():
            total += each[:, None] * part
    return total
