"""What a model leaves behind when torch has gone: vectors, layers, similarities between items, or filters."""

from dataclasses import dataclass

import numpy as np

from pinfold.arrays import Embeddings, Floats, check_array
from pinfold.graph.convolved import Convolved
from pinfold.graph.csr import Csr
from pinfold.graph.interests import Interests


@dataclass(frozen=True, slots=True)
class ItemSimilarity:
    """A sparse (I, I) matrix W: having taken item j adds W[j, i] to the score of item i."""

    weights: Csr

    def __post_init__(self) -> None:
        if self.weights.n_rows != self.weights.n_columns:
            raise ValueError(f"similarity must be square, got ({self.weights.n_rows}, {self.weights.n_columns})")


@dataclass(frozen=True, slots=True)
class DenseSimilarity:
    """A full (I, I) matrix W: having taken item j adds W[j, i] to the score of item i, or takes from it."""

    weights: Floats  # (I, I) in rows, so that a history reads whole pieces of memory

    def __post_init__(self) -> None:
        check_array("weights", self.weights, np.float32, len(self.weights), len(self.weights))


@dataclass(frozen=True, slots=True)
class GraphFilter:
    """A low-pass filter over the item graph: scores are a smoothed history.

    A history h (I,) of zeros and ones is scored (sum_k c_k G^k h' + a V V' h') * d^b, where h' = h * d^-b, d are item
    degrees, G = P' P with the normalized user-item matrix P, and V its leading right singular vectors.
    """

    normalized: Csr  # (U, I) P
    transposed: Csr  # (I, U) P'
    coefficients: Floats  # (K,) c_1 .. c_K
    scale: Floats  # (I,) d^b
    factors: Floats  # (I, N) V, times the square root of a

    def __post_init__(self) -> None:
        n_items = self.normalized.n_columns
        if (self.transposed.n_rows, self.transposed.n_columns) != (n_items, self.normalized.n_rows):
            raise ValueError("normalized and transposed must be each other's transposes")
        check_array("coefficients", self.coefficients, np.float32, -1)
        check_array("scale", self.scale, np.float32, n_items)
        check_array("factors", self.factors, np.float32, n_items, -1)


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of a graph network as a newcomer passes it: f(x W_0 + s W_1 + (x * s) W_2 + b).

    x is the newcomer's own vector before the layer, s what the layer gathers: the sum of `items` over their history,
    times the newcomer's part of the edges' weight (see `Layered`).
    """

    items: Floats  # (I, D) the items' vectors before the layer, times the items' part of the edges' weight
    weights: Floats  # (3, D, D') of what is own, gathered, and the product of both
    bias: Floats  # (D',)
    slope: float  # of f for negative numbers: 1 f(z) = z, 0 ReLU, between them LeakyReLU

    def __post_init__(self) -> None:
        check_array("items", self.items, np.float32, -1, -1)
        check_array("weights", self.weights, np.float32, 3, self.items.shape[1], -1)
        check_array("bias", self.bias, np.float32, self.weights.shape[2])


@dataclass(frozen=True, slots=True)
class Layered:
    """Vectors whose inner products are scores, and the frozen layers through which newcomers get theirs.

    A newcomer with history h starts from a vector of zeros. A layer gathers s = |h|^-exponent * sum of items; with self
    loops s = (|h| + 1)^-exponent * sum of items + (|h| + 1)^(-2 exponent) * x. A new item gathers from its n takers in
    the same way, by the layers of `takers`, whose `items` are users; what it sends on is its own vector before the
    layer, times n^-sent_exponent, or (n + 1)^-sent_exponent. With a `mapping`, its last vector passes through that
    (see `Takers`).
    """

    users: Floats  # (U, D)
    items: Floats  # (I, D)
    layers: tuple[Layer, ...]
    exponent: float
    self_loops: bool
    concatenated: bool  # vectors are layers 0..L beside each other; else the last one
    unit_layers: bool  # layers 1..L are put in at length 1
    takers: tuple[Layer, ...] = ()  # empty: items cannot come after training
    sent_exponent: float = 0.0
    mapping: Floats | None = None  # (D + 2, D + 1), of models trained on cosines

    def __post_init__(self) -> None:
        check_array("users", self.users, np.float32, -1, -1)
        check_array("items", self.items, np.float32, -1, self.users.shape[1])
        dims = [layer.items.shape[1] for layer in self.layers]
        made = [layer.weights.shape[2] for layer in self.layers]
        aligned = all(len(layer.items) == len(self.items) for layer in self.layers)
        if not (self.layers and aligned and dims[1:] == made[:-1]):
            raise ValueError("layers do not fit each other or the items")
        shapes = [[layer.weights.shape for layer in layers] for layers in (self.layers, self.takers)]
        if self.takers and (shapes[0] != shapes[1] or any(len(one.items) != len(self.users) for one in self.takers)):
            raise ValueError("the takers' layers do not fit the others or the users")
        if self.users.shape[1] != (dims[0] + sum(made) if self.concatenated else made[-1]):
            raise ValueError("vectors are not as long as the layers make them")
        if self.mapping is not None:
            check_array("takers' mapping", self.mapping, np.float32, *(self.items.shape[1] + n for n in (2, 1)))


@dataclass(frozen=True, slots=True)
class Blend:
    """Several models whose scores are added, each row of each brought to mean 0 and deviation 1 first."""

    members: "tuple[Learned, ...]"
    weights: Floats  # (M,)

    def __post_init__(self) -> None:
        check_array("weights", self.weights, np.float32, len(self.members))
        if len(self.members) < 2:
            raise ValueError(f"a blend has two members or more, got {len(self.members)}")


Learned = Embeddings | Layered | Interests | Convolved | ItemSimilarity | DenseSimilarity | GraphFilter | Blend
Vectors = Embeddings | Layered  # what encoders of users and items leave behind
Trained = Vectors | Convolved  # what trained models do
