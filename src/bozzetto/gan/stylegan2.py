"""StyleGAN2's generator as readable modules (Karras et al., CVPR 2020), with what NVIDIA's PyTorch version added.

The reference: differentiable to any order in inputs and parameters. Frozen use goes through `frozen.py`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from bozzetto.gan import ops
from bozzetto.gan.mapping import EqualLinear, Mapping
from bozzetto.gan.protocol import GeneratorNet, SynthesisNet
from bozzetto.gan.spec import StyleGan2Spec


class StyledConv(nn.Module):
    """Modulated 3x3 convolution, per-pixel noise, bias, activation, cut off at +-clamp."""

    def __init__(
        self,
        cin: int,
        cout: int,
        w_dim: int,
        size: int,
        up: bool,
        clamp: float | None = None,
        demodulates_stored_weight: bool = False,
    ) -> None:
        super().__init__()
        self.up, self.clamp = up, clamp
        self.gain = 1 / math.sqrt(cin * 9)
        # w / sqrt(|w|^2 + eps) with w in stored units is the same for gain * w with gain^2 * eps.
        self.eps = ops.DEMODULATION_EPS * (self.gain**2 if demodulates_stored_weight else 1)
        self.weight = nn.Parameter(torch.empty(cout, cin, 3, 3))
        self.style = EqualLinear(w_dim, cin)
        self.bias = nn.Parameter(torch.empty(cout))
        self.noise_strength = nn.Parameter(torch.empty(()))
        self.noise: Tensor
        self.register_buffer("noise", torch.empty(1, 1, size, size))

    def forward(
        self, x: Float[Tensor, "b cin h w"], w: Float[Tensor, "b d"], noise: Float[Tensor, "n 1 h2 w2"] | None
    ) -> Float[Tensor, "b cout h2 w2"]:
        x = ops.modulated_conv(x, self.weight * self.gain, self.style(w), up=self.up, eps=self.eps)
        if noise is not None:
            x = x + self.noise_strength * noise
        return ops.clamped(ops.scaled_leaky_relu(x + self.bias[:, None, None]), self.clamp)


class ToRgb(nn.Module):
    """Modulated 1x1 convolution to three channels, without demodulation; cut off at +-clamp."""

    def __init__(self, cin: int, w_dim: int, clamp: float | None = None) -> None:
        super().__init__()
        self.clamp = clamp
        self.gain = 1 / math.sqrt(cin)
        self.weight = nn.Parameter(torch.empty(3, cin, 1, 1))
        self.style = EqualLinear(w_dim, cin)
        self.bias = nn.Parameter(torch.empty(3))

    def forward(self, x: Float[Tensor, "b cin h w"], w: Float[Tensor, "b d"]) -> Float[Tensor, "b 3 h w"]:
        rgb = ops.modulated_conv(x, self.weight * self.gain, self.style(w), demodulate=False)
        return ops.clamped(rgb + self.bias[:, None, None], self.clamp)


class Synthesis(SynthesisNet):
    """g: w -> image. Layer 0 works at 4x4, layers 2i-1 and 2i at 4 * 2^i; to_rgb i reads the w of layer 2i+1."""

    def __init__(self, spec: StyleGan2Spec) -> None:
        super().__init__()
        self.arch = spec.generator_arch
        self.num_ws = spec.num_ws
        sizes, channels, w_dim = spec.resolutions, spec.channels, spec.w_dim
        self.const = nn.Parameter(torch.empty(channels[4], 4, 4))

        def conv(cin: int, cout: int, size: int, up: bool = False) -> StyledConv:
            return StyledConv(cin, cout, w_dim, size, up, spec.conv_clamp, spec.demodulates_stored_weight)

        self.layers = nn.ModuleList([conv(channels[4], channels[4], 4)])
        self.to_rgb = nn.ModuleDict()
        self.residual = nn.ParameterDict()
        for size in sizes[1:]:
            cin, cout = channels[size // 2], channels[size]
            self.layers.extend([conv(cin, cout, size, up=True), conv(cout, cout, size)])
            if self.arch == "resnet":
                self.residual[str(size)] = nn.Parameter(torch.empty(cout, cin, 1, 1))
        for size in sizes if self.arch == "skip" else sizes[-1:]:
            self.to_rgb[str(size)] = ToRgb(channels[size], w_dim, spec.conv_clamp)

    def sides(self) -> list[int]:
        """See `SynthesisNet`; there is no margin."""
        return [noise.shape[-1] for noise in self.noises()]

    def noises(self) -> list[Float[Tensor, "1 1 _ _"]]:
        """The stored noise of every layer."""
        return [layer.noise for layer in self.layers]  # type: ignore[misc]

    def forward(
        self, w: Float[Tensor, "b l d"], noises: Sequence[Float[Tensor, "n 1 _ _"]] | None
    ) -> Float[Tensor, "b 3 s s"]:
        x = self.const.expand(w.shape[0], -1, -1, -1)
        x = self.layers[0](x, w[:, 0], noises[0] if noises is not None else None)
        rgb = self.to_rgb["4"](x, w[:, 1]) if "4" in self.to_rgb else None
        for i in range(1, len(self.layers), 2):
            before = x
            for j in (i, i + 1):
                x = self.layers[j](x, w[:, j], noises[j] if noises is not None else None)
            size = str(x.shape[-1])
            if size in self.residual:
                kernel = self.residual[size] / math.sqrt(before.shape[1])
                x = (x + F.conv2d(ops.upsample2(before), kernel)) * math.sqrt(0.5)
            if size in self.to_rgb:
                new = self.to_rgb[size](x, w[:, i + 2])
                rgb = new if rgb is None else new + ops.upsample2(rgb)
        assert rgb is not None
        return rgb


class Generator(GeneratorNet):
    """Mapping and synthesis."""

    spec: StyleGan2Spec

    def __init__(self, spec: StyleGan2Spec) -> None:
        super().__init__()
        self.spec = spec
        layers, lr = spec.num_mapping_layers, spec.mapping_lr_multiplier
        self.mapping = Mapping(spec.z_dim, spec.w_dim, layers, lr, spec.num_classes)
        self.synthesis = Synthesis(spec)

    def forward(
        self,
        z: Float[Tensor, "b z"],
        noises: Sequence[Float[Tensor, "n 1 _ _"]] | None,
        label: Float[Tensor, "b c"] | None = None,
    ) -> Float[Tensor, "b 3 s s"]:
        """label: one-hot, where the network has classes."""
        w = self.mapping(z, label)
        return self.synthesis(w[:, None].expand(-1, self.spec.num_ws, -1), noises)
