"""PinSage trained on batches that were written down: GraphTrainer's part in AGL (Zhang et al., VLDB 2020)."""

from collections.abc import Iterator

import numpy as np
from torch import Tensor, nn

from pinfold.data.interactions import Interactions
from pinfold.engine.flat import FlatBatches
from pinfold.errors import TrainingError
from pinfold.graph.bipartite import build_graph
from pinfold.graph.learned import Trained
from pinfold.models.interface import NOTHING
from pinfold.models.pinsage import PinSage, PinSageConfig
from pinfold.sampling.ahead import Ahead
from pinfold.sampling.item_batches import ItemBatch

NOBODY = np.zeros(0, np.int32)


class FlatPinSage:
    """A `Trainable`, and `Shareable`, whose parameters are those of a `PinSage` on the same data."""

    def __init__(self, config: PinSageConfig, seed: int, flat: FlatBatches) -> None:
        """Options and seed must be those that the batches were written with.

        Raises:
            ArtifactError: the batches are missing or damaged.
        """
        self._flat = flat
        self._model = PinSage(config, build_graph(Interactions.of(NOBODY, NOBODY, 0, 0)), seed, NOTHING, flat.shape())

    def module(self) -> nn.Module:
        """The parameters, which a `PinSage` can be given."""
        return self._model

    def n_batches(self) -> int:
        """Steps in an epoch."""
        return self._flat.n_batches()

    def batches(self, rng: np.random.Generator, epoch: int = 1) -> Iterator[ItemBatch]:  # noqa: ARG002 - drawn before
        """The pairs of an epoch, read by a thread of its own while the step before is computed."""
        return Ahead(self._flat.batches(epoch))

    def loss(self, batch: ItemBatch) -> Tensor:
        """The weighted mean of the pairs' losses."""
        return self._model.loss(batch)

    def share(self, batch: ItemBatch, rank: int, size: int) -> ItemBatch | None:
        """Every size-th pair of the batch, from the one at `rank`, with its part of the loss."""
        return self._model.share(batch, rank, size)

    def embed(self) -> Trained:
        """Not here: all items' content and neighborhoods would be needed.

        Raises:
            TrainingError: always.
        """
        raise TrainingError(
            "a model that learns from flat batches has no catalogue to make vectors of: train it without a validation "
            "part, and give its parameters to a PinSage on the whole data"
        )
