"""Pieces shared by the five networks."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

MIN_SIZE = 64  # the papers' tables are for 64 px; every doubling adds one level
BASE_CHANNEL_BUDGET = 4096  # nf = 4096 / S, so that wider pictures get thinner first layers
MIN_CHANNELS = 16
MIN_CHANNELS_THIN = 8  # below a quarter of the papers' width


def levels(size: int) -> int:
    """Number of halvings from a size x size picture to the 4 x 4 bottleneck.

    Raises:
        ValueError: if size is not a power of two of at least 16.
    """
    if size < 16 or size & (size - 1):
        raise ValueError(f"picture size must be a power of two of at least 16, not {size}")
    return size.bit_length() - 3


def base_channels(size: int, width: float = 1.0) -> int:
    """nf of the papers' tables: max(4096 / S, 16), times the width. Below 64 px (tests) it stays at the 64 px value.

    It never falls under 16, or, for a width under a quarter, under 8.
    """
    least = MIN_CHANNELS if width >= 0.25 else MIN_CHANNELS_THIN
    nf = max(int(BASE_CHANNEL_BUDGET * width) // max(size, MIN_SIZE), least)
    return nf - nf % group_base(nf)  # whole groups for any width


def group_base(nf: int) -> int:
    """GroupNorm groups of the first level: 16 where it has 64 channels (64 px), 8 where it has fewer (Pan)."""
    return 16 if nf >= 64 else 8


class ResidualDown(nn.Module):
    """Residual block that halves the size (Pan, table 8): conv 3 - conv 3, strided, beside a pooled 1 x 1 skip."""

    def __init__(self, cin: int, cout: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(cin, cout, 3, stride=2, padding=1, bias=False),
            nn.ReLU(),
            nn.Conv2d(cout, cout, 3, stride=1, padding=1, bias=False),
        )
        self.skip = nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(cin, cout, 1, bias=False))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k g v"]:
        return self.main(x) + self.skip(x)


def initialise(module: nn.Module, generator: torch.Generator) -> None:
    """Draw every parameter anew from an explicit generator, by PyTorch's default distributions.

    torch.nn draws from the global generator at construction; drawing again here makes a network a function of the
    seed alone, whatever else the program has drawn.
    """
    for part in module.modules():
        if isinstance(part, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            fan_in = part.weight.shape[1] * part.weight[0][0].numel()
            bound = fan_in**-0.5
            with torch.no_grad():
                part.weight.uniform_(-bound, bound, generator=generator)
                if part.bias is not None:
                    part.bias.uniform_(-bound, bound, generator=generator)
