"""What PinSage leaves behind: vectors, the layers that made them, and each layer's inputs, for items yet to come."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from pinfold.arrays import Embeddings, Floats, Halves, Longs, check_array, with_length
from pinfold.graph.csr import Csr
from pinfold.graph.interests import Interests
from pinfold.graph.neighborhoods import NeighborhoodConfig, Neighborhoods

PoolingName = Literal["importance", "mean", "max", "attention"]


@dataclass(frozen=True, slots=True)
class Convolution:
    """One CONVOLVE step of PinSage, algorithm 1 (Ying et al., KDD 2018).

    n = pool of ReLU(h_v Q + q) over the neighbors v, h' = ReLU([h, n] W + w), divided by its length. With attention,
    neighbor v of u weighs softmax of LeakyReLU(h_u a_u + m_v a_v), m_v what v sends.
    """

    neighbor: Floats  # (D, M) Q
    neighbor_bias: Floats  # (M,) q
    both: Floats  # (D + M, D') W
    bias: Floats  # (D',) w
    attention: Floats  # (D + M,) a_u and a_v beside each other; (0,) without attention

    def __post_init__(self) -> None:
        check_array("neighbor", self.neighbor, np.float32, -1, -1)
        d, m = self.neighbor.shape
        check_array("neighbor_bias", self.neighbor_bias, np.float32, m)
        check_array("both", self.both, np.float32, d + m, -1)
        check_array("bias", self.bias, np.float32, self.both.shape[1])
        check_array("attention", self.attention, np.float32, len(self.attention) and d + m)


@dataclass(frozen=True, slots=True)
class Head:
    """z = ReLU(h G1 + g) G2."""

    first: Floats  # (D, D1) G1
    bias: Floats  # (D1,) g
    second: Floats  # (D1, D2) G2

    def __post_init__(self) -> None:
        check_array("first", self.first, np.float32, -1, -1)
        check_array("bias", self.bias, np.float32, self.first.shape[1])
        check_array("second", self.second, np.float32, self.first.shape[1], -1)


@dataclass(frozen=True, slots=True)
class Network:
    """The layers of a trained PinSage."""

    convolutions: tuple[Convolution, ...]
    head: Head | None
    pooling: PoolingName
    unit: bool = True  # vectors at length 1; else their length says something too

    def __post_init__(self) -> None:
        made = [layer.both.shape[1] for layer in self.convolutions]
        taken = [len(layer.neighbor) for layer in self.convolutions]
        if made[:-1] != taken[1:] or (self.head and made and len(self.head.first) != made[-1]):
            raise ValueError("layers do not fit each other")


@dataclass(frozen=True, slots=True)
class Growth:
    """What a new item's first input and its neighborhood are made of, beside its features and its collections."""

    neighborhood: NeighborhoodConfig
    seed: int
    degree_mean: float  # of log(1 + how many users took it)
    degree_deviation: float
    n_ids: int  # numbers at the end of the first input that only old items have

    def nobody(self, n_user_features: int) -> Floats:
        """What stands in place of users and their number for an item that nobody took (1, F' + 1)."""
        around = np.zeros((1, n_user_features + 1), np.float32)
        around[0, -1] = -self.degree_mean / self.degree_deviation
        return around

    def first_input(self, features: Floats, collections: Csr, users: Floats) -> Floats:
        """The content (N, D_0) of items: features, what their users are like, how many these are, and no ids.

        Items and users are nodes of different types with features of their own. A user's reach the items as a mean
        over the users who have the item, and the convolutions mix them with the items'.

        Args:
            features: (N, F) of the items.
            collections: (N, U) who has them.
            users: (U, F') features of the users; F' may be 0.
        """
        return self.joined(features, collections.to_scipy().sign() @ users, collections.degrees())

    def joined(self, features: Floats, sums: Floats, counts: Longs) -> Floats:
        """`first_input`, given the sums (N, F') of the users' features and how many users (N,) there are."""
        degrees = (np.log1p(counts) - self.degree_mean) / self.degree_deviation
        around = sums / np.maximum(counts, 1)[:, None]
        own = np.zeros((len(features), self.n_ids))
        return np.concatenate([features, around, degrees[:, None], own], axis=1).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Convolved:
    """Item vectors made by a network from content and neighborhoods; users are means over their history, or medoids.

    A new item brings its content x and its neighborhood among the old items; layer k gathers the neighbors'
    `inputs[k]`, which do not change.
    """

    vectors: Embeddings | Interests
    network: Network
    # K arrays (I, D_k): content, then what each convolution but the last made; half precision where that was asked for
    inputs: tuple[Floats | Halves, ...]
    growth: Growth
    users: Floats  # (U, F') features of the users that the network knows; F' may be 0
    length_exponent: float = 1.0  # of item vectors, for users
    neighborhoods: Neighborhoods | None = None  # (I, T) that the vectors were made by; None: not kept

    def for_users(self) -> Embeddings | Interests:
        """The vectors that users are answered with: the items' lengths are raised to `length_exponent`."""
        if self.length_exponent == 1:  # the same numbers, and perhaps memory-mapped
            return self.vectors
        return replace(self.vectors, items=with_length(self.vectors.items, self.length_exponent))

    def __post_init__(self) -> None:
        n_items, n_layers = len(self.vectors.items), len(self.network.convolutions)
        if len(self.inputs) != max(n_layers, 1):  # without convolutions the content is kept all the same
            raise ValueError(f"{len(self.inputs)} inputs for {n_layers} convolutions")
        for layer, table in zip(self.network.convolutions, self.inputs, strict=False):
            dtype = np.float16 if table.dtype == np.float16 else np.float32
            check_array("inputs", table, dtype, n_items, len(layer.neighbor))
        n_users = len(self.vectors.users) if isinstance(self.vectors, Embeddings) else self.vectors.n_users
        check_array("users", self.users, np.float32, n_users, -1)
        if self.neighborhoods is not None:
            check_array("neighborhoods", self.neighborhoods.ids, np.int32, n_items, -1)
