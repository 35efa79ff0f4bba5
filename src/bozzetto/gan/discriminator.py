"""StyleGAN2's discriminator as a readable module (Karras et al., CVPR 2020, figure 7 for the three architectures)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from bozzetto.gan import ops
from bozzetto.gan.mapping import EqualLinear, Mapping
from bozzetto.gan.spec import StyleGan2Spec


class EqualConv(nn.Module):
    """Convolution, optionally with bias and activation; `down` filters first and takes every second pixel.

    Activations are cut off at +-clamp.
    """

    def __init__(
        self, cin: int, cout: int, k: int, down: bool = False, activate: bool = True, clamp: float | None = None
    ) -> None:
        super().__init__()
        self.k, self.down, self.clamp = k, down, clamp
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
        return ops.clamped(ops.scaled_leaky_relu(x + self.bias[:, None, None]), self.clamp)


class DiscriminatorBlock(nn.Module):
    """Two convolutions to half the size; residual in the `resnet` architecture."""

    def __init__(self, cin: int, cout: int, residual: bool, clamp: float | None = None) -> None:
        super().__init__()
        self.conv1 = EqualConv(cin, cin, 3, clamp=clamp)
        self.conv2 = EqualConv(cin, cout, 3, down=True, clamp=clamp)
        self.skip = EqualConv(cin, cout, 1, down=True, activate=False) if residual else None

    def forward(self, x: Float[Tensor, "b cin h w"]) -> Float[Tensor, "b cout h/2 w/2"]:
        out = self.conv2(self.conv1(x))
        return out if self.skip is None else (out + self.skip(x)) * math.sqrt(0.5)


class Discriminator(nn.Module):
    """Image in [-1, 1] -> logit. Blocks go from the full size down to 8; the last layers work at 4x4.

    Of several classes: the output is a vector, projected on the mapped label (Miyato & Koyama 2018).
    """

    def __init__(self, spec: StyleGan2Spec) -> None:
        super().__init__()
        self.spec = spec
        self.arch = spec.discriminator_arch
        channels, sizes, clamp = spec.channels_d, spec.resolutions[::-1], spec.discriminator_conv_clamp
        self.from_rgb = nn.ModuleDict()
        for size in sizes if self.arch == "skip" else sizes[:1]:
            # NVIDIA's input layer at 4x4 has no clamp where the others have one.
            self.from_rgb[str(size)] = EqualConv(3, channels[size], 1, clamp=clamp if size > 4 else None)
        self.blocks = nn.ModuleList(
            DiscriminatorBlock(channels[size], channels[size // 2], self.arch == "resnet", clamp) for size in sizes[:-1]
        )
        self.final_conv = EqualConv(channels[4] + spec.mbstd_channels, channels[4], 3, clamp=clamp)
        self.final_linear = EqualLinear(channels[4] * 16, channels[4])
        self.logit = EqualLinear(channels[4], spec.cmap_channels)
        self.mapping = None
        if spec.num_classes:
            layers, lr = spec.num_cmap_layers, spec.cmap_lr_multiplier
            self.mapping = Mapping(0, spec.cmap_channels, layers, lr, spec.num_classes)

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

    def head(
        self, x: Float[Tensor, "b c 4 4"], mbstd_group: int | None = None, label: Float[Tensor, "b k"] | None = None
    ) -> Float[Tensor, "b 1"]:
        """Last layers. `mbstd_group` > 1 mixes items (training); 1 keeps them independent; None: the spec's.

        label: one-hot, where the network has classes.
        """
        group = self.spec.mbstd_group if mbstd_group is None else mbstd_group
        x = ops.minibatch_stddev(x, group, self.spec.mbstd_channels)
        x = self.final_conv(x).flatten(1)
        x = self.logit(ops.scaled_leaky_relu(self.final_linear(x)))
        if self.mapping is None:
            return x
        return (x * self.mapping(None, label)).sum(dim=1, keepdim=True) / math.sqrt(x.shape[1])

    def forward(
        self, image: Float[Tensor, "b 3 s s"], mbstd_group: int | None = None, label: Float[Tensor, "b k"] | None = None
    ) -> Float[Tensor, "b 1"]:
        return self.head(self.features(image, len(self.blocks))[-1], mbstd_group, label)
