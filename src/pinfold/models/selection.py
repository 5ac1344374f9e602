"""Which negatives of a row count: from a matrix of scores, the hardest, the semi-hard, or some by their distance."""

from typing import Literal

import torch
from torch import Tensor

from pinfold.models.losses import ONE_THREAD

Selection = Literal["all", "hardest", "semi-hard", "distance-weighted"]

# Wu et al.'s own choices: below, a hard negative's gradient is mostly noise; above, its margin loss is 0 anyway
LEAST_DISTANCE, LARGEST_DISTANCE = 0.5, 1.4

# A log weight that no noise lifts to those of negatives within the distances: these are above -1, noise is in (-5, 17)
NEVER = -100.0


def select(
    scores: Tensor, positive: Tensor, how: Selection, n: int, *, dim: int = 0, generator: torch.Generator | None = None
) -> Tensor:
    """The columns (R, n) of each row's chosen negatives, or all N columns where there are no more.

    A negative of score -inf, which its row took after all, is chosen only where too few others are left. No gradient
    goes through the choice; `scores.gather(1, columns)` are the scores to learn from.

    Args:
        scores: (R, N) of negatives; cosines for "distance-weighted".
        positive: (R,) the score of each row's positive.
        how: "hardest": the highest scores. "semi-hard": those below the positive's score, the highest first; where
            there are too few, the lowest of the others (FaceNet: Schroff et al., CVPR 2015, section 3.2). "distance-
            weighted": drawn without repeats, see `distance_log_weights`.
        n: how many of each row.
        dim: the length of the vectors, for "distance-weighted"; at least 3.
        generator: of the draws; None: torch's own, see torch.manual_seed.

    Raises:
        ValueError: n below 1, or no `dim` where it is needed.
    """
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    scores, positive = scores.detach(), positive.detach()
    rows, columns = scores.shape
    if how == "all" or n >= columns:
        return torch.arange(columns, device=scores.device).expand(rows, columns)
    match how:
        case "hardest":
            keys = scores
        case "semi-hard":
            keys = _semi_hard(scores, positive)
        case "distance-weighted":
            keys = distance_log_weights(scores, dim) + _gumbel(scores.shape, generator).to(scores)
    return keys.topk(n, dim=1).indices


def distance_log_weights(cosines: Tensor, dim: int) -> Tensor:
    """Logs of the weights (R, N), up to a constant, with which negatives are drawn: all distances equally often.

    Two random unit vectors of length `dim` have distance d with density q(d) ~ d^(dim - 2) (1 - d^2 / 4)^((dim - 3) /
    2), so a weight of 1 / q(d) makes the distances of what is drawn uniform. Below LEAST_DISTANCE the weight stays what
    it is there. From LARGEST_DISTANCE on it is 0: such negatives are drawn, evenly, only where no others are left;
    cosines of -inf only after these. Wu et al., "Sampling Matters in Deep Embedding Learning", ICCV 2017, section 4.

    Raises:
        ValueError: dim below 3, of which the formula says nothing.
    """
    if dim < 3:
        raise ValueError(f"distance-weighted selection needs the length of the vectors, at least 3; got dim {dim}")
    squares = (2 - 2 * cosines).clamp_min(LEAST_DISTANCE**2)  # (R, N) of distances
    within = squares.clamp_max(LARGEST_DISTANCE**2)
    logs = -(dim - 2) / 2 * _log(within) - (dim - 3) / 2 * _log(1 - within / 4)
    logs = torch.where(squares < LARGEST_DISTANCE**2, logs, NEVER)
    return torch.where(torch.isfinite(cosines), logs, 2 * NEVER)


def _semi_hard(scores: Tensor, positive: Tensor) -> Tensor:
    """Keys (R, N), larger for those that come first."""
    above = (scores - positive[:, None]).double()  # exact orders survive the shift below
    taken = torch.isinf(above) & (above < 0)
    span = torch.where(taken, 0, above.abs()).amax(dim=1, keepdim=True) + 1  # (R, 1)
    keys = torch.where(above < 0, above, -span - above)
    return torch.where(taken, -torch.inf, keys)


def _gumbel(shape: torch.Size, generator: torch.Generator | None) -> Tensor:
    """Noise: the n largest of log weights plus it are n draws by weight, without repeats. Kool et al., ICML 2019."""
    uniform = torch.rand(shape, generator=generator).clamp_min(1e-30)
    return -_log(-_log(uniform))


def _log(x: Tensor) -> Tensor:
    """Log x, the same bits on any number of threads; see losses._softplus."""
    if x.device.type != "cpu" or x.numel() <= ONE_THREAD:
        return torch.log(x)
    return torch.cat([torch.log(part) for part in torch.split(x.flatten(), ONE_THREAD)]).view_as(x)
