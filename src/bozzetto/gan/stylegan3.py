"""StyleGAN3's generator as readable modules ("Alias-Free Generative Adversarial Networks", Karras et al. 2021).

The modulated convolution scales activations before and after one with shared weights, which is the same map as weights
of each item's own. There is no noise: a layer that takes some could not keep details glued to surfaces.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from bozzetto.gan import ops
from bozzetto.gan.filters import filtered_leaky_relu, lowpass, radial_lowpass
from bozzetto.gan.frozen import DTYPES
from bozzetto.gan.mapping import EqualLinear, Mapping
from bozzetto.gan.protocol import GeneratorNet, SynthesisNet
from bozzetto.gan.spec3 import LayerSpec, StyleGan3Spec
from bozzetto.precision import Precision


class FourierInput(nn.Module):
    """Sines of fixed frequencies on a grid that w turns and shifts, mixed by a learned matrix (section 3.1)."""

    transform: Tensor
    freqs: Tensor
    phases: Tensor

    def __init__(self, spec: StyleGan3Spec) -> None:
        super().__init__()
        channels = spec.layers[0].in_channels
        self.size, self.rate, self.bandwidth = spec.input_size, spec.input_rate, spec.input_bandwidth
        self.gain = 1 / math.sqrt(channels)
        self.weight = nn.Parameter(torch.empty(channels, channels))
        self.affine = EqualLinear(spec.w_dim, 4)  # cosine, sine, x, y
        self.register_buffer("transform", torch.eye(3))  # the user's, from the picture's coordinates to ours
        self.register_buffer("freqs", torch.empty(channels, 2))  # x, y, in cycles across the image
        self.register_buffer("phases", torch.empty(channels))  # in cycles

    def forward(self, w: Float[Tensor, "b d"]) -> Float[Tensor, "b c h w"]:
        matrix, shift = self._motion(w)
        freqs = self.freqs @ matrix  # [b, c, 2]
        phases = self.phases + shift @ self.freqs.t()  # [b, c]
        # What a transform of the user's pushes toward the Nyquist frequency fades out.
        fade = (freqs.norm(dim=2) - self.bandwidth) / (self.rate / 2 - self.bandwidth)
        ticks = (torch.arange(self.size, device=w.device, dtype=w.dtype) + 0.5 - self.size / 2) / self.rate
        along_x = freqs[:, None, None, :, 0] * ticks[None, None, :, None]
        along_y = freqs[:, None, None, :, 1] * ticks[None, :, None, None]
        cycles = along_x + along_y + phases[:, None, None]
        features = torch.sin(2 * math.pi * cycles) * (1 - fade).clamp(0, 1)[:, None, None]
        return F.linear(features, self.weight * self.gain).permute(0, 3, 1, 2)

    def _motion(self, w: Float[Tensor, "b d"]) -> tuple[Float[Tensor, "b 2 2"], Float[Tensor, "b 2"]]:
        """p -> matrix p + shift: first the user's transform, then w's shift, then w's turn."""
        t = self.affine(w)
        t = t / t[:, :2].norm(dim=1, keepdim=True)
        cos, sin, offset = t[:, 0], t[:, 1], t[:, 2:]
        turn = torch.stack([torch.stack([cos, -sin], dim=1), torch.stack([sin, cos], dim=1)], dim=1)
        matrix = turn @ self.transform[:2, :2]
        return matrix, (turn @ (self.transform[:2, 2] - offset)[:, :, None])[:, :, 0]


