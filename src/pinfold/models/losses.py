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


def binary(positive: Tensor, negative: Tensor) -> Tensor:
    """-log s(positive) - mean_n log(1 - s(negative_n)), s the logistic function.

    Positives of ALL users are pushed above negatives of ALL users: it penalizes score matrices whose ranking for
    each user is perfect. CS224W 2025 lecture "Recommender systems", binary loss.
    """
    return softplus(-positive) + softplus(negative).mean(dim=1)


def bpr(positive: Tensor, negative: Tensor) -> Tensor:
    """mean_n -log s(positive - negative_n): each user's positives above that user's own negatives.

    Rendle et al., UAI 2009, without the prior, which is the caller's L2 term.
    """
    return softplus(negative - positive[:, None]).mean(dim=1)


def mean_over_users(losses: Tensor, users: Tensor) -> Tensor:
    """The mean over users of each one's mean loss, so that active users do not count for more.

    Args:
        losses: (B,).
        users: (B,) rows. CS224W 2025, BPR loss (3): mean over u of Loss(u).
    """
    _, place, counts = torch.unique(users, return_inverse=True, return_counts=True)
    total: Tensor = (losses / counts[place]).sum()
    return total / len(counts)


LOSSES: dict[LossName, Callable[[Tensor, Tensor], Tensor]] = {"bpr": bpr, "binary": binary}
