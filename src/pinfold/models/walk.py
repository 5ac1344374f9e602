"""Random walks with restart alone: what somebody who browses from an item meets most often. Pixie without a model."""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field
from scipy import sparse

from pinfold.arrays import Doubles
from pinfold.config import options
from pinfold.graph.bipartite import BipartiteGraph
from pinfold.graph.csr import Csr, from_pairs, from_scipy
from pinfold.graph.learned import ItemSimilarity
from pinfold.graph.neighborhoods import (
    NeighborhoodConfig,
    Neighborhoods,
    fresh_neighborhoods,
    neighborhood_blocks,
)
from pinfold.models.fold_in import grow

BLOCK = 4096  # items whose neighborhoods are held at once beside what is kept


@options
class WalkConfig:
    """Shares of visits of random walks with restart (Eksombatchai et al., WWW 2018), for every item beforehand."""

    name: Literal["walk"] = "walk"
    method: Annotated[
        Literal["walks", "push"], Field(description="walks that are walked, or their limit by forward push")
    ] = "push"
    size: Annotated[int, Field(ge=1, description="most visited other items kept for each item")] = 1000
    steps: Annotated[int, Field(ge=1, le=2**24, description="random steps from each item; for method 'walks'")] = 20_000
    restart: Annotated[float, Field(gt=0, le=1, description="chance to go back to the item after each step")] = 0.5
    weighted: Annotated[bool, Field(description="draw edges in proportion to their weights, else evenly")] = False
    epsilon: Annotated[
        float, Field(gt=0, le=1, description="of push: how much may stay behind at a node, for each of its edges")
    ] = 1e-5


def walk(config: WalkConfig, graph: BipartiteGraph, seed: int) -> ItemSimilarity:
    """Row j: shares of the visits of walks from item j, 1 in sum, to the `size` items visited most.

    A history is scored by the sum over its items, each of which walks as far as the others. Pixie gives items with
    many users more steps (section 3.1.2), and adds square roots and squares the sum (eq. 3), so that what several
    walks meet counts more; that is no sum over a history, and left out. Memory: 8 bytes for each share kept.
    """
    parts = neighborhood_blocks(graph, _neighbors(config), seed, BLOCK)
    blocks = [_shares(part, graph.n_items).to_scipy() for part in parts]
    return ItemSimilarity(from_scipy(sparse.vstack(blocks, format="csr")))


def extend_walk(
    config: WalkConfig, learned: ItemSimilarity, graph: BipartiteGraph, takers: Csr, seed: int = 0
) -> ItemSimilarity:
    """The shares with N more items, taken by `takers` (N, U); no old share changes.

    A new item's walks go through the old graph: they do not meet other new items. What old items say of a new one
    follows without a walk, because on an undirected graph d_j p(j, i) = d_i p(i, j), with d the weight of an item's
    edges. That holds for visits; for shares of visits to other items it is close.
    """
    near = _neighbors(config)
    below = _shares(fresh_neighborhoods(graph, near, seed, takers), graph.n_items)
    old, new = (_strengths(edges, config) for edges in (graph.item_users, takers))
    back = sparse.diags_array(1 / np.maximum(old, 1e-30)) @ below.to_scipy().T @ sparse.diags_array(new)
    wider = Csr(below.ptr, below.ids, below.weights, graph.n_items + takers.n_rows)
    return ItemSimilarity(grow(learned.weights, back, wider, config.size))


def _neighbors(config: WalkConfig) -> NeighborhoodConfig:
    return NeighborhoodConfig(
        method=config.method,
        size=config.size,
        steps=config.steps,
        restart=config.restart,
        weighted=config.weighted,
        epsilon=config.epsilon,
    )


def _shares(found: Neighborhoods, n_items: int) -> Csr:
    """Neighborhoods as a sparse (B, I) matrix."""
    rows, places = np.nonzero(found.ids >= 0)
    shape = (len(found.ids), n_items)
    return from_pairs(rows.astype(np.int32), found.ids[rows, places], found.weights[rows, places], shape)


def _strengths(edges: Csr, config: WalkConfig) -> Doubles:
    """The weight of the edges by which walks leave and reach each row."""
    if not config.weighted:
        return edges.degrees().astype(np.float64)
    return np.asarray(edges.to_scipy().sum(axis=1), np.float64)
