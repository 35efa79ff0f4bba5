"""StyleGAN2's generator as readable modules (Karras et al., CVPR 2020). Parameters are stored the equalised way:
drawn from N(0, 1) (see `initialise.py`; a new module's are unset) and multiplied by their gain at use.

The reference: differentiable to any order in inputs and parameters. Frozen use goes through `frozen.py`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from bozzetto.gan import ops
from bozzetto.gan.spec import StyleGan2Spec


class EqualLinear(nn.Module):
    """y = x (gain W)^T + m b with gain = m / sqrt(inputs); m is the learning-rate multiplier."""

    def __init__(self, inputs: int, outputs: int, lr_multiplier: float = 1.0) -> None:
        super().__init__()
        self.lr_multiplier = lr_multiplier
        self.gain = lr_multiplier / math.sqrt(inputs)
        self.weight = nn.Parameter(torch.empty(outputs, inputs))
        self.bias = nn.Parameter(torch.empty(outputs))

    def forward(self, x: Float[Tensor, "*b i"]) -> Float[Tensor, "*b o"]:
        return F.linear(x, self.weight * self.gain, self.bias * self.lr_multiplier)


class Mapping(nn.Module):
    """f: z -> w, equal linear layers with scaled leaky ReLU after the pixel norm of z."""

    def __init__(self, spec: StyleGan2Spec) -> None:
        super().__init__()
        dims = [spec.z_dim] + [spec.w_dim] * spec.num_mapping_layers
        self.layers = nn.ModuleList(EqualLinear(a, b, spec.mapping_lr_multiplier) for a, b in itertools.pairwise(dims))

    def head(self, z: Float[Tensor, "b z"], k: int) -> Float[Tensor, "b d"]:
        """Pixel norm and all but the last k layers."""
        x = ops.pixel_norm(z)
        for layer in self.layers[: len(self.layers) - k]:
            x = ops.scaled_leaky_relu(layer(x))
        return x

    def tail(self, x: Float[Tensor, "b d"], k: int) -> Float[Tensor, "b w"]:
        """The last k layers."""
        for layer in self.layers[len(self.layers) - k :]:
            x = ops.scaled_leaky_relu(layer(x))
        return x

    def forward(self, z: Float[Tensor, "b z"]) -> Float[Tensor, "b w"]:
        return self.tail(ops.pixel_norm(z), len(self.layers))


class StyledConv(nn.Module):
    """Modulated 3x3 convolution, per-pixel noise, bias, activation."""

    def __init__(self, cin: int, cout: int, w_dim: int, size: int, up: bool) -> None:
        super().__init__()
        self.up = up
        self.gain = 1 / math.sqrt(cin * 9)
        self.weight = nn.Parameter(torch.empty(cout, cin, 3, 3))
        self.style = EqualLinear(w_dim, cin)
        self.bias = nn.Parameter(torch.empty(cout))
        self.noise_strength = nn.Parameter(torch.empty(()))
        self.noise: Tensor
        self.register_buffer("noise", torch.empty(1, 1, size, size))

    def forward(
        self, x: Float[Tensor, "b cin h w"], w: Float[Tensor, "b d"], noise: Float[Tensor, "n 1 h2 w2"] | None
    ) -> Float[Tensor, "b cout h2 w2"]:
        x = ops.modulated_conv(x, self.weight * self.gain, self.style(w), up=self.up)
        if noise is not None:
            x = x + self.noise_strength * noise
        return ops.scaled_leaky_relu(x + self.bias[:, None, None])


class ToRgb(nn.Module):
    """Modulated 1x1 convolution to three channels, without demodulation."""

    def __init__(self, cin: int, w_dim: int) -> None:
        super().__init__()
        self.gain = 1 / math.sqrt(cin)
        self.weight = nn.Parameter(torch.empty(3, cin, 1, 1))
        self.style = EqualLinear(w_dim, cin)
        self.bias = nn.Parameter(torch.empty(3))

    def forward(self, x: Float[Tensor, "b cin h w"], w: Float[Tensor, "b d"]) -> Float[Tensor, "b 3 h w"]:
        rgb = ops.modulated_conv(x, self.weight * self.gain, self.style(w), demodulate=False)
        return rgb + self.bias[:, None, None]


class Synthesis(nn.Module):
    """g: w -> image. Layer 0 works at 4x4, layers 2i-1 and 2i at 4 * 2^i; to_rgb i reads the w of layer 2i+1."""

    def __init__(self, spec: StyleGan2Spec) -> None:
        super().__init__()
        self.arch = spec.generator_arch
        self.num_ws = spec.num_ws
        sizes, channels, w_dim = spec.resolutions, spec.channels, spec.w_dim
        self.const = nn.Parameter(torch.empty(channels[4], 4, 4))
        self.layers = nn.ModuleList([StyledConv(channels[4], channels[4], w_dim, 4, up=False)])
        self.to_rgb = nn.ModuleDict()
        self.residual = nn.ParameterDict()
        for size in sizes[1:]:
            cin, cout = channels[size // 2], channels[size]
            self.layers.append(StyledConv(cin, cout, w_dim, size, up=True))
            self.layers.append(StyledConv(cout, cout, w_dim, size, up=False))
            if self.arch == "resnet":
                self.residual[str(size)] = nn.Parameter(torch.empty(cout, cin, 1, 1))
        for size in sizes if self.arch == "skip" else sizes[-1:]:
            self.to_rgb[str(size)] = ToRgb(channels[size], w_dim)

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


class Generator(nn.Module):
    """Mapping and synthesis."""

    def __init__(self, spec: StyleGan2Spec) -> None:
        super().__init__()
        self.spec = spec
        self.mapping = Mapping(spec)
        self.synthesis = Synthesis(spec)

    def forward(
        self, z: Float[Tensor, "b z"], noises: Sequence[Float[Tensor, "n 1 _ _"]] | None
    ) -> Float[Tensor, "b 3 s s"]:
        w = self.mapping(z)
        return self.synthesis(w[:, None].expand(-1, self.spec.num_ws, -1), noises)
