"""Surrogate losses: small functions of scores, one value per positive.

Recall@K cannot be differentiated, so a model is trained on one of these instead. All take `positive` (B,), the
scores of edges, and `negative` (B, N), the scores of the same users' non-edges, and return (B,).
"""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import softplus

LossName = Literal["bpr", "binary"]
ONE_THREAD = 1 << 14  # elements; torch divides 2^15 and more among its threads


def binary(positive: Tensor, negative: Tensor) -> Tensor:
    """-log s(positive) - mean_n log(1 - s(negative_n)), s the logistic function.

    Positives of ALL users are pushed above negatives of ALL users: it penalizes score matrices whose ranking for
    each user is perfect. CS224W 2025 lecture "Recommender systems", binary loss.
    """
    return _softplus(-positive) + _softplus(negative).mean(dim=1)


def bpr(positive: Tensor, negative: Tensor) -> Tensor:
    """mean_n -log s(positive - negative_n): each user's positives above that user's own negatives.

    Rendle et al., UAI 2009, without the prior, which is the caller's L2 term.
    """
    return _softplus(negative - positive[:, None]).mean(dim=1)


def mean_over_users(losses: Tensor, users: Tensor) -> Tensor:
    """The mean over users of each one's mean loss, so that active users do not count for more.

    Args:
        losses: (B,).
        users: (B,) rows. CS224W 2025, BPR loss (3): mean over u of Loss(u).
    """
    _, place, counts = torch.unique(users, return_inverse=True, return_counts=True)
    total: Tensor = (losses / counts[place]).sum()
    return total / len(counts)


def _softplus(x: Tensor) -> Tensor:
    """log(1 + exp(x)), the same bits on any number of threads."""
    if x.device.type != "cpu" or x.numel() <= ONE_THREAD:
        return softplus(x)
    # torch's SIMD and scalar exp differ in the last bit, and the border between two threads decides which one is used
    return torch.cat([softplus(part) for part in torch.split(x.flatten(), ONE_THREAD)]).view_as(x)


LOSSES: dict[LossName, Callable[[Tensor, Tensor], Tensor]] = {"bpr": bpr, "binary": binary}