class FilteredConv(nn.Module):
    """Modulated convolution, bias, filtered leaky ReLU."""

    magnitude_ema: Tensor
    up_filter: Tensor | None
    down_filter: Tensor | None

    def __init__(self, spec: LayerSpec, w_dim: int) -> None:
        super().__init__()
        self.spec = spec
        self.style = EqualLinear(w_dim, spec.in_channels)
        self.weight = nn.Parameter(torch.empty(spec.out_channels, spec.in_channels, spec.kernel, spec.kernel))
        self.bias = nn.Parameter(torch.empty(spec.out_channels))
        self.register_buffer("magnitude_ema", torch.ones(()))  # running mean square of the input, from training
        up, down, rate = None, None, float(spec.rate)
        if spec.up_taps > 1:
            up = lowpass(spec.up_taps, spec.in_cutoff, 2 * spec.in_half_width, rate)
        if spec.down_taps > 1:
            design = radial_lowpass if spec.radial else lowpass
            down = design(spec.down_taps, spec.out_cutoff, 2 * spec.out_half_width, rate)
        self.register_buffer("up_filter", up)
        self.register_buffer("down_filter", down)

    def forward(
        self, x: Float[Tensor, "b cin h w"], w: Float[Tensor, "b d"], dtype: torch.dtype | None = None
    ) -> Float[Tensor, "b cout h2 w2"]:
        """dtype: of the convolution with the weights (None: x's)."""
        spec, dtype = self.spec, dtype or x.dtype
        style = self.style(w)
        weight: Tensor = self.weight
        if spec.is_rgb:
            style = style / math.sqrt(spec.in_channels * spec.kernel**2)
        else:  # both to unit mean square first, so that the norm neither over- nor underflows in half precision
            weight = weight * torch.rsqrt(weight.square().mean(dim=(1, 2, 3), keepdim=True))
            style = style * torch.rsqrt(style.square().mean(dim=1, keepdim=True))
        scale = style * torch.rsqrt(self.magnitude_ema)
        y = _whole_conv((x * scale[:, :, None, None]).to(dtype), weight.to(dtype)).to(x.dtype)
        if not spec.is_rgb:
            norm2 = style.square() @ weight.square().sum(dim=(2, 3)).t()
            y = y * torch.rsqrt(norm2 + ops.DEMODULATION_EPS)[:, :, None, None]
        y = y + self.bias[:, None, None]
        slope, gain = (1.0, 1.0) if spec.is_rgb else (ops.LRELU_SLOPE, ops.LRELU_GAIN)
        return filtered_leaky_relu(
            y, self.up_filter, self.down_filter, spec.up, spec.down, spec.pad, slope, gain, spec.clamp
        )


def _whole_conv(x: Float[Tensor, "b i h w"], weight: Float[Tensor, "o i k k"]) -> Float[Tensor, "b o h2 w2"]:
    """Convolution wherever kernel and picture touch. A 1x1 one is a matrix product: torch's would leave channels-last,
    in which the filters are many times faster."""
    if weight.shape[-1] == 1:
        return F.linear(x.permute(0, 2, 3, 1), weight[:, :, 0, 0]).permute(0, 3, 1, 2)
    return F.conv2d(x, weight, padding=weight.shape[-1] - 1)


class Synthesis3(SynthesisNet):
    """g: w -> image. The Fourier features read the first w, every layer the next."""

    def __init__(self, spec: StyleGan3Spec) -> None:
        super().__init__()
        self.output_scale = spec.output_scale
        self.input = FourierInput(spec)
        self.layers = nn.ModuleList(FilteredConv(layer, spec.w_dim) for layer in spec.layers)
        self._sides = [min(layer.out_rate, layer.out_size) for layer in spec.layers]

    def sides(self) -> list[int]:
        """See `SynthesisNet`; the last layers' activations end with the picture."""
        return list(self._sides)

    def noises(self) -> list[Float[Tensor, "1 1 _ _"]]:
        """None: the architecture has no noise."""
        return []

    def forward(
        self,
        w: Float[Tensor, "b l d"],
        noises: Sequence[Float[Tensor, "n 1 _ _"]] | None = None,
        dtype: torch.dtype | None = None,
    ) -> Float[Tensor, "b 3 s s"]:
        """dtype: of the convolutions with weights (None: w's); filters are no faster in bfloat16 and keep w's."""
        x = self.input(w[:, 0])
        for i, layer in enumerate(self.layers):
            x = layer(x, w[:, i + 1], dtype)
        return x * self.output_scale


class FrozenSynthesis3(nn.Module):
    """`Synthesis3` at a precision; the modules are shared, for there is nothing to fold that would be worth a copy."""

    def __init__(self, synthesis: Synthesis3, precision: Precision = "fp32") -> None:
        super().__init__()
        self.synthesis = synthesis
        self.dtype = None if precision == "fp32" else DTYPES[precision]

    def forward(
        self, w: Float[Tensor, "b l d"], noises: Sequence[Float[Tensor, "n 1 _ _"]] | None
    ) -> Float[Tensor, "b 3 s s"]:
        return self.synthesis(w, noises, self.dtype)


class Generator3(GeneratorNet):
    """Mapping and synthesis."""

    spec: StyleGan3Spec

    def __init__(self, spec: StyleGan3Spec) -> None:
        super().__init__()
        self.spec = spec
        layers, lr = spec.num_mapping_layers, spec.mapping_lr_multiplier
        self.mapping = Mapping(spec.z_dim, spec.w_dim, layers, lr, spec.num_classes)
        self.synthesis = Synthesis3(spec)
