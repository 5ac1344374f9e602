"""Recommendations by the weighted sum of several models' standardized scores."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pinfold.arrays import Bools, Floats, Ints, TopK
from pinfold.errors import ConfigError
from pinfold.graph.csr import Csr
from pinfold.graph.learned import Blend
from pinfold.index.exact import check_asked, excluded, forbid, itself
from pinfold.index.explanation import Explanation
from pinfold.index.scores import scores, scores_new
from pinfold.kernels.topk import top_k

BLENDED = 128  # rows scored at once: what suits a graph filter suits the others


@dataclass(frozen=True, slots=True)
class BlendRecommender:
    """Scores are sums of standardized scores."""

    learned: Blend
    n_items: int
    seen: Csr  # (U, I)

    def recommend(self, users: Ints, k: int, allowed: Bools | None = None) -> TopK:
        """By what each member says of these users."""
        histories = self.seen.take(users)
        return self._best(histories, k, allowed, lambda rows, part: scores(self.learned, users[rows], part))

    def recommend_new(self, histories: Csr, k: int, allowed: Bools | None = None) -> TopK:
        """By what each member says of the histories (B, I); nothing for somebody who took nothing."""
        return self._best(histories, k, allowed, lambda _, part: scores_new(self.learned, part))

    def similar(self, items: Ints, k: int, allowed: Bools | None = None) -> TopK:
        """What goes with this item alone."""
        return self.recommend_new(itself(items, self.n_items), k, allowed)

    def explain(self, user: int, item: int) -> Explanation:  # noqa: ARG002
        """Not to be had.

        Raises:
            ConfigError: always.
        """
        raise _no_sum()

    def explain_new(self, history: Ints, item: int) -> Explanation:  # noqa: ARG002
        """Not to be had.

        Raises:
            ConfigError: always.
        """
        raise _no_sum()

    def _best(self, histories: Csr, k: int, allowed: Bools | None, score: Callable[[slice, Csr], Floats]) -> TopK:
        check_asked(histories.n_rows, self.n_items, k, histories, allowed)
        ids = np.empty((histories.n_rows, k), np.int32)
        found_scores = np.empty((histories.n_rows, k), np.float32)
        for start in range(0, histories.n_rows, BLENDED):
            rows = slice(start, min(start + BLENDED, histories.n_rows))
            part = histories.take(np.arange(rows.start, rows.stop, dtype=np.int32))
            block = score(rows, part)
            block[part.degrees() == 0] = -np.inf
            forbid(block, allowed)
            found = top_k(block, *excluded(histories, start, len(block)), k)
            ids[rows], found_scores[rows] = found.ids, found.scores
        return TopK(ids, found_scores)


def _no_sum() -> ConfigError:
    return ConfigError(
        "a blend brings each member's scores to one scale for every user, so its score is no sum over the history; "
        "train one of its members alone and explain that"
    )
