"""Where new items of models trained on cosines lie."""

from dataclasses import replace

import numpy as np
import pytest

from pinfold.arrays import Embeddings, Floats, check_array, unit, with_length
from pinfold.graph.bipartite import BipartiteGraph
from pinfold.graph.csr import Csr, from_scipy
from pinfold.graph.learned import Layered
from pinfold.models.gcn import GCNConfig, SGCConfig
from pinfold.models.lightgcn import LightGCNConfig
from pinfold.models.mapping import fit_mapping, mapped
from pinfold.models.mf import MFConfig
from pinfold.models.ngcf import NGCFConfig
from pinfold.models.pairwise import ObjectiveConfig
from pinfold.models.shelf import TrainedConfig, build, extend

NEW = 4  # the last items of the world
INNER = ObjectiveConfig(score="inner", length_exponent=0.5)
Config = MFConfig | LightGCNConfig | NGCFConfig | GCNConfig | SGCConfig
every_model = pytest.mark.parametrize("kind", [MFConfig, LightGCNConfig, NGCFConfig, GCNConfig, SGCConfig])


@pytest.fixture(scope="module")
def old(graph: BipartiteGraph) -> BipartiteGraph:
    """The world before its last items."""
    user_items = from_scipy(graph.user_items.to_scipy()[:, :-NEW])
    return BipartiteGraph(user_items, user_items.transpose())


@pytest.fixture(scope="module")
def takers(graph: BipartiteGraph) -> Csr:
    """Who takes them."""
    return from_scipy(graph.item_users.to_scipy()[-NEW:])


def made(config: TrainedConfig, old: BipartiteGraph) -> Embeddings | Layered:
    learned = build(config, old, 0).embed()
    assert isinstance(learned, Embeddings | Layered)
    return learned


def mapping_of(learned: Embeddings | Layered) -> Floats | None:
    if isinstance(learned, Layered):
        return learned.mapping
    assert learned.takers is not None
    return learned.takers.mapping


def without_mapping(learned: Embeddings | Layered) -> Embeddings | Layered:
    """As models were stored before there were mappings."""
    if isinstance(learned, Layered):
        return replace(learned, mapping=None)
    assert learned.takers is not None
    return replace(learned, takers=replace(learned.takers, mapping=None))


def new_items(config: TrainedConfig, learned: Embeddings | Layered, old: BipartiteGraph, takers: Csr) -> Floats:
    extended = extend(config, learned, old, takers)
    assert isinstance(extended, Embeddings | Layered)
    return extended.items[old.n_items :]


@every_model
def test_cosines_come_with_a_mapping_and_inner_products_without(kind: type[Config], old: BipartiteGraph) -> None:
    cosine, inner = made(kind(), old), made(kind(objective=INNER), old)
    mapping, dim = mapping_of(cosine), cosine.items.shape[1]
    assert mapping is not None
    check_array("mapping", mapping, np.float32, dim + 2, dim + 1)
    assert mapping_of(inner) is None


@every_model
def test_without_a_mapping_everything_is_as_it_was(kind: type[Config], old: BipartiteGraph, takers: Csr) -> None:
    """To the bit: models trained on inner products, and models stored before there were mappings."""
    inner, cosine = kind(objective=INNER), kind(objective=replace(INNER, score="cosine"))
    learned = made(inner, old)
    found = new_items(inner, learned, old, takers)
    np.testing.assert_array_equal(found, new_items(cosine, without_mapping(made(cosine, old)), old, takers))
    if isinstance(learned, Embeddings) and learned.takers:
        who, counts = takers.to_scipy().sign(), takers.degrees().astype(np.float32)[:, None]
        summed = (who @ learned.takers.items * counts**-learned.takers.item_exponent).astype(np.float32)
        np.testing.assert_array_equal(found, with_length(summed, 0.5))


@every_model
def test_old_items_that_come_again_lie_where_training_put_them(kind: type[Config], old: BipartiteGraph) -> None:
    """Nearer than gathering alone puts them, and no longer than trained ones."""
    config = kind(dim=6)
    learned = made(config, old)
    lengths = np.linalg.norm(learned.items, axis=1)
    found = new_items(config, learned, old, old.item_users)
    bare = new_items(config, without_mapping(learned), old, old.item_users)
    nearness = [(unit(one) * unit(learned.items)).sum(axis=1).mean() for one in (found, bare)]
    assert nearness[0] > nearness[1]
    assert -1 < np.log(np.linalg.norm(found, axis=1) / lengths).mean() < 0.02


@every_model
def test_answers_use_new_vectors_at_their_length(kind: type[Config], old: BipartiteGraph, takers: Csr) -> None:
    configs = [kind(objective=ObjectiveConfig(length_exponent=exponent)) for exponent in (0, 0.5, 1)]
    found = [new_items(config, made(config, old), old, takers) for config in configs]
    none, half, whole = (np.linalg.norm(one, axis=1) for one in found)
    np.testing.assert_allclose(half**2, none * whole, rtol=1e-4)
    np.testing.assert_allclose(unit(found[0]), unit(found[2]), atol=1e-5)


@every_model
def test_what_nobody_took_is_zero(kind: type[Config], old: BipartiteGraph) -> None:
    untaken = Csr(np.zeros(2, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32), old.n_users)
    assert not new_items(kind(), made(kind(), old), old, untaken).any()


def test_the_mapping_finds_popularity_in_direction_and_length() -> None:
    """From items whose direction is their taste and the log of their popularity."""
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 500, 2000)
    gathered = (rng.normal(size=(2000, 4)) * rng.uniform(0.1, 9, (2000, 1))).astype(np.float32)
    gathered[:, 3] = 0
    logs = np.log(np.maximum(counts, 1))[:, None]
    items = (unit(unit(gathered) + [0, 0, 0, 0.2] * logs) * np.exp(0.3 * logs + 1)).astype(np.float32)
    items[counts == 0] = 99  # nobody took them, so that they say nothing
    items[:5] = 0
    mapping = fit_mapping(gathered[:1000], counts[:1000], items[:1000])
    found, wanted, taken = mapped(gathered[1000:], counts[1000:], mapping), items[1000:], counts[1000:] > 0
    assert not found[~taken].any()
    assert ((unit(found) * unit(wanted)).sum(axis=1)[taken] > 0.95).all()
    often = counts[1000:] > 30  # of the others, length 1 is a worse fit to what is no straight line
    np.testing.assert_allclose(np.linalg.norm(found, axis=1)[often], np.exp(0.3 * logs[1000:, 0] + 1)[often], rtol=0.15)


def test_a_direction_that_taste_does_not_decide_makes_shorter_vectors() -> None:
    """By the power 3/4 of the part of a unit vector that can be known."""
    rng = np.random.default_rng(0)
    gathered, counts = rng.normal(size=(20_000, 3)).astype(np.float32), np.full(20_000, 7)
    chance = rng.choice([-1, 1], (20_000, 1))
    items = np.hstack([unit(gathered) * np.float32(0.6), chance * np.float32(0.8)]).astype(np.float32) * 2
    gathered = np.hstack([gathered, np.zeros_like(gathered[:, :1])])
    found = mapped(gathered, counts, fit_mapping(gathered, counts, items))
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 2 * 0.6**0.75, rtol=0.03)


def test_a_mapping_from_nothing_is_harmless() -> None:
    mapping = fit_mapping(np.ones((3, 2), np.float32), np.zeros(3, np.int64), np.ones((3, 2), np.float32))
    assert not mapped(np.ones((2, 2), np.float32), np.array([1, 5]), mapping).any()
