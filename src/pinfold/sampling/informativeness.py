"""How much an edge says: recency, frequency, statistics of its user, and what else the user took close by.

The PinSage slides name these as future work. Each is an exponent or a half-life that is off by default; what each
brings is measured in docs/experiments.md. The factors can weigh training pairs, the walks' edges, or both.
"""

from typing import Annotated

import numpy as np
from pydantic import Field

from pinfold.arrays import Doubles, Floats, Longs, unit
from pinfold.config import options
from pinfold.data.interactions import Interactions
from pinfold.errors import ConfigError
from pinfold.graph.bipartite import BipartiteGraph
from pinfold.graph.csr import Csr

SECONDS_PER_DAY = 86_400.0
LEAST = 0.05  # of closeness and narrowness, so that no edge weighs nothing


@options
class InformativenessConfig:
    """What makes an edge say more; the factors are multiplied."""

    half_life: Annotated[
        float | None, Field(gt=0, description="recency: days after which an edge weighs half; needs times")
    ] = None
    frequency: Annotated[float, Field(description="exponent of the edge's summed weight, such as how often")] = 0.0
    activity: Annotated[
        float, Field(description="exponent of how many items the user took; negative: few say more")
    ] = 0.0
    narrowness: Annotated[
        float,
        Field(description="exponent of how alike the user's items are in content; positive: narrow users say more"),
    ] = 0.0
    closeness: Annotated[
        float, Field(description="exponent of the mean cosine, in content, between the item and the user's other items")
    ] = 0.0

    def active(self) -> bool:
        """Whether edges differ at all."""
        return self.half_life is not None or any((self.frequency, self.activity, self.narrowness, self.closeness))


def edge_factors(
    config: InformativenessConfig, graph: BipartiteGraph, events: Interactions, content: Floats | None
) -> Floats:
    """The factor of each edge, beside `graph.user_items.ids`; their mean is 1.

    Args:
        config: exponents.
        graph: E edges, made of
        events: which have the times.
        content: (I, F) features of the items, for narrowness and closeness.

    Raises:
        ConfigError: times or content are needed and not there.
    """
    edges = graph.user_items
    factors = np.ones(len(edges.ids), np.float64)
    owner = np.repeat(np.arange(edges.n_rows), edges.degrees())
    if config.half_life is not None:
        factors *= 0.5 ** (_ages(edges, owner, events) / config.half_life)
    if config.frequency:
        factors *= edges.weights.astype(np.float64) ** config.frequency
    if config.activity:
        factors *= edges.degrees()[owner].astype(np.float64) ** config.activity
    if config.narrowness or config.closeness:
        if content is None:
            raise ConfigError("narrowness and closeness compare the content of items, and the data set has none")
        close, narrow = _likeness(edges, owner, content)
        factors *= close**config.closeness * narrow[owner] ** config.narrowness
    return mean_one(factors)


def mean_one(values: Doubles) -> Floats:
    """Values (n,) that are not negative, scaled to mean 1."""
    mean = values.mean() if len(values) else 1.0
    return (values / max(mean, np.finfo(np.float64).tiny)).astype(np.float32)


def _ages(edges: Csr, owner: Longs, events: Interactions) -> Doubles:
    """Days between each edge's newest event and the newest of all. Shape (E,)."""
    if not events.timed:
        raise ConfigError("half_life needs times, and the events have none; import them with --time COLUMN")
    newest = np.full(len(edges.ids), np.iinfo(np.int64).min)
    keys = owner * edges.n_columns + edges.ids
    found = np.searchsorted(keys, events.users.astype(np.int64) * edges.n_columns + events.items)
    np.maximum.at(newest, found, events.times)
    ages: Doubles = (events.times.max() - newest) / SECONDS_PER_DAY
    return ages


def _likeness(edges: Csr, owner: Longs, content: Floats) -> tuple[Doubles, Doubles]:
    """Mean cosine of each edge's item to the user's others (E,), and of each user's items to each other (U,)."""
    units = unit(content).astype(np.float64)
    sums = edges.to_scipy().sign() @ units  # (U, F)
    others = np.maximum(edges.degrees() - 1, 1)
    own = np.einsum("ef,ef->e", units[edges.ids], units[edges.ids])
    close = (np.einsum("ef,ef->e", units[edges.ids], sums[owner]) - own) / others[owner]
    narrow = np.bincount(owner, close, minlength=edges.n_rows) / np.maximum(edges.degrees(), 1)
    return np.clip(close, LEAST, 1), np.clip(narrow, LEAST, 1)
