"""An index that changes while it answers: a base that never does, and beside it what came and what has gone since.

Readers take no lock. Everything that they look at hangs on one state, which writers replace as a whole: entries are
only ever added behind those that a state counts, and what ends one says since which version it has ended.
"""

from dataclasses import dataclass, replace
from threading import Lock

import numpy as np

from pinfold.arrays import Bools, Floats, Ints, Longs, TopK, check_array
from pinfold.graph.csr import Csr, from_pairs
from pinfold.index.exact import ExactIndex, dropped
from pinfold.index.interface import Index

FIRST = 256  # entries that there is room for in the beginning
MORE = 64  # results beyond k that are asked of the base at first, for those that have gone
MANY = 20  # one row of the base in so many: that many have gone, and they are masked at once
NEVER = np.iinfo(np.int64).max
MOST_ROWS = np.iinfo(np.int32).max


@dataclass(frozen=True, slots=True)
class _State:
    """What a reader sees: of each array so many entries, and of what has ended all up to this version."""

    version: int
    n_rows: int
    n: int  # entries of the delta
    rows: Ints  # (C,) whose vector an entry is
    vectors: Floats  # (C, D)
    ended: Longs  # (C,) the version in which another entry took its place, or none
    n_hidden: int
    hidden: Ints  # (H,) rows of the base that count no longer, in the order of their going

    def alive(self) -> Bools:
        """Which entries of the delta count. Shape (n,)."""
        return self.ended[: self.n] > self.version


class LiveIndex:
    """An index over a base and its changes. Thread-safe: a search sees all of a change or nothing of it.

    Row r of the base is row r here. A row that is put gets its vector, whether it is new or the base has another; rows
    may be left out, which have no vector then and are never found.
    """

    def __init__(self, base: Index, vectors: Floats) -> None:
        """`vectors` (I, D) are what `base` holds; neither is ever changed."""
        self._base, self._vectors = base, vectors
        n, dim = vectors.shape
        self._hidden_since = np.full(n, NEVER)  # (I,) versions
        self._places: dict[int, int] = {}  # row -> its entry in the delta; for writers
        self._lock = Lock()
        self._state = _State(
            0, n, 0, np.empty(FIRST, np.int32), np.empty((FIRST, dim), np.float32), np.full(FIRST, NEVER), 0,
            np.empty(FIRST, np.int32),
        )  # fmt: skip

    @property
    def n_rows(self) -> int:
        """Rows that exist: one more than the highest that the base has or that was ever put."""
        return self._state.n_rows

    @property
    def n_delta(self) -> int:
        """Rows whose vector was put since the base was made."""
        return len(self._places)

    def put(self, row: int, vector: Floats) -> None:
        """Give a row its vector (D,), in place of any other; found by every search that begins afterwards.

        O(D), amortized: now and then the delta is copied.

        Raises:
            TypeError: a vector of another dtype.
            ValueError: a row out of range, a vector of another shape or with numbers that are not finite.
        """
        if not 0 <= row < MOST_ROWS:
            raise ValueError(f"row must lie in [0, {MOST_ROWS}), got {row}")
        check_array("vector", vector, np.float32, self._vectors.shape[1])
        if not np.isfinite(vector).all():
            raise ValueError("vector must be finite")
        with self._lock:
            state = self._without(self._roomy(), row)
            state.rows[state.n], state.vectors[state.n], state.ended[state.n] = row, vector, NEVER
            self._places[row] = state.n
            self._state = replace(state, n=state.n + 1, n_rows=max(state.n_rows, row + 1))

    def delete(self, row: int) -> bool:
        """Take a row's vector away; whether it had one. No search that begins afterwards finds it.

        Raises:
            ValueError: no such row.
        """
        with self._lock:
            if not 0 <= row < self._state.n_rows:
                raise ValueError(f"row must lie in [0, {self._state.n_rows}), got {row}")
            before = self._state
            self._state = self._without(before, row)
            there = row in self._places or self._state.n_hidden > before.n_hidden
            self._places.pop(row, None)
            return there

    def vector(self, row: int) -> Floats | None:
        """The vector (D,) that a row has now; None if it has none."""
        with self._lock:
            place = self._places.get(row)
            if place is not None:
                return np.array(self._state.vectors[place])
            in_base = 0 <= row < len(self._vectors) and self._hidden_since[row] == NEVER
            return np.array(self._vectors[row]) if in_base else None

    def search(self, queries: Floats, k: int, exclude: Csr | None = None, allowed: Bools | None = None) -> TopK:
        """The K best of all rows that count for each query (B, D).

        Since rows may come between what a caller counts and the search, widths need not be n_rows: `exclude` (B, any),
        and of `allowed` (any,), at least as long as the base, rows beyond its end are not allowed.

        Raises:
            TypeError: `allowed` is not of bools.
            ValueError: queries, exclude or allowed of another shape, k below 1.
        """
        state, n_base = self._state, len(self._vectors)
        if exclude is not None and exclude.n_rows != len(queries):
            raise ValueError(f"exclude must have {len(queries)} rows, got {exclude.n_rows}")
        if allowed is not None:
            check_array("allowed", allowed, np.bool_, max(len(allowed), n_base))
        found = self._in_base(state, queries, k, _narrowed(exclude, n_base), allowed)
        counts = state.alive()
        if not counts.any():
            return found
        rows = state.rows[: state.n]
        gone = None if exclude is None else _among(exclude, rows, counts)
        if allowed is not None:
            counts[rows >= len(allowed)] = False
            counts[counts] = allowed[rows[counts]]
        fresh = ExactIndex(state.vectors[: state.n]).search(queries, k, gone, counts)
        return best_of(found, TopK(np.where(fresh.ids >= 0, rows[fresh.ids], -1).astype(np.int32), fresh.scores))

    def _in_base(
        self, state: _State, queries: Floats, k: int, exclude: Csr | None, allowed: Bools | None
    ) -> TopK:  # fmt: skip
        """The best of the base, without what has gone."""
        n_base, n_hidden = len(self._vectors), state.n_hidden
        if allowed is not None or n_hidden * MANY > n_base:
            shown = np.ones(n_base, np.bool_) if allowed is None else allowed[:n_base].copy()
            shown[state.hidden[:n_hidden]] = False
            return self._base.search(queries, k, exclude, shown)
        if not n_hidden:
            return self._base.search(queries, k, exclude)
        more = min(n_hidden, MORE)
        found = self._base.search(queries, k + more, exclude)
        gone = (found.ids >= 0) & (self._hidden_since[found.ids] <= state.version)
        kept = dropped(found, gone, k)
        short = np.flatnonzero((kept.ids[:, -1] < 0) & (found.ids[:, -1] >= 0)).astype(np.int32)
        if len(short) and more < n_hidden:
            shown = np.ones(n_base, np.bool_)
            shown[state.hidden[:n_hidden]] = False
            again = self._base.search(queries[short], k, None if exclude is None else exclude.take(short), shown)
            kept.ids[short], kept.scores[short] = again.ids, again.scores
        return kept

    def _without(self, state: _State, row: int) -> _State:
        """The next state, in which a row has no vector. The lock is held."""
        version = state.version + 1
        if row in self._places:
            state.ended[self._places[row]] = version
        hidden, n_hidden = state.hidden, state.n_hidden
        if row < len(self._vectors) and self._hidden_since[row] == NEVER:
            if n_hidden == len(hidden):
                hidden = np.concatenate([hidden, np.empty_like(hidden)])
            hidden[n_hidden] = row
            self._hidden_since[row] = version
            n_hidden += 1
        return replace(state, version=version, hidden=hidden, n_hidden=n_hidden)

    def _roomy(self) -> _State:
        """The state with room for one more entry: in larger arrays, or without what has ended. The lock is held."""
        state = self._state
        if state.n < len(state.rows):
            return state
        kept = np.flatnonzero(state.alive())
        n, size = len(kept), max(FIRST, 2 * len(kept))
        rows, vectors = np.empty(size, np.int32), np.empty((size, self._vectors.shape[1]), np.float32)
        rows[:n], vectors[:n] = state.rows[kept], state.vectors[kept]
        self._places = {row: place for place, row in enumerate(rows[:n].tolist())}
        return replace(state, n=n, rows=rows, vectors=vectors, ended=np.full(size, NEVER))


