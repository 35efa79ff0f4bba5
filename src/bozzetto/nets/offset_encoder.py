"""E: a picture to an offset in the generator's latent space (Pan, table 7 and 8)."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from bozzetto.nets.blocks import ResidualDown, levels

FIRST_CHANNELS = 32


class OffsetEncoder(nn.Module):
    """Strided convolution, residual blocks that double the width, and a head to d_w numbers without activation."""

    def __init__(self, size: int, w_dim: int, cin: int = 3) -> None:
        super().__init__()
        depth = levels(size)
        layers: list[nn.Module] = [nn.Conv2d(cin, FIRST_CHANNELS, 4, stride=2, padding=1, bias=False), nn.ReLU()]
        width = FIRST_CHANNELS
        for _ in range(depth - 1):
            layers.append(ResidualDown(width, width * 2))
            width *= 2
        layers += [
            nn.Conv2d(width, width * 2, 4, stride=1, padding=0, bias=False),
            nn.ReLU(),
            nn.Conv2d(width * 2, w_dim, 1, bias=False),
        ]
        self.network = nn.Sequential(*layers)

    def forward(self, image: Float[Tensor, "b c s s"]) -> Float[Tensor, "b d"]:
        """Images in [-1, 1] to offsets."""
        return self.network(image).flatten(1)
