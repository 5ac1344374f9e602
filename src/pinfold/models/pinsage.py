"""PinSage: item vectors from content and neighborhoods, so that items which came after training have them too.

Ying et al., "Graph Convolutional Neural Networks for Web-Scale Recommender Systems", KDD 2018.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import embedding, normalize

from pinfold.arrays import Floats, Ints
from pinfold.config import options
from pinfold.errors import ConfigError
from pinfold.graph.bipartite import BipartiteGraph
from pinfold.graph.convolve import embed_all
from pinfold.graph.convolved import Convolved, Growth, Head, Network, PoolingName
from pinfold.graph.interests import InterestsConfig, ages_of, make_users
from pinfold.graph.neighborhoods import NeighborhoodConfig, Neighborhoods, neighborhoods, rank_window
from pinfold.models.convolution import Convolve, kaiming, kept_rows
from pinfold.models.interface import Context
from pinfold.models.losses import LossConfig, Scores, SoftmaxConfig, losses, weighted_mean
from pinfold.models.pairwise import product
from pinfold.models.selection import Selection, select
from pinfold.sampling.ahead import Ahead
from pinfold.sampling.informativeness import InformativenessConfig, edge_factors
from pinfold.sampling.item_batches import ItemBatch, ItemNegativesConfig, Sampler, going_untaken, hard_ranks
from pinfold.sampling.item_pairs import PairsConfig, PairSource
from pinfold.sampling.item_shares import share_items

WINDOW = 64  # candidates for hard negatives that are kept for each item


@options
class PinSageConfig:
    """Ying et al., KDD 2018, and what practice has learned since: softmax with logQ, mixed negatives."""

    name: Literal["pinsage"] = "pinsage"
    layers: Annotated[int, Field(ge=0, le=4, description="convolutions K; 0: content alone, through the head")] = 2
    hidden: Annotated[int, Field(ge=1, description="length M of messages")] = 128
    dim: Annotated[int, Field(ge=1, description="length D of the vectors")] = 128
    unit: Annotated[
        bool, Field(description="vectors have length 1, scores are cosines; else inner products, so that length counts")
    ] = False
    pooling: Annotated[PoolingName, Field(description="how neighbors' messages become one")] = "importance"
    neighborhood: Annotated[NeighborhoodConfig, Field(description="who an item's neighbors are")] = NeighborhoodConfig()
    edges: Annotated[
        InformativenessConfig,
        Field(description="what makes the walks of old items take an edge more often; with weighted"),
    ] = InformativenessConfig()
    guard: Annotated[bool, Field(description="hide edges between what asks and the answer in training")] = False
    collections: Annotated[
        bool, Field(description="items also know the features of the users (collections) that have them")
    ] = False
    ids: Annotated[
        int, Field(ge=0, description="length of a vector of its own for each item, beside the content; 0: none")
    ] = 0
    id_dropout: Annotated[
        float, Field(ge=0, lt=1, description="chance that an item goes without it in a step, as new items do")
    ] = 0.5
    untaken: Annotated[
        float,
        Field(ge=0, lt=1, description="chance that an item goes as if nobody had taken it in a step, as new items do"),
    ] = 0.1
    dropout: Annotated[float, Field(ge=0, lt=1, description="of content numbers, in training")] = 0.0
    pairs: Annotated[PairsConfig, Field(description="what is learned from")] = PairsConfig()
    negatives: Annotated[ItemNegativesConfig, Field(description="batches and negatives")] = ItemNegativesConfig()
    selection: Annotated[
        Selection,
        Field(
            description="which of the negatives count for a pair: all; those with the highest scores; those just below "
            "the positive's; or drawn so that all distances are equally likely, which needs `unit`"
        ),
    ] = "all"
    selected: Annotated[int, Field(ge=1, description="how many, unless all")] = 64
    loss: LossConfig = SoftmaxConfig(temperature=0.2, log_q=True)
    length_exponent: Annotated[
        float,
        Field(
            ge=0,
            le=2,
            description="users are answered with item vectors of length |v|^this: 1 as they are, 0 cosines; what all "
            "like should weigh less for a history than for one item",
        ),
    ] = 0.5
    users: Annotated[InterestsConfig, Field(description="what users and collections are")] = InterestsConfig()


class PinSage(nn.Module):
    """A `Trainable` on pairs of items."""

    def __init__(
        self, config: PinSageConfig, graph: BipartiteGraph, seed: int, context: Context, shape: "Shape | None" = None
    ) -> None:
        """With `shape`, from neither graph nor context: batches come from elsewhere and bring their content."""
        super().__init__()
        if config.selection == "distance-weighted" and not config.unit:
            raise ConfigError("model.selection 'distance-weighted' needs distances on a sphere; set model.unit = true")
        self._config = config
        if shape is None:
            self._graph, self._events = graph, context.events
            content = context.item_content(config.name)
            self._growth = growth(config, graph, seed)
            bare = replace(self._growth, n_ids=0)
            self._users = user_content(config, graph, context)
            self._content = bare.first_input(content, graph.item_users, self._users)
            self._sampler = sampler(config, graph, seed, context)
            shape = Shape(graph.n_items, self._content.shape[1], self._growth.nobody(self._users.shape[1]))
        self._shape = shape
        generator = torch.Generator().manual_seed(seed)
        width = shape.width + config.ids
        self.ids = nn.Parameter(torch.randn(shape.n_items, config.ids, generator=generator) * 0.1)
        self.convolutions = nn.ModuleList()
        for _ in range(config.layers):
            self.convolutions.append(Convolve(width, config.hidden, config.dim, config.pooling, generator))
            width = config.dim
        self.first = kaiming(width, config.dim, generator)
        self.first_bias = nn.Parameter(torch.zeros(config.dim))
        self.second = kaiming(config.dim, config.dim, generator)
        self._inputs: Tensor | None = None

    def module(self) -> nn.Module:
        """Itself."""
        return self

    def n_batches(self) -> int:
        """Steps in an epoch."""
        return self._sampler.n_batches()

    def batches(self, rng: np.random.Generator, epoch: int = 1) -> Iterator[ItemBatch]:
        """The pairs of an epoch, made ready by a thread of its own while the step before is computed."""
        return Ahead(self._sampler.batches(rng, n_hard(self._config.negatives, epoch)))

    def loss(self, batch: ItemBatch) -> Tensor:
        """The weighted mean of the pairs' losses."""
        vectors = self(batch)
        device = vectors.device
        places = [torch.from_numpy(part).to(device) for part in (batch.positives, batch.negatives)]
        queries = _queries(batch, vectors, self._config.unit)
        positives, negatives = (embedding(place, vectors) for place in places)
        positive = (queries * positives).sum(dim=1)
        if negatives.ndim == 2:
            negative = product(queries, negatives)
        else:
            negative = torch.einsum("bd,bnd->bn", queries, negatives)
        log_draws = torch.from_numpy(batch.log_draws).to(device)
        if batch.hard.shape[1]:
            hard = embedding(torch.from_numpy(batch.hard).to(device), vectors)
            negative = torch.cat([negative, torch.einsum("bd,bhd->bh", queries, hard)], dim=1)
        where = tuple(torch.from_numpy(part).to(device) for part in batch.taken)
        negative = negative.index_put(where, negative.new_tensor(-torch.inf))
        if self._config.selection != "all":
            config = self._config
            columns = select(negative, positive, config.selection, config.selected, dim=config.dim)
            negative, log_draws = negative.gather(1, columns), log_draws[columns]
        values = losses(self._config.loss, Scores(positive, negative, None, log_draws))
        return weighted_mean(values, torch.from_numpy(batch.weights).to(device), batch.n_whole)

    def share(self, batch: ItemBatch, rank: int, size: int) -> ItemBatch | None:
        """Every size-th pair of the batch, from the one at `rank`, with its part of the loss."""
        return share_items(batch, rank, size)

    def forward(self, batch: ItemBatch) -> Tensor:
        """The vectors (n, D) of the batch's items. PinSage, algorithm 2."""
        taken = self._taken(batch)
        hidden = self._start(batch, taken)
        for layer, block in zip(self.convolutions, batch.blocks, strict=True):
            hidden = layer(hidden, block, None if taken is None else taken[: block.n_rows])
        hidden = torch.relu(hidden @ self.first + self.first_bias)
        made = hidden @ self.second
        return normalize(made, dim=1) if self._config.unit else made

    def embed(self) -> Convolved:
        """All items layer by layer, users as means over their items."""
        with torch.no_grad():
            arrays = {name: part.detach().cpu().numpy() for name, part in self.named_parameters()}
        content = np.concatenate([self._content, arrays["ids"]], axis=1)
        network = Network(
            tuple(layer.arrays() for layer in self.convolutions),  # type: ignore[operator]
            Head(arrays["first"].copy(), arrays["first_bias"].copy(), arrays["second"].copy()),
            self._config.pooling,
            self._config.unit,
        )
        near = self._sampler.neighborhoods
        items, inputs = embed_all(network, content, near)
        histories = self._graph.user_items
        vectors = make_users(items, histories, ages_of(histories, self._events), self._config.users)
        return Convolved(vectors, network, inputs, self._growth, self._users, self._config.length_exponent, near)

    def _taken(self, batch: ItemBatch) -> Tensor | None:
        """Zeros (m, 1) for items that in this step go as if nobody had taken them, ones for the others."""
        if not (self.training and self._config.untaken):
            return None
        untaken = going_untaken(batch.nodes, batch.untaken, self._config.untaken)
        return torch.from_numpy(~untaken)[:, None].float().to(self.ids.device)

    def _start(self, batch: ItemBatch, taken: Tensor | None) -> Tensor:
        """The first inputs (n, D_0) of the batch's items."""
        device, config = self.ids.device, self._config
        where = torch.from_numpy(batch.nodes).to(device)
        content = self._own_content(where) if batch.content is None else torch.from_numpy(batch.content).to(device)
        if taken is not None:
            untaken = torch.from_numpy(self._shape.untaken).to(device)
            split = content.shape[1] - untaken.shape[1]
            around = content[:, split:] * taken + untaken * (1 - taken)
            content = torch.cat([content[:, :split], around], dim=1)
        if config.dropout and self.training:
            content = content * kept_rows(content.shape, config.dropout, device)
        if not config.ids:
            return content
        own = embedding(where, self.ids)
        if config.id_dropout and self.training:
            own = own * kept_rows((len(own), 1), config.id_dropout, device)
        return torch.cat([content, own if taken is None else own * taken], dim=1)

    def _own_content(self, where: Tensor) -> Tensor:
        """Rows of the table of content, on their device."""
        if self._inputs is None or self._inputs.device != where.device:
            self._inputs = torch.from_numpy(self._content).to(where.device)
        return self._inputs.index_select(0, where)


