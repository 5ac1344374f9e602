"""What a trained model is. Models that are computed in one go (popularity, item-kNN) are plain functions.

A trained model says what a batch is, what its loss is, and what vectors remain. Everything else (optimizer,
epochs, checkpoints, early stopping) is the business of `training.loop`.
"""

from collections.abc import Iterator
from typing import Protocol, TypeVar

import numpy as np
from torch import Tensor, nn

from pinfold.arrays import Embeddings

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

    def embed(self) -> Embeddings:
        """The vectors of all users and items."""
        ...
