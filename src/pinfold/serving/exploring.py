"""Other views of a generation, for people: alike by content alone, by walks alone, neighborhoods, a map."""

from collections.abc import Sequence
from dataclasses import replace
from threading import Lock

import numpy as np

from pinfold.arrays import Bools, Embeddings, Floats, Ints, TopK, unit
from pinfold.errors import ConfigError
from pinfold.features.encoders import Encoders, indicators
from pinfold.graph.convolved import Convolved
from pinfold.graph.csr import from_pairs
from pinfold.graph.interests import Interests
from pinfold.graph.learned import Layered
from pinfold.graph.neighborhoods import NeighborhoodConfig, Tables, fresh_neighborhoods, neighborhoods, walk_tables
from pinfold.index.exact import ExactIndex, itself
from pinfold.serving.answering import item_row
from pinfold.serving.embedder import content_of
from pinfold.serving.live import Live
from pinfold.views import Edge, MapView, Neighborhood, Node

WALKS = NeighborhoodConfig(method="walks", size=1000, steps=20_000)
HOPS = NeighborhoodConfig(method="walks", size=50, steps=5_000)
NO_CONTENT = "this model does not learn from content, so it cannot say what is alike by content; train pinsage"
CATEGORIES = 40  # names in a map's legend


class Explorer:
    """What is made of a generation when somebody first looks at it, and then kept."""

    def __init__(self, live: Live) -> None:
        self._generation = live.generation
        self._lock = Lock()
        self._content: Floats | None = None
        self._tables: Tables | None = None
        self._plane: tuple[Ints, Floats] | None = None

    def by_content(self, live: Live, item: str, k: int, allowed: Bools | None) -> TopK:
        """The old items most like one by their attributes alone. Shape (1, K).

        Raises:
            ConfigError: the model does not learn from content.
            NotFoundError: there is no such item.
        """
        row = item_row(live, item)
        table, old = self._contents(), row < live.items.n_old
        if old and live.items.origin(row) == "trained":
            vector = table[row]
        else:
            features = content_of(self._encoders(), live.items.attributes(row))
            vector = unit(features[None, :] * self._counted())[0]
        exclude = itself(np.array([row], np.int32), len(table)) if old else None
        return ExactIndex(table).search(vector[None, :], k, exclude, self._there(live, allowed))

    def by_walk(self, live: Live, item: str, k: int, allowed: Bools | None) -> TopK:
        """The old items that walks from one visit most. Shape (1, K).

        Raises:
            NotFoundError: there is no such item.
        """
        ids, weights = self._walked(live, [item_row(live, item)], WALKS)
        there = self._there(live, allowed)
        kept = np.flatnonzero((ids[0] >= 0) & there[np.maximum(ids[0], 0)])[:k]
        found = TopK(np.full((1, k), -1, np.int32), np.full((1, k), -np.inf, np.float32))
        found.ids[0, : len(kept)], found.scores[0, : len(kept)] = ids[0, kept], weights[0, kept]
        return found

    def neighborhood(self, live: Live, item: str, size: int, hops: int) -> Neighborhood:
        """An item, the items that matter most to it, and to those.

        Raises:
            NotFoundError: there is no such item.
        """
        row = item_row(live, item)
        nodes = {row: Node(live.items.id(row), live.items.title(row), 0, 1.0)}
        edges: list[Edge] = []
        frontier = [row]
        for hop in range(1, hops + 1):
            ids, weights = self._walked(live, frontier, replace(HOPS, size=size))
            reached: list[int] = []
            for source, found, shares in zip(frontier, ids.tolist(), weights.tolist(), strict=True):
                for target, share in zip(found, shares, strict=True):
                    if target < 0 or live.items.gone(target):
                        continue
                    if target not in nodes:
                        nodes[target] = Node(live.items.id(target), live.items.title(target), hop, share)
                        reached.append(target)
                    edges.append(Edge(live.items.id(source), live.items.id(target), share))
            size = max(size // 4, 2)  # the further away, the fewer: a picture, not a list
            frontier = reached
        return Neighborhood(list(nodes.values()), edges)

    def map(self, live: Live, n: int, field: str | None) -> MapView:
        """Up to n items in the plane, evenly drawn, colored by the values of a field.

        Raises:
            ConfigError: the model has no vectors of items.
        """
        rows, plane = self._projected()
        step = max(1, -(-len(rows) // n))
        rows, plane = rows[::step], plane[::step]
        there = np.array([not live.items.gone(row) for row in rows.tolist()], np.bool_)
        rows, plane = rows[there], plane[there]
        names, category = _categories(
            [live.items.attributes(row).get(field) if field else None for row in rows.tolist()]
        )
        return MapView(
            [live.items.id(row) for row in rows.tolist()],
            [live.items.title(row) for row in rows.tolist()],
            plane[:, 0].round(4).tolist(), plane[:, 1].round(4).tolist(), names, category, field,
        )  # fmt: skip

    def _contents(self) -> Floats:
        """The features at length 1 (I, F), without indicators of what is missing."""
        with self._lock:
            if self._content is None:
                learned, dim = self._generation.artifact.learned, self._encoders().dim
                if not isinstance(learned, Convolved | Embeddings):
                    raise ConfigError(NO_CONTENT)
                table = learned.inputs[0][:, :dim] if isinstance(learned, Convolved) else learned.items
                self._content = unit(np.asarray(table, np.float32) * self._counted())
            return self._content

    def _counted(self) -> Floats:
        return (~indicators(self._encoders())).astype(np.float32)

    def _encoders(self) -> Encoders:
        encoders = self._generation.artifact.encoders
        if encoders is None:
            raise ConfigError(NO_CONTENT)
        return encoders

    def _walked(self, live: Live, rows: Sequence[int], config: NeighborhoodConfig) -> tuple[Ints, Floats]:
        graph, users = self._generation.artifact.graph, self._generation.artifact.users
        with self._lock:
            if self._tables is None:
                self._tables = walk_tables(graph, config)
        if all(row < live.items.n_old for row in rows):
            found = neighborhoods(graph, config, 0, np.array(rows, np.int32), self._tables)
            return found.ids, found.weights
        known = [[users.row(one) for one in live.users_of(row) if one in users] for row in rows]
        owners = np.repeat(np.arange(len(rows), dtype=np.int32), [len(one) for one in known])
        takers = np.array([one for some in known for one in some], np.int32)
        collections = from_pairs(owners, takers, np.ones(len(takers), np.float32), (len(rows), len(users)))
        found = fresh_neighborhoods(graph, config, 0, collections, self._tables)
        return found.ids, found.weights

    def _there(self, live: Live, allowed: Bools | None) -> Bools:
        """Which old rows may be answered with. Shape (I,)."""
        n = live.items.n_old
        there = np.ones(n, np.bool_) if allowed is None else allowed[:n].copy()
        there[[row for row in live.items.all_gone() if row < n]] = False
        return there

    def _projected(self) -> tuple[Ints, Floats]:
        """All old rows in random order, and their two leading principal components (I, 2)."""
        with self._lock:
            if self._plane is None:
                vectors = _vectors(self._generation.artifact.learned)
                order = np.random.default_rng(0).permutation(len(vectors)).astype(np.int32)
                sample = unit(vectors[np.sort(order[:100_000])])
                middle = sample.mean(axis=0)
                _, axes = np.linalg.eigh(np.cov(sample - middle, rowvar=False))
                plane = (unit(vectors[order]) - middle) @ axes[:, -1:-3:-1].astype(np.float32)
                self._plane = order, np.asarray(plane / max(float(np.abs(plane).max()), 1e-9), np.float32)
            return self._plane


def _vectors(learned: object) -> Floats:
    match learned:
        case Convolved():
            return learned.vectors.items
        case Embeddings() | Layered() | Interests() if learned.items.shape[1] > 1:
            return learned.items
        case _:
            raise ConfigError("this model has no vectors of items of two numbers or more, so there is no map")


def _categories(values: Sequence[object]) -> tuple[list[str], list[int]]:
    """The most frequent values by name, and each item's place among them; of several values of an item the first."""
    texts = [_text(value[0] if isinstance(value, list) and value else value) for value in values]
    counts: dict[str, int] = {}
    for text in texts:
        if text is not None:
            counts[text] = counts.get(text, 0) + 1
    names = sorted(counts, key=lambda name: (-counts[name], name))[:CATEGORIES]
    places = {name: place for place, name in enumerate(names)}
    return names, [-1 if text is None else places.get(text, -1) for text in texts]


def _text(value: object) -> str | None:
    return None if value is None or isinstance(value, list) else str(value)