@dataclass(frozen=True, slots=True)
class Shape:
    """What a PinSage's parameters depend on beside its options and seed."""

    n_items: int
    width: int  # F_0, of the content with what the graph adds to it
    untaken: Floats  # (1, F') the end of that for an item that nobody took


def _queries(batch: ItemBatch, vectors: Tensor, unit: bool) -> Tensor:
    """The mean (B, D) of the vectors of what asks in each row, at length 1 where vectors are."""
    asking, rows, more = (torch.from_numpy(part).to(vectors.device) for part in (batch.queries, *batch.more))
    counts = 1 + torch.bincount(rows, minlength=len(asking))
    queries = embedding(asking, vectors).index_add(0, rows, embedding(more, vectors)) / counts[:, None]
    return normalize(queries, dim=1) if unit and len(rows) else queries


def n_hard(config: ItemNegativesConfig, epoch: int) -> int:
    """Hard negatives of each pair in this epoch, from 1. PinSage, section 3.4: the curriculum."""
    return min(epoch - 1, config.hard) if config.curriculum else config.hard


def user_content(config: PinSageConfig, graph: BipartiteGraph, context: Context) -> Floats:
    """Features (U, F') of the users; F' = 0 where they are not wanted.

    Raises:
        ConfigError: they are wanted and there are none.
    """
    if not config.collections:
        return np.zeros((graph.n_users, 0), np.float32)
    if context.content is None or not context.content.users.shape[1]:
        raise ConfigError("model.collections is set, but users have no features; import with --user-table FILE")
    return context.content.users


