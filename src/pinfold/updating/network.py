"""A network's artifact over a graph that has grown: neighborhoods, layers, vectors and users where they changed."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pinfold.arrays import Bools, Embeddings, Floats, Ints, unit
from pinfold.data.interactions import Interactions
from pinfold.graph.bipartite import BipartiteGraph
from pinfold.graph.convolved import Convolved
from pinfold.graph.csr import Csr
from pinfold.graph.interests import Interests, make_interests
from pinfold.graph.merging import Merged, reach_of_new
from pinfold.graph.neighborhoods import Neighborhoods, neighborhoods, walk_tables
from pinfold.kernels.products import multiply
from pinfold.models.pinsage import equal_weights
from pinfold.updating.config import UpdateConfig
from pinfold.updating.scratch import Scratch, blocks
from pinfold.updating.spreading import Spread, renewed, spread

WALKED = 1 << 16  # items whose neighborhoods are made at once
DAY = 86_400  # seconds


@dataclass(frozen=True, slots=True)
class Features:
    """What is known of items and users in the features of training."""

    rows: Ints  # items whose features are given: all new ones, and old ones that a table spoke of; rising
    items: Floats  # (n, F) beside `rows`
    users: Floats  # (U', F') of all users
    changed_users: Bools  # (U',) whose features have changed; new ones too


@dataclass(frozen=True, slots=True)
class Updated:
    """A network's artifact after an update."""

    learned: Convolved
    moved: Floats  # (I',) how far each item's vector has moved; 1 for new ones
    owed: Floats  # (I', 1 + K) what was not followed: of neighborhoods, then of each convolution
    report: dict[str, Any]


def update_network(
    learned: Convolved, merged: Merged, features: Features, events: Interactions, config: UpdateConfig,
    owed: Floats | None, scratch: Scratch,
) -> Updated:  # fmt: skip
    """The same network over the merged graph, computed where something changed.

    Args:
        learned: what there was.
        merged: the old graph with what came.
        features: of items and users that came or changed.
        events: what came, with its times.
        config: how far a change spreads.
        owed: what earlier updates did not follow (I, 1 + K); None: nothing.
        scratch: where large arrays go, and what counts the seconds.
    """
    n_old, n = len(learned.vectors.items), merged.graph.n_items
    debts = np.zeros((n, 1 + len(learned.network.convolutions)), np.float32)
    if owed is not None:
        debts[:n_old] = owed
    with scratch.stage("neighborhoods"):
        near, fresh = _neighborhoods(learned, merged, config.theta, debts, scratch)
    with scratch.stage("layers"):
        rows = content_rows(learned, merged, features)
        content = rows, lambda part: first_inputs(learned, merged.graph, features, part)
        made = spread(learned, content, near, fresh, debts[:, 1:], config.tolerance, scratch)
    with scratch.stage("users"):
        vectors, n_users = _users(learned.vectors, made, merged, events, scratch)
    report = {
        "neighborhoods": int(fresh.sum()),
        "neighborhoods_share": round(float(fresh.mean()), 4) if n else 0.0,
        "layers": list(made.computed),
        "stopped": list(made.stopped),
        "users": n_users,
    }
    found = replace(learned, vectors=vectors, inputs=made.inputs, users=features.users, neighborhoods=near)
    return Updated(found, made.moved, debts, report)


def _users(
    old: Embeddings | Interests, made: Spread, merged: Merged, events: Interactions, scratch: Scratch
) -> tuple[Embeddings | Interests, int]:
    """Users of the new vectors, and how many were made afresh."""
    if isinstance(old, Interests):
        return interests(replace(old, items=made.items), merged, events)
    return means(old, made.items, made.moved, merged, scratch)


def content_rows(learned: Convolved, merged: Merged, features: Features) -> Ints:
    """Items whose first input may have changed: by attributes, by who has them, or by what these are like. Rising."""
    changed = np.zeros(merged.graph.n_items, np.bool_)
    changed[features.rows] = True
    changed[len(learned.vectors.items) :] = True
    changed[merged.fresh.ids] = True
    if features.users.shape[1]:
        owners = np.flatnonzero(features.changed_users).astype(np.int32)
        changed[merged.graph.user_items.take(owners).ids] = True
    return np.flatnonzero(changed).astype(np.int32)


def first_inputs(learned: Convolved, graph: BipartiteGraph, features: Features, part: Ints) -> Floats:
    """The first inputs of some items (n, D_0); ids stay those of training, and new items have none."""
    old, n_ids = learned.inputs[0], learned.growth.n_ids
    n_features = old.shape[1] - n_ids - 1 - features.users.shape[1]
    own, known = np.zeros((len(part), n_features), np.float32), part < len(old)
    own[known] = old[part[known], :n_features]
    told = np.isin(part, features.rows)
    own[told] = features.items[np.searchsorted(features.rows, part[told])]
    made = learned.growth.first_input(own, graph.item_users.take(part), features.users)
    made[known, made.shape[1] - n_ids :] = old[part[known], old.shape[1] - n_ids :]
    return made


