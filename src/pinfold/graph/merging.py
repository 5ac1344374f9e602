"""Graphs that grow: edges that came later are put among the old ones, without sorting anything again."""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from pinfold.arrays import Bools, Doubles, Floats, spans
from pinfold.data.interactions import Interactions
from pinfold.graph.bipartite import BipartiteGraph, build_graph
from pinfold.graph.csr import Csr

BLOCK = 1 << 22  # edges looked at at once


@dataclass(frozen=True, slots=True)
class Merged:
    """A graph and what came to it."""

    graph: BipartiteGraph  # (U', I') old and new edges; rows of old users and items are what they were
    added: BipartiteGraph  # (U', I') what came, pairs that were there before among it
    fresh: Csr  # (U', I') the pairs of it that were not there before


def merge_csr(old: Csr, added: Csr, n_rows: int, n_columns: int) -> Csr:
    """The sum of both as one (n_rows, n_columns) matrix; weights of an entry that both have are added.

    O(R + E) in time, and the result is all that it takes in memory.

    Raises:
        ValueError: a matrix that is larger than the result, or a weight that is not positive.
    """
    if max(old.n_rows, added.n_rows) > n_rows or max(old.n_columns, added.n_columns) > n_columns:
        raise ValueError(f"both must fit into ({n_rows}, {n_columns})")
    if not all((csr.weights[span] > 0).all() for csr in (old, added) for span in spans(len(csr.weights))):
        raise ValueError("weights must be above 0: scipy loses an entry whose weights add up to zero")
    made = _widened(old, n_rows, n_columns) + _widened(added, n_rows, n_columns)
    ptr, ids = made.indptr.astype(np.int64, copy=False), made.indices.astype(np.int32, copy=False)
    return Csr(ptr, ids, made.data.astype(np.float32, copy=False), n_columns)


def merge_graph(old: BipartiteGraph, events: Interactions) -> Merged:
    """The old graph and these events, whose users and items may lie behind the old ones' rows.

    Raises:
        ValueError: events of fewer users or items than the graph has.
    """
    added = build_graph(events)
    n_users, n_items = events.n_users, events.n_items
    graph = BipartiteGraph(
        merge_csr(old.user_items, added.user_items, n_users, n_items),
        merge_csr(old.item_users, added.item_users, n_items, n_users),
    )
    return Merged(graph, added, added.user_items.only(~among(added.user_items, old.user_items)))


def among(entries: Csr, other: Csr) -> Bools:
    """Which of the entries (E,) the other matrix, of as many or fewer rows and columns, has too."""
    rows = np.flatnonzero(entries.degrees()[: other.n_rows]).astype(np.int32)
    near = other.take(rows)
    width = max(entries.n_columns, other.n_columns)
    there = np.repeat(rows.astype(np.int64), near.degrees()) * width + near.ids
    asked = np.repeat(np.arange(entries.n_rows), entries.degrees()) * width + entries.ids
    if not len(there):
        return np.zeros(len(asked), np.bool_)
    return np.asarray(there[np.minimum(np.searchsorted(there, asked), len(there) - 1)] == asked)


def reach_of_new(merged: Merged, *, weighted: bool) -> Floats:
    """The chance that the first step of an item's walk, to a user and on to an item, takes something new. Shape (I',).

    Something new is an edge that was not there, and by weight also the part of an old edge's weight that came. It is a
    bound: the item's distribution over where a step ends has moved by no more than that in total variation, since a
    walk which takes nothing new could have been walked before.
    """
    new = merged.added.user_items if weighted else merged.fresh
    of_users = _sums(new, None, weighted=weighted) / np.maximum(
        _sums(merged.graph.user_items, None, weighted=weighted), np.finfo(np.float64).tiny
    )
    users = np.minimum(of_users, 1)  # (U',) the share of what a user has that is new
    back = new.transpose()
    through = _sums(merged.graph.item_users, users, weighted=weighted)
    through += _sums(back, 1 - users, weighted=weighted)  # the way to the user is new already
    total = np.maximum(_sums(merged.graph.item_users, None, weighted=weighted), np.finfo(np.float64).tiny)
    return np.minimum(through / total, 1).astype(np.float32)


def _sums(edges: Csr, values: Doubles | None, *, weighted: bool) -> Doubles:
    """The sum of `values` (C,), or of ones, over each row's columns, by their weights where these count. Shape (R,)."""
    if values is None and not weighted:
        return edges.degrees().astype(np.float64)
    sums, stops = np.zeros(edges.n_rows), np.searchsorted(edges.ptr, np.arange(0, max(len(edges.ids), 1), BLOCK))
    for start, stop in zip(stops, [*stops[1:], edges.n_rows], strict=True):
        first, last = int(edges.ptr[start]), int(edges.ptr[stop])
        terms = np.ones(last - first) if values is None else values[edges.ids[first:last]]
        if weighted:
            terms = terms * edges.weights[first:last]
        running = np.concatenate([[0], np.cumsum(terms)])
        sums[start:stop] = np.diff(running[edges.ptr[start : stop + 1] - first])
    return np.maximum(sums, 0)


def _widened(csr: Csr, n_rows: int, n_columns: int) -> sparse.csr_array:
    """For scipy, with empty rows and columns at the end."""
    ptr = np.concatenate([csr.ptr, np.full(n_rows - csr.n_rows, csr.ptr[-1])])
    if len(csr.ids) <= np.iinfo(np.int32).max:
        ptr = ptr.astype(np.int32)
    return sparse.csr_array((csr.weights, csr.ids, ptr), shape=(n_rows, n_columns), copy=False)
