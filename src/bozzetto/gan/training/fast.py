"""StyleGAN2's networks computed fast while their weights are being trained: the values of `stylegan2.py` and
`discriminator.py`, differentiable to any order in weights, latents and images.

As in `frozen.py`, activations are scaled instead of weights (Karras et al. 2020, equations 1 to 3), so that one
convolution with shared weights serves the whole batch; convolutions run in `dtype`, styles and RGB sums in float32.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from bozzetto.gan import ops
from bozzetto.gan.discriminator import Discriminator, EqualConv
from bozzetto.gan.stylegan2 import StyledConv, Synthesis, ToRgb


def _channels_last(x: Tensor, dtype: torch.dtype) -> Tensor:
    return x.to(dtype, memory_format=torch.channels_last)


def _blur(x: Float[Tensor, "b c h w"], pad: int, gain: float = 1.0) -> Float[Tensor, "b c h2 w2"]:
    channels = x.shape[1]
    kernel = ops.blur_kernel(gain, x).expand(channels, 1, 4, 4)
    return F.conv2d(x, kernel, padding=pad, groups=channels)


def styled_conv(
    layer: StyledConv,
    x: Float[Tensor, "b cin h w"],
    w: Float[Tensor, "b d"],
    noise: Float[Tensor, "n 1 h2 w2"] | None,
    dtype: torch.dtype,
) -> Float[Tensor, "b cout h2 w2"]:
    """`StyledConv.forward`."""
    weight = layer.weight * layer.gain
    style = layer.style(w)
    factor = torch.rsqrt(style.square() @ weight.square().sum(dim=(2, 3)).t() + ops.DEMODULATION_EPS)
    y = _channels_last(x * style[:, :, None, None].to(dtype), dtype)
    if layer.up:
        y = F.conv_transpose2d(y, _channels_last(weight.transpose(0, 1), dtype), stride=2)
        y = _blur(y, 1, gain=4.0)
    else:
        y = F.conv2d(y, _channels_last(weight, dtype), padding=1)
    y = y * (factor * ops.LRELU_GAIN)[:, :, None, None].to(dtype)
    offset = layer.bias[:, None, None] * ops.LRELU_GAIN
    if noise is not None:
        offset = offset + noise * (layer.noise_strength * ops.LRELU_GAIN)
    return F.leaky_relu(y + offset.to(dtype), ops.LRELU_SLOPE)


def to_rgb(layer: ToRgb, x: Float[Tensor, "b cin h w"], w: Float[Tensor, "b d"]) -> Float[Tensor, "b 3 h w"]:
    """`ToRgb.forward`; float32."""
    b, _, height, width = x.shape
    matrix = (layer.weight[:, :, 0, 0] * layer.gain) * layer.style(w)[:, None, :]  # [b, 3, cin]
    rgb = torch.bmm(x.permute(0, 2, 3, 1).flatten(1, 2), matrix.transpose(1, 2).to(x.dtype))
    return rgb.float().view(b, height, width, 3).permute(0, 3, 1, 2) + layer.bias[:, None, None]


def synthesise(
    net: Synthesis,
    w: Float[Tensor, "b l d"],
    noises: Sequence[Float[Tensor, "n 1 _ _"]] | None,
    dtype: torch.dtype = torch.float32,
) -> Float[Tensor, "b 3 s s"]:
    """`Synthesis.forward` of the skip architecture."""
    x = net.const.expand(w.shape[0], -1, -1, -1).to(dtype)
    x = styled_conv(net.layers[0], x, w[:, 0], None if noises is None else noises[0], dtype)  # type: ignore[arg-type]
    rgb = to_rgb(net.to_rgb["4"], x, w[:, 1])  # type: ignore[arg-type]
    for i in range(1, len(net.layers), 2):
        for j in (i, i + 1):
            x = styled_conv(net.layers[j], x, w[:, j], None if noises is None else noises[j], dtype)  # type: ignore[arg-type]
        rgb = to_rgb(net.to_rgb[str(x.shape[-1])], x, w[:, i + 2]) + ops.upsample2(rgb)  # type: ignore[arg-type]
    return rgb


def conv(layer: EqualConv, x: Float[Tensor, "b cin h w"], dtype: torch.dtype) -> Float[Tensor, "b cout h2 w2"]:
    """`EqualConv.forward`."""
    gain = layer.gain * (1.0 if layer.bias is None else ops.LRELU_GAIN)
    weight = _channels_last(layer.weight * gain, dtype)
    bias = None if layer.bias is None else (layer.bias * ops.LRELU_GAIN).to(dtype)
    if layer.down and layer.k == 1:
        # All pixels are filtered and every second kept: on CPUs the gradient of a strided depthwise convolution in
        # bfloat16 is eight times as slow as that of one without stride.
        x = F.conv2d(_channels_last(_blur(x, 1)[:, :, ::2, ::2], dtype), weight, bias)
    elif layer.down:
        x = F.conv2d(_blur(x, 2), weight, bias, stride=2)
    else:
        x = F.conv2d(x, weight, bias, padding=layer.k // 2)
    return x if bias is None else F.leaky_relu(x, ops.LRELU_SLOPE)


def judge(
    net: Discriminator, image: Float[Tensor, "b 3 s s"], dtype: torch.dtype = torch.float32
) -> Float[Tensor, "b 1"]:
    """`Discriminator.forward` of the residual architecture, with the minibatch deviation of its spec."""
    x = conv(net.from_rgb[str(image.shape[-1])], _channels_last(image, dtype), dtype)  # type: ignore[arg-type]
    for block in net.blocks:
        out = conv(block.conv2, conv(block.conv1, x, dtype), dtype)  # type: ignore[union-attr, arg-type]
        x = (out + conv(block.skip, x, dtype)) * math.sqrt(0.5)  # type: ignore[union-attr, arg-type]
    return net.head(x.float().contiguous())
