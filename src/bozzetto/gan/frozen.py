"""StyleGAN2 with constant weights, made for speed: same values as `stylegan2.py` and `discriminator.py`, gradients of
any order to w and images, none to weights.

What is different: the per-item weights of the modulated convolution are never built. Scaling the input channels by the
style before, and the output channels by the demodulation factor after an ordinary convolution with shared weights is
the same map (Karras et al. 2020, equations 1 to 3); the factor needs only the sum of squared weights over the kernel.
All gains are folded into the stored weights, the activation's sqrt(2) included (leaky ReLU is homogeneous), and
activations are channels-last. In bf16 the convolutions and activations are bfloat16; styles, demodulation factors and
the running RGB image stay float32.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from bozzetto.gan import ops
from bozzetto.gan.discriminator import Discriminator, EqualConv
from bozzetto.gan.mapping import EqualLinear
from bozzetto.gan.stylegan2 import StyledConv, Synthesis, ToRgb
from bozzetto.precision import Precision

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


class _Constants(nn.Module):
    """Holds buffers only."""

    def keep(self, name: str, value: Tensor) -> Tensor:
        """Register a detached, contiguous copy; four-dimensional tensors become channels-last."""
        layout = torch.channels_last if value.ndim == 4 else torch.contiguous_format
        copy = value.detach().clone().contiguous(memory_format=layout)
        self.register_buffer(name, copy)
        return copy


class FrozenLinear(_Constants):
    weight: Tensor
    bias: Tensor

    def __init__(self, layer: EqualLinear) -> None:
        super().__init__()
        self.keep("weight", layer.weight * layer.gain)
        self.keep("bias", layer.bias * layer.lr_multiplier)

    def forward(self, x: Float[Tensor, "b i"]) -> Float[Tensor, "b o"]:
        return F.linear(x, self.weight, self.bias)


Scaled = tuple[Tensor, Tensor | None]  # activations [b, c, h, w], and the factors [b, c] they still lack (None: 1)


def _scaled(x: Float[Tensor, "b c h w"], scale: Float[Tensor, "b c"] | None) -> Float[Tensor, "b c h w"]:
    """x times scale, channels-last."""
    if scale is None:
        return x
    return (x * scale[:, :, None, None].to(x.dtype)).contiguous(memory_format=torch.channels_last)


class FrozenStyledConv(_Constants):
    """Modulated convolution, noise, bias and activation.

    Activations travel as a pair (x, scale): the layer's true output is x times scale [b, c]. With f the demodulation
    factor, lrelu(f c + o) = f lrelu(c + o / f), so the factor joins the next layer's style in one multiplication, and
    bias and noise enter as one product of [1, noise] with two coefficients a channel. A clamp of the true output is one
    of x at +-clamp / scale, a bound for every channel of every item.
    """

    weight: Tensor
    weight_squared: Tensor  # [cin, cout], summed over the kernel
    bias: Tensor
    noise_strength: Tensor
    blur: Tensor

    def __init__(self, layer: StyledConv, dtype: torch.dtype) -> None:
        super().__init__()
        self.up, self.clamp, self.eps = layer.up, layer.clamp, layer.eps
        self.style = FrozenLinear(layer.style)
        weight = layer.weight * layer.gain
        self.keep("weight_squared", weight.square().sum(dim=(2, 3)).t())
        self.keep("weight", (weight.transpose(0, 1) if self.up else weight).to(dtype))
        self.keep("bias", layer.bias)
        self.keep("noise_strength", layer.noise_strength)
        self.keep("blur", ops.blur_kernel(4.0).expand(weight.shape[0], 1, 4, 4).to(dtype))

    def forward(
        self, x: Scaled, w: Float[Tensor, "b d"], noise: Float[Tensor, "n 1 h2 w2"] | None
    ) -> tuple[Float[Tensor, "b cout h2 w2"], Float[Tensor, "b cout"]]:
        style = self.style(w)
        factor = torch.rsqrt(style.square() @ self.weight_squared + self.eps)
        y = _scaled(x[0], style if x[1] is None else style * x[1])
        if self.up:
            y = F.conv_transpose2d(y, self.weight, stride=2)
            y = F.conv2d(y, self.blur, padding=1, groups=y.shape[1])
        else:
            y = F.conv2d(y, self.weight, padding=1)
        b, c, height, width = y.shape
        ones = y.new_ones(1, height * width, 1)
        inputs, coefficients = [ones], [self.bias / factor]
        if noise is not None:
            inputs = [ones.expand(noise.shape[0], -1, -1), noise.to(y.dtype).reshape(-1, height * width, 1)]
            coefficients.append(self.noise_strength / factor)
        pixels = y.permute(0, 2, 3, 1).reshape(b, height * width, c)  # a view: channels-last
        offset = torch.stack(coefficients, dim=1).to(y.dtype)  # [b, 1 or 2, c]
        pixels = torch.baddbmm(pixels, torch.cat(inputs, dim=2).expand(b, -1, -1), offset)
        pixels = F.leaky_relu(pixels, ops.LRELU_SLOPE, inplace=True)
        scale = factor * ops.LRELU_GAIN
        if self.clamp is not None:
            bound = (self.clamp / scale)[:, None].to(y.dtype)
            pixels = pixels.clamp(-bound, bound)
        return pixels.view(b, height, width, c).permute(0, 3, 1, 2), scale


class FrozenToRgb(_Constants):
    """A matrix of 3 x cin per item, applied to every pixel."""

    weight: Tensor
    bias: Tensor

    def __init__(self, layer: ToRgb) -> None:
        super().__init__()
        self.clamp = layer.clamp
        self.style = FrozenLinear(layer.style)
        self.keep("weight", layer.weight[:, :, 0, 0] * layer.gain)
        self.keep("bias", layer.bias[:, None, None])

    def forward(self, x: Scaled, w: Float[Tensor, "b d"]) -> Float[Tensor, "b 3 h w"]:
        b, _, height, width = x[0].shape
        scale = self.style(w) if x[1] is None else self.style(w) * x[1]
        matrix = (self.weight * scale[:, None, :]).to(x[0].dtype)  # [b, 3, cin]
        rgb = torch.bmm(x[0].permute(0, 2, 3, 1).flatten(1, 2), matrix.transpose(1, 2))
        return ops.clamped(
            rgb.to(self.bias.dtype).view(b, height, width, 3).permute(0, 3, 1, 2) + self.bias, self.clamp
        )


class FrozenSynthesis(_Constants):
    """Same signature as `Synthesis`."""

    const: Tensor
    up_rgb: Tensor

    def __init__(self, synthesis: Synthesis, precision: Precision = "fp32") -> None:
        super().__init__()
        dtype = DTYPES[precision]
        self.keep("const", synthesis.const[None].to(dtype))
        self.keep("up_rgb", ops.blur_kernel(4.0).expand(3, 1, 4, 4))
        self.layers = nn.ModuleList(FrozenStyledConv(layer, dtype) for layer in synthesis.layers)  # type: ignore[arg-type]
        self.to_rgb = nn.ModuleDict({k: FrozenToRgb(v) for k, v in synthesis.to_rgb.items()})  # type: ignore[arg-type]
        self.residual = _Constants()
        for size, kernel in synthesis.residual.items():
            self.residual.keep(f"_{size}", (kernel / math.sqrt(kernel.shape[1])).to(dtype))

    def forward(
        self, w: Float[Tensor, "b l d"], noises: Sequence[Float[Tensor, "n 1 _ _"]] | None
    ) -> Float[Tensor, "b 3 s s"]:
        const = self.const.expand(w.shape[0], -1, -1, -1)
        x = self.layers[0]((const, None), w[:, 0], noises[0] if noises is not None else None)
        rgb = self.to_rgb["4"](x, w[:, 1]) if "4" in self.to_rgb else None
        for i in range(1, len(self.layers), 2):
            before = x
            for j in (i, i + 1):
                x = self.layers[j](x, w[:, j], noises[j] if noises is not None else None)
            size = str(x[0].shape[-1])
            kernel = getattr(self.residual, f"_{size}", None)
            if kernel is not None:
                skip = F.conv2d(ops.upsample2(_scaled(*before)), kernel)
                x = ((_scaled(*x) + skip) * math.sqrt(0.5), None)
            if size in self.to_rgb:
                new = self.to_rgb[size](x, w[:, i + 2])
                if rgb is not None:
                    new = new + F.conv_transpose2d(rgb, self.up_rgb, stride=2, padding=1, groups=3)
                rgb = new
        assert rgb is not None
        return rgb


class FrozenConv(_Constants):
    """`EqualConv` with folded gains; `gain` scales the output (for the residual sum)."""

    weight: Tensor
    bias: Tensor
    blur: Tensor

    def __init__(self, layer: EqualConv, dtype: torch.dtype, gain: float = 1.0) -> None:
        super().__init__()
        self.k, self.down, self.activate = layer.k, layer.down, layer.bias is not None
        self.clamp = None if layer.clamp is None else layer.clamp * gain
        if layer.bias is not None:
            gain *= ops.LRELU_GAIN
            self.keep("bias", (layer.bias * gain).to(dtype))
        self.keep("weight", (layer.weight * layer.gain * gain).to(dtype))
        # float32 before a 1x1 convolution: the bfloat16 gradient of a strided depthwise convolution is slow on CPUs
        self.keep(
            "blur", ops.blur_kernel().expand(layer.weight.shape[1], 1, 4, 4).to(dtype if self.k > 1 else torch.float32)
        )

    def forward(self, x: Float[Tensor, "b cin h w"]) -> Float[Tensor, "b cout h2 w2"]:
        channels = x.shape[1]
        if self.down and self.k == 1:  # filter only where the 1x1 convolution will look
            half = F.conv2d(x.to(self.blur.dtype), self.blur, stride=2, padding=1, groups=channels)
            x = F.conv2d(half.to(x.dtype), self.weight)
        elif self.down:
            x = F.conv2d(F.conv2d(x, self.blur, padding=2, groups=channels), self.weight, self.bias, stride=2)
        else:
            x = F.conv2d(x, self.weight, self.bias, padding=self.k // 2)
        return ops.clamped(F.leaky_relu(x, ops.LRELU_SLOPE, inplace=True), self.clamp) if self.activate else x


class FrozenDiscriminator(_Constants):
    """Same signatures as `Discriminator`, except that logits keep items independent."""

    def __init__(self, net: Discriminator, precision: Precision = "fp32") -> None:
        super().__init__()
        dtype = DTYPES[precision]
        self.arch = net.arch
        self.from_rgb = nn.ModuleDict({k: FrozenConv(v, dtype) for k, v in net.from_rgb.items()})  # type: ignore[arg-type]
        gain = math.sqrt(0.5) if net.arch == "resnet" else 1.0
        self.conv1 = nn.ModuleList(FrozenConv(b.conv1, dtype) for b in net.blocks)  # type: ignore[union-attr, arg-type]
        self.conv2 = nn.ModuleList(FrozenConv(b.conv2, dtype, gain) for b in net.blocks)  # type: ignore[union-attr, arg-type]
        self.skip = nn.ModuleList(
            FrozenConv(b.skip, dtype, gain)  # type: ignore[union-attr, arg-type]
            for b in net.blocks
            if b.skip is not None
        )

    def features(self, image: Float[Tensor, "b 3 s s"], count: int) -> list[Float[Tensor, "b _ _ _"]]:
        """Input of the first block and the outputs of the first `count` blocks, in the image's own precision."""
        precise = image.dtype
        image = image.to(self.from_rgb[str(image.shape[-1])].weight.dtype, memory_format=torch.channels_last)  # type: ignore[arg-type]
        x = self.from_rgb[str(image.shape[-1])](image)
        taps = [x]
        for i in range(count):
            out = self.conv2[i](self.conv1[i](x))
            if self.arch == "resnet":
                out = out + self.skip[i](x)
            elif self.arch == "skip":
                image = ops.downsample2(image)
                out = out + self.from_rgb[str(image.shape[-1])](image)
            x = out
            taps.append(x)
        return [tap.to(precise) for tap in taps]