def growth(config: PinSageConfig, graph: BipartiteGraph, seed: int) -> Growth:
    """How new items get their inputs; degrees are scaled by those of the items that somebody took."""
    counts = graph.item_counts()
    logs = np.log1p(counts[counts > 0])
    mean, deviation = (float(logs.mean()), float(logs.std())) if len(logs) else (0.0, 1.0)
    return Growth(config.neighborhood, seed, mean, deviation or 1.0, config.ids)


def sampler(config: PinSageConfig, graph: BipartiteGraph, seed: int, context: Context) -> Sampler:
    """What batches are made of: pairs, neighborhoods, windows for hard negatives."""
    content = context.content.items if context.content is not None else None
    own = config.negatives.negatives == "popularity" and not config.negatives.shared
    if own and isinstance(config.loss, SoftmaxConfig) and config.loss.log_q:
        raise ConfigError(
            "model.loss.log_q: negatives of each pair's own have no correction; set negatives.shared = true"
        )
    walked = graph
    if config.edges.active():
        if not config.neighborhood.weighted:
            raise ConfigError("model.edges weighs edges for the walks; set model.neighborhood.weighted = true")
        walked = graph.reweighted(edge_factors(config.edges, graph, context.events, content))
    ranks = hard_ranks(config.negatives, graph.n_items)
    near = neighborhoods(walked, config.neighborhood, seed)
    if config.pooling == "mean":
        near = Neighborhoods(near.ids, equal_weights(near.ids))
    pairs = config.pairs.informativeness
    factors = edge_factors(pairs, graph, context.events, content) if pairs.active() else None
    source = PairSource(config.pairs, graph, context.events, factors, context.pairs)
    window = None
    if config.negatives.hard:
        window = rank_window(graph, *ranks, WINDOW, config.neighborhood, seed)
    return Sampler(config.negatives, source, near, source.chances(), window, config.layers, config.guard)


def equal_weights(ids: Ints) -> Floats:
    """1 / n for each of a row's n neighbors. Shape (I, T)."""
    there = ids >= 0
    return np.asarray(there / np.maximum(there.sum(axis=1, keepdims=True), 1), np.float32)
