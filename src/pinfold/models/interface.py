"""What a trained model is. Models that are computed in one go (popularity, item-kNN) are plain functions.

An `Encoder` has parameters and makes vectors of them. `models/pairwise.py` gives it batches and a loss, which makes it
`Trainable`. Everything else (optimizer, epochs, checkpoints, early stopping) is the business of `training.loop`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
from torch import Tensor, nn

from pinfold.arrays import Ints
from pinfold.graph.learned import Vectors

Batch = TypeVar("Batch")


class Trainable(Protocol[Batch]):
    """A model with parameters, trained by gradient steps."""

    def module(self) -> nn.Module:
        """The parameters, to be optimized, moved to a device and saved."""
        ...

    def n_batches(self) -> int:
        """How many batches an epoch has."""
        ...

    def batches(self, rng: np.random.Generator) -> Iterator[Batch]:
        """The batches of one epoch, decided by `rng` alone."""
        ...

    def loss(self, batch: Batch) -> Tensor:
        """The mean loss of a batch, a scalar to differentiate."""
        ...

    def embed(self) -> Vectors:
        """The vectors of all users and items."""
        ...


@dataclass(frozen=True, slots=True)
class Rows:
    """What an encoder makes of some users (b,) and items (c,)."""

    users: Tensor  # (b, D) vectors whose inner products are scores
    items: Tensor  # (c, D)
    own_users: Tensor  # (b, D') the parameters behind them, on which the L2 term lies
    own_items: Tensor  # (c, D')


class Encoder(Protocol):
    """Makes vectors of users and items from parameters and the graph."""

    def module(self) -> nn.Module:
        """The parameters."""
        ...

    def rows(self, users: Ints, items: Ints) -> Rows:
        """The vectors of some distinct users and items, to be differentiated."""
        ...

    def embed(self) -> Vectors:
        """The vectors of all, as arrays of their own, and what newcomers need."""
        ...
