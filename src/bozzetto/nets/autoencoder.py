"""D and A: a photo to a map of its own size (Pan, table 6)."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from bozzetto.nets.blocks import base_channels, group_base, levels

BOTTLENECK = 256  # z of the papers
BOTTLENECK_THIN = 64  # below a quarter of their width


class Autoencoder(nn.Module):
    """Encoder to a vector of 256 numbers, decoder back to the picture's size, GroupNorm between.

    Of a width under a quarter the vector has 64. D has one output channel and no activation, A three and tanh. One
    more level per doubling of the size above 64.
    """

    def __init__(self, size: int, outputs: int, activation: nn.Module | None = None, width: float = 1.0) -> None:
        super().__init__()
        nf, depth = base_channels(size, width), levels(size)
        base = group_base(nf)
        widths = [nf * min(2**i, 8) for i in range(depth)]
        bottleneck = BOTTLENECK if width >= 0.25 else BOTTLENECK_THIN

        def groups(channels: int) -> int:
            return base * (channels // nf)

        down: list[nn.Module] = []
        for i, (before, after) in enumerate(zip([3, *widths], widths, strict=False)):
            down.append(nn.Conv2d(before, after, 4, stride=2, padding=1, bias=False))
            if i < depth - 1:
                down.append(nn.GroupNorm(groups(after), after))
            down.append(nn.LeakyReLU(0.2, inplace=True))
        down += [nn.Conv2d(widths[-1], bottleneck, 4, stride=1, padding=0, bias=False), nn.ReLU(inplace=True)]

        up: list[nn.Module] = [
            nn.ConvTranspose2d(bottleneck, widths[-1], 4, stride=1, padding=0, bias=False),
            nn.ReLU(inplace=True),
            nn.Conv2d(widths[-1], widths[-1], 3, padding=1, bias=False),
            nn.ReLU(inplace=True),
        ]
        for before, after in zip(widths[::-1], widths[-2::-1], strict=False):
            up += [
                nn.ConvTranspose2d(before, after, 4, stride=2, padding=1, bias=False),
                nn.GroupNorm(groups(after), after),
                nn.ReLU(inplace=True),
                nn.Conv2d(after, after, 3, padding=1, bias=False),
                nn.GroupNorm(groups(after), after),
                nn.ReLU(inplace=True),
            ]
        up += [
            nn.Upsample(scale_factor=2, mode="nearest"),
            nn.Conv2d(nf, nf, 3, padding=1, bias=False),
            nn.GroupNorm(groups(nf), nf),
            nn.ReLU(inplace=True),
            nn.Conv2d(nf, nf, 5, padding=2, bias=False),
            nn.GroupNorm(groups(nf), nf),
            nn.ReLU(inplace=True),
            nn.Conv2d(nf, outputs, 5, padding=2, bias=False),
        ]
        if activation is not None:
            up.append(activation)
        self.network = nn.Sequential(*down, *up)

    def forward(self, image: Float[Tensor, "b c s s"]) -> Float[Tensor, "b k s s"]:
        """Images in [-1, 1] to maps."""
        return self.network(image)
