"""How an encoder learns: batches of edges with negatives, scores, a loss."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import embedding, normalize, pad

from pinfold.arrays import Ints, Longs, with_length
from pinfold.config import options
from pinfold.graph.bipartite import BipartiteGraph
from pinfold.graph.learned import Vectors
from pinfold.models.interface import Encoder
from pinfold.models.losses import (
    BilateralSoftmaxConfig,
    LossConfig,
    Scores,
    SoftmaxConfig,
    losses,
    mean_over_users,
    total,
)
from pinfold.models.mapping import with_mapping
from pinfold.sampling.pairs import PairBatch, SamplingConfig, n_batches, pair_batches
from pinfold.sampling.shares import share_pairs

# With fewer rows in a factor of a product, MKL's kernel and so the last bit depend on the number of threads
LEAST_ROWS = 128


@options
class ObjectiveConfig:
    """What a model is trained for. Defaults: tuned on one data set, tried on four more (docs/experiments.md)."""

    loss: LossConfig = SoftmaxConfig()
    sampling: Annotated[SamplingConfig, Field(description="batches and negatives")] = SamplingConfig()
    score: Annotated[
        Literal["inner", "cosine"], Field(description="what the loss sees of two vectors: inner product or cosine")
    ] = "cosine"
    per_user: Annotated[bool, Field(description="mean over users of their mean loss, not over edges")] = False
    hardest: Annotated[
        int,
        Field(ge=0, description="so many of each row's negatives count, those with the highest scores; 0: all"),
    ] = 0
    l2: Annotated[float, Field(ge=0, description="weight of half the squared length of the batch's own vectors")] = 0.0
    length_exponent: Annotated[
        float,
        Field(ge=0, le=2, description="answers use item vectors of length |v|^this: 1 as trained, 0 cosines"),
    ] = 0.2


class Pairwise:
    """A `Trainable` made of an encoder and an objective."""

    def __init__(self, encoder: Encoder, objective: ObjectiveConfig, graph: BipartiteGraph) -> None:
        self._encoder = encoder
        self._objective = objective
        self._graph = graph

    def module(self) -> nn.Module:
        """The encoder's."""
        return self._encoder.module()

    def n_batches(self) -> int:
        """Steps in an epoch."""
        return n_batches(self._graph, self._objective.sampling)

    def batches(self, rng: np.random.Generator, epoch: int = 1) -> Iterator[PairBatch]:  # noqa: ARG002
        """Every edge once, with negatives."""
        return pair_batches(self._graph, self._objective.sampling, rng)

    def loss(self, batch: PairBatch) -> Tensor:
        """The chosen loss plus the L2 term, LightGCN eq. 15 as its authors code it: mean over the batch's edges."""
        users, user_place = distinct(batch.users)
        items, item_place = distinct(np.concatenate([batch.positives, batch.negatives.ravel()]))
        rows = self._encoder.rows(users, items)
        common = batch.negatives.ndim == 1 and batch.share is not None and not batch.share.leads
        counted = item_place[: len(batch.positives)] if common else item_place
        own = _half_square(rows.own_users, _counts(user_place, batch.owner, len(users))) + _half_square(
            rows.own_items, np.bincount(counted, minlength=len(items))
        )
        vectors = (rows.users, rows.items)
        if self._objective.score == "cosine":
            vectors = (normalize(rows.users, dim=1), normalize(rows.items, dim=1))
        scores = _scores(batch, *vectors, user_place, item_place)
        n_edges = len(batch.positives) if batch.share is None else batch.share.n_edges
        return self._mean(batch, scores) + self._objective.l2 / n_edges * own

    def share(self, batch: PairBatch, rank: int, size: int) -> PairBatch | None:
        """Every size-th row of the batch, from the one at `rank`, with its part of the loss."""
        if isinstance(self._objective.loss, BilateralSoftmaxConfig):
            return share_pairs(batch, rank, size, "rows")
        return share_pairs(batch, rank, size, "users" if self._objective.per_user else "edges")

    def embed(self) -> Vectors:
        """The encoder's vectors, item vectors at the length that answers use; with cosines, a mapping for new items."""
        vectors = self._encoder.embed()
        if self._objective.length_exponent != 1:
            vectors = replace(vectors, items=with_length(vectors.items, self._objective.length_exponent))
        return with_mapping(vectors, self._graph) if self._objective.score == "cosine" else vectors

    def _mean(self, batch: PairBatch, scores: Scores) -> Tensor:
        objective = self._objective
        if 0 < objective.hardest < scores.negative.shape[1]:
            scores = replace(scores, negative=scores.negative.topk(objective.hardest, dim=1).values, log_draws=None)
        values = losses(objective.loss, scores)
        if batch.share is not None:
            return total(values * torch.from_numpy(batch.share.weights).to(values.device))
        if objective.per_user and not isinstance(objective.loss, BilateralSoftmaxConfig):
            return mean_over_users(values, torch.from_numpy(batch.edge_users()).to(values.device))
        return total(values) / len(values)


def _scores(batch: PairBatch, users: Tensor, items: Tensor, user_place: Longs, item_place: Longs) -> Scores:
    """The batch's scores, from the vectors of its distinct users and items."""
    device = users.device
    n_edges, (rows, n) = len(batch.positives), (len(batch.users), batch.negatives.shape[-1])
    of_row = embedding(torch.from_numpy(user_place).to(device), users)  # (R, D)
    place = torch.from_numpy(item_place).to(device)
    positives = embedding(place[:n_edges], items)  # (E, D)
    negatives = embedding(place[n_edges:], items)  # (N, D) or (R * N, D)
    owner = None if batch.owner is None else torch.from_numpy(batch.owner).to(device)
    of_edge = of_row if owner is None else embedding(owner, of_row)
    positive = (of_edge * positives).sum(dim=1)
    if batch.negatives.ndim == 1:
        negative = product(of_row, negatives)
    else:
        negative = torch.einsum("rd,rnd->rn", of_row, negatives.view(rows, n, -1))
    if batch.taken is not None:
        where = tuple(torch.from_numpy(part).to(device) for part in batch.taken)
        negative = negative.index_put(where, negative.new_tensor(-torch.inf))
    return Scores(positive, negative, owner, torch.from_numpy(batch.log_draws).to(device))


def product(left: Tensor, right: Tensor) -> Tensor:
    """Inner products (R, N) of all rows of (R, D) and (N, D)."""
    rows, columns = len(left), len(right)
    if min(rows, columns) >= LEAST_ROWS or left.device.type != "cpu":
        return left @ right.T
    whole = [pad(part, (0, 0, 0, max(0, LEAST_ROWS - len(part)))) for part in (left, right)]
    return (whole[0] @ whole[1].T)[:rows, :columns]


def distinct(rows: Ints) -> tuple[Ints, Longs]:
    """The distinct rows, ascending, and where each of `rows` (B,) stands among them."""
    found, place = np.unique(rows, return_inverse=True)
    return found, place.astype(np.int64)


def _counts(place: Longs, owner: Longs | None, n: int) -> Longs:
    """How many edges of the batch each of the n distinct users has."""
    return np.bincount(place if owner is None else place[owner], minlength=n)


def _half_square(vectors: Tensor, counts: Longs) -> Tensor:
    """Half the squared length of the vectors (b, D), each counted as often as it occurs (b,)."""
    # row sums first: a sum over all elements would depend on the number of threads
    squares = vectors.square().sum(dim=1)
    return total(squares * torch.from_numpy(counts).to(squares)) / 2
