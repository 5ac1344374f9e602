"""Pinterest-like graphs of any size: power laws on both sides, communities, features that agree with them, times.

Items stand in a line of topics, and the topics in communities whose sizes follow a power law. Users stand along the
same line. Each brings the next few items into the world, so every item has a taker, and takes the rest of its edges
by one to three interests: near the topic, or popular in its community; and some that are popular everywhere. What a
user takes depends only on the options, the seed and the user. Rows are a shuffle of the places in the line.
"""

from dataclasses import dataclass

import numpy as np

from pinfold.arrays import Doubles, Floats, Ints, Longs, unit
from pinfold.data.pinterest import PinterestConfig, check_sizes
from pinfold.kernels.worlds import World, be_born

NEAR = 0.65  # of draws by taste, how many are around an interest; the rest are popular in its community
TOPIC = 50  # items of a topic
SPREAD = 0.7  # community number c is of size (c + 1) ** -SPREAD
POPULARITY = 1e5  # how much more popular than the least the most popular item may be
IN_COMMUNITY, IN_TOPIC = 0.2, 0.4  # cosine between features of a community, of a topic
MOST_SCALE = 2.0**60
FEATURE_ROWS = 65_536  # items whose noise one stream gives: part of what a seed means


@dataclass(frozen=True, slots=True)
class Places:
    """A world, and where its users and items stand in the files."""

    config: PinterestConfig
    world: World
    users: Ints  # (U,) the row of the user at each place
    items: Ints  # (I,) the row of the item at each place


def build_world(config: PinterestConfig) -> Places:
    """The tables from which events are drawn: some 25 bytes for each user and 30 for each item.

    Raises:
        ConfigError: sizes that cannot be.
    """
    check_sizes(config)
    communities = _communities(config)
    rng = np.random.default_rng([config.seed, 0])
    users, items = (rng.permutation(n).astype(np.int32) for n in (config.users, config.items))
    degrees = _degrees(config)
    made = np.zeros(config.users + 1, np.int64)
    np.cumsum(degrees, out=made[1:])
    made = made * config.items // config.edges  # so that nobody brings more items than they have edges
    # What users bring is mostly of their own community, so fewer of their other edges need be.
    rest = config.edges - config.items
    share = (config.community_share * config.edges - config.items) / rest if rest else 0.0
    world = World(
        np.uint64(config.seed), config.days * 86_400, float(np.clip(share, 0, 1)), NEAR, degrees, made,
        np.empty(config.items, np.int32), _popularity(config), communities,
    )  # fmt: skip
    be_born(world)
    return Places(config, world, users, items)


def _communities(config: PinterestConfig) -> Longs:
    """Item places where communities begin (C + 1,), the largest community first."""
    count = config.communities or max(1, round(config.items**0.5 / 3))
    weights = np.arange(1, count + 1, dtype=np.float64) ** -SPREAD
    sizes = 1 + weights / weights.sum() * (config.items - count)  # one item each at least
    bounds = np.concatenate([[0], np.floor(np.cumsum(sizes) + 0.5)]).astype(np.int64)
    bounds[-1] = config.items
    return bounds


def _degrees(config: PinterestConfig) -> Ints:
    """Edges of each user (U,): 1 + a Lomax variable, cut at the most and scaled so that the sum is exact."""
    n, edges = config.users, config.edges
    most = min(config.most_user_edges, config.items // 2)
    tail = config.user_exponent - 1
    guess = max((edges / n - 1) * (tail - 1), 1e-9)  # the scale of a Lomax variable of this mean
    reach = 1 - (1 + most / guess) ** -tail
    draws = np.random.default_rng([config.seed, 1]).random(n)
    draws *= -reach
    draws += 1
    curve = draws ** (-1 / tail) - 1

    def scaled(factor: float) -> Ints:
        return 1 + np.minimum(curve * factor, most - 1).astype(np.int32)

    low, high = 0.0, max(guess, 1.0)
    while scaled(high).sum(dtype=np.int64) < edges and high < MOST_SCALE:
        high *= 2
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if scaled(middle).sum(dtype=np.int64) <= edges else (low, middle)
    degrees = scaled(low)
    while missing := int(edges - degrees.sum(dtype=np.int64)):
        degrees[np.flatnonzero(degrees < most)[:missing]] += 1
    return degrees


def _popularity(config: PinterestConfig) -> Doubles:
    """Running sums (I + 1,) of Pareto variables, cut."""
    tail = config.item_exponent - 1
    most = min(POPULARITY, max(10.0, config.users / 20))  # an item is popular with a small part of the users at most
    values = np.random.default_rng([config.seed, 2]).random(config.items)
    values *= -(1 - most**-tail)
    values += 1
    np.power(values, -1 / tail, out=values)
    sums = np.zeros(config.items + 1)
    np.cumsum(values, out=sums[1:])
    return sums


class Centers:
    """The middles of communities and topics, and the features of the items around them."""

    def __init__(self, places: Places) -> None:
        config = places.config
        rng = np.random.default_rng([config.seed, 3])
        self._config, self._communities = config, places.world.communities
        bounds = zip(self._communities[:-1], self._communities[1:], strict=True)
        self._topics = np.concatenate([np.arange(begin, end, TOPIC) for begin, end in bounds])
        broad = unit(rng.standard_normal((len(self._communities) - 1, config.features), np.float32))
        self._centers = unit(rng.standard_normal((len(self._topics), config.features), np.float32))
        self._centers *= np.float32((IN_TOPIC - IN_COMMUNITY) ** 0.5)
        self._centers += np.float32(IN_COMMUNITY**0.5) * broad[self.communities(self._topics)]

    def topics(self, items: Ints | Longs) -> Ints:
        """The topic of the item at each of these places."""
        return (np.searchsorted(self._topics, items, side="right") - 1).astype(np.int32)

    def communities(self, items: Ints | Longs) -> Ints:
        """The community of the item at each of these places."""
        return (np.searchsorted(self._communities, items, side="right") - 1).astype(np.int32)

    def features(self, block: int, items: Ints) -> Floats:
        """Unit vectors (B, F) of the items at these places, which fill block number `block` of the rows."""
        rng = np.random.default_rng([self._config.seed, 4, block])
        noise = rng.standard_normal((len(items), self._config.features), np.float32)
        noise *= np.float32(((1 - IN_TOPIC) / self._config.features) ** 0.5)  # of mean squared length 1 - IN_TOPIC
        noise += self._centers[self.topics(items)]
        return unit(noise)
