"""The live index against a dictionary of vectors: whatever was put and deleted, in whatever order."""

import threading

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from pinfold.arrays import Floats, TopK
from pinfold.graph.csr import Csr
from pinfold.index.building import build_index
from pinfold.index.config import IndexConfig
from pinfold.index.exact import ExactIndex
from pinfold.index.interface import Index
from pinfold.index.live import LiveIndex

DIM = 4


def floats(*shape: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def csr(rows: list[list[int]], n_columns: int) -> Csr:
    ids = np.array([row for line in rows for row in line], np.int32)
    return Csr(np.cumsum([0, *map(len, rows)]).astype(np.int64), ids, np.ones(len(ids), np.float32), n_columns)


def twin(vectors: dict[int, Floats], queries: Floats, k: int, without: list[set[int]]) -> list[list[tuple[int, float]]]:
    answers = []
    for query, gone in zip(queries, without, strict=True):
        scored = [(row, float(query @ vector)) for row, vector in vectors.items() if row not in gone]
        answers.append(sorted(scored, key=lambda one: (-one[1], one[0]))[:k])
    return answers


def assert_equal(found: TopK, expected: list[list[tuple[int, float]]]) -> None:
    for ids, scores, line in zip(found.ids, found.scores, expected, strict=True):
        assert ids[: len(line)].tolist() == [row for row, _ in line]
        np.testing.assert_allclose(scores[: len(line)], [score for _, score in line], rtol=1e-4, atol=1e-5)
        assert (ids[len(line) :] == -1).all()


class Machine(RuleBasedStateMachine):
    """Puts and deletes at random, a search after each."""

    def __init__(self) -> None:
        super().__init__()
        self.seed = 0

    @initialize(n=st.integers(0, 40), kind=st.sampled_from(["exact", "ivf"]))
    def begin(self, n: int, kind: str) -> None:
        items = floats(n, DIM)
        # every list is searched, so that the answer is the true one
        base: Index = ExactIndex(items)
        if kind == "ivf" and n >= 8:
            base = build_index(items, IndexConfig(kind="ivf", lists=2, probes=2), 0)
        self.live, self.vectors = LiveIndex(base, items), {row: items[row] for row in range(n)}
        self.n_rows = n

    @rule(row=st.integers(0, 60))
    def put(self, row: int) -> None:
        self.seed += 1
        vector = floats(DIM, seed=self.seed + 1000)
        self.live.put(row, vector)
        self.vectors[row] = vector
        self.n_rows = max(self.n_rows, row + 1)

    @rule(row=st.integers(0, 60))
    def delete(self, row: int) -> None:
        if row < self.n_rows:
            assert self.live.delete(row) == (self.vectors.pop(row, None) is not None)
        else:
            with pytest.raises(ValueError, match="row must lie in"):
                self.live.delete(row)

    @rule(seed=st.integers(0, 10_000), k=st.integers(1, 70), masked=st.booleans(), excluding=st.booleans())
    def search(self, seed: int, k: int, masked: bool, excluding: bool) -> None:
        rng, n = np.random.default_rng(seed), self.n_rows
        queries, allowed = floats(2, DIM, seed=seed), (rng.random(n) < 0.4 if masked else None)
        width = int(rng.integers(0, n + 5))
        out = [np.flatnonzero(rng.random(width) < 0.3).tolist() if excluding else [] for _ in range(2)]
        without = [set(line) | set(() if allowed is None else np.flatnonzero(~allowed).tolist()) for line in out]
        found = self.live.search(queries, k, csr(out, width) if excluding else None, allowed)
        assert_equal(found, twin(self.vectors, queries, k, without))

    @invariant()
    def all_is_there(self) -> None:
        if not hasattr(self, "live"):
            return
        assert self.live.n_rows == self.n_rows
        queries = floats(1, DIM, seed=3)
        assert_equal(self.live.search(queries, 5), twin(self.vectors, queries, 5, [set()]))
        for row in (0, self.n_rows // 2, self.n_rows):
            vector = self.live.vector(row)
            assert (vector is None) == (row not in self.vectors)
            assert vector is None or (vector == self.vectors[row]).all()


TestLiveIndex = Machine.TestCase
TestLiveIndex.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)


def test_many_changes_of_few_rows_do_not_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pinfold.index.live.FIRST", 8)
    live = LiveIndex(ExactIndex(floats(20, DIM)), floats(20, DIM))
    for step in range(2000):
        live.put(18 + step % 4, floats(DIM, seed=step))
    assert live.n_delta == 4
    assert len(live._state.rows) <= 16
    assert_equal(
        live.search(floats(1, DIM, seed=5), 30),
        twin({row: np.asarray(live.vector(row)) for row in range(22)}, floats(1, DIM, seed=5), 30, [set()]),
    )


@pytest.mark.parametrize("n_gone", [1, 60, 200, 990])
def test_as_many_as_there_are_come_back_however_many_have_gone(n_gone: int) -> None:
    items = floats(1000, DIM)
    query = floats(1, DIM, seed=9)
    order = np.argsort(-(query @ items.T)[0])
    for base in (ExactIndex(items), build_index(items, IndexConfig(kind="ivf"), 0)):
        live = LiveIndex(base, items)
        for row in order[:n_gone].tolist():  # the best ones
            live.delete(row)
        found = live.search(query, 15).ids[0]
        assert (found >= 0).sum() == min(15, 1000 - n_gone)
        assert not np.isin(found[found >= 0], order[:n_gone]).any()


def test_a_mask_may_be_older_than_the_index() -> None:
    live = LiveIndex(ExactIndex(floats(5, DIM)), floats(5, DIM))
    live.put(7, floats(DIM, seed=1))
    query = floats(1, DIM, seed=2)
    assert 7 not in live.search(query, 9, None, np.ones(6, np.bool_)).ids
    assert 7 in live.search(query, 9, None, np.ones(20, np.bool_)).ids
    with pytest.raises(ValueError, match="allowed must have shape"):
        live.search(query, 9, None, np.ones(4, np.bool_))
    with pytest.raises(ValueError, match="exclude must have 1 rows"):
        live.search(query, 9, csr([[], []], 5))


@pytest.mark.parametrize(
    ("row", "vector", "message"),
    [(-1, floats(DIM), "row"), (2**31, floats(DIM), "row"), (0, floats(DIM + 1), "vector must have shape"),
     (0, np.full(DIM, np.nan, np.float32), "finite"), (0, np.full(DIM, np.inf, np.float32), "finite")],
)  # fmt: skip
def test_what_is_no_vector_of_a_row_changes_nothing(row: int, vector: Floats, message: str) -> None:
    live = LiveIndex(ExactIndex(floats(5, DIM)), floats(5, DIM))
    with pytest.raises(ValueError, match=message):
        live.put(row, vector)
    assert (live.n_rows, live.n_delta) == (5, 0)


def faults(found: TopK) -> list[str]:
    """What is wrong with answers from which 3 has gone for ever, and in which 7 is near one of the two queries."""
    wrong = []
    for ids, scores in zip(found.ids, found.scores, strict=True):
        kept = ids[ids >= 0]
        if len(np.unique(kept)) != len(kept):
            wrong.append("an item twice")
        if (kept == 7).sum() != 1 or (kept == 3).any():
            wrong.append("7 lost or 3 back")
        if (np.diff(scores[ids >= 0]) > 0).any():
            wrong.append("order")
    return wrong if (found.ids[:, 0] == 7).sum() == 1 else [*wrong, "7 in both places or in neither"]


def test_readers_beside_a_writer_see_whole_changes() -> None:
    """The writer moves one item to and fro, renews others and lets the delta grow: each search finds each once."""
    items = floats(300, DIM)
    live = LiveIndex(build_index(items, IndexConfig(kind="ivf", lists=4, probes=4), 0), items)
    places = np.array([[100, 0, 0, 0], [0, 100, 0, 0]], np.float32)
    wrong: list[str] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            wrong.extend(faults(live.search(places, 400)))

    live.put(7, places[0])
    live.delete(3)
    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for step in range(2000):
        live.put(7, places[step % 2])
        live.put(10 + step % 350, floats(DIM, seed=step))
        if step % 3 == 0:
            live.delete(10 + (step * 7) % 290)
    done.set()
    for reader in readers:
        reader.join()
    assert wrong == []
