"""PinSage's convolution as a torch module, and what it is made of."""

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from pinfold.graph.convolved import Convolution, PoolingName
from pinfold.models.pooling import WeightedSum, attended, largest
from pinfold.sampling.blocks import Block


class Convolve(nn.Module):
    """One convolution; see graph.convolved.Convolution."""

    def __init__(self, width: int, m: int, dim: int, pooling: PoolingName, generator: torch.Generator) -> None:
        super().__init__()
        self._pooling = pooling
        self.neighbor = kaiming(width, m, generator)
        self.neighbor_bias = nn.Parameter(torch.zeros(m))
        self.both = kaiming(width + m, dim, generator)
        self.bias = nn.Parameter(torch.zeros(dim))
        self.attention = nn.Parameter(torch.zeros((width + m) if pooling == "attention" else 0))

    def forward(self, own: Tensor, block: Block, taken: Tensor | None) -> Tensor:
        """(C, D) to (R, D'); where `taken` (R, 1) is zero, nothing is gathered."""
        messages = torch.relu(own @ self.neighbor + self.neighbor_bias)
        own = own[: block.n_rows]
        match self._pooling:
            case "max":
                gathered = largest(messages, block)
            case "attention":
                gathered = attended(own, messages, self.attention, block)
            case _:
                gathered = WeightedSum.apply(messages, block)  # type: ignore[no-untyped-call]
        if taken is not None:
            gathered = gathered * taken
        d = own.shape[1]
        made = torch.relu(own @ self.both[:d] + gathered @ self.both[d:] + self.bias)
        return normalize(made, dim=1)

    def arrays(self) -> Convolution:
        """The layer for numpy."""
        names = ("neighbor", "neighbor_bias", "both", "bias", "attention")
        return Convolution(*(getattr(self, name).detach().cpu().numpy().copy() for name in names))


def kaiming(rows: int, columns: int, generator: torch.Generator) -> nn.Parameter:
    """A (rows, columns) matrix, normal with variance 2 / rows: keeps the scale through ReLU. He et al., ICCV 2015."""
    return nn.Parameter(torch.randn(rows, columns, generator=generator) * (2 / max(rows, 1)) ** 0.5)


def kept_rows(shape: tuple[int, ...] | torch.Size, dropout: float, device: torch.device) -> Tensor:
    """Random zeros, and 1 / (1 - p) elsewhere."""
    return (torch.rand(shape, device=device) >= dropout) / (1 - dropout)
