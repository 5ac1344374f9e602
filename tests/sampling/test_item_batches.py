"""Batches of item pairs: what the negatives are, which of them do not count, and how often each was expected."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal, get_args

import numpy as np
import pytest

from pinfold.arrays import Doubles, Ints
from pinfold.data.interactions import Interactions
from pinfold.graph.bipartite import BipartiteGraph, build_graph
from pinfold.graph.neighborhoods import NeighborhoodConfig, neighborhoods, rank_window
from pinfold.sampling.item_batches import ItemBatch, ItemNegativesConfig, Sampler, hard_ranks
from pinfold.sampling.item_pairs import ItemPairs, PairsConfig, PairSource

NEAR = NeighborhoodConfig(size=3, steps=40)
SMALL = ItemNegativesConfig(batch_size=16, n_negatives=6)
N_ITEMS = 25
Kind = Literal["uniform", "popularity", "in-batch", "mixed"]
every_kind = pytest.mark.parametrize("kind", get_args(Kind))


@pytest.fixture(scope="module")
def uneven() -> BipartiteGraph:
    """30 users and 25 items of very unequal popularity; item 7 has no edges."""
    rng = np.random.default_rng(0)
    taken = rng.random((30, N_ITEMS)) < np.linspace(0.02, 0.8, N_ITEMS)
    taken[:, 7] = False
    users, items = np.nonzero(taken)
    return build_graph(Interactions.of(users.astype(np.int32), items.astype(np.int32), 30, N_ITEMS))


def sampler(graph: BipartiteGraph, config: ItemNegativesConfig = SMALL, n_layers: int = 1, history: int = 1) -> Sampler:
    nothing = np.zeros(0, np.int32)
    source = PairSource(PairsConfig(history=history), graph, Interactions.of(nothing, nothing, 0, 0), None)
    window = rank_window(graph, 3, 9, 5, NEAR, 0) if config.hard else None
    return Sampler(config, source, neighborhoods(graph, NEAR, 0), source.chances(), window, n_layers, guard=True)


def batches(made: Sampler, seed: int = 0, n_hard: int = 0) -> list[ItemBatch]:
    return list(made.batches(np.random.default_rng(seed), n_hard))


def named(batch: ItemBatch) -> tuple[Ints, Ints, Ints, Ints]:
    """Queries, positives, negatives and hard ones as items."""
    parts = (batch.queries, batch.positives, batch.negatives, batch.hard)
    return tuple(batch.nodes[part] for part in parts)  # type: ignore[return-value]


def partners(batch: ItemBatch) -> dict[int, set[int]]:
    """What the batch pairs with each query."""
    queries, positives, _, _ = named(batch)
    found: dict[int, set[int]] = {}
    for q, i in zip(queries.tolist(), positives.tolist(), strict=True):
        found.setdefault(q, set()).add(i)
    return found


def company(batch: ItemBatch) -> list[list[int]]:
    """What asks together with each row's query."""
    found: list[list[int]] = [[] for _ in batch.queries]
    for row, place in zip(*(part.tolist() for part in batch.more), strict=True):
        found[row].append(int(batch.nodes[place]))
    return found


def rows_of(batch: ItemBatch) -> Iterator[tuple[int, list[int]]]:
    """Each row's query and negatives."""
    queries, _, negatives, _ = named(batch)
    for row, query in enumerate(queries.tolist()):
        yield query, (negatives if negatives.ndim == 1 else negatives[row]).tolist()