def best_of(one: TopK, other: TopK) -> TopK:
    """The K best of two answers (B, K) that share no rows; of equal scores the lower row comes first."""
    ids, scores = np.concatenate([one.ids, other.ids], axis=1), np.concatenate([one.scores, other.scores], axis=1)
    order, lines = np.lexsort((ids, -scores), axis=1)[:, : one.ids.shape[1]], np.arange(len(ids))[:, None]
    return TopK(ids[lines, order], scores[lines, order])


def _narrowed(exclude: Csr | None, n_columns: int) -> Csr | None:
    """The entries in the first columns, as a matrix of this width."""
    if exclude is None or exclude.n_columns == n_columns:
        return exclude
    kept = exclude if exclude.n_columns < n_columns else exclude.only(exclude.ids < n_columns)
    return Csr(kept.ptr, kept.ids, kept.weights, n_columns)


def _among(exclude: Csr, rows: Ints, counts: Bools) -> Csr | None:
    """The entries of `exclude` that stand among `rows` (n,), as places there; None if there are none."""
    places = np.flatnonzero(counts)
    places = places[np.argsort(rows[places], kind="stable")]
    standing = rows[places]
    at = np.minimum(np.searchsorted(standing, exclude.ids), len(standing) - 1)
    hits = np.flatnonzero(standing[at] == exclude.ids)
    if not len(hits):
        return None
    owners = np.repeat(np.arange(exclude.n_rows, dtype=np.int32), exclude.degrees())[hits]
    columns = places[at[hits]].astype(np.int32)
    return from_pairs(owners, columns, np.ones(len(hits), np.float32), (exclude.n_rows, len(rows)))
