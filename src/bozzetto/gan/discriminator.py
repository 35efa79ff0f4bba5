"""StyleGAN2's discriminator as a readable module (Karras et al., CVPR 2020, figure 7 for the three architectures)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from bozzetto.gan import ops
from bozzetto.gan.spec import StyleGan2Spec
from bozzetto.gan.stylegan2 import EqualLinear


class EqualConv(nn.Module):
    """Convolution, optionally with bias and activation; `down` filters first and takes every second pixel."""

    def __init__(self, cin: int, cout: int, k: int, down: bool = False, activate: bool = True) -> None:
        super().__init__()
        self.k, self.down = k, down
        self.gain = 1 / math.sqrt(cin * k * k)
        self.weight = nn.Parameter(torch.empty(cout, cin, k, k))
        self.bias = nn.Parameter(torch.empty(cout)) if activate else None

    def forward(self, x: Float[Tensor, "b cin h w"]) -> Float[Tensor, "b cout h2 w2"]:
        if self.down:
            p = self.k + 1  # filter of 4, stride 2: pads sum to 2 + (k - 1)
            x = F.conv2d(ops.blur(x, ((p + 1) // 2, p // 2)), self.weight * self.gain, stride=2)
        else:
            x = F.conv2d(x, self.weight * self.gain, padding=self.k // 2)
        if self.bias is None:
            return x
        return ops.scaled_leaky_relu(x + self.bias[:, None, None])


class DiscriminatorBlock(nn.Module):
    """Two convolutions to half the size; residual in the `resnet` architecture."""

    def __init__(self, cin: int, cout: int, residual: bool) -> None:
        super().__init__()
        self.conv1 = EqualConv(cin, cin, 3)
        self.conv2 = EqualConv(cin, cout, 3, down=True)
        self.skip = EqualConv(cin, cout, 1, down=True, activate=False) if residual else None

    def forward(self, x: Float[Tensor, "b cin h w"]) -> Float[Tensor, "b cout h/2 w/2"]:
        out = self.conv2(self.conv1(x))
        return out if self.skip is None else (out + self.skip(x)) * math.sqrt(0.5)


class Discriminator(nn.Module):
    """Image in [-1, 1] -> logit. Blocks go from the full size down to 8; the last layers work at 4x4."""

    def __init__(self, spec: StyleGan2Spec) -> None:
        super().__init__()
        self.spec = spec
        self.arch = spec.discriminator_arch
        channels, sizes = spec.channels_d, spec.resolutions[::-1]
        self.from_rgb = nn.ModuleDict()
        for size in sizes if self.arch == "skip" else sizes[:1]:
            self.from_rgb[str(size)] = EqualConv(3, channels[size], 1)
        self.blocks = nn.ModuleList(
            DiscriminatorBlock(channels[size], channels[size // 2], self.arch == "resnet") for size in sizes[:-1]
        )
        self.final_conv = EqualConv(channels[4] + 1, channels[4], 3)
        self.final_linear = EqualLinear(channels[4] * 16, channels[4])
        self.logit = EqualLinear(channels[4], 1)

    def features(self, image: Float[Tensor, "b 3 s s"], count: int) -> list[Float[Tensor, "b _ _ _"]]:
        """Input of the first block and the outputs of the first `count` blocks; items stay independent."""
        x = self.from_rgb[str(image.shape[-1])](image)
        taps = [x]
        for block in self.blocks[:count]:
            x = block(x)
            if self.arch == "skip":
                image = ops.downsample2(image)
                x = x + self.from_rgb[str(image.shape[-1])](image)
            taps.append(x)
        return taps

    def head(self, x: Float[Tensor, "b c 4 4"], mbstd_group: int | None = None) -> Float[Tensor, "b 1"]:
        """Last layers. `mbstd_group` > 1 mixes items (training); 1 keeps them independent; None: the spec's."""
        x = ops.minibatch_stddev(x, self.spec.mbstd_group if mbstd_group is None else mbstd_group)
        x = self.final_conv(x).flatten(1)
        return self.logit(ops.scaled_leaky_relu(self.final_linear(x)))

    def forward(self, image: Float[Tensor, "b 3 s s"], mbstd_group: int | None = None) -> Float[Tensor, "b 1"]:
        return self.head(self.features(image, len(self.blocks))[-1], mbstd_group)
