"""Newcomers of models trained on cosines: history rows that are fitted to known users."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse
from threadpoolctl import threadpool_limits

from pinfold.arrays import Embeddings, unit
from pinfold.graph.bipartite import BipartiteGraph
from pinfold.graph.csr import Csr, from_scipy
from pinfold.index.vectors import newcomers
from pinfold.models.lightgcn import LightGCNConfig
from pinfold.models.mapping import fit_rows, with_mapping
from pinfold.models.mf import MFConfig
from pinfold.models.shelf import build, extend


def entries(seed: int, n_rows: int, n_columns: int) -> Csr:
    some = np.random.default_rng(seed).random((n_rows, n_columns)) < 0.2
    return from_scipy(sparse.csr_array(some.astype(np.float32)))


def test_a_linear_function_with_a_constant_is_found_again() -> None:
    rng = np.random.default_rng(0)
    rows = unit(rng.normal(size=(50, 4)).astype(np.float32))
    true = rows @ rng.normal(size=(4, 3)).astype(np.float32) + np.array([5, 0, -2], np.float32)
    who = entries(1, 400, 50)
    wanted = (who.to_scipy() @ true / np.maximum(who.degrees(), 1)[:, None]).astype(np.float32)
    wanted[who.degrees() == 0] = 1e6  # of whom nothing is known, and who must not count
    found = fit_rows(rows, who, wanted)
    assert found.dtype == np.float32
    assert np.corrcoef(found.ravel(), true.ravel())[0, 1] > 0.999


def test_threads_do_not_change_a_bit() -> None:
    rng = np.random.default_rng(0)
    rows, wanted = (unit(rng.normal(size=(n, 64)).astype(np.float32)) for n in (1501, 4003))
    who, found = entries(1, 4003, 1501), []
    for threads in (1, 2, 3):
        with threadpool_limits(limits=threads, user_api="blas"):
            found.append(fit_rows(rows, who, wanted))
    np.testing.assert_array_equal(found[1], found[0])
    np.testing.assert_array_equal(found[2], found[0])


def test_rows_are_fitted_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    rows, wanted, who = rng.random((50, 4), np.float32), rng.random((400, 3), np.float32), entries(1, 400, 50)
    whole = fit_rows(rows, who, wanted)
    monkeypatch.setattr("pinfold.models.mapping.BLOCK", 7)
    np.testing.assert_allclose(fit_rows(rows, who, wanted), whole, rtol=1e-4, atol=1e-5)


def test_rows_that_nobody_has_are_harmless() -> None:
    nothing = Csr(np.zeros(4, np.int64), np.empty(0, np.int32), np.empty(0, np.float32), 5)
    found = fit_rows(np.ones((5, 2), np.float32), nothing, np.ones((3, 2), np.float32))
    np.testing.assert_array_equal(found, np.zeros((5, 2), np.float32))


def test_a_newcomer_knows_what_all_users_have_in_common(graph: BipartiteGraph) -> None:
    plain = build(MFConfig(), graph, 0).embed()
    assert isinstance(plain, Embeddings)
    common = np.zeros(plain.users.shape[1], np.float32)
    common[0] = 2 * np.linalg.norm(plain.users, axis=1).mean()
    shifted = replace(plain, users=plain.users + common)
    fitted = with_mapping(shifted, graph)
    assert isinstance(fitted, Embeddings)
    assert fitted.history_exponent == 1
    found, sums = (unit(newcomers(one, graph.user_items))[:, 0] for one in (fitted, shifted))
    assert found.min() > 0.8
    assert abs(sums.mean()) < 0.3  # what items alone say


def test_users_without_events_do_not_change_how_long_a_newcomer_is(graph: BipartiteGraph) -> None:
    plain = build(LightGCNConfig(), graph, 0).embed()
    assert isinstance(plain, Embeddings)
    assert plain.takers is not None
    more = from_scipy(sparse.vstack([graph.user_items.to_scipy(), sparse.csr_array((40, graph.n_items))], format="csr"))
    users = np.vstack([plain.users, np.full((40, plain.users.shape[1]), 9, np.float32)])
    takers = replace(plain.takers, items=users, history=users)
    again = with_mapping(replace(plain, users=users, takers=takers), BipartiteGraph(more, more.transpose()))
    assert isinstance(again, Embeddings)
    np.testing.assert_allclose(again.history, plain.history, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("config", [MFConfig(), LightGCNConfig()], ids=["mf", "lightgcn"])
def test_a_new_item_in_a_history_says_much_what_its_takers_items_say(
    config: MFConfig | LightGCNConfig, graph: BipartiteGraph
) -> None:
    learned = build(config, graph, 0).embed()
    assert isinstance(learned, Embeddings)
    takers = from_scipy(graph.item_users.to_scipy()[:5])  # five old items that come again
    extended = extend(config, learned, graph, takers)
    assert isinstance(extended, Embeddings)
    again, old = unit(extended.history[-5:]), unit(learned.history[:5])
    assert (again * old).sum(axis=1).min() > (unit(learned.history) @ old.T).mean()
