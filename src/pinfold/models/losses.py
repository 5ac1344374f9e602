"""Surrogate losses: small functions of scores.

Recall@K cannot be differentiated, so a model is trained on one of these instead. All take `Scores`, and return one
value for each positive; the bilateral softmax, which pools a row's positives, one for each row.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import softplus

from pinfold.config import options

ONE_THREAD = 1 << 14  # elements; torch divides 2^15 and more among its threads


@dataclass(frozen=True, slots=True)
class Scores:
    """The scores of a batch: E edges of R rows, and N non-edges of each row.

    A row is one edge's user, or a user with all their edges. A negative that its user took after all has score -inf
    and weighs nothing in any loss.
    """

    positive: Tensor  # (E,)
    negative: Tensor  # (R, N)
    owner: Tensor | None = None  # (E,) the row of each edge; None: edge e has row e
    log_draws: Tensor | None = None  # (N,) or (R, N) log of how often each negative was expected among the N

    def of_edges(self, rows: Tensor) -> Tensor:
        """The values of rows (R, ...) for each edge (E, ...)."""
        return rows if self.owner is None else rows.index_select(0, self.owner)


@options
class BinaryConfig:
    """Binary cross-entropy: all positives above all negatives, of whichever user."""

    name: Literal["binary"] = "binary"


@options
class BPRConfig:
    """Bayesian personalized ranking: each user's positives above that user's own negatives."""

    name: Literal["bpr"] = "bpr"
    temperature: Annotated[float, Field(gt=0, description="scores are divided by it; small for cosines")] = 1.0


@options
class MaxMarginConfig:
    """Hinge: each positive above its negatives by a margin."""

    name: Literal["max-margin"] = "max-margin"
    margin: Annotated[float, Field(gt=0, description="by how much")] = 1.0


@options
class SoftmaxConfig:
    """Sampled softmax: the positive is to be picked from among the negatives."""

    name: Literal["softmax"] = "softmax"
    temperature: Annotated[float, Field(gt=0, description="scores are divided by it; small for cosines")] = 0.12
    log_q: Annotated[
        bool, Field(description="subtract the log of a negative's chance to be drawn: popular ones are not punished")
    ] = False


@options
class BilateralSoftmaxConfig:
    """BSL: softmax over negatives, soft maximum over each row's positives; put batches together by users."""

    name: Literal["bsl"] = "bsl"
    temperature: Annotated[float, Field(gt=0, description="of the negatives")] = 0.1
    positive_temperature: Annotated[
        float, Field(gt=0, description="of the positives; large: their mean, small: the best of them")
    ] = 0.2


@options
class CosineContrastiveConfig:
    """SimpleX's loss: positives to cosine 1, negatives only down to a margin."""

    name: Literal["cosine-contrastive"] = "cosine-contrastive"
    margin: Annotated[float, Field(ge=-1, le=1, description="a negative below it costs nothing")] = 0.4
    negative_weight: Annotated[float, Field(gt=0, description="weight of the mean over negatives")] = 150.0


LossConfig = Annotated[
    BinaryConfig | BPRConfig | MaxMarginConfig | SoftmaxConfig | BilateralSoftmaxConfig | CosineContrastiveConfig,
    Field(discriminator="name", description="what is minimized, and its options"),
]


def losses(config: LossConfig, scores: Scores) -> Tensor:
    """The values (E,), or (R,) for the bilateral softmax, of the chosen loss."""
    match config:
        case BinaryConfig():
            return binary(scores)
        case BPRConfig():
            return bpr(scores, config.temperature)
        case MaxMarginConfig():
            return max_margin(scores, config.margin)
        case SoftmaxConfig():
            return sampled_softmax(scores, config.temperature, log_q=config.log_q)
        case BilateralSoftmaxConfig():
            return bilateral_softmax(scores, config.temperature, config.positive_temperature)
        case CosineContrastiveConfig():
            return cosine_contrastive(scores, config.margin, config.negative_weight)


def binary(scores: Scores) -> Tensor:
    """-log s(positive) - mean_n log(1 - s(negative_n)), s the logistic function.

    Positives of ALL users are pushed above negatives of ALL users: it penalizes score matrices whose ranking for
    each user is perfect. CS224W 2025 lecture "Recommender systems", binary loss.
    """
    return _softplus(-scores.positive) + scores.of_edges(_softplus(scores.negative).mean(dim=1))


