"""Where wanted items stand among all others, without luck: items of equal scores share their places evenly."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from pinfold.arrays import Doubles, Floats, Ints, Longs, check_array
from pinfold.graph.csr import Csr
from pinfold.index.exact import block_rows

SCALE = 100  # places that count as one in mrr_scaled

Score = Callable[[Ints], Floats]  # rows (B,) to scores (B, I) in an array of its own, which will be overwritten


@dataclass(frozen=True, slots=True)
class Questions:
    """Rows that are asked about, users or items, and for each the one item that is wanted."""

    rows: Ints  # (N,) in [0, R)
    targets: Ints  # (N,) in [0, I)
    left_out: Csr  # (R, I) items that are not counted for a row, such as the row's own item
    candidates: Ints | None = None  # (C,) ascending; the only items that are counted, None for all

    def __post_init__(self) -> None:
        check_array("rows", self.rows, np.int32, -1)
        check_array("targets", self.targets, np.int32, len(self.rows))
        if not len(self.rows):
            raise ValueError("there must be a question")
        for name, numbers, n in (("rows", self.rows, self.left_out.n_rows), ("targets", self.targets, self.n_items)):
            if numbers.min() < 0 or numbers.max() >= n:
                raise ValueError(f"{name} must lie in [0, {n}), found {numbers.min()} to {numbers.max()}")
        if self.candidates is not None:
            check_array("candidates", self.candidates, np.int32, -1)
            ends = [-1, *self.candidates[[0, -1]].tolist(), self.n_items] if len(self.candidates) else [0, 0]
            if not (np.diff(ends) > 0)[[0, -1]].all() or (np.diff(self.candidates) <= 0).any():
                raise ValueError(f"candidates must be ascending rows in [0, {self.n_items}), and at least one")
            if not np.isin(self.targets, self.candidates).all():
                raise ValueError("every target must be a candidate")

    @property
    def n_items(self) -> int:
        """I."""
        return self.left_out.n_columns


@dataclass(frozen=True, slots=True)
class Ranks:
    """The places that each target may have, 1 being the best: items of its score can stand in any order."""

    first: Longs  # (N,) behind all that score higher
    last: Longs  # (N,) behind all that score as high, too


def find_ranks(score: Score, questions: Questions) -> Ranks:
    """Where the targets stand.

    Raises:
        ValueError: scores of another shape, a score that is NaN, or a target that is left out.
    """
    return find_several_ranks(lambda rows: [score(rows)], 1, questions)[0]


def find_several_ranks(score: Callable[[Ints], Iterable[Floats]], n: int, questions: Questions) -> list[Ranks]:
    """Where the targets stand by each of `n` scores, which `score` gives one after another for the same rows.

    Every row is scored once, in blocks; memory is 2 BLOCK_BYTES (index/exact.py) and what `score` holds.

    Raises:
        ValueError: as `find_ranks`.
    """
    asked, place = np.unique(questions.rows, return_inverse=True)  # (A,), (N,)
    order = np.argsort(place, kind="stable")
    found = [Ranks(np.empty(len(place), np.int64), np.empty(len(place), np.int64)) for _ in range(n)]
    size = block_rows(questions.n_items)
    for start in range(0, len(asked), size):
        rows = asked[start : start + size]
        bounds = np.searchsorted(place[order], [start, start + size])
        mine = order[bounds[0] : bounds[1]]  # the questions about these rows
        for ranks, block in zip(found, score(rows), strict=True):
            counted = _counted(block, rows, questions)
            ranks.first[mine], ranks.last[mine] = _count(
                counted, place[mine] - start, _columns(questions, questions.targets[mine])
            )
    return found


def _counted(block: Floats, rows: Ints, questions: Questions) -> Floats:
    """The scores of what is counted; NaN, which is neither above nor equal to anything, at what is left out."""
    check_array("scores", block, np.float32, len(rows), questions.n_items)
    if np.isnan(block).any():
        raise ValueError("scores must not be NaN")
    left_out = questions.left_out.take(rows)
    block[np.repeat(np.arange(len(rows)), left_out.degrees()), left_out.ids] = np.nan
    return block if questions.candidates is None else block[:, questions.candidates]


def _columns(questions: Questions, items: Ints) -> Longs:
    """Where items stand among what is counted."""
    if questions.candidates is None:
        return items.astype(np.int64)
    return np.searchsorted(questions.candidates, items)


def _count(scores: Floats, rows: Longs, targets: Longs) -> tuple[Longs, Longs]:
    """First and last places (n,) of targets in rows of scores, as many rows at once as fit into BLOCK_BYTES."""
    first, last = np.empty(len(rows), np.int64), np.empty(len(rows), np.int64)
    size = block_rows(scores.shape[1])
    for start in range(0, len(rows), size):
        part = slice(start, start + size)
        lines = scores[rows[part]]
        own = np.take_along_axis(lines, targets[part, None], axis=1)
        first[part] = np.count_nonzero(lines > own, axis=1) + 1
        last[part] = first[part] + np.count_nonzero(lines == own, axis=1) - 1
    if (last < first).any():
        raise ValueError("a target is among the items that are left out for its row")
    return first, last


def rank_metrics(ranks: Ranks, ks: Sequence[int]) -> dict[str, Doubles]:
    """hit@k for each k, mrr and mrr_scaled of each question, under such keys; each (N,).

    Where items tie, the mean over all orders of them: McSherry and Najork, ECIR 2008. So equal scores for all items
    are worth what drawing the list by lot is worth. mrr_scaled is PinSage's MRR, the mean of 1 / ceil(rank / 100)
    (Ying et al., KDD 2018, section 4.2).
    """
    places = np.arange(1, int(ranks.last.max()) + 1)
    metrics = {f"hit@{k}": _mean_value((places <= k).astype(np.float64), ranks) for k in ks}
    metrics["mrr"] = _mean_value(1 / places, ranks)
    metrics["mrr_scaled"] = _mean_value(1 / np.ceil(places / SCALE), ranks)
    return metrics


def _mean_value(values: Doubles, ranks: Ranks) -> Doubles:
    """Mean of values[rank - 1] over the places from first to last."""
    sums = np.append(0, np.cumsum(values))
    mean: Doubles = (sums[ranks.last] - sums[ranks.first - 1]) / (ranks.last - ranks.first + 1)
    return mean