def all_features(learned: Convolved, merged: Merged, features: Features, scratch: Scratch) -> Floats:
    """The features (I', F) of all items, in single precision."""
    rows = content_rows(learned, merged, features)
    table, _ = renewed(
        learned.inputs[0],
        merged.graph.n_items,
        rows,
        lambda part: first_inputs(learned, merged.graph, features, part),
        scratch,
    )
    return np.asarray(table[:, : table.shape[1] - learned.growth.n_ids - 1 - features.users.shape[1]], np.float32)


def _neighborhoods(
    learned: Convolved, merged: Merged, theta: float, debts: Floats, scratch: Scratch
) -> tuple[Neighborhoods, Bools]:
    """The neighborhoods (I', T) now, and which of them were made afresh."""
    growth, old, n = learned.growth, learned.neighborhoods, merged.graph.n_items
    config = growth.neighborhood
    debts[:, 0] += reach_of_new(merged, weighted=config.weighted)
    fresh = debts[:, 0] > theta
    fresh[len(learned.vectors.items) :] = True
    if old is None or old.ids.shape[1] != config.size:
        shape = (0, config.size)
        old, fresh[:] = Neighborhoods(np.zeros(shape, np.int32), np.zeros(shape, np.float32)), True
    if config.prune < 1 and len(merged.fresh.ids):  # a new edge changes which of the old ones are walked
        fresh[:] = True
    debts[fresh, 0] = 0
    ids, weights = scratch.grown(old.ids, n), scratch.grown(old.weights, n)
    tables = walk_tables(merged.graph, config)
    for part in blocks(np.flatnonzero(fresh).astype(np.int32), WALKED):
        made = neighborhoods(merged.graph, config, growth.seed, part, tables)
        ids[part] = made.ids
        weights[part] = equal_weights(made.ids) if learned.network.pooling == "mean" else made.weights
    return Neighborhoods(ids, weights), fresh


def means(
    old: Embeddings, items: Floats, moved: Floats, merged: Merged, scratch: Scratch
) -> tuple[Embeddings, int]:  # fmt: skip
    """Users as means over their items' directions; made afresh where the history or one of its vectors changed."""
    moving = np.flatnonzero(moved).astype(np.int32)
    history, _ = renewed(old.history, len(items), moving, lambda part: unit(items[part]), scratch)
    changed = changed_histories(merged, len(old.users))
    for part in blocks(moving):
        changed[merged.graph.item_users.take(part).ids] = True
    users = scratch.grown(old.users, merged.graph.n_users)
    rows = np.flatnonzero(changed).astype(np.int32)
    for part in blocks(rows, WALKED):
        histories = merged.graph.user_items.take(part)
        ones = np.ones(len(histories.ids), np.float32)
        counts = np.maximum(histories.degrees(), 1).astype(np.float32)
        users[part] = multiply(histories.ptr, histories.ids, ones, history) / counts[:, None]
    return replace(old, users=users, items=items, history=history), len(rows)


def interests(old: Interests, merged: Merged, events: Interactions) -> tuple[Interests, int]:
    """Users as some of their items; those whose history changed are clustered again, with `ages`."""
    n_users = merged.graph.n_users
    rows = np.flatnonzero(changed_histories(merged, old.n_users)).astype(np.int32)
    made = make_interests(old.items, *aged(merged, events, rows), old.config)
    ptr = np.concatenate([old.ptr, np.full(n_users - old.n_users, old.ptr[-1])])
    counts = np.diff(ptr)
    counts[rows] = np.diff(made.ptr)
    kept = np.ones(old.n_users, np.bool_)
    kept[rows[rows < old.n_users]] = False
    there = np.repeat(kept, np.diff(old.ptr))
    owners = np.repeat(np.arange(old.n_users), np.diff(old.ptr))[there]
    order = np.argsort(np.concatenate([owners, np.repeat(rows, np.diff(made.ptr))]), kind="stable")
    medoids = np.concatenate([old.medoids[there], made.medoids])[order]
    importance = np.concatenate([old.importance[there], made.importance])[order]
    bounds = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return replace(old, ptr=bounds, medoids=medoids, importance=importance), len(rows)


def changed_histories(merged: Merged, n_old: int) -> Bools:
    """Users (U',) who took something that they had not, or who are new."""
    changed = np.asarray(merged.fresh.degrees() > 0)
    changed[n_old:] = True
    return changed


def aged(merged: Merged, events: Interactions, rows: Ints) -> tuple[Csr, Floats | None]:
    """The histories (b, I') of some users, and ages in days along them; None: what came has no times.

    An artifact keeps no times, so what users had before counts as taken when the first of all that came was: the
    latest it can have been.
    """
    histories = merged.graph.user_items.take(rows)
    if not events.timed:
        return histories, None
    n_items, first = events.n_items, int(events.times.min())
    keys = np.repeat(rows.astype(np.int64), histories.degrees()) * n_items + histories.ids
    asked = events.users.astype(np.int64) * n_items + events.items
    order = np.argsort(asked, kind="stable")
    at = np.minimum(np.searchsorted(asked[order], keys), len(asked) - 1)
    there = asked[order][at] == keys
    times = np.where(there, events.times[order][at], first - 1)
    return histories, np.asarray((int(events.times.max()) - times) / DAY, np.float32)