@every_kind
@pytest.mark.parametrize("shared", [True, False])
def test_an_epoch_has_every_pair_once(uneven: BipartiteGraph, kind: Kind, shared: bool) -> None:
    made = sampler(uneven, replace(SMALL, negatives=kind, shared=shared))
    found = batches(made)
    assert len(found) == made.n_batches() == -(-made.source.n_pairs // 16)
    assert [len(batch.queries) for batch in found[:-1]] == [16] * (len(found) - 1)
    pairs = [pair for b in found for pair in zip(*(part.tolist() for part in named(b)[:2]), strict=True)]
    drawn = made.source.draw(np.random.default_rng(0))
    assert pairs[:16] == list(zip(drawn.queries.tolist(), drawn.items.tolist(), strict=True))[:16]
    assert sorted(q for q, _ in pairs) == sorted(drawn.queries.tolist())
    for batch in found:
        n = len(batch.queries)
        assert batch.weights.shape == (n,)
        assert batch.hard.shape == (n, 0)
        own = not shared and kind in ("uniform", "popularity")  # in-batch ones are the same for all
        assert batch.negatives.shape[:-1] == ((n,) if own else ())
        assert batch.log_draws.shape == (batch.negatives.shape[-1],)
        assert batch.log_draws.dtype == np.float32
        assert np.isfinite(batch.log_draws).all()
        assert batch.n_whole is None


@every_kind
@pytest.mark.parametrize("n_negatives", [1, 6, 60])
def test_shared_negatives_of_each_kind(uneven: BipartiteGraph, kind: Kind, n_negatives: int) -> None:
    counts = uneven.item_counts()
    for batch in batches(sampler(uneven, replace(SMALL, negatives=kind, n_negatives=n_negatives))):
        _, positives, negatives, _ = named(batch)
        assert len(np.unique(negatives)) == len(negatives)
        seconds = set(positives.tolist())
        match kind:
            case "uniform":
                assert len(negatives) == min(n_negatives, N_ITEMS)
            case "popularity":
                assert len(negatives) <= n_negatives
                assert (counts[negatives] > 0).all()
            case "in-batch":
                assert set(negatives.tolist()) == seconds
            case _:
                assert seconds <= set(negatives.tolist())
                assert len(negatives) <= len(seconds) + min(n_negatives, N_ITEMS)


@every_kind
def test_every_item_can_be_a_negative(uneven: BipartiteGraph, kind: Kind) -> None:
    """By popularity and in batches, every one that somebody has beside another."""
    made = sampler(uneven, replace(SMALL, negatives=kind, n_negatives=12), n_layers=0)
    found = np.unique(np.concatenate([named(batch)[2] for seed in range(20) for batch in batches(made, seed)]))
    can = np.flatnonzero(made.chances) if kind in ("popularity", "in-batch") else np.arange(N_ITEMS)
    assert found.tolist() == can.tolist()


@pytest.mark.parametrize("kind", ["uniform", "popularity"])
def test_own_negatives_differ_from_row_to_row(uneven: BipartiteGraph, kind: Kind) -> None:
    counts = np.zeros(N_ITEMS)
    for seed in range(5):
        for batch in batches(sampler(uneven, replace(SMALL, negatives=kind, shared=False)), seed):
            _, _, negatives, _ = named(batch)
            assert negatives.shape == (len(batch.queries), 6)
            assert len({tuple(row) for row in negatives.tolist()}) > 1
            counts += np.bincount(negatives.ravel(), minlength=N_ITEMS)
    if kind == "popularity":
        assert counts[7] == 0
        assert counts[20] > 4 * max(counts[1], 1)
    else:
        assert counts.min() > counts.max() / 2


@every_kind
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("history", [1, 6])
def test_taken_marks_exactly_what_asks_and_what_the_batch_pairs_with_the_query(
    uneven: BipartiteGraph, kind: Kind, shared: bool, history: int
) -> None:
    config = replace(SMALL, negatives=kind, shared=shared, n_negatives=15)
    for batch in batches(sampler(uneven, config, history=history)):
        positives, others = partners(batch), company(batch)
        expected = {
            (row, column)
            for row, (query, negatives) in enumerate(rows_of(batch))
            for column, item in enumerate(negatives)
            if item == query or item in positives[query] or item in others[row]
        }
        marked = list(zip(*(part.tolist() for part in batch.taken), strict=True))
        assert set(marked) == expected
        assert history > 1 or len(marked) == len(expected)
        assert expected or kind == "uniform"


@pytest.mark.parametrize("shared", [True, False])
def test_hard_negatives_come_from_the_querys_window(uneven: BipartiteGraph, shared: bool) -> None:
    made = sampler(uneven, replace(SMALL, hard=4, shared=shared, negatives="uniform"))
    assert made.window is not None
    assert (made.window == -1).any()
    assert (made.window >= 0).any()
    for batch in batches(made, n_hard=3):
        queries, _, negatives, hard = named(batch)
        assert hard.shape == (len(queries), 3)
        width, positives = negatives.shape[-1], partners(batch)
        marked = set(zip(*(part.tolist() for part in batch.taken), strict=True))
        assert batch.log_draws.shape == (width + 3,)
        for row, query in enumerate(queries.tolist()):
            candidates = set(made.window[query].tolist())
            for column, item in enumerate(hard[row].tolist()):
                missing = item not in candidates  # then some item stands in its place
                assert -1 in candidates or not missing
                wrong = missing or item == query or item in positives[query]
                if wrong:
                    assert (row, width + column) in marked
                elif item != 0:  # item 0 stands for the missing ones
                    assert (row, width + column) not in marked


def test_an_item_without_a_window_has_no_hard_negative(uneven: BipartiteGraph) -> None:
    made = sampler(uneven, replace(SMALL, hard=2))
    assert made.window is not None
    made = replace(made, window=np.full_like(made.window, -1))
    for batch in batches(made, n_hard=2):
        width = batch.negatives.shape[-1]
        rows, columns = batch.taken
        assert int((columns >= width).sum()) == 2 * len(batch.queries)
        assert len(np.unique(rows[columns >= width])) == len(batch.queries)


def test_without_a_window_there_are_no_hard_negatives(uneven: BipartiteGraph) -> None:
    assert all(batch.hard.shape[1] == 0 for batch in batches(sampler(uneven), n_hard=3))


def test_ranks_of_hard_negatives() -> None:
    assert hard_ranks(ItemNegativesConfig(), 3_000_000) == (2000, 5000)
    assert hard_ranks(ItemNegativesConfig(), 4000) == (200, 500)
    assert hard_ranks(ItemNegativesConfig(hard_ranks=(7, 9)), 4000) == (7, 9)
    for n_items in range(1, 200):
        first, last = hard_ranks(ItemNegativesConfig(), n_items)
        assert 0 <= first < last


def counted(made: Sampler, n: int) -> Doubles:
    """How often each item is among the negatives of an epoch's first batch."""
    counts = np.zeros(N_ITEMS)
    for seed in range(n):
        batch = next(iter(made.batches(np.random.default_rng(seed), 0)))
        counts[named(batch)[2]] += 1
    return counts / n


@every_kind
@pytest.mark.parametrize("n_negatives", [4, 40])
def test_log_draws_of_shared_negatives_against_counts(uneven: BipartiteGraph, kind: Kind, n_negatives: int) -> None:
    made = sampler(uneven, replace(SMALL, negatives=kind, n_negatives=n_negatives), n_layers=0)
    found = np.full(N_ITEMS, np.nan)
    for seed in range(100):
        batch = next(iter(made.batches(np.random.default_rng(seed), 0)))
        found[named(batch)[2]] = np.exp(batch.log_draws)
    frequencies, seen = counted(made, 800), ~np.isnan(found)
    assert seen.sum() >= 20
    # 5 standard deviations of 800 coin tosses; and the pairs of a batch are drawn without being put back
    most = 5 * np.sqrt(frequencies * (1 - frequencies) / 800) + 0.02
    assert (np.abs(found - frequencies) < most)[seen].all()


def test_a_hard_negative_is_expected_as_often_as_an_even_draw(uneven: BipartiteGraph) -> None:
    made = sampler(uneven, replace(SMALL, hard=2, negatives="uniform"))
    for batch in batches(made, n_hard=2):
        np.testing.assert_allclose(np.exp(batch.log_draws), 6 / N_ITEMS, rtol=1e-6)


@every_kind
@pytest.mark.parametrize("shared", [True, False])
def test_the_generator_decides_everything(uneven: BipartiteGraph, kind: Kind, shared: bool) -> None:
    made = sampler(uneven, replace(SMALL, negatives=kind, shared=shared, hard=2))
    first, again = batches(made, n_hard=2), batches(made, n_hard=2)
    for one, two in zip(first, again, strict=True):
        for name in ("nodes", "queries", "positives", "negatives", "hard", "log_draws", "weights"):
            np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
        for mine, same in zip(one.taken, two.taken, strict=True):
            np.testing.assert_array_equal(mine, same)
    other = batches(made, 1, n_hard=2)
    assert any(named(a)[0].tolist() != named(b)[0].tolist() for a, b in zip(first, other, strict=True))


def test_pairs_weigh_what_their_source_says(uneven: BipartiteGraph) -> None:
    given = ItemPairs(np.array([3, 9, 4], np.int32), np.array([5, 2, 8], np.int32), np.array([0.5, 1, 1.5], np.float32))
    nothing = np.zeros(0, np.int32)
    source = PairSource(PairsConfig(source="file"), uneven, Interactions.of(nothing, nothing, 0, 0), None, given)
    made = replace(sampler(uneven), source=source, chances=source.chances())
    (batch,) = batches(made)
    assert dict(zip(named(batch)[0].tolist(), batch.weights.tolist(), strict=True)) == {3: 0.5, 9: 1, 4: 1.5}


@pytest.mark.parametrize("guard", [True, False])
def test_the_pairs_own_edges_are_hidden_by_the_guard(uneven: BipartiteGraph, guard: bool) -> None:
    made = replace(sampler(uneven, history=4), guard=guard)
    n_edges = 0
    for batch in batches(made):
        block = batch.blocks[-1]
        rows, more = batch.more
        assert len(rows)
        asking, asked = np.append(batch.queries, more), np.append(batch.positives, batch.positives[rows])
        for one, other in ((asking, asked), (asked, asking)):
            for a, b in zip(one.tolist(), other.tolist(), strict=True):
                n_edges += b in block.forward.ids[block.forward.ptr[a] : block.forward.ptr[a + 1]]
    assert (n_edges == 0) == guard