def bpr(scores: Scores, temperature: float = 1.0) -> Tensor:
    """mean_n -log s((positive - negative_n) / temperature): each user's positives above that user's own negatives.

    Rendle et al., UAI 2009, without the prior, which is the caller's L2 term.
    """
    margins = scores.of_edges(scores.negative) - scores.positive[:, None]
    return _softplus(margins / temperature).mean(dim=1)


def max_margin(scores: Scores, margin: float) -> Tensor:
    """mean_n max(0, margin - positive + negative_n). PinSage eq. 1 (Ying et al., KDD 2018)."""
    return torch.relu(scores.of_edges(scores.negative) - scores.positive[:, None] + margin).mean(dim=1)


def sampled_softmax(scores: Scores, temperature: float, *, log_q: bool = False) -> Tensor:
    """-log of exp(positive / t) / (exp(positive / t) + sum_n exp(negative_n / t - log q_n)).

    q_n, how often n was expected among the draws, makes the sum an estimate of the one over all items. The positive
    is in the sample with certainty, so it gets no correction (arXiv 2507.09331). Yi et al., RecSys 2019.
    """
    return _softplus(scores.of_edges(_pooled(scores, temperature, log_q)) - scores.positive / temperature)


def bilateral_softmax(scores: Scores, temperature: float, positive_temperature: float) -> Tensor:
    """(t log mean_n exp(negative_n / t) - p log mean_e exp(positive_e / p)) / t, e the row's positives. (R,).

    Wu et al., ICDE 2024: the second term is as robust to wrong positives as the first is to wrong negatives.
    """
    scaled = scores.positive / positive_temperature
    if scores.owner is not None:
        rows = scores.negative.shape[0]
        top = torch.full((rows,), -torch.inf).to(scaled).scatter_reduce(0, scores.owner, scaled.detach(), "amax")
        sums = torch.zeros(rows).to(scaled).index_add(0, scores.owner, torch.exp(scaled - top[scores.owner]))
        counts = torch.bincount(scores.owner, minlength=rows).to(scaled)
        scaled = torch.log(sums / counts) + top
    return _pooled(scores, temperature, log_q=False) - scaled * (positive_temperature / temperature)


def cosine_contrastive(scores: Scores, margin: float, negative_weight: float) -> Tensor:
    """(1 - positive) + weight * mean_n max(0, negative_n - margin), of cosines. Mao et al., CIKM 2021, eq. 1."""
    above = torch.relu(scores.negative - margin).mean(dim=1)
    return (1 - scores.positive) + negative_weight * scores.of_edges(above)


def mean_over_users(losses: Tensor, users: Tensor) -> Tensor:
    """The mean over users of each one's mean loss, so that active users do not count for more.

    Args:
        losses: (B,).
        users: (B,) rows. CS224W 2025, BPR loss (3): mean over u of Loss(u).
    """
    _, place, counts = torch.unique(users, return_inverse=True, return_counts=True)
    return total(losses / counts[place]) / len(counts)


def weighted_mean(values: Tensor, weights: Tensor | None = None, whole: int | None = None) -> Tensor:
    """The mean of weight times value, the same bits on any number of threads; without weights the plain mean.

    Args:
        values: (B,).
        weights: (B,) with mean 1 over all that is learned from; not in every batch, or a batch of unimportant pairs
            would teach as much as any other.
        whole: how many values the batch has, where these are a share of it.
    """
    return total(values if weights is None else values * weights.to(values)) / (len(values) if whole is None else whole)


def total(values: Tensor) -> Tensor:
    """The sum of values (B,), the same bits on any number of threads."""
    return torch.stack([part.sum() for part in torch.split(values, ONE_THREAD)]).sum()


def _pooled(scores: Scores, temperature: float, log_q: bool) -> Tensor:
    """Log sum_n exp(negative_n / t - log q_n) of each row (R,); never below a floor, so that no gradient is nan."""
    scaled = scores.negative / temperature
    if log_q and scores.log_draws is not None:
        scaled = scaled - scores.log_draws
    return torch.logsumexp(scaled.clamp_min(-1e9), dim=1)


def _softplus(x: Tensor) -> Tensor:
    """log(1 + exp(x)), the same bits on any number of threads."""
    if x.device.type != "cpu" or x.numel() <= ONE_THREAD:
        return softplus(x)
    # torch's SIMD and scalar exp differ in the last bit, and the border between two threads decides which one is used
    return torch.cat([softplus(part) for part in torch.split(x.flatten(), ONE_THREAD)]).view_as(x)
