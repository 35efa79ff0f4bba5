"""V and L: a photo to a few numbers (Pan, table 5)."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from bozzetto.nets.blocks import base_channels, levels


class Encoder(nn.Module):
    """Strided 4 x 4 convolutions to 4 x 4, one more to 1 x 1, and tanh.

    At 64 px: 3-64-128-256-512, then 512 and `outputs`. V has 6 outputs, L has 4.
    """

    def __init__(self, size: int, outputs: int, cin: int = 3, width: float = 1.0) -> None:
        super().__init__()
        nf, depth = base_channels(size, width), levels(size)
        widths = [nf * min(2**i, 8) for i in range(depth)]
        layers: list[nn.Module] = []
        for before, after in zip([cin, *widths], widths, strict=False):
            layers += [nn.Conv2d(before, after, 4, stride=2, padding=1, bias=False), nn.ReLU(inplace=True)]
        layers += [
            nn.Conv2d(widths[-1], nf * 8, 4, stride=1, padding=0, bias=False),
            nn.ReLU(inplace=True),
            nn.Conv2d(nf * 8, outputs, 1, bias=False),
            nn.Tanh(),
        ]
        self.network = nn.Sequential(*layers)

    def forward(self, image: Float[Tensor, "b c s s"]) -> Float[Tensor, "b k"]:
        """Images in [-1, 1] to `outputs` numbers in [-1, 1]."""
        return self.network(image).flatten(1)
