"""What a trained model is. Models that are computed in one go (popularity, item-kNN) are plain functions.

An `Encoder` has parameters and makes vectors of them. `models/pairwise.py` gives it batches and a loss, which makes it
`Trainable`. Everything else (optimizer, epochs, checkpoints, early stopping) is the business of `training.loop`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np
from torch import Tensor, nn

from pinfold.arrays import Floats, Ints
from pinfold.data.interactions import Interactions
from pinfold.errors import ConfigError
from pinfold.features.content import Content
from pinfold.features.encoders import Encoders
from pinfold.graph.learned import Trained, Vectors
from pinfold.sampling.item_pairs import ItemPairs

Batch = TypeVar("Batch")


class Trainable(Protocol[Batch]):
    """A model with parameters, trained by gradient steps."""

    def module(self) -> nn.Module:
        """The parameters, to be optimized, moved to a device and saved."""
        ...

    def n_batches(self) -> int:
        """How many batches an epoch has."""
        ...

    def batches(self, rng: np.random.Generator, epoch: int = 1) -> Iterator[Batch]:
        """The batches of one epoch, decided by `rng` and the number of the epoch, from 1, alone."""
        ...

    def loss(self, batch: Batch) -> Tensor:
        """The mean loss of a batch, a scalar to differentiate."""
        ...

    def embed(self) -> Trained:
        """The vectors of all users and items."""
        ...


@runtime_checkable
class Shareable(Protocol[Batch]):
    """What a `Trainable` can also do, so that several processes may train it."""

    def share(self, batch: Batch, rank: int, size: int) -> Batch | None:
        """The part of process `rank` of `size` in a batch, None where it has none.

        The losses of all parts, and so their gradients, must add up to the loss of the whole batch.
        """
        ...


@dataclass(frozen=True, slots=True)
class Context:
    """What a model may learn from beside the graph."""

    events: Interactions  # those that the graph was built of
    content: Content | None = None  # features of items and users, fitted on the graph's own
    pairs: ItemPairs | None = None  # given by the user

    def item_encoders(self) -> Encoders | None:
        """What made the features of the items."""
        return None if self.content is None else self.content.item_encoders

    def user_encoders(self) -> Encoders | None:
        """What made the features of the users."""
        return None if self.content is None else self.content.user_encoders

    def item_content(self, model: str) -> Floats:
        """Features (I, F) of the items.

        Raises:
            ConfigError: there are none.
        """
        if self.content is None:
            raise ConfigError(
                f"model {model!r} learns from content, and there is none; import the data with --item-table FILE"
            )
        return self.content.items


NOBODY = np.zeros(0, np.int32)
NOTHING = Context(Interactions.of(NOBODY, NOBODY, 0, 0))


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
